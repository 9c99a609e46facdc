"""Consistent read: 1 MB out of memory that another process writes a thousand times a second."""

from __future__ import annotations

import payload
from row import TIMES, Column, Contestant, Findings, Row, Target

_COUNTS = (2_000, 60)
# Their copies may be torn: they are the limit, not a way to read.
_CARELESS = ("memcpy, C", "numpy.copyto")


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings["bytes"] != payload.BLOCK_NBYTES:
        return f"{findings['bytes']:g} bytes instead of {payload.BLOCK_NBYTES}"
    if findings["versions"] < 2:
        return "the writer did not write"
    if contestant.name in _CARELESS:
        return ""
    if findings["torn"]:
        return f"{findings['torn']:g} torn copies"
    return (
        f"{findings['backwards']:g} copies older than the one before"
        if (findings["backwards"])
        else ""
    )


ROWS = (
    Row(
        name="consistent-read",
        question="A copy of 1 MB that another process writes at 1 kHz; each copy is looked at",
        contestants=(
            Contestant("memcpy, C", ("raw_memcpy",), *_COUNTS),
            Contestant("ndshare, C++", ("ndshare_read",), *_COUNTS),
            Contestant("numpy.copyto", ("consistent_read.py", "copyto"), *_COUNTS),
            Contestant("ndshare", ("consistent_read.py", "ndshare"), *_COUNTS, requires="ndshare"),
            Contestant("pyshmem", ("consistent_read.py", "pyshmem"), *_COUNTS, requires="pyshmem"),
        ),
        columns=(
            *TIMES[:4],
            Column("torn", "torn", "number"),
            Column("versions seen", "versions", "number"),
        ),
        # The median is a copy that nothing came between; the mean has those made again in it.
        targets=(
            Target("ndshare, C++", 1 / 0.9, "memcpy, C"),
            Target("ndshare, C++", 1 / 0.9, "memcpy, C", "mean_ns"),
            Target("ndshare", 1 / 0.9, "numpy.copyto"),
            Target("ndshare", 1 / 0.9, "numpy.copyto", "mean_ns"),
            Target("ndshare", 1.0, "pyshmem", "mean_ns"),
        ),
        check=_check,
        field="mean_ns",
    ),
)
