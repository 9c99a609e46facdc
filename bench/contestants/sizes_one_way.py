"""One way to copy payloads of any size to another process, one after the other; none is lost. Where
a way allows it, the receiver looks at them where they lie, else in memory of its own."""

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
import sized
from pair import Findings, Side, arguments, findings, run_pair
from payload import Words

from contestants import peers

# The first side receives: take(look) calls look(words) on the next one. The second sends a copy.
Look = Callable[[Words], object]
Ends = Callable[[Side], AbstractContextManager[Callable[..., Any]]]


def _ndshare(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        import ndshare

        if side.index == 0:
            with ndshare.Subscriber(side.name("sized")) as subscriber:

                def take(look: Look) -> None:
                    with subscriber.get() as frame:
                        look(frame.array)

                yield take
                side.meet()
            return
        with ndshare.Publisher(
            side.name("sized"),
            nbytes // 8,
            np.uint64,
            slots=sized.slots(nbytes),
            overflow="block",
        ) as publisher:
            awaited = False

            def give(words: Words) -> None:
                nonlocal awaited
                if not awaited:
                    awaited = publisher.wait_subscribers(1)
                publisher.put(words)

            yield give
            side.meet()

    return ends


def _pipe(nbytes: int) -> Ends:
    connections = multiprocessing.Pipe(duplex=False)

    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        if side.index == 1:
            yield lambda words: connections[1].send_bytes(words.data)
            return
        own = np.ones(nbytes // 8, np.uint64)

        def take(look: Look) -> None:
            connections[0].recv_bytes_into(own)
            look(own)

        yield take

    return ends


def _zmq(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        import zmq

        path = peers.socket_path(side, "zmq")
        slots = sized.slots(nbytes)
        with (
            zmq.Context() as context,
            context.socket(zmq.PULL if side.index == 0 else zmq.PUSH) as socket,
        ):
            if side.index == 0:
                socket.setsockopt(zmq.RCVHWM, slots)
                socket.bind(f"ipc://{path}")
                side.meet()
            else:
                socket.setsockopt(zmq.SNDHWM, slots)
                side.meet()
                socket.connect(f"ipc://{path}")

            def take(look: Look) -> None:
                look(np.frombuffer(socket.recv(copy=False).buffer, np.uint64))

            yield take if side.index == 0 else lambda words: socket.send(words.data)
            side.meet()

    return ends


def _iceoryx2(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        if side.index == 1:
            side.meet()  # the subscriber is there
        with peers.iceoryx2_node(side) as node:
            service = peers.iceoryx2_service(node, side.name("sized"), nbytes, sized.slots(nbytes))
            if side.index == 0:
                subscriber = service.subscriber_builder().create()
                side.meet()
                memory_type = ctypes.c_uint64 * (nbytes // 8)

                def take(look: Look) -> None:
                    while (sample := subscriber.receive()) is None:
                        pass
                    memory = memory_type.from_address(sample.payload_ptr)
                    look(np.ndarray(nbytes // 8, np.uint64, memoryview(memory)))

                yield take
            else:
                send = peers.iceoryx2_send(peers.iceoryx2_publisher(service), nbytes)
                yield lambda words: send(words.ctypes.data)
            side.meet()

    return ends


def _by_hand(nbytes: int) -> Ends:
    """Slots in one memory, their numbers through two queues."""
    slots = sized.slots(nbytes)
    filled: multiprocessing.Queue[int] = multiprocessing.Queue()
    free: multiprocessing.Queue[int] = multiprocessing.Queue()
    memory = SharedMemory(f"bench-{os.getpid()}-sized", create=True, size=slots * nbytes)

    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        pool = np.ndarray((slots, nbytes // 8), np.uint64, memory.buf)
        if side.index == 1:

            def give(words: Words) -> None:
                slot = free.get()
                np.copyto(pool[slot], words)
                filled.put(slot)

            yield give
            side.meet()
            return
        for slot in range(slots):
            free.put(slot)

        def take(look: Look) -> None:
            slot = filled.get()
            look(pool[slot])
            free.put(slot)

        try:
            yield take
            side.meet()
        finally:
            memory.unlink()

    return ends


WAYS: dict[str, Callable[[int], Ends]] = {
    "ndshare": _ndshare,
    "pipe": _pipe,
    "by-hand": _by_hand,
    "zmq": _zmq,
    "iceoryx2": _iceoryx2,
}


def take_all(side: Side, take: Callable[[Look], object], nbytes: int) -> Findings:
    ops = sized.ops_per_sample(nbytes)
    number = wrong = total = 0

    def look(words: Words) -> None:
        nonlocal number, wrong
        wrong += not sized.is_stamped(words, number)
        number += 1

    def look_at_all(words: Words) -> None:
        nonlocal total
        look(words)
        total = payload.sum_of(words)

    side.meet()
    for _ in range(side.warm_up):
        take(look)
    side.pin()
    side.meet()
    samples = [0] * (side.count // ops)
    clock = time.perf_counter_ns
    side.begin()
    last_ns = clock()
    for k in range(len(samples)):
        for _ in range(ops):
            take(look)
        now_ns = clock()
        samples[k] = now_ns - last_ns
        last_ns = now_ns
    side.end()
    take(look_at_all)  # one more, outside of the clock
    return findings(samples, side, ops_per_sample=ops, last=number - 1, checksum=total, wrong=wrong)


def give_all(side: Side, give: Callable[[Words], object], nbytes: int) -> None:
    words = sized.words(nbytes // 8)
    ops = sized.ops_per_sample(nbytes)
    number = 0

    def run(count: int) -> None:
        nonlocal number
        for _ in range(count):
            sized.stamp(words, number)
            number += 1
            give(words)

    side.meet()
    run(side.warm_up)
    side.pin()
    side.meet()
    side.begin()
    run(side.count // ops * ops)
    side.end()
    run(1)


def main() -> None:
    options = arguments("copy payloads one way", list(WAYS), bytes=480)
    ends = WAYS[options.way](options.bytes)

    def first(side: Side) -> Findings:
        with ends(side) as take:
            return take_all(side, take, options.bytes)

    def second(side: Side) -> None:
        with ends(side) as give:
            give_all(side, give, options.bytes)

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
