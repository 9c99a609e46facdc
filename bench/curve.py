"""The words of a scaling curve: a row at each point of an axis. Plain values, no work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from row import Column, Contestant, Findings, Row, Unit


@dataclass(frozen=True)
class Line:
    """One way to do the work, at every point. "{x}" in its command is the point. at(x): how often
    it is done there, and what of the machine it takes."""

    name: str
    command: tuple[str, ...]
    at: Callable[[int], Effort]
    requires: str | None = None
    most: int | None = None  # the last point that it can do

    def contestant(self, x: int) -> Contestant:
        effort = self.at(x)
        return Contestant(
            self.name,
            tuple(word.replace("{x}", str(x)) for word in self.command),
            effort.count,
            effort.smoke_count,
            self.requires,
            warm_up=effort.warm_up,
            memory_bytes=effort.memory_bytes,
            open_files=effort.open_files,
        )


@dataclass(frozen=True)
class Effort:
    count: int
    smoke_count: int
    warm_up: int | None = None
    memory_bytes: int = 0
    open_files: int = 0


@dataclass(frozen=True)
class Curve:
    """`shown` are the columns that a plot is drawn of, `field` is the one whose spread is shown."""

    name: str
    question: str
    axis: str
    axis_unit: Unit
    points: tuple[int, ...]
    smoke_points: tuple[int, ...]
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    shown: tuple[str, ...]
    check: Callable[[Contestant, Findings], str]
    field: str = "p50_ns"
    needs_two_cpus: bool = True
    rounds_max: int = 2  # there are many points
    once_from: int | None = None  # from this point on a single round, as each takes long

    def row(self, x: int) -> Row:
        return Row(
            name=f"{self.name}, {x:,}",
            question=self.question,
            contestants=tuple(
                line.contestant(x) for line in self.lines if line.most is None or x <= line.most
            ),
            columns=self.columns,
            targets=(),
            check=self.check,
            field=self.field,
            rounds_max=1 if self.once_from and x >= self.once_from else self.rounds_max,
            needs_two_cpus=self.needs_two_cpus,
        )
