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
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
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
    "no-lock": "torn",
    "other-answer": "wrong: the answer to another call",
    "changed-frame": "torn",
    "skipped-frame": "lost: of publisher",
    "left-pin": "a pin of a living row that holds no frame",
    "version-back": "version went back",
    "bad-owner": "an end's owner names no row",
    "bad-call": "reserved bits of a call",
    "silent": "hung: writer",
    "left-memory": "leaked: /proc/",
}
# The operation, and what it must be reported as.
STEP_CANARIES = {
    "torn": ("write in place", "torn"),
    "leaked": ("take and let go", "leaked"),
    "stopped": ("write in place", "hung"),
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


def steps_table(reports: list[Report]) -> Table:
    table = Table(title="kill -9 before an instruction, and a survivor goes on")
    for column in ("operation", "instructions", "killed at", "s", "found"):
        table.add_column(column, justify="left" if column in ("operation", "found") else "right")
    for one in reports:
        table.add_row(
            one["operation"],
            f"{one['instructions']:,}",
            f"{one['tried']:,}",
            f"{one['seconds']:.1f}",
            one["found"] or "nothing",
        )
    table.add_section()
    table.add_row(
        "all",
        f"{sum(one['instructions'] for one in reports):,}",
        f"{sum(one['tried'] for one in reports):,}",
        f"{sum(one['seconds'] for one in reports):.1f}",
        "",
    )
    return table


def start(build: Path, program: str, options: dict[str, object]) -> subprocess.Popen[str]:
    """In a group of its own: Ctrl-C reaches it once, through us."""
    words = [str(build / program)] + [f"{key}={value}" for key, value in options.items()]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)


def run_soak(build: Path, options: dict[str, object], live: Live | None = None) -> Report:
    """The last line of the program. Exits where there is none."""
    end: Report | None = None
    with start(build, "ndshare_soak", options) as program:
        for line in lines_of(program):
            end = line.get("end", end)
            if live and "progress" in line:
                live.update(progress_of(line["progress"], options), refresh=True)
    if end is None:
        console.print(f"ndshare_soak ended with {program.returncode} and said nothing")
        raise typer.Exit(2)
    return end


def progress_of(progress: Report, options: dict[str, object]) -> str:
    return (
        f"{progress['seconds']:.0f} of {float(str(options['seconds'])):.0f} s, "
        f"{progress['kills']} kills, {progress['stops']} stops, "
        f"{progress['operations']:,} operations"
    )


def counts_of(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))


def show(end: Report) -> None:
    table = Table(title="kill -9, by role and by what it was doing")
    table.add_column("role")
    table.add_column("kills", justify="right")
    table.add_column("while")
    for role, counts in end["killed"].items():
        if counts:
            table.add_row(role, f"{sum(counts.values()):,}", counts_of(counts))
    console.print(table)
    console.print(f"operations: {counts_of(end['done'])}")
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


def run_campaign(build: Path, seconds: float, seed: int, mean_ms: float, python: bool) -> bool:
    """False: something was found."""
    options: dict[str, object] = {"seconds": seconds, "seed": seed, "mean_ms": mean_ms}
    if python:
        options |= {"python": sys.executable, "python_load": HERE / "python_load.py"}
    console.print(f"seed {seed}, {machine()}")
    with Live("starting", console=console, auto_refresh=False, transient=True) as live:
        end = run_soak(build, options, live if console.is_terminal else None)
    show(end)
    for complaint in end["complaints"]:
        console.print(complaint, markup=False)
    if end["complaints"]:
        again = f"make soak MINUTES={seconds / 60:g} SEED={seed}"
        console.print(f"found something; the same decisions again: {again}")
        return False
    console.print("0 torn, 0 wrong, 0 lost, 0 hung, 0 leaked")
    return True


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
    good = run_campaign(build, 60 * minutes, seed, mean_ms, python)
    raise typer.Exit(0 if good else 1)


def finish_steps(program: subprocess.Popen[str]) -> bool:
    """Shows the table; False: something was found."""
    reports: list[Report] = []
    complaints: list[str] = []
    for report in lines_of(program):
        if report["operation"]:
            reports.append(report)
        elif report["found"]:
            complaints.append(report["found"])
    return show_steps(reports, complaints) and program.wait() == 0


def show_steps(reports: list[Report], complaints: list[str]) -> bool:
    """The table; False: something was found."""
    for text in complaints:
        console.print(text, markup=False)
    console.print(steps_table(reports))
    wrong = [one for one in reports if one["found"]]
    for one in wrong:
        console.print(f"again: ndshare_steps 'operation={one['operation']}' at={one['at']}")
    return not wrong and not complaints


class StepPool:
    """Parts of operations, several at a time, each in a world of its own."""

    PARTS = 4  # of each operation: the longest one does not leave the other cores idle

    def __init__(self, build: Path, jobs: int) -> None:
        self._build, self._jobs = build, jobs
        self._running: set[subprocess.Popen[str]] = set()
        self._is_over = False
        self.codes: list[int] = []
        self.complaints: list[str] = []

    def run(self, operations: list[str], passes: int) -> list[Report]:
        """One report for each operation that began. Ends at the first finding and at Ctrl-C."""
        parts = [(name, part) for part in range(self.PARTS) for name in operations]
        found: dict[str, list[Report]] = {name: [] for name in operations}
        with ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(self._run_part, *part, passes) for part in parts]
            try:
                self._collect(futures, found)
            except KeyboardInterrupt:
                self._end()
        return [merged(name, reports) for name, reports in found.items() if reports]

    def _collect(
        self, futures: list[Future[Report | None]], found: dict[str, list[Report]]
    ) -> None:
        began = time.monotonic()
        for done, future in enumerate(as_completed(futures), 1):
            report = future.result()
            if report is None:
                continue
            found[report["operation"]].append(report)
            console.print(
                f"{time.monotonic() - began:5.0f} s, {done} of {len(futures)}: "
                f"{report['operation']}, {report['tried']:,} kills, "
                f"{report['found'] or 'nothing found'}"
            )
            if report["found"]:
                self._end()

    def _run_part(self, operation: str, part: int, passes: int) -> Report | None:
        if self._is_over:
            return None
        options: dict[str, object] = {"operation": operation, "passes": passes}
        options |= {"stride": self.PARTS, "first": part}
        report: Report | None = None
        with start(self._build, "ndshare_steps", options) as program:
            self._running.add(program)
            assert program.stdout is not None
            for line in map(json.loads, program.stdout):
                if line["operation"]:
                    report = line
                else:
                    self.complaints.append(line["found"])
        self._running.discard(program)
        self.codes.append(program.returncode)
        return report

    def _end(self) -> None:
        self._is_over = True
        for program in list(self._running):
            program.send_signal(signal.SIGINT)


