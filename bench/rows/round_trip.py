"""Round trip: 480 bytes to another process and back, asleep or awake while waiting."""

from __future__ import annotations

import payload
from row import TIMES, Contestant, Findings, Row, Target


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings.get("wrong"):
        return f"{findings['wrong']:g} answers are not what was sent"
    expected = payload.round_trip_checksum(int(findings["ops"]))
    return "" if findings["checksum"] == expected else "the answers are not what was sent"


_SLEEPING = (10_000, 200)

ROWS = (
    Row(
        name="round-trip-sleeping",
        question="480 bytes to another process and back; both sleep while they wait (spin=0)",
        contestants=(
            Contestant("raw futex, C", ("raw_futex_ping_pong",), *_SLEEPING),
            Contestant("ndshare, C++", ("ndshare_round_trip", "--spin", "0"), *_SLEEPING),
            Contestant(
                "ndshare", ("round_trip.py", "ndshare-sleeping"), *_SLEEPING, requires="ndshare"
            ),
            Contestant("multiprocessing.Pipe", ("round_trip.py", "pipe"), *_SLEEPING),
            Contestant(
                "pyshmem, notify",
                ("round_trip.py", "pyshmem-notify"),
                *_SLEEPING,
                requires="pyshmem",
            ),
            Contestant(
                "torch.multiprocessing", ("round_trip.py", "torch"), *_SLEEPING, requires="torch"
            ),
        ),
        columns=TIMES,
        targets=(
            Target("ndshare, C++", 1.05, "raw futex, C"),
            Target("ndshare", 1.15, "raw futex, C"),
            Target("ndshare", 1.0, "multiprocessing.Pipe"),
            Target("ndshare", 1.0, "pyshmem, notify"),
        ),
        check=_check,
    ),
    Row(
        name="round-trip",
        question="480 bytes to another process and back; the default wait, which looks first",
        contestants=(
            Contestant("raw cache line, C", ("raw_line_ping_pong",), 200_000, 2_000),
            Contestant("ndshare, C++", ("ndshare_round_trip",), 200_000, 2_000),
            Contestant("ndshare", ("round_trip.py", "ndshare"), 50_000, 500, requires="ndshare"),
            Contestant(
                "pyshmem, polling",
                ("round_trip.py", "pyshmem-polling"),
                20_000,
                200,
                requires="pyshmem",
            ),
        ),
        columns=TIMES,
        targets=(
            Target("ndshare, C++", 4.0, "raw cache line, C"),
            # Waits that fell asleep show here only.
            Target("ndshare, C++", 4.0, "raw cache line, C", "mean_ns"),
            Target("ndshare", 0.2, "pyshmem, polling"),
        ),
        check=_check,
        needs_two_cpus=True,
    ),
)
