"""Two processes that measure together: this one measures, a new one answers, sends or holds.

Each way to do a work is a `Way` of two functions of a module. Whatever goes wrong in the new
process ends the measurement; when this one is gone, that one sees its pipe closed, or its wait
time out, and ends.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

PATIENCE = 20.0  # seconds of one wait; only somebody whose other side is gone gets there
WARM_UP = 64


@dataclass
class Side:
    """One of the two. `count` operations are measured after `WARM_UP` others."""

    prefix: str
    count: int
    link: Connection
    shared: Any = None  # what Way.share made before the processes parted

    def name(self, word: str) -> str:
        return f"{self.prefix}-{word}"

    @property
    def total(self) -> int:
        return WARM_UP + self.count

    def meet(self) -> None:
        """Both have arrived; EOFError when the other one is gone."""
        self.link.send_bytes(b"m")
        if not self.link.poll(PATIENCE):
            raise TimeoutError("the other process does not answer")
        self.link.recv_bytes()


@dataclass(frozen=True)
class Way:
    """first(side) returns the nanoseconds of each operation. share(prefix): what both sides are
    given, by a context manager that removes it."""

    first: Callable[[Side], list[float]]
    second: Callable[[Side], object]
    share: Callable[[str], contextlib.AbstractContextManager[Any]] = lambda prefix: (
        contextlib.nullcontext()
    )


class Wrong(Exception):
    """What was received is not what was sent."""


_numbers = itertools.count()


def measure(way: Way, count: int) -> list[float]:
    """Samples of one run, in ns."""
    context = multiprocessing.get_context("spawn")
    prefix = f"bench-{os.getpid()}-{next(_numbers)}"
    here, there = context.Pipe()
    with here, way.share(prefix) as shared:
        child = context.Process(
            target=_second, args=(way.second, Side(prefix, count, there, shared)), daemon=True
        )
        child.start()
        there.close()
        try:
            samples = way.first(Side(prefix, count, here, shared))
            child.join(PATIENCE)
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the other process failed: {error}") from error
        finally:
            if child.is_alive():
                child.terminate()
            child.join()
    if child.exitcode:
        raise RuntimeError(f"the other process failed, exit code {child.exitcode}")
    return samples


def _second(body: Callable[[Side], object], side: Side) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one ends this one, and tells
    signal.signal(signal.SIGTERM, _leave)
    # The first one fails when this end is closed; its message is the one that is read.
    with side.link, contextlib.suppress(EOFError, BrokenPipeError):
        body(side)


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(1)


def timed(side: Side, operation: Callable[[int], object]) -> list[float]:
    """operation(k): the warm-up, then each measured from one to the next."""
    for k in range(WARM_UP):
        operation(k)
    clock = time.perf_counter_ns
    samples: list[float] = [0.0] * side.count
    last_ns = clock()
    for k in range(side.count):
        operation(WARM_UP + k)
        now_ns = clock()
        samples[k] = now_ns - last_ns
        last_ns = now_ns
    return samples


@contextlib.contextmanager
def met(side: Side) -> Iterator[None]:
    """What is measured is there on both sides, and stays until both are done."""
    side.meet()
    yield
    side.meet()


def require(found: object, expected: object) -> None:
    if found != expected:
        raise Wrong(f"{expected} was sent, {found} was received")