def merged(name: str, parts: list[Report]) -> Report:
    """The parts of one operation as one."""
    wrong = next((one for one in parts if one["found"]), parts[0])
    return {
        "operation": name,
        "instructions": max(one["instructions"] for one in parts),
        "tried": sum(one["tried"] for one in parts),
        "seconds": sum(one["seconds"] for one in parts),
        "at": wrong["at"],
        "found": wrong["found"],
    }


def step_operations(build: Path) -> list[str]:
    """Their names, as ndshare_steps has them."""
    words = [str(build / "ndshare_steps"), "list=1"]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[
        :-1
    ]


@app.command()
def steps(
    points: Annotated[int, typer.Option(help="Instructions of each operation; 0: all.")] = 0,
    operation: Annotated[str, typer.Option(help="This one only.")] = "",
    passes: Annotated[int, typer.Option(help="Of one instruction, in very long operations.")] = 2,
    jobs: Annotated[int, typer.Option(help="At a time; 0: one for each core.")] = 0,
    build: BuildOption = BUILD,
) -> None:
    """kill -9 at every instruction of every operation; a survivor goes on each time."""
    if points:  # few: one after the other
        options: dict[str, object] = {"points": points, "operation": operation, "passes": passes}
        with start(build, "ndshare_steps", options) as program:
            good = finish_steps(program)
        raise typer.Exit(0 if good else 1)
    pool = StepPool(build, jobs or len(os.sched_getaffinity(0)))
    names = [operation] if operation else step_operations(build)
    good = show_steps(pool.run(names, passes), pool.complaints)
    raise typer.Exit(0 if good and not any(pool.codes) else 1)


def report_canaries(build: Path) -> int:
    """How many were not reported."""
    unseen = 0
    for canary, expected in CANARIES.items():
        began = time.monotonic()
        seconds = 0.3 if canary == "left-memory" else 20
        end = run_soak(build, {"seconds": seconds, "seed": 1, "stuck_seconds": 1, "canary": canary})
        seen = [text for text in end["complaints"] if expected in text]
        unseen += not seen
        said = seen[0] if seen else f"NOT REPORTED: {end['complaints']}"
        console.print(f"{canary:14} {time.monotonic() - began:4.1f} s  {said}", markup=False)
    return unseen


def report_step_canaries(build: Path) -> int:
    """The same."""
    unseen = 0
    for canary, (operation, expected) in STEP_CANARIES.items():
        began = time.monotonic()
        options: dict[str, object] = {"operation": operation, "canary": canary}
        with start(build, "ndshare_steps", options | {"patience_ms": 500}) as program:
            found = [report["found"] for report in lines_of(program)]
        seen = [text for text in found if expected in text]
        unseen += not seen
        said = seen[0] if seen else f"NOT REPORTED: {found}"
        console.print(f"{canary:14} {time.monotonic() - began:4.1f} s  {said}", markup=False)
    return unseen


def decides_by_seed(build: Path) -> bool:
    """The same seed makes the same decisions, another seed others."""
    options: dict[str, object] = {"seconds": 60, "decisions": 40, "mean_ms": 2}
    ends = [run_soak(build, options | {"seed": seed}) for seed in (7, 7, 8)]
    digests = [end["digest of decisions"] for end in ends]
    good = all(end["decisions"] == 40 for end in ends) and digests[0] == digests[1] != digests[2]
    console.print(f"decisions of seeds 7, 7, 8: {digests}")
    return good


def has_steps(build: Path) -> bool:
    """Where the processor is x86-64."""
    return (build / "ndshare_steps").exists()


@app.command()
def canaries(build: BuildOption = BUILD) -> None:
    """Children that do wrong on purpose: each must be reported, as what it is."""
    unseen = report_canaries(build)
    if has_steps(build):
        unseen += report_step_canaries(build)
    raise typer.Exit(1 if unseen else 0)


@app.command()
def check(
    seconds: Annotated[float, typer.Option(help="Of the campaign.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Of its decisions.")] = 1,
    points: Annotated[int, typer.Option(help="Instructions of each operation.")] = 12,
    build: BuildOption = BUILD,
) -> None:
    """What the tests run: canaries, the same seed twice, a short campaign beside some steps."""
    stepping = None
    if has_steps(build):
        stepping = start(build, "ndshare_steps", {"points": points, "passes": 1})
    unseen = report_canaries(build)
    if stepping:
        unseen += report_step_canaries(build)
    good = decides_by_seed(build)
    good = run_campaign(build, seconds, seed, mean_ms=20, python=True) and good
    if stepping:
        with stepping:
            good = finish_steps(stepping) and good
    raise typer.Exit(0 if good and not unseen else 1)


if __name__ == "__main__":
    app()
