"""Frames: whole video frames, copied in by one process and read by another."""

from __future__ import annotations

import payload
from row import RATE, TIMES, Column, Contestant, Findings, Row, Target

_COUNTS = (2_000, 40)
_PEERS = ("iceoryx2", "kickmsg", "SharedMemory + Queue", "torch.multiprocessing")


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} frames are not what was sent"
    expected = payload.frames_checksum(int(findings["first"]), int(findings["ops"]))
    return "" if findings["checksum"] == expected else "the frames are not what was sent"


ROWS = (
    Row(
        name="stream-frames-1080p",
        question="1080p frames of 6.2 MB: copied in by one process, all added up by another",
        contestants=(
            Contestant("raw, the fastest of 6, C", ("raw_frames",), *_COUNTS),
            Contestant("ndshare, C++", ("ndshare_frames",), *_COUNTS),
            Contestant("ndshare", ("stream_frames.py", "ndshare"), *_COUNTS, requires="ndshare"),
            Contestant("iceoryx2", ("stream_frames.py", "iceoryx2"), *_COUNTS, requires="iceoryx2"),
            Contestant("kickmsg", ("stream_frames.py", "kickmsg"), *_COUNTS, requires="kickmsg"),
            Contestant("SharedMemory + Queue", ("stream_frames.py", "stdlib"), *_COUNTS),
            Contestant(
                "torch.multiprocessing", ("stream_frames.py", "torch"), *_COUNTS, requires="torch"
            ),
        ),
        columns=(*TIMES, Column("frames a second", RATE.field, RATE.unit)),
        # A frame's time is that from one to the next; those that came together are in the mean.
        targets=(
            Target("ndshare, C++", 1 / 0.95, "raw, the fastest of 6, C", "mean_ns"),
            Target("ndshare", 1 / 0.95, "raw, the fastest of 6, C", "mean_ns"),
            Target("ndshare", 1.0, _PEERS, "mean_ns"),
        ),
        check=_check,
        field="mean_ns",
        needs_two_cpus=True,
    ),
)
