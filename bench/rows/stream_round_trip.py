"""Round trip over two streams: 480 bytes to another process and back, asleep or awake."""

from __future__ import annotations

import payload
from row import TIMES, Contestant, Findings, Row, Target

_SLEEPING = (10_000, 200)
_POLLING = (50_000, 500)


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings.get("wrong"):
        return f"{findings['wrong']:g} answers are not what was sent"
    expected = payload.round_trip_checksum(int(findings["ops"]))
    return "" if findings["checksum"] == expected else "the answers are not what was sent"


def _python(name: str, way: str, requires: str | None, counts: tuple[int, int]) -> Contestant:
    return Contestant(name, ("round_trip.py", way), *counts, requires=requires)


ROWS = (
    Row(
        name="stream-round-trip-sleeping",
        question="480 bytes there and back over two streams; both sleep while they wait (spin=0)",
        contestants=(
            Contestant("raw futex, C", ("raw_futex_ping_pong",), *_SLEEPING),
            Contestant("ndshare, C++", ("ndshare_stream_round_trip", "--spin", "0"), *_SLEEPING),
            _python("ndshare", "streams-sleeping", "ndshare", _SLEEPING),
            _python("iceoryx2, event", "iceoryx2-sleeping", "iceoryx2", _SLEEPING),
            _python("kickmsg", "kickmsg-sleeping", "kickmsg", _SLEEPING),
            _python("multiprocessing.Pipe", "pipe", None, _SLEEPING),
        ),
        columns=TIMES,
        targets=(
            Target("ndshare, C++", 1.05, "raw futex, C"),
            Target("ndshare", 1.15, "raw futex, C"),
            Target("ndshare", 1.0, ("iceoryx2, event", "kickmsg", "multiprocessing.Pipe")),
        ),
        check=_check,
    ),
    Row(
        name="stream-round-trip",
        question="480 bytes there and back over two streams; the default wait, which looks first",
        contestants=(
            Contestant("raw cache line, C", ("raw_line_ping_pong",), 200_000, 2_000),
            Contestant("ndshare, C++", ("ndshare_stream_round_trip",), 200_000, 2_000),
            _python("ndshare", "streams", "ndshare", _POLLING),
            _python("iceoryx2, polling", "iceoryx2", "iceoryx2", _POLLING),
            _python("kickmsg, polling", "kickmsg", "kickmsg", _POLLING),
        ),
        columns=TIMES,
        targets=(
            Target("ndshare, C++", 4.0, "raw cache line, C"),
            # Waits that fell asleep show here only.
            Target("ndshare, C++", 4.0, "raw cache line, C", "mean_ns"),
            Target("ndshare", 0.2, ("iceoryx2, polling", "kickmsg, polling")),
        ),
        check=_check,
        needs_two_cpus=True,
    ),
)
