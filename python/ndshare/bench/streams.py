"""ndshare's streams: 1080p frames and 480 bytes one way; the receiver measures, none is lost."""

from __future__ import annotations

import time

import numpy as np

import ndshare
from ndshare.bench.pair import PATIENCE, WARM_UP, Side, met, require, timed

FRAME_SHAPE = (1080, 1920, 3)
WORDS = 60
MANY = 256


def _next(subscriber: ndshare.Subscriber) -> ndshare.Frame:
    frame = subscriber.get(PATIENCE)
    if frame is None:
        raise TimeoutError("no frame comes")
    return frame


def take_frames(side: Side) -> list[float]:
    """All bytes of each are added up where they lie."""
    rest = int(numbered_frame().sum(dtype=np.uint64))
    with ndshare.Subscriber(side.name("frames")) as subscriber, met(side):

        def one(k: int) -> None:
            with _next(subscriber) as frame:
                total = int(frame.array.reshape(-1).view(np.uint64).sum(dtype=np.uint64))
            require(total, rest + k)

        return timed(side, one)


def give_frames(side: Side) -> None:
    words = numbered_frame()
    frame = words.view(np.uint8).reshape(FRAME_SHAPE)
    with (
        ndshare.Publisher(
            side.name("frames"), FRAME_SHAPE, np.uint8, overflow="block"
        ) as publisher,
        met(side),
    ):
        publisher.wait_subscribers(1, PATIENCE)
        for k in range(side.total):
            words[0] = k
            publisher.put(frame, timeout=PATIENCE)


def numbered_frame() -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Its first word is left for its number."""
    words = np.arange(np.prod(FRAME_SHAPE) // 8, dtype=np.uint64)
    words[0] = 0
    return words


def take_small(side: Side) -> list[float]:
    with ndshare.Subscriber(side.name("small")) as subscriber, met(side):

        def one(k: int) -> None:
            require(int(_next(subscriber).array[0]), k)

        return timed(side, one)


def give_small(side: Side) -> None:
    words = np.arange(WORDS, dtype=np.uint64)
    with (
        ndshare.Publisher(
            side.name("small"), WORDS, np.uint64, slots=64, overflow="block"
        ) as publisher,
        met(side),
    ):
        publisher.wait_subscribers(1, PATIENCE)
        for k in range(side.total):
            words[0] = k
            publisher.put(words, timeout=PATIENCE)


def take_many(side: Side) -> list[float]:
    """A sample is a frame's share of its call."""
    samples: list[float] = []
    taken = 0
    with ndshare.Subscriber(side.name("many")) as subscriber, met(side):
        last_ns = time.perf_counter_ns()
        while taken < side.total:
            block = subscriber.get_many(MANY, PATIENCE)
            require(block[:, 0].tolist(), list(range(taken, taken + len(block))))
            taken += len(block)
            now_ns = time.perf_counter_ns()
            if taken > WARM_UP:
                samples += [(now_ns - last_ns) / len(block)] * len(block)
            last_ns = now_ns
    return samples


def give_many(side: Side) -> None:
    block = np.zeros((side.total, WORDS), np.uint64)
    block[:, 0] = np.arange(side.total)
    with (
        ndshare.Publisher(
            side.name("many"), WORDS, np.uint64, slots=4 * MANY, overflow="block"
        ) as publisher,
        met(side),
    ):
        publisher.wait_subscribers(1, PATIENCE)
        for begin in range(0, side.total, MANY):
            publisher.put_many(block[begin : begin + MANY], timeout=PATIENCE)
