"""Runs the contestants of a row side by side: every round runs each of them once, in turn, so that
whatever else the machine does meets them all.

A contestant is a program that starts its second process itself, measures, and prints lines of JSON
objects. What the two of them leave behind when they are killed is removed here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from row import Contestant, Findings, Row, Target

BENCH = Path(__file__).resolve().parent
SHARED_MEMORY = Path("/dev/shm")
TIMEOUT = 120.0  # seconds; only a contestant that hangs gets there


@dataclass(frozen=True)
class Settings:
    """`programs` is the folder of the C++ ones; `folder` is on a tmpfs and ends with the run."""

    programs: Path
    folder: Path
    cpus: tuple[int, ...]
    rounds: int
    smoke: bool


@dataclass
class Outcome:
    """What the rounds of one contestant found. `absent` says why there are none."""

    contestant: Contestant
    rounds: list[Findings] = field(default_factory=list)
    absent: str = ""
    wrong: str = ""

    def has(self, name: str) -> bool:
        """A p99.9 is found only where there are operations enough."""
        return bool(self.rounds) and all(name in findings for findings in self.rounds)

    def median(self, name: str) -> float:
        return median(findings[name] for findings in self.rounds)

    def spread(self, name: str) -> float:
        """From the least to the most of the rounds, as a share of the median."""
        values = [findings[name] for findings in self.rounds]
        return (max(values) - min(values)) / max(median(values), 1e-9)


@dataclass(frozen=True)
class Verdict:
    """`value` is a ratio where the target has a reference; None: one of the two is absent.
    `reference`: the one of the target's that it is a ratio to."""

    target: Target
    value: float | None
    reference: str | None = None

    @property
    def reached(self) -> bool | None:
        return None if self.value is None else self.value <= self.target.most


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """For names, locks and files of the contestants; where shared memory is, on a tmpfs."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"ndshare-bench-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_row(row: Row, settings: Settings, progress: Callable[[str], None]) -> list[Outcome]:
    """All rounds of all contestants. A contestant whose results are wrong is not run again."""
    outcomes = [Outcome(c, absent=why_absent(row, c, settings)) for c in row.contestants]
    rounds = min(settings.rounds, row.rounds_max or settings.rounds)
    for round_number in range(rounds):
        for outcome in outcomes:
            if outcome.absent or outcome.wrong:
                continue
            contestant = outcome.contestant
            progress(f"{row.name}: round {round_number + 1} of {rounds}, {contestant.name}")
            try:
                findings = run_once(contestant, settings)
                outcome.wrong = row.check(contestant, findings)
            except ContestantFailed as failure:
                outcome.wrong = str(failure)
                continue
            outcome.rounds.append(findings)
    return outcomes


def judge(row: Row, outcomes: list[Outcome]) -> list[Verdict]:
    """Each target against the medians of the rounds."""
    by_name = {
        outcome.contestant.name: outcome
        for outcome in outcomes
        if outcome.rounds and not outcome.wrong
    }
    verdicts = []
    for target in row.targets:
        own = by_name.get(target.contestant)
        names = (target.reference,) if isinstance(target.reference, str) else target.reference
        others = [by_name[name] for name in names or () if name in by_name]
        best = min(others, key=lambda other: other.median(target.field), default=None)
        value: float | None = None
        if own and best:
            value = own.median(target.field) / max(best.median(target.field), 1.0)
        elif own and target.reference is None:
            value = own.median(target.field)
        verdicts.append(Verdict(target, value, best.contestant.name if best else None))
    return verdicts


# ---- one contestant ------------------------------------------------------------------------------


class ContestantFailed(Exception):
    """It ended with an error, hung, or printed something else than its findings."""


def why_absent(row: Row, contestant: Contestant, settings: Settings) -> str:
    """ "" when it can run."""
    program = contestant.command[0]
    if not program.endswith(".py") and not (settings.programs / program).is_file():
        return "not built"
    if contestant.requires and importlib.util.find_spec(contestant.requires) is None:
        return "not installed"
    if sys.version_info < contestant.python_min:
        return "needs Python " + ".".join(map(str, contestant.python_min))
    if row.needs_two_cpus and len(set(settings.cpus)) < 2:
        return "needs two CPUs"
    if contestant.memory_bytes > memory_bytes():
        return f"needs {contestant.memory_bytes / 1e9:.1f} GB of memory"
    if contestant.open_files > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        return f"needs {contestant.open_files:,} open files"
    return ""


def memory_bytes() -> int:
    """What is available now; half of it is left to others."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 // 2
    return 0


def run_once(contestant: Contestant, settings: Settings) -> Findings:
    """In processes of their own, in a session of their own: Ctrl-C reaches only this one, which
    then ends them and waits for their clean-up."""
    process = subprocess.Popen(
        command_of(contestant, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=BENCH,
        env=environment(settings),
    )
    try:
        out, errors = process.communicate(timeout=TIMEOUT)
    except BaseException as interruption:
        _end(process)
        _remove_leftovers(process.pid, settings)
        if isinstance(interruption, subprocess.TimeoutExpired):
            raise ContestantFailed(f"no result within {TIMEOUT:g} s") from None
        raise
    if process.returncode != 0:
        _end(process)  # its second process, if any is left
        _remove_leftovers(process.pid, settings)
        raise ContestantFailed(errors.strip()[-2000:] or f"exit status {process.returncode}")
    findings: dict[str, float] = {}
    try:
        for line in out.splitlines():
            if line.startswith("{"):
                findings |= json.loads(line)
    except (TypeError, ValueError):
        findings = {}
    if not findings:
        raise ContestantFailed(f"printed no findings: {out.strip()[-200:]!r}")
    return findings


def command_of(contestant: Contestant, settings: Settings) -> list[str]:
    count = contestant.smoke_count if settings.smoke else contestant.count
    warm_up = contestant.warm_up
    if warm_up is None:
        warm_up = 64 * max(1, count // 20 // 64)  # a multiple of the number of payloads
    program, *rest = (word.format(folder=settings.folder) for word in contestant.command)
    if program.endswith(".py"):
        start = [sys.executable, "-m", "contestants." + program.removesuffix(".py")]
    else:
        start = [str(settings.programs / program)]
    cpus = ",".join(map(str, settings.cpus))
    return [*start, *rest, "--count", str(count), "--warm-up", str(warm_up), "--cpus", cpus]


def environment(settings: Settings) -> dict[str, str]:
    env = {word: value for word, value in os.environ.items() if not word.startswith("NDSHARE_")}
    return env | {
        "NDSHARE_DIR": str(settings.folder),
        "TMPDIR": str(settings.folder),  # pyshmem's lock files
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",  # no thread but the ones that are measured
    }


def _end(process: subprocess.Popen[str]) -> None:
    """Asks its group to leave, then ends whatever is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5.0)


def _remove_leftovers(pid: int, settings: Settings) -> None:
    """Named segments of a run that could not remove them itself; the prefix is that of its pid.
    pyshmem's names are hashes, which its lock files show."""
    leftovers = list(SHARED_MEMORY.glob(f"bench-{pid}-*"))
    for lock in settings.folder.glob("pyshmem-locks-*/*.lock"):
        leftovers += [SHARED_MEMORY / lock.stem, SHARED_MEMORY / f"{lock.stem}_meta"]
    for path in leftovers:
        path.unlink(missing_ok=True)
