"""How time grows with the number of subscribers, streams, arrays and clients."""

from __future__ import annotations

import numpy as np
import payload
from curve import Curve, Effort, Line
from row import TIMES, Column, Contestant, Findings

from rows import memory, service


def _option(contestant: Contestant, word: str, otherwise: int = 0) -> int:
    command = contestant.command
    return int(command[command.index(word) + 1]) if word in command else otherwise


# ---- subscribers ---------------------------------------------------------------------------------


def _check_subscribers(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} frames were lost or are not what was sent"
    subscribers = _option(contestant, "--subscribers")
    expected = subscribers * payload.round_trip_checksum(int(findings["frames"])) % (1 << 64)
    return "" if findings["checksum"] == expected else "the frames are not what was sent"


def _subscribers(name: str, way: str, frames: int, requires: str | None = None) -> Line:
    program = ("ndshare_fan_out",) if way == "c++" else ("fan_out.py", way)
    return Line(
        name,
        (*program, "--subscribers", "{x}"),
        lambda x: Effort(max(640, frames // x // 32 * 32), 64),
        requires,
    )


_SUBSCRIBERS = Curve(
    name="subscribers",
    question="480 bytes to several processes on one CPU, 32 at once, none lost by any",
    axis="subscribers",
    axis_unit="number",
    points=(1, 2, 4, 8, 16, 32),
    smoke_points=(4,),
    lines=(
        _subscribers("ndshare, C++", "c++", 200_000),
        _subscribers("ndshare", "ndshare", 50_000, "ndshare"),
        _subscribers("multiprocessing.Pipe, one for each", "pipes", 20_000),
        _subscribers("pyzmq", "zmq", 20_000, "zmq"),
        _subscribers("iceoryx2", "iceoryx2", 20_000, "iceoryx2"),
    ),
    columns=(
        Column("until all have it", "delivered_ns"),
        Column("publishing, p50", "p50_ns"),
        Column("p99", "p99_ns"),
        Column("p99.9", "p999_ns"),
    ),
    shown=("delivered_ns", "p50_ns"),
    check=_check_subscribers,
    field="delivered_ns",
)

# ---- streams -------------------------------------------------------------------------------------


def _check_streams(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} frames came from the wrong stream or out of order"
    streams, frames = int(findings["streams"]), int(findings["frames"])
    burst = streams if _option(contestant, "--together") else 1
    numbers = np.arange(frames, dtype=np.uint64)
    rest = payload.sum_of(payload.smalls()[0][2:])
    of_streams = sum(payload.stream_of(number, streams, burst) for number in range(frames))
    expected = (frames * rest + payload.sum_of(numbers) + of_streams) % (1 << 64)
    return "" if findings["checksum"] == expected else "the frames are not what was sent"


def _streams(
    name: str, way: str, together: int, requires: str | None = None, most: int | None = None
) -> Line:
    def at(x: int) -> Effort:
        frames = 10_000 if together else max(300, 5_000 // (1 + x // 50))
        return Effort(
            max(x * 3, frames) if together else frames,
            max(x, 20) if together else 20,
            open_files=4 * x + 100 if x > 100 else 0,
            warm_up=x if together else 20,
        )

    command = ("many_streams.py", way, "--streams", "{x}", "--together", str(together))
    return Line(name, command, at, requires, most)


_STREAMS = Curve(
    name="streams",
    question="Frames of 480 bytes on many streams, one publisher process, one that waits for any",
    axis="streams",
    axis_unit="number",
    points=(1, 10, 100, 1_000),
    smoke_points=(10,),
    lines=(
        # ndshare.wait takes 128 at most.
        _streams("ndshare.wait, one at a time", "ndshare", 0, "ndshare", 100),
        _streams("ndshare.wait, one on each", "ndshare", 1, "ndshare", 100),
        _streams("ndshare, epoll, one at a time", "ndshare-epoll", 0, "ndshare"),
        _streams("ndshare, epoll, one on each", "ndshare-epoll", 1, "ndshare"),
        _streams("multiprocessing.Pipe, one at a time", "pipes", 0),
        _streams("multiprocessing.Pipe, one on each", "pipes", 1),
    ),
    columns=TIMES,
    shown=("p50_ns",),
    check=_check_streams,
)

# ---- arrays --------------------------------------------------------------------------------------


def _arrays(name: str, way: str, files: int, requires: str | None = None) -> Line:
    """files: descriptors that one array takes of a process."""
    return Line(
        name,
        ("memory.py", way),
        lambda x: Effort(x, min(x, 20), open_files=files * x + 100),
        requires,
    )


_ARRAYS = Curve(
    name="arrays",
    question="So many arrays of 480 bytes at once, in one process that makes and one that opens",
    axis="arrays",
    axis_unit="number",
    points=(1, 10, 100, 1_000, 10_000),
    smoke_points=(10,),
    lines=(
        _arrays("ndshare", "ndshare", 1, "ndshare"),
        _arrays("SharedArray", "SharedArray", 0, "SharedArray"),
        _arrays("stdlib SharedMemory", "stdlib", 2),
        _arrays("pyshmem", "pyshmem", 5, "pyshmem"),
    ),
    columns=(
        Column("create", "create_ns"),
        Column("open", "open_ns"),
        Column("shared", "shared_nbytes", "bytes"),
        Column("private of an opener", "opener_private_nbytes", "bytes"),
    ),
    shown=("create_ns", "open_ns", "shared_nbytes"),
    check=memory.check,
    field="open_ns",
    needs_two_cpus=False,
)

# ---- clients -------------------------------------------------------------------------------------


def _clients(name: str, way: str, requires: str | None, *more: str) -> Line:
    return Line(
        name,
        ("service.py", way, "--bytes", "307200", "--clients", "{x}", *more),
        lambda x: Effort(max(2_000, x * 32), x * 4, memory_bytes=x * 2_000_000),
        requires,
    )


_CLIENTS = Curve(
    name="clients",
    question="So many clients ask one worker about images of 300 KB; a model of 0 ms",
    axis="clients",
    axis_unit="number",
    points=(1, 2, 4, 8, 16, 32, 64),
    smoke_points=(4,),
    lines=(
        _clients("ndshare", "ndshare", "ndshare"),
        _clients("ndshare, 8 at a time", "ndshare", "ndshare", "--batch", "8"),
        _clients("by hand: SharedMemory, Queue, Event", "by-hand", None),
    ),
    columns=(
        Column("a call of any", "interval_ns"),
        Column("a client's p50", "p50_ns"),
        Column("p99", "p99_ns"),
        Column("p99.9", "p999_ns"),
    ),
    shown=("interval_ns", "p99_ns"),
    check=service.check,
    field="interval_ns",
)

CURVES = (_SUBSCRIBERS, _STREAMS, _ARRAYS, _CLIENTS)
