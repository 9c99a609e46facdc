"""Attach: from a name to the first element of an array that another process holds, and close."""

from __future__ import annotations

import payload
from row import TIMES, Contestant, Findings, Row, Target

_COUNTS = (20_000, 200)


def _check(contestant: Contestant, findings: Findings) -> str:
    expected = payload.attach_checksum(int(findings["ops"]))
    return "" if findings["checksum"] == expected else "the contents are not what was written"


ROWS = (
    Row(
        name="attach",
        question="From a name to the first element of an array of 480 bytes, and close",
        contestants=(
            Contestant("raw memfd, C", ("raw_attach",), *_COUNTS),
            Contestant("raw file, C", ("raw_attach", "--backing", "{folder}/raw"), *_COUNTS),
            Contestant("ndshare, C++", ("ndshare_attach",), *_COUNTS),
            Contestant(
                "ndshare persistent, C++", ("ndshare_attach", "--persistent", "1"), *_COUNTS
            ),
            Contestant("ndshare", ("attach.py", "ndshare"), *_COUNTS, requires="ndshare"),
            Contestant(
                "SharedArray", ("attach.py", "SharedArray"), *_COUNTS, requires="SharedArray"
            ),
            Contestant("stdlib SharedMemory", ("attach.py", "stdlib"), *_COUNTS),
            Contestant(
                "stdlib SharedMemory, track=False",
                ("attach.py", "stdlib-untracked"),
                *_COUNTS,
                python_min=(3, 13),
            ),
        ),
        columns=TIMES,
        targets=(
            Target("ndshare, C++", 1.5, "raw memfd, C"),
            Target("ndshare", 1.0, "SharedArray"),
            Target("ndshare", 1 / 3, "stdlib SharedMemory"),
        ),
        check=_check,
    ),
)
