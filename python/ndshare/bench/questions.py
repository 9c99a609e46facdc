"""What is compared with what. The first way of a question is the one that the others are a ratio
to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ndshare.bench import arrays, services, stdlib, streams
from ndshare.bench.pair import Way


@dataclass(frozen=True)
class Question:
    """`mean`: the ways send in bursts, of which a median tells little."""

    name: str
    text: str
    count: int
    ways: Mapping[str, Way]
    mean: bool = False


ALL = (
    Question(
        "round-trip",
        "480 bytes to another process and back",
        5_000,
        {
            "ndshare": Way(arrays.ask, arrays.answer),
            "ndshare, both sleep": Way(arrays.ask_sleeping, arrays.answer_sleeping),
            "multiprocessing.Pipe": Way(stdlib.ask_pipe, stdlib.answer_pipe, stdlib.pipe),
        },
    ),
    Question(
        "attach",
        "from a name to the first element of an array, and close",
        2_000,
        {
            "ndshare": Way(arrays.attach, arrays.hold),
            "SharedMemory": Way(stdlib.attach, stdlib.hold),
        },
    ),
    Question(
        "frames",
        "1080p frames: copied in by one process, all added up by another",
        100,
        {
            "ndshare": Way(streams.take_frames, streams.give_frames),
            "SharedMemory + Queue": Way(stdlib.take_frames, stdlib.give_frames, stdlib.frame_slots),
        },
        mean=True,
    ),
    Question(
        "small",
        "480 bytes one way, none lost",
        20_000,
        {
            "ndshare": Way(streams.take_small, streams.give_small),
            "ndshare, many at once": Way(streams.take_many, streams.give_many),
            "multiprocessing.Pipe": Way(
                stdlib.take_small_pipe, stdlib.give_small_pipe, stdlib.pipe
            ),
            "multiprocessing.Queue": Way(
                stdlib.take_small_queue, stdlib.give_small_queue, stdlib.queue
            ),
        },
        mean=True,
    ),
    Question(
        "service",
        "a worker is asked about an image of 300 KB: from the call to the answer",
        1_000,
        {
            "ndshare": Way(services.ask, services.answer),
            "SharedMemory + Pipe": Way(
                stdlib.ask_by_pipe, stdlib.answer_by_pipe, stdlib.service_memory
            ),
            "SharedMemory + Queue": Way(
                stdlib.ask_by_queue, stdlib.answer_by_queue, stdlib.service_memory
            ),
        },
    ),
)
