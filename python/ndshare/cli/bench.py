"""`ndshare bench`: how fast it is here, beside what the standard library offers."""

from __future__ import annotations

import os
import platform
import signal
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import ndshare
from ndshare.cli.output import one_line_errors, print_json

if TYPE_CHECKING:
    from ndshare.bench.questions import Question
    from ndshare.bench.rounds import Figures


def bench(
    only: list[str] = typer.Option(
        [], "--only", help="round-trip, attach, frames, small or service; may be given again."
    ),
    rounds: int = typer.Option(3, "--rounds", min=1, help="Interleaved; medians are shown."),
    scale: float = typer.Option(
        1.0, "--scale", min=0.0, help="Of the number of operations: 0.1 is a tenth."
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Measure arrays, streams and services beside multiprocessing, in 10 to 20 seconds.

    Two processes each; every result is compared with what was sent. A ratio above 1 means: so many
    times as long as ndshare. Other work on the machine shows in all figures.
    """
    from ndshare.bench import questions
    from ndshare.bench import rounds as rounds_module

    unknown = [name for name in only if name not in {one.name for one in questions.ALL}]
    if unknown:
        known = ", ".join(one.name for one in questions.ALL)
        raise typer.BadParameter(f"{unknown[0]}: there are {known}")
    with one_line_errors():
        # Told to end, it cleans up as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        console = Console()
        found: dict[str, Any] = {"machine": _machine(), "questions": []}
        with Console(stderr=True).status("") as status:
            for question in questions.ALL:
                if only and question.name not in only:
                    continue
                figures = rounds_module.run(question, rounds, scale, status.update)
                if not json:
                    _print(console, question, figures)
                found["questions"].append(
                    {
                        "name": question.name,
                        "question": question.text,
                        "ways": [asdict(one) for one in figures],
                    }
                )
        found["machine"]["load_after"] = _load()
        if json:
            print_json(found)
        else:
            console.print(f"load before {found['machine']['load_before']}, after {_load()}")


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "ndshare": ndshare.__version__,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": _load(),
    }


def _load() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def _print(console: Console, question: Question, figures: list[Figures]) -> None:
    table = Table(
        title=f"{question.text} (ratio of {'means' if question.mean else 'p50'})",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("", min_width=21, no_wrap=True)
    for title in ("p50", "p99", "p99.9", "mean", "a second", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in figures:
        times = (one.p50_ns, one.p99_ns, one.p999_ns, one.mean_ns)
        table.add_row(
            one.way,
            *("-" if value is None else _time(value) for value in times),
            f"{1e9 / one.mean_ns:,.0f}",
            f"{one.ratio:.2f}",
        )
    console.print(table)
    console.print()


def _time(ns: float) -> str:
    """Three figures and the unit."""
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}" if ns < 1000 * scale else f"{ns / scale:.0f} {unit}"
    return f"{ns:.0f} ns"
