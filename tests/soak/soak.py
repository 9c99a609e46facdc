"""The crash campaign as a person runs it: starts ndshare_soak, shows how it goes, and ends with a
table of what was tried. Ctrl-C ends it cleanly. Exit code 1: something was found.

`make soak` and `make test-soak` call it; `soak.py --help` lists the commands.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "dev" / "tests" / "soak"
# What each canary must be reported as; see canaries.h.
CANARIES = {
    "no-lock": ("torn",),
    "other-answer": ("wrong: the answer to another call",),
    "changed-frame": ("torn",),
    "skipped-frame": ("lost: of publisher",),
    "left-pin": ("a pin of a living row that holds no frame",),
    "version-back": ("version went back",),
    "bad-owner": ("an end's owner names no row",),
    "bad-call": ("reserved bits of a call",),
    "silent": ("hung: writer",),
    "left-memory": ("leaked: /proc/",),
}
Report = dict[str, Any]

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)

BuildOption = Annotated[Path, typer.Option(help="The folder of ndshare_soak.")]


def lines_of(program: subprocess.Popen[str]) -> Iterator[Report]:
    """What it prints until it ends; Ctrl-C is passed on to it once, and it comes to its end."""
    assert program.stdout is not None
    lines = iter(program.stdout)
    while True:
        try:
            line = next(lines, None)
        except KeyboardInterrupt:
            program.send_signal(signal.SIGINT)
            continue
        if line is None:
            return
        yield json.loads(line)


def run_soak(build: Path, options: dict[str, object], live: Live | None = None) -> Report:
    """The last line of the program. Exits where there is none."""
    words = [str(build / "ndshare_soak")] + [f"{key}={value}" for key, value in options.items()]
    end: Report | None = None
    # A group of its own: Ctrl-C reaches it once, through us.
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0) as program:
        for line in lines_of(program):
            end = line.get("end", end)
            if live and "progress" in line:
                live.update(progress_of(line["progress"], options), refresh=True)
    if end is None:
        console.print(f"{words[0]} ended with {program.returncode} and said nothing")
        raise typer.Exit(2)
    return end


def progress_of(progress: Report, options: dict[str, object]) -> str:
    return (
        f"{progress['seconds']:.0f} of {float(str(options['seconds'])):.0f} s, "
        f"{progress['kills']} kills, {progress['stops']} stops, "
        f"{progress['operations']:,} operations"
    )


def show(end: Report) -> None:
    doings = list(end["done"])
    for counts in end["killed"].values():
        doings += [name for name in counts if name not in doings]
    table = Table(title="kill -9, by role and by what it was doing", title_justify="left")
    table.add_column("role")
    for doing in doings:
        table.add_column(doing, justify="right")
    table.add_column("all", justify="right")
    for role, counts in end["killed"].items():
        if counts:
            cells = [str(counts.get(doing, "")) for doing in doings]
            table.add_row(role, *cells, str(sum(counts.values())))
    table.add_section()
    table.add_row("operations", *[str(end["done"].get(doing, "")) for doing in doings], "")
    console.print(table)
    seconds = end["milliseconds"] / 1000
    console.print(
        f"{end['kills']} kills ({end['kills of stopped']} of them of stopped ones), "
        f"{end['kills of forks']} of {end['forks']} forks killed, {end['stops']} stops, "
        f"{end['continues']} continued, {end['starts']} starts, {end['left']} left by themselves, "
        f"{end['looks at raw memory']} looks at raw memory, {seconds:.1f} s, seed {end['seed']}"
    )


def machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}"


@app.command()
def campaign(
    minutes: Annotated[float, typer.Option(help="How long.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of all decisions; 0: one that is drawn.")] = 0,
    mean_ms: Annotated[float, typer.Option(help="From one decision to the next, mean.")] = 20.0,
    python: Annotated[bool, typer.Option(help="Python children too.")] = True,
    build: BuildOption = BUILD,
) -> None:
    """Kills, stops, continues and starts at random while everything is used and checked."""
    seed = seed or int.from_bytes(os.urandom(3), "little")
    options: dict[str, object] = {"seconds": 60 * minutes, "seed": seed, "mean_ms": mean_ms}
    if python:
        options |= {"python": sys.executable, "python_load": HERE / "python_load.py"}
    console.print(f"seed {seed}, {machine()}")
    with Live("starting", console=console, auto_refresh=False, transient=True) as live:
        end = run_soak(build, options, live)
    show(end)
    if end["complaints"]:
        for complaint in end["complaints"]:
            console.print(complaint, markup=False)
        again = f"make soak MINUTES={minutes} SEED={seed}"
        console.print(f"found something; the same decisions again: {again}")
        raise typer.Exit(1)
    console.print("0 torn, 0 wrong, 0 lost, 0 hung, 0 leaked")


@app.command()
def canaries(build: BuildOption = BUILD) -> None:
    """Children that do wrong on purpose: each must be reported, as what it is."""
    unseen = 0
    for canary, expected in CANARIES.items():
        began = time.monotonic()
        seconds = 0.3 if canary == "left-memory" else 20
        end = run_soak(build, {"seconds": seconds, "seed": 1, "stuck_seconds": 1, "canary": canary})
        seen = [c for c in end["complaints"] if any(text in c for text in expected)]
        unseen += not seen
        said = seen[0] if seen else f"NOT REPORTED: {end['complaints']}"
        console.print(f"{canary:14} {time.monotonic() - began:4.1f} s  {said}", markup=False)
    raise typer.Exit(1 if unseen else 0)


@app.command()
def decisions(build: BuildOption = BUILD) -> None:
    """The same seed makes the same decisions, another seed others."""
    digests = [
        run_soak(build, {"seconds": 2.5, "seed": seed, "mean_ms": 4})["digest_of_100"]
        for seed in (7, 7, 8)
    ]
    console.print(f"digests of 100 decisions: {digests}")
    good = 0 not in digests and digests[0] == digests[1] != digests[2]
    raise typer.Exit(0 if good else 1)


if __name__ == "__main__":
    app()
