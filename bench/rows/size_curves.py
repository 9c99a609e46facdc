"""How the time of a payload grows with its size, from 8 bytes to a gigabyte."""

from __future__ import annotations

import sized
from curve import Curve, Effort, Line
from row import RATE, TIMES, Contestant, Findings

_POINTS = tuple(8**k for k in range(1, 11))
_BUDGET_NS = 200_000_000  # of a point


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} payloads are not what was sent"
    nbytes = int(contestant.command[contestant.command.index("--bytes") + 1])
    expected = sized.checksum(nbytes // 8, int(findings["last"]))
    return "" if findings["checksum"] == expected else "the last payload is not what was sent"


def _effort(nbytes: int, ns_of_one: float, memories: int) -> Effort:
    ops = sized.ops_per_sample(nbytes)
    count = min(200_000, max(3, int(_BUDGET_NS / (ns_of_one + nbytes / 2))))
    if ops > 1:
        count = max(ops, count // ops * ops)
    few = count < 64
    return Effort(
        count,
        2 if few else 64,
        warm_up=1 if few else 64,
        memory_bytes=memories * nbytes if nbytes >= 1 << 24 else 0,
    )


def _round_trip(nbytes: int) -> Effort:
    return _effort(nbytes, 20_000, 6)


def _one_way(nbytes: int) -> Effort:
    return _effort(nbytes, 2_000, 6)


def _cpp(name: str, program: str, way: str) -> Line:
    at = _round_trip if way == "round-trip" else _one_way
    return Line(name, (program, "--way", way, "--bytes", "{x}"), at)


def _python(name: str, module: str, way: str, requires: str | None, most: int | None) -> Line:
    at = _round_trip if module == "sizes.py" else _one_way
    return Line(name, (module, way, "--bytes", "{x}"), at, requires, most)


def _curve(name: str, question: str, way: str, module: str, field: str) -> Curve:
    return Curve(
        name=name,
        question=question,
        axis="payload",
        axis_unit="bytes",
        points=_POINTS,
        smoke_points=(8, 8**5),
        lines=(
            _cpp("raw memcpy, C", "raw_sizes", way),
            _cpp("ndshare, C++", "ndshare_sizes", way),
            _python("ndshare", module, "ndshare", "ndshare", None),
            _python("SharedMemory, by hand", module, "by-hand", None, None),
            _python("multiprocessing.Pipe", module, "pipe", None, None),
            _python("pyzmq", module, "zmq", "zmq", None),
            _python("iceoryx2", module, "iceoryx2", "iceoryx2", 8**9),
        ),
        columns=(*TIMES, RATE),
        shown=(field,),
        check=_check,
        field=field,
        once_from=8**9,
    )


CURVES = (
    _curve(
        "size-round-trip",
        "A payload to another process and back, into memory of its own on both sides",
        "round-trip",
        "sizes.py",
        "p50_ns",
    ),
    _curve(
        "size-one-way",
        "A payload copied to another process; looked at where it lies, if the way allows it",
        "one-way",
        "sizes_one_way.py",
        "mean_ns",
    ),
)
