"""The words of a comparison: a row has contestants, columns and targets. Plain values, no work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Findings = Mapping[str, float]
Unit = Literal["ns", "bytes", "number"]


@dataclass(frozen=True)
class Contestant:
    """One way to do the work. `command` begins with a program of bench/programs or with a module
    of bench/contestants (`*.py`); `{folder}` in it is a tmpfs folder of this run."""

    name: str
    command: tuple[str, ...]
    count: int
    smoke_count: int
    requires: str | None = None  # a Python package
    python_min: tuple[int, int] = (3, 11)
    warm_up: int | None = None  # operations; else a twentieth of the count, at least 64
    memory_bytes: int = 0  # of both processes together, where it is much
    open_files: int = 0  # of one process, where they are many


@dataclass(frozen=True)
class Column:
    title: str
    field: str
    unit: Unit = "ns"


@dataclass(frozen=True)
class Target:
    """`field` of one contestant is at most `most` times that of another, or at most `most`.
    Several references: the least of those that were measured, which is the best of them."""

    contestant: str
    most: float
    reference: str | tuple[str, ...] | None = None
    field: str = "p50_ns"


@dataclass(frozen=True)
class Row:
    """`check` says what is wrong with the findings of one contestant, "" for nothing."""

    name: str
    question: str
    contestants: tuple[Contestant, ...]
    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    check: Callable[[Contestant, Findings], str]
    field: str = "p50_ns"  # the one whose spread over the rounds is shown
    rounds_max: int | None = None
    needs_two_cpus: bool = False
    in_smoke: bool = True  # False: the same as another row, but for numbers


TIMES = (
    Column("p50", "p50_ns"),
    Column("p99", "p99_ns"),
    Column("p99.9", "p999_ns"),
    Column("mean", "mean_ns"),
    Column("CPU of both", "cpu_ns_per_op"),
    Column("memory of both", "peak_rss_bytes", "bytes"),
)
RATE = Column("per second", "per_second", "number")
