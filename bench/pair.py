"""Two processes that measure together, as programs/support/pair.h does it for the C++ programs.

`run_pair` forks before either side has made or opened what is measured. The first side measures
and returns its findings, which are printed as one line of JSON; the second holds, answers or
writes.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

Findings = Mapping[str, float]
# One in a thousand is not known from fewer; as in programs/support/samples.cpp.
SAMPLES_OF_P999 = 1000


@dataclass
class Side:
    """One of the two. `name` makes names that are unique to this run."""

    count: int
    warm_up: int
    prefix: str
    index: int
    cpu: int | None
    shared: mmap.mmap  # zeros, memory of both
    _read_fd: int
    _write_fd: int
    _cpu_begin_ns: int = field(default=0, init=False)
    cpu_of_both_ns: int = field(default=0, init=False)

    def name(self, word: str) -> str:
        return f"{self.prefix}-{word}"

    def meet(self) -> None:
        """Both have arrived; EOFError when the other one is gone."""
        self._exchange(0)

    def pin(self, thread: int = 0) -> None:
        """To be called after the warm-up: a library that counts its CPUs at first use should see
        those of the machine. thread: the one that works, where it is not the one that calls."""
        if self.cpu is not None:
            os.sched_setaffinity(thread, {self.cpu})

    def begin(self) -> None:
        self._cpu_begin_ns = cpu_ns()

    def end(self) -> None:
        """Both sides call it; then both know the CPU time of both since begin()."""
        own_ns = cpu_ns() - self._cpu_begin_ns
        self.cpu_of_both_ns = own_ns + self._exchange(own_ns)

    def _exchange(self, value: int) -> int:
        os.write(self._write_fd, value.to_bytes(8, "little"))
        received = os.read(self._read_fd, 8)
        if len(received) != 8:
            raise EOFError("the other process is gone")
        return int.from_bytes(received, "little")


def findings(
    samples_ns: Sequence[float], side: Side, *, ops_per_sample: int = 1, **more: float
) -> dict[str, float]:
    """As the C++ programs print them. ops_per_sample: a sample is of so many operations."""
    ordered = sorted(samples_ns)
    last = len(ordered) - 1
    ops = len(ordered) * ops_per_sample
    mean_ns = sum(ordered) / ops
    rare = {"p999_ns": ordered[last * 999 // 1000] / ops_per_sample}
    return {
        "ops": ops,
        "p50_ns": ordered[last * 50 // 100] / ops_per_sample,
        "p99_ns": ordered[last * 99 // 100] / ops_per_sample,
        **(rare if len(ordered) >= SAMPLES_OF_P999 else {}),
        "mean_ns": mean_ns,
        "cpu_ns_per_op": side.cpu_of_both_ns / ops,
        "per_second": 1e9 / mean_ns,
        **more,
    }


def arguments(description: str, choices: Sequence[str], **numbers: int) -> argparse.Namespace:
    """The command line of a contestant; --cpus, --count and --warm-up as the C++ programs have.
    numbers: more options of it, with what they are when not given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("way", choices=choices)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=64)
    parser.add_argument("--cpus", default="")
    for word, otherwise in numbers.items():
        parser.add_argument(f"--{word}", type=int, default=otherwise)
    return parser.parse_args()


def run_pair(
    options: argparse.Namespace,
    first: Callable[[Side], Findings],
    second: Callable[[Side], None],
    shared_nbytes: int = mmap.PAGESIZE,
) -> NoReturn:
    """Runs both sides and exits; errors of either go to standard error and end both."""
    prefix = f"bench-{os.getpid()}"
    shared = mmap.mmap(-1, shared_nbytes)
    cpus = [int(cpu) for cpu in options.cpus.split(",")] if options.cpus else [None, None]
    to_second, to_first = os.pipe(), os.pipe()
    # Ended from outside, a side still removes what it made.
    signal.signal(signal.SIGTERM, _leave)
    sys.stdout.flush()
    child = os.fork()
    index = 0 if child else 1
    read_fd, unused_write_fd = (to_first, to_second)[index]
    unused_read_fd, write_fd = (to_second, to_first)[index]
    os.close(unused_write_fd)
    os.close(unused_read_fd)
    side = Side(
        options.count, options.warm_up, prefix, index, cpus[index], shared, read_fd, write_fd
    )
    if index == 1:
        sys.exit(_run(lambda: (second(side), side._exchange(_peak_rss_bytes()))))
    signal.signal(signal.SIGCHLD, lambda number, frame: _require_no_failure(child))
    result: dict[str, float] = {}

    def measure() -> None:
        result.update(first(side))
        result["peak_rss_bytes"] = _peak_rss_bytes()
        result["peak_rss_bytes"] += side._exchange(0)

    status = _run(measure)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if status:
        os.kill(child, signal.SIGTERM)
    _, child_status = os.waitpid(child, 0)
    if not status and not child_status:
        print(json.dumps(result), flush=True)
    sys.exit(status or (1 if child_status else 0))


def _peak_rss_bytes() -> int:
    """Of this process, since it was started (getrusage would count what it was forked from)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _run(body: Callable[[], None]) -> int:
    try:
        body()
    except (KeyboardInterrupt, SystemExit):
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _require_no_failure(child: int) -> None:
    """The first side may be waiting for the second, which no longer answers. An end without a
    failure is no news: it was agreed upon."""
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None and (ended.si_code != os.CLD_EXITED or ended.si_status != 0):
        raise EOFError("the other process failed")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)


def cpu_ns() -> int:
    """User and system time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)
