"""Small: payloads of 48 and 480 bytes, one way, one after the other; none is lost."""

from __future__ import annotations

import payload
from row import RATE, TIMES, Contestant, Findings, Row, Target

_MANY = (1_000_000, 6_400)
_SOME = (100_000, 1_280)
_LINES = ("raw cache line and back, C", "loaned, 48 B", "loaned, 6 MB")


def _check(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} payloads are not what was sent"
    is_line = contestant.name in _LINES or "48" in contestant.command
    words = payload.LINE_WORDS if is_line else payload.SMALL_WORDS
    expected = payload.round_trip_checksum(int(findings["ops"]), words)
    return "" if findings["checksum"] == expected else "the payloads are not what was sent"


def _stream(way: str, nbytes: int, *more: str) -> tuple[str, ...]:
    return ("ndshare_stream", "--way", way, "--bytes", str(nbytes), *more)


def _python(
    name: str, way: str, requires: str | None = None, counts: tuple[int, int] = _SOME
) -> Contestant:
    return Contestant(name, ("stream_small.py", way), *counts, requires=requires)


_PEERS = (
    _python("kickmsg, paced", "kickmsg", "kickmsg"),
    _python("iceoryx2", "iceoryx2", "iceoryx2"),
    _python("eclipse-zenoh", "zenoh", "zenoh"),
    _python("pyzmq", "zmq", "zmq"),
    _python("faster-fifo", "faster-fifo", "faster_fifo"),
    _python("multiprocessing.Queue", "queue"),
    _python("multiprocessing.Pipe", "pipe"),
)
_PEER_NAMES = tuple(peer.name for peer in _PEERS)

ROWS = (
    Row(
        name="stream-loaned",
        question="Frames filled in place, or copied in, one way; read where they lie; in C++",
        contestants=(
            Contestant("raw cache line and back, C", ("raw_line_bounce",), 500_000, 6_400),
            Contestant("loaned, 48 B", _stream("loan", 48), *_MANY),
            Contestant(
                "loaned, 6 MB",
                _stream("loan", 48, "--frame-bytes", str(payload.FRAME_NBYTES)),
                *_MANY,
            ),
            Contestant("copied, 480 B", _stream("put", 480), *_MANY),
        ),
        columns=(*TIMES, RATE),
        targets=(
            Target("loaned, 48 B", 0.6, "raw cache line and back, C"),
            Target("loaned, 6 MB", 0.6, "raw cache line and back, C"),
            Target("copied, 480 B", 1.0, "raw cache line and back, C"),
        ),
        check=_check,
        needs_two_cpus=True,
    ),
    Row(
        name="stream-small-cpp",
        question="48 and 480 bytes copied in, one way; read where they lie; in C++",
        contestants=(
            Contestant("bare ring, 48 B", ("raw_ring", "--bytes", "48"), *_MANY),
            Contestant("ndshare, 48 B", _stream("put", 48, "--slots", "64"), *_MANY),
            Contestant(
                "Boost message_queue, 48 B", ("boost_message_queue", "--bytes", "48"), *_MANY
            ),
            Contestant("bare ring, 480 B", ("raw_ring", "--bytes", "480"), *_MANY),
            Contestant("ndshare, 480 B", _stream("put", 480, "--slots", "64"), *_MANY),
            Contestant(
                "Boost message_queue, 480 B", ("boost_message_queue", "--bytes", "480"), *_MANY
            ),
        ),
        columns=(*TIMES, RATE),
        targets=(
            Target("ndshare, 48 B", 1 / 3, "Boost message_queue, 48 B"),
            Target("ndshare, 480 B", 1 / 3, "Boost message_queue, 480 B"),
        ),
        check=_check,
        needs_two_cpus=True,
    ),
    Row(
        name="stream-small-python",
        question="Arrays of 480 bytes one way in Python; the receiver copies each into its own",
        contestants=(
            _python("ndshare", "ndshare", "ndshare"),
            *_PEERS,
            _python("kickmsg, paced, bytes and no array", "kickmsg-bytes", "kickmsg"),
            _python("ndshare, many at once", "ndshare-many", "ndshare", (200_000, 1_024)),
            _python("faster-fifo, many at once", "faster-fifo-many", "faster_fifo"),
        ),
        columns=(*TIMES, RATE),
        # Some peers send in bursts: the median of 64 tells nothing of those.
        targets=(
            Target("ndshare", 1 / 4, _PEER_NAMES, "mean_ns"),
            Target("ndshare, many at once", 1 / 20, _PEER_NAMES, "mean_ns"),
        ),
        check=_check,
        field="mean_ns",
        needs_two_cpus=True,
    ),
)
