"""Fan-out: what a frame costs its publisher when several processes get it."""

from __future__ import annotations

import payload
from row import RATE, TIMES, Contestant, Findings, Row, Target

_COUNTS = (100_000, 1_280)


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} frames were lost or are not what was sent"
    subscribers = int(contestant.name.split()[0])
    expected = subscribers * payload.round_trip_checksum(int(findings["frames"])) % (1 << 64)
    return "" if findings["checksum"] == expected else "the frames are not what was sent"


def _subscribers(count: int) -> Contestant:
    name = f"{count} subscriber{'s' if count > 1 else ''}"
    return Contestant(name, ("ndshare_fan_out", "--subscribers", str(count)), *_COUNTS)


ROWS = (
    Row(
        name="stream-fan-out",
        question="What a frame of 480 bytes costs its publisher, in bursts of 32, in C++",
        contestants=(_subscribers(1), _subscribers(2), _subscribers(4), _subscribers(8)),
        columns=(*TIMES[:4], RATE),
        # A tenth for each one more.
        targets=(
            Target("2 subscribers", 1.1, "1 subscriber"),
            Target("8 subscribers", 1.7, "1 subscriber"),
        ),
        check=_check,
        needs_two_cpus=True,
    ),
)
