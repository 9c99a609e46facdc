"""The test programs as the mutation run sees them: which tests there are, which mutants each of
them passes, and whether some of them notice one."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

HITS_BYTES = 65536  # as in choice.cpp
# Watchdogs: a test that is so late hangs. Other work may have the CPUs meanwhile.
LATE_FACTOR, LATE_SECONDS = 20, 10
# A mutant may ask for memory without end.
MEMORY_BYTES = 8 << 30
# What expects to see something broken says nothing about a mutant that breaks it otherwise.
WITHOUT = "Canary"


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    has_tests: bool = True  # of GoogleTest; else it is one test
    environment: tuple[tuple[str, str], ...] = ()


@dataclass
class Test:
    program: Program
    name: str
    seconds: float = 0
    hits: frozenset[int] = frozenset()
    kills: int = 0


@dataclass
class Bench:
    """Runs programs in a folder of their own, one mutant at a time."""

    folder: Path
    number: int = 0
    running: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        # In memory, as what the tests put there always is.
        self.room = Path("/dev/shm") / f"ndshare-mutation-{os.getpid()}-{self.number}"

    def close(self) -> None:
        shutil.rmtree(self.room, ignore_errors=True)

    def run(
        self, program: Program, tests: list[Test], limit: float, **more: str
    ) -> tuple[bool, str]:
        """Whether they all passed, and what was printed."""
        command = list(program.command)
        if program.has_tests:
            names = ":".join(test.name for test in tests)
            command += [f"--gtest_filter={names}", "--gtest_fail_fast"]
        self.room.mkdir(exist_ok=True)
        environment = dict(os.environ, NDSHARE_TEST_ROOT=str(self.room), TMPDIR=str(self.room))
        environment.update(program.environment)
        environment.update(more)
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.room, start_new_session=True, preexec_fn=limit_memory,
        )  # fmt: skip
        self.running.add(process.pid)
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            output, _ = process.communicate()
            output += b"\nkilled: too late\n"
        finally:
            kill_group(process.pid)
            process.wait()
            self.running.discard(process.pid)
            self.close()
        return process.returncode == 0, output.decode(errors="replace")


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kill_group(leader: int) -> None:
    """Also what a test that failed left behind."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def list_tests(program: Program) -> list[Test]:
    if not program.has_tests:
        return [Test(program, program.name)]
    listed = subprocess.run(
        [*program.command, "--gtest_list_tests"], capture_output=True, text=True, check=True
    ).stdout
    tests, suite = [], ""
    for line in listed.splitlines():
        name = line.split("#")[0].rstrip()
        if not name.startswith(" "):
            suite = name
        elif WITHOUT not in suite:
            tests.append(Test(program, suite + name.strip()))
    return tests


def record(bench: Bench, test: Test, hits: Path) -> None:
    """Runs it as it is, and learns how long it takes and which mutants it passes."""
    hits.write_bytes(bytes(HITS_BYTES))
    begin = time.monotonic()
    passed, output = bench.run(test.program, [test], 900, NDSHARE_MUTANT_HITS=str(hits))
    if not passed:
        raise SystemExit(f"{test.name} fails without a mutant:\n{output[-3000:]}")
    test.seconds = time.monotonic() - begin
    test.hits = frozenset(n for n, hit in enumerate(hits.read_bytes()) if hit)


def batches(tests: Iterable[Test]) -> Iterable[list[Test]]:
    """The likeliest to notice for their time first; each batch may take longer than the former."""
    ranked = sorted(tests, key=lambda test: (test.seconds + 0.02) / (test.kills + 0.3))
    budget, used, batch = 0.3, 0.0, list[Test]()
    for test in ranked:
        if batch and (used + test.seconds > budget or test.program != batch[0].program):
            yield batch
            budget, used, batch = budget * 2, 0.0, []
        batch.append(test)
        used += test.seconds
    if batch:
        yield batch


def noticed_by(bench: Bench, number: int, tests: Iterable[Test]) -> str | None:
    """The test that fails with this mutant, the first that is found."""
    for batch in batches(tests):
        limit = LATE_SECONDS + LATE_FACTOR * sum(test.seconds for test in batch)
        passed, output = bench.run(batch[0].program, batch, limit, NDSHARE_MUTANT=str(number))
        if not passed:
            begun = re.findall(r"\[ RUN      \] (\S+)", output)
            name = begun[-1] if begun else batch[0].name
            late = " (too late)" if output.endswith("killed: too late\n") else ""
            for test in batch:
                test.kills += test.name == name
            return name + late
    return None
