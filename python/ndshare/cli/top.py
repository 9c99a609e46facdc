"""`ndshare top [PATTERN]`: what is going on, live: streams and services with their rates."""

from __future__ import annotations

import time
from collections.abc import Mapping

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

import ndshare
from ndshare.cli.output import make_console, one_line_errors, print_json_line

_COUNTED = {"array": "version", "stream": "published", "service": "answered"}


def top(
    pattern: str = typer.Argument("*", help='Shell pattern; "*" also matches "/".'),
    interval: float = typer.Option(1.0, "--interval", min=0.05, help="Seconds between two looks."),
    count: int = typer.Option(0, "--count", min=0, help="So many looks; 0: until Ctrl-C."),
    json: bool = typer.Option(False, "--json", help="A line for each look: a JSON list."),
) -> None:
    """Show rates, losses and the health of workers, again and again.

    It only looks: nobody waits for it. On a terminal the screen is redrawn in place; elsewhere each
    look is printed below the last.
    """
    with one_line_errors():
        console = make_console()
        before, then = _look(pattern), time.monotonic()
        looks = 0
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while count == 0 or looks < count:
                time.sleep(interval)
                now, here = _look(pattern), time.monotonic()
                rates = {
                    name: _rate(one, before.get(name), here - then) for name, one in now.items()
                }
                if json:
                    live.stop()
                    print_json_line([_plain(one, rates[name]) for name, one in now.items()])
                elif console.is_terminal:
                    live.update(_screen(now, rates), refresh=True)
                else:
                    live.stop()
                    console.print(_screen(now, rates))
                before, then = now, here
                looks += 1


def _look(pattern: str) -> dict[str, ndshare.Info]:
    return {one.name: one for one in ndshare.ls(pattern)}


def _rate(now: ndshare.Info, before: ndshare.Info | None, seconds: float) -> float:
    """Writes, frames or answers a second; 0 for what is new, or was made anew."""
    if before is None or before.generation != now.generation:
        return 0.0
    counted = _COUNTED[now.kind]
    # A worker that left takes its counts along.
    return max(0, now.counters[counted] - before.counters[counted]) / seconds


def _plain(one: ndshare.Info, rate: float) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "per_second": round(rate, 3),
        "counters": one.counters,
        "workers": one.workers,
    }


def _screen(now: Mapping[str, ndshare.Info], rates: Mapping[str, float]) -> Group:
    things = Table(box=None, pad_edge=False)
    for title in ("name", "kind"):
        things.add_column(title, overflow="fold")
    for title in ("rate", "count"):
        things.add_column(title, justify="right", no_wrap=True)
    things.add_column("what")
    workers = Table(box=None, pad_edge=False)
    for title in ("service", "worker", "state"):
        workers.add_column(title, overflow="fold")
    for title in ("calls", "failed", "batch size", "mean ms", "p99 ms"):
        workers.add_column(title, justify="right", no_wrap=True)
    for name, one in now.items():
        things.add_row(
            name,
            one.kind,
            f"{rates[name]:.1f}/s",
            str(one.counters[_COUNTED[one.kind]]),
            _what(one),
        )
        for worker in one.workers:
            workers.add_row(name, str(worker["pid"]), _state(worker), *_figures(worker))
    if not now:
        return Group("nothing is shared")
    return Group(things, "", workers) if workers.row_count else Group(things)


def _what(one: ndshare.Info) -> str:
    c = one.counters
    if one.kind == "stream":
        return (
            f"{c['publishers']} publishers, {c['subscribers']} subscribers, lag {c['lag']}, "
            f"{c['dropped']} dropped, {c['lost']} lost"
        )
    if one.kind == "service":
        return (
            f"{c['workers']} workers, {c['clients']} clients, {c['waiting']} waiting, "
            f"{c['running']} running, {c['redelivered']} redelivered, {c['died']} died, "
            f"{c['expired']} expired, {c['late']} late"
        )
    return f"{c['peers']} peers" + (", incomplete" if c["incomplete"] else "")


def _state(worker: Mapping[str, float | str]) -> str:
    return f"busy {float(worker['busy_s']):.2g} s" if worker["state"] == "busy" else "idle"


def _figures(worker: Mapping[str, float]) -> tuple[str, ...]:
    batches = max(1, worker["batches"])
    return (
        str(worker["answered"]),
        str(worker["failed"]),
        f"{worker['taken'] / batches:.1f}",
        f"{worker['mean_s'] * 1e3:.2f}",
        f"{worker['p99_s'] * 1e3:.2f}",
    )
