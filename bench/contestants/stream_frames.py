"""One way to pass 1080p frames: copied in by one process, all of each added up by the other."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair
from payload import FRAME_NBYTES, FRAME_WORDS, Words

from contestants import peers

# The first side receives: take() waits for the next frame and returns its sum, read where it lies.
# The second sends a copy.
Ends = Callable[[Side], AbstractContextManager[Callable[..., Any]]]

# ---- ndshare -------------------------------------------------------------------------------------


@contextmanager
def _ndshare(side: Side) -> Iterator[Callable[..., Any]]:
    import ndshare

    if side.index == 0:
        with ndshare.Subscriber(side.name("frames")) as subscriber:

            def take() -> int:
                with subscriber.get() as frame:
                    return payload.sum_of(frame.array.reshape(-1).view(np.uint64))

            yield take
        return
    with ndshare.Publisher(
        side.name("frames"), payload.FRAME_SHAPE, np.uint8, overflow="block"
    ) as publisher:
        awaited = False

        def send(words: Words) -> None:
            nonlocal awaited
            if not awaited:
                awaited = publisher.wait_subscribers(1)
            publisher.put(words.view(np.uint8).reshape(payload.FRAME_SHAPE))

        yield send


# ---- iceoryx2 ------------------------------------------------------------------------------------


@contextmanager
def _iceoryx2(side: Side) -> Iterator[Callable[..., Any]]:
    if side.index == 1:
        side.meet()  # the subscriber is there
    with peers.iceoryx2_node(side) as node:
        # Two: the fewer, the warmer.
        service = peers.iceoryx2_service(node, side.name("frames"), FRAME_NBYTES, 2)
        if side.index == 0:
            subscriber = service.subscriber_builder().create()
            side.meet()

            def take() -> int:
                while True:
                    sample = subscriber.receive()
                    if sample is not None:
                        memory = (ctypes.c_uint64 * FRAME_WORDS).from_address(sample.payload_ptr)
                        return payload.sum_of(
                            np.ndarray(FRAME_WORDS, np.uint64, memoryview(memory))
                        )

            yield take
        else:
            send = peers.iceoryx2_send(peers.iceoryx2_publisher(service), FRAME_NBYTES)
            yield lambda words: send(words.ctypes.data)
        side.meet()


# ---- kickmsg -------------------------------------------------------------------------------------


@contextmanager
def _kickmsg(side: Side) -> Iterator[Callable[..., Any]]:
    import kickmsg

    pace = peers.Pace(side, 2)
    with peers.kickmsg_region(side, side.name("frames"), FRAME_NBYTES, 4) as region:
        if side.index == 0:
            subscriber = kickmsg.Subscriber(region)
            side.meet()

            def take() -> int:
                while True:
                    view = subscriber.try_receive_view()
                    if view is not None:
                        break
                with view:
                    total = payload.sum_of(np.frombuffer(view, np.uint64))
                pace.after_receive()
                return total

            yield take
        else:
            side.meet()
            publisher = kickmsg.Publisher(region)

            def send(words: Words) -> None:
                pace.before_send()
                slot = publisher.allocate()
                np.copyto(np.frombuffer(slot, np.uint64), words)
                slot.publish(FRAME_NBYTES)

            yield send
        side.meet()


# ---- SharedMemory and Queue ----------------------------------------------------------------------


def _stdlib() -> Ends:
    slots = 4
    filled: multiprocessing.Queue[int] = multiprocessing.Queue()
    free: multiprocessing.Queue[int] = multiprocessing.Queue()
    # Before the fork, as a parent hands it to its child.
    memory = SharedMemory(f"bench-{os.getpid()}-frames", create=True, size=slots * FRAME_NBYTES)

    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        pool = np.ndarray((slots, FRAME_WORDS), np.uint64, memory.buf)
        if side.index == 0:
            for slot in range(slots):
                free.put(slot)

            def take() -> int:
                slot = filled.get()
                total = payload.sum_of(pool[slot])
                free.put(slot)
                return total

            try:
                yield take
                side.meet()
            finally:
                memory.unlink()
        else:

            def send(words: Words) -> None:
                slot = free.get()
                np.copyto(pool[slot], words)
                filled.put(slot)

            yield send
            side.meet()

    return ends


# ---- torch.multiprocessing -----------------------------------------------------------------------


def _torch() -> Ends:
    """Each frame a tensor of its own in shared memory, handed over by a queue, as its manual has
    it; what was received goes back to be used again."""
    import torch
    import torch.multiprocessing

    torch.set_num_threads(1)
    context = torch.multiprocessing.get_context("fork")
    filled, free = context.SimpleQueue(), context.SimpleQueue()
    pool = [torch.empty(FRAME_WORDS, dtype=torch.int64).share_memory_() for _ in range(4)]

    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        if side.index == 0:
            for slot in range(len(pool)):
                free.put(slot)

            def take() -> int:
                slot, tensor = filled.get()
                total = payload.sum_of(tensor.numpy().view(np.uint64))
                free.put(slot)
                return total

            yield take
        else:

            def send(words: Words) -> None:
                slot = free.get()
                pool[slot].numpy()[:] = words.view(np.int64)
                filled.put((slot, pool[slot]))

            yield send
        side.meet()

    return ends


WAYS: dict[str, Callable[[], Ends]] = {
    "ndshare": lambda: _ndshare,
    "iceoryx2": lambda: _iceoryx2,
    "kickmsg": lambda: _kickmsg,
    "stdlib": _stdlib,
    "torch": _torch,
}


def take_frames(side: Side, take: Callable[[], int]) -> Findings:
    rest = payload.sum_of(payload.frame())
    side.meet()
    warmed_up = [take() for _ in range(side.warm_up)]
    side.pin()
    side.meet()
    warmed_up += [take() for _ in range(side.warm_up)]
    sums = [0] * side.count
    samples = [0] * side.count
    side.begin()
    last_ns = time.perf_counter_ns()
    for k in range(side.count):
        sums[k] = take()
        now_ns = time.perf_counter_ns()
        samples[k] = now_ns - last_ns
        last_ns = now_ns
    side.end()
    wrong = sum(
        found != (rest + number) % (1 << 64) for number, found in enumerate(warmed_up + sums)
    )
    return findings(
        samples, side, first=len(warmed_up), checksum=sum(sums) % (1 << 64), wrong=wrong
    )


def give_frames(side: Side, send: Callable[[Words], object]) -> None:
    words = payload.frame()
    number = 0

    def run(count: int) -> None:
        nonlocal number
        for _ in range(count):
            words[0] = number
            number += 1
            send(words)

    side.meet()
    run(side.warm_up)
    side.pin()
    side.meet()
    run(side.warm_up)
    side.begin()
    run(side.count)
    side.end()


def main() -> None:
    options = arguments("pass 1080p frames one way", list(WAYS))
    ends = WAYS[options.way]()

    def first(side: Side) -> Findings:
        with ends(side) as take:
            return take_frames(side, take)

    def second(side: Side) -> None:
        with ends(side) as send:
            give_frames(side, send)

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
