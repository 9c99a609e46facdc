"""Memory: what an array takes beyond its bytes, of many at once.

Shared memory is the machine's (/proc/meminfo), so it counts whatever others do meanwhile;
descriptors, mappings and private memory are those of the process that opened them all.
"""

from __future__ import annotations

import payload
from row import Column, Contestant, Findings, Row, Target

_COUNTS = (1_000, 50)


def check(contestant: Contestant, findings: Findings) -> str:
    if findings["checksum"] != payload.round_trip_checksum(int(findings["ops"])):
        return "the contents are not what was written"
    return ""


ROWS = (
    Row(
        name="memory",
        question="What each of many arrays of 480 bytes takes, once and in a process that opens it",
        contestants=(
            Contestant("ndshare", ("memory.py", "ndshare"), *_COUNTS, requires="ndshare"),
            Contestant(
                "SharedArray", ("memory.py", "SharedArray"), *_COUNTS, requires="SharedArray"
            ),
            Contestant("stdlib SharedMemory", ("memory.py", "stdlib"), *_COUNTS),
            Contestant("pyshmem", ("memory.py", "pyshmem"), *_COUNTS, requires="pyshmem"),
        ),
        columns=(
            Column("shared", "shared_nbytes", "bytes"),
            Column("predicted", "predicted_nbytes", "bytes"),
            Column("+ opener", "opener_shared_nbytes", "bytes"),
            Column("fds", "opener_fds", "number"),
            Column("mappings", "opener_maps", "number"),
            Column("private", "opener_private_nbytes", "bytes"),
        ),
        targets=(
            Target("ndshare", 65_536, field="control_nbytes"),
            Target("ndshare", 1.05, field="opener_fds"),  # the book of names has one for them all
        ),
        check=check,
        field="shared_nbytes",
        rounds_max=2,
    ),
)
