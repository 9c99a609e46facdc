"""The command line on services: serve."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from serving import WAIT_SECONDS, Command, until
from typer.testing import CliRunner

import ndshare
from ndshare.cli import app


def test_the_command_drains_reloads_and_tells_what_happens(
    models: str, command: Callable[..., Command], tmp_path: Path
) -> None:
    served = command(f"{models}:Model", "--workers", "2", "--name", "given", "--retries", "0")
    ready = served.until(r"worker (\d+): ready", 2)
    served.process.send_signal(signal.SIGHUP)
    served.until("given: reloaded")
    assert all(f"worker {pid}: stopped (exit code 0)" in served.text for pid in ready)
    with ndshare.Client("given") as client:
        taken = client.submit(-2)
        until(lambda: (tmp_path / "begun").exists())
        os.killpg(served.process.pid, signal.SIGINT)  # as Ctrl-C does: all of the group get it
        served.until("draining", 4)
        (tmp_path / "go").touch()
        assert taken.result(WAIT_SECONDS)["y"] == -1
    assert served.ended() == 0
    assert "Traceback" not in served.text
    assert served.lines[-1].endswith("given: stopped\n")


def test_a_second_ctrl_c_kills(
    models: str, command: Callable[..., Command], tmp_path: Path
) -> None:
    served = command(f"{models}:Model", "--retries", "0")
    served.until("ready")
    with ndshare.Client("model") as client:
        taken = client.submit(-2)
        until(lambda: (tmp_path / "begun").exists())
        served.process.send_signal(signal.SIGINT)
        served.until("draining")
        served.process.send_signal(signal.SIGINT)
        assert served.ended() == 130
        with pytest.raises(ndshare.WorkerDied):
            taken.result(WAIT_SECONDS)


def test_the_command_says_what_is_wrong_and_ends_with_1(
    models: str, command: Callable[..., Command]
) -> None:
    for target, text in (
        (f"{models}:Broken", "OSError: no such weights"),
        (f"{models}:Absent", "has no attribute 'Absent'"),
        ("no_such_module:Model", "there is no module"),
    ):
        served = command(target)
        assert served.ended() == 1
        assert served.text.count(text) == 1
        assert "ndshare: [serve]" in served.text


def test_its_help_says_how_a_target_looks() -> None:
    done = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    for part in ("MODULE:NAME", "--max-batch-size", "--stuck-action", "SIGHUP", "__call__"):
        assert part in done.output, part


def test_reported_only_a_stuck_worker_goes_on(
    models: str, command: Callable[..., Command], tmp_path: Path
) -> None:
    served = command(f"{models}:Model", "--stuck", "0.2", "--stuck-action", "report")
    served.until("ready")
    with ndshare.Client("model") as client:
        call = client.submit(-2)
        served.until("stuck, no progress for")
        (tmp_path / "go").touch()
        assert call.result(WAIT_SECONDS)["y"] == -1
    served.process.send_signal(signal.SIGTERM)
    assert served.ended() == 0
    assert served.text.count("stuck") == 1
    assert "died" not in served.text
