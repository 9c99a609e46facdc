"""`ndshare serve package.module:Model`: workers of a service, kept alive."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Literal

import typer

from ndshare._serve import supervise
from ndshare._serve_supervisor import Supervisor
from ndshare._serve_target import Plan
from ndshare.cli.output import one_line_errors


def serve(
    target: str = typer.Argument(
        help="A class or function, importable from the current folder.", metavar="MODULE:NAME"
    ),
    name: str | None = typer.Option(None, "--name", help="Of the service; else target.name."),
    workers: int = typer.Option(1, "--workers", min=1, help="So many processes."),
    max_batch_size: int | None = typer.Option(
        None,
        "--max-batch-size",
        min=1,
        help="Arrays get a leading batch axis, up to so many calls; else target.max_batch_size, "
        "else one call at a time, without that axis.",
    ),
    max_delay: float | None = typer.Option(
        None,
        "--max-delay",
        min=0.0,
        help="Seconds a call may wait for company; else target.max_delay, else 0.",
    ),
    slots: int = typer.Option(64, "--slots", min=1, help="Calls under way at once, in all."),
    retries: int = typer.Option(
        1, "--retries", min=0, help="How often a call goes to another worker when its worker dies."
    ),
    stuck: float | None = typer.Option(
        None, "--stuck", help="Seconds without progress on a batch that count as stuck."
    ),
    stuck_action: Literal["replace", "report"] = typer.Option(
        "replace", "--stuck-action", help="Kill and replace a stuck worker, or only report it."
    ),
) -> None:
    """Answer a service's calls with a Python class or function, in processes kept alive.

    A class is instantiated once in each process. Its attributes say the rest:

    name = "double"; inputs = {"x": ((640, 480), "f4")}; outputs = {"y": ((640, 480), "f4")}

    def __call__(self, x): return 2 * x

    Workers that die are started again (after 0.1 to 5 s). SIGTERM or Ctrl-C: they finish what
    they have; a second Ctrl-C kills them. SIGHUP: the code is loaded again, no call is dropped.
    One log line an event, on stderr.
    """
    with one_line_errors():
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        _log_lines()
        plan = Plan(
            target, name, None, None, max_batch_size, max_delay, slots=slots, retries=retries
        )
        supervisor = supervise(plan, workers, stuck, stuck_action)
        wishes = _Wishes(supervisor)
        supervisor.start()
        try:
            supervisor.wait_ready()
        except Exception:
            if not wishes.count:
                raise
        supervisor.wait_ended()
        if wishes.is_killed:
            raise typer.Exit(130)


class _Wishes:
    """What the signals say."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._has_terminal = _has_terminal()
        self.count = 0  # how often an end was asked for
        self.is_killed = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_end)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN or not self._has_terminal:
            signal.signal(signal.SIGHUP, self._on_hangup)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.is_killed = number == signal.SIGINT and self.count > 1
        self._supervisor.request_stop(0.0 if self.is_killed else None)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        if self._has_terminal and not _has_terminal():  # not a wish: the terminal was closed
            self._on_end(signal.SIGTERM, frame)
        else:
            self._supervisor.request_reload()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _log_lines() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S"))
    log = logging.getLogger("ndshare.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
