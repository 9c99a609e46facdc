"""The same work with multiprocessing: Pipe, Queue and SharedMemory, as one writes it by hand."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from ndshare.bench import arrays, services, streams
from ndshare.bench.pair import PATIENCE, Side, met, require, timed

_SLOTS = 4
_context = multiprocessing.get_context("spawn")


# ---- what both sides are given -------------------------------------------------------------------


@contextlib.contextmanager
def pipe(prefix: str) -> Iterator[Any]:
    here, there = _context.Pipe()
    with here, there:
        yield here, there


@contextlib.contextmanager
def queue(prefix: str) -> Iterator[Any]:
    yield _context.Queue()


@contextlib.contextmanager
def _memory(name: str, nbytes: int) -> Iterator[SharedMemory]:
    memory = SharedMemory(name, create=True, size=nbytes)
    try:
        yield memory
    finally:
        with contextlib.suppress(BufferError):  # an exception under way may hold a view
            memory.close()
        memory.unlink()


@contextlib.contextmanager
def frame_slots(prefix: str) -> Iterator[Any]:
    with _memory(f"{prefix}-frames", _SLOTS * int(np.prod(streams.FRAME_SHAPE))) as memory:
        yield memory, _context.Queue(), _context.Queue()


@contextlib.contextmanager
def service_memory(prefix: str) -> Iterator[Any]:
    nbytes = int(np.prod(services.IMAGE_SHAPE)) + 4 * int(np.prod(services.BOXES_SHAPE))
    with _memory(f"{prefix}-service", nbytes) as memory, pipe(prefix) as ends:
        yield memory, ends, _context.Queue(), _context.Event()


# ---- arrays --------------------------------------------------------------------------------------


def ask_pipe(side: Side) -> list[float]:
    own = side.shared[0]
    sent = np.arange(arrays.WORDS, dtype=np.uint64)
    received = np.zeros(arrays.WORDS, np.uint64)

    def there_and_back(k: int) -> None:
        sent[0] = k
        own.send_bytes(sent.data)
        own.recv_bytes_into(received.data)
        require(int(received[0]), k)

    with met(side):
        return timed(side, there_and_back)


def answer_pipe(side: Side) -> None:
    own = side.shared[1]
    with met(side):
        for _ in range(side.total):
            own.send_bytes(own.recv_bytes())


def attach(side: Side) -> list[float]:
    name = side.name("attach")
    # As everybody uses it; from Python 3.13 on without its tracker, which is faster.
    options: dict[str, Any] = {"track": False} if sys.version_info >= (3, 13) else {}

    def once(k: int) -> None:
        memory = SharedMemory(name, **options)
        array = np.ndarray(arrays.WORDS, np.uint64, memory.buf)
        require(int(array[1]), 7)
        del array  # close() refuses while a view is there
        memory.close()

    with met(side):
        return timed(side, once)


def hold(side: Side) -> None:
    with _memory(side.name("attach"), 8 * arrays.WORDS) as memory:
        np.ndarray(arrays.WORDS, np.uint64, memory.buf)[:] = 7
        with met(side):
            pass


# ---- streams -------------------------------------------------------------------------------------


def take_frames(side: Side) -> list[float]:
    memory, filled, free = side.shared
    pool = np.ndarray((_SLOTS, memory.size // _SLOTS // 8), np.uint64, memory.buf)
    rest = int(streams.numbered_frame().sum(dtype=np.uint64))
    for slot in range(_SLOTS):
        free.put(slot)

    def one(k: int) -> None:
        slot = filled.get(timeout=PATIENCE)
        require(int(pool[slot].sum(dtype=np.uint64)), rest + k)
        free.put(slot)

    with met(side):
        return timed(side, one)


def give_frames(side: Side) -> None:
    memory, filled, free = side.shared
    words = streams.numbered_frame()
    pool = np.ndarray((_SLOTS, len(words)), np.uint64, memory.buf)
    with met(side):
        for k in range(side.total):
            words[0] = k
            slot = free.get(timeout=PATIENCE)
            np.copyto(pool[slot], words)
            filled.put(slot)


def take_small_pipe(side: Side) -> list[float]:
    own = side.shared[0]
    received = np.zeros(streams.WORDS, np.uint64)

    def one(k: int) -> None:
        own.recv_bytes_into(received.data)
        require(int(received[0]), k)

    with met(side):
        return timed(side, one)


def give_small_pipe(side: Side) -> None:
    own = side.shared[1]
    words = np.arange(streams.WORDS, dtype=np.uint64)
    with met(side):
        for k in range(side.total):
            words[0] = k
            own.send_bytes(words.data)


def take_small_queue(side: Side) -> list[float]:
    def one(k: int) -> None:
        received = np.frombuffer(side.shared.get(timeout=PATIENCE), np.uint64)
        require(int(received[0]), k)

    with met(side):
        return timed(side, one)


def give_small_queue(side: Side) -> None:
    words = np.arange(streams.WORDS, dtype=np.uint64)
    with met(side):
        for k in range(side.total):
            words[0] = k
            side.shared.put(words.tobytes())


# ---- services ------------------------------------------------------------------------------------


def _image_and_boxes(memory: SharedMemory) -> tuple[Any, Any]:
    image = np.ndarray(services.IMAGE_SHAPE, np.uint8, memory.buf)
    return image, np.ndarray(services.BOXES_SHAPE, np.float32, memory.buf, image.nbytes)


def _ask(side: Side, tell: Any) -> list[float]:
    """tell() returns when the answer is there."""
    image, boxes = _image_and_boxes(side.shared[0])
    own = services.image()

    def call(k: int) -> None:
        services.stamp(own, k)
        np.copyto(image, own)
        tell()
        services.require_boxes(boxes.copy(), k)

    with met(side):
        return timed(side, call)


def ask_by_pipe(side: Side) -> list[float]:
    here = side.shared[1][0]

    def tell() -> None:
        here.send_bytes(b"1")
        here.recv_bytes()

    return _ask(side, tell)


def answer_by_pipe(side: Side) -> None:
    image, boxes = _image_and_boxes(side.shared[0])
    there = side.shared[1][1]
    with met(side):
        for _ in range(side.total):
            there.recv_bytes()
            np.copyto(boxes, services.detect(image))
            there.send_bytes(b"1")


def ask_by_queue(side: Side) -> list[float]:
    _, _, requests, replied = side.shared

    def tell() -> None:
        replied.clear()
        requests.put(0)
        if not replied.wait(PATIENCE):
            raise TimeoutError("no answer")

    return _ask(side, tell)


def answer_by_queue(side: Side) -> None:
    memory, _, requests, replied = side.shared
    image, boxes = _image_and_boxes(memory)
    with met(side):
        for _ in range(side.total):
            requests.get(timeout=PATIENCE)
            np.copyto(boxes, services.detect(image))
            replied.set()
