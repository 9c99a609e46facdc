"""Interleaved rounds: each runs every way once, in turn, so that whatever else the machine does
meets them all. Medians over the rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median

from ndshare.bench.pair import measure
from ndshare.bench.questions import Question

_SAMPLES_OF_P999 = 1000  # one in a thousand is not known from fewer


@dataclass(frozen=True)
class Figures:
    """Of one way. `ratio`: its main figure to that of the question's first way."""

    way: str
    ops: int
    p50_ns: float
    p99_ns: float
    p999_ns: float | None
    mean_ns: float
    ratio: float


def run(
    question: Question, rounds: int, scale: float, show: Callable[[str], None]
) -> list[Figures]:
    """Throws Wrong for a wrong result."""
    count = max(1, int(question.count * scale))
    found: dict[str, list[list[float]]] = {way: [] for way in question.ways}
    for number in range(rounds):
        for name, way in question.ways.items():
            show(f"{question.name}: round {number + 1} of {rounds}, {name}")
            found[name].append(sorted(measure(way, count)))
    main = {
        name: _of(runs, fmean) if question.mean else _of(runs, lambda run: _percentile(run, 500))
        for name, runs in found.items()
    }
    first = next(iter(main.values()))
    return [figures(name, runs, main[name], first) for name, runs in found.items()]


def figures(way: str, runs: list[list[float]], main: float, first: float) -> Figures:
    """Of runs whose samples are in order."""
    has_p999 = min(map(len, runs)) >= _SAMPLES_OF_P999
    return Figures(
        way=way,
        ops=len(runs[0]),
        p50_ns=_of(runs, lambda run: _percentile(run, 500)),
        p99_ns=_of(runs, lambda run: _percentile(run, 990)),
        p999_ns=_of(runs, lambda run: _percentile(run, 999)) if has_p999 else None,
        mean_ns=_of(runs, fmean),
        ratio=main / first,
    )


def _of(runs: list[list[float]], figure: Callable[[list[float]], float]) -> float:
    return median(figure(run) for run in runs)


def _percentile(ordered: list[float], per_mille: int) -> float:
    return ordered[(len(ordered) - 1) * per_mille // 1000]
