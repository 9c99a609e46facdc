"""One way to pass a payload of any size to another process and back: it ends in memory of its own,
on both sides."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import NamedTuple

import numpy as np
import payload
import sized
from pair import Findings, Side, arguments, findings, run_pair
from payload import Words

from contestants import peers


class End(NamedTuple):
    send: Callable[[Words], object]
    receive: Callable[[Words], object]


Ends = Callable[[Side], AbstractContextManager[End]]


def _ndshare(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import ndshare

        names = side.name("question"), side.name("reply")
        if side.index == 0:
            arrays = [ndshare.create(name, nbytes // 8, np.uint64) for name in names]
            side.meet()
        else:
            side.meet()
            arrays = [ndshare.open(name, writeable=True) for name in names]
        outgoing, incoming = arrays if side.index == 0 else reversed(arrays)

        def send(words: Words) -> None:
            outgoing[...] = words

        def receive(out: Words) -> None:
            incoming.wait()
            incoming.read(out)

        yield End(send, receive)
        side.meet()
        for array in arrays:
            array.close()

    return ends


def _pipe(nbytes: int) -> Ends:
    connections = multiprocessing.Pipe()

    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        own = connections[side.index]
        yield End(lambda words: own.send_bytes(words.data), own.recv_bytes_into)

    return ends


def _by_hand(nbytes: int) -> Ends:
    """Memory for each direction, a byte through a pipe when it is filled."""
    connections = multiprocessing.Pipe()
    memories = [
        SharedMemory(f"bench-{os.getpid()}-{word}", create=True, size=nbytes)
        for word in ("question", "reply")
    ]

    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        own = connections[side.index]
        arrays = [np.ndarray(nbytes // 8, np.uint64, memory.buf) for memory in memories]
        outgoing, incoming = arrays if side.index == 0 else reversed(arrays)

        def send(words: Words) -> None:
            np.copyto(outgoing, words)
            own.send_bytes(b"1")

        def receive(out: Words) -> None:
            own.recv_bytes()
            np.copyto(out, incoming)

        try:
            yield End(send, receive)
        finally:
            if side.index == 0:
                for memory in memories:
                    memory.unlink()

    return ends


def _zmq(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import zmq

        path = peers.socket_path(side, "zmq")
        with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
            if side.index == 0:
                socket.bind(f"ipc://{path}")
                side.meet()
            else:
                side.meet()
                socket.connect(f"ipc://{path}")

            def receive(out: Words) -> None:
                out[:] = np.frombuffer(socket.recv(copy=False).buffer, np.uint64)

            yield End(lambda words: socket.send(words.data), receive)
            side.meet()

    return ends


def _iceoryx2(nbytes: int) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        if side.index == 1:
            side.meet()  # the services are there
        with peers.iceoryx2_node(side) as node:
            names = side.name("question"), side.name("reply")
            services = [peers.iceoryx2_service(node, name, nbytes, 2) for name in names]
            publisher = peers.iceoryx2_publisher(services[side.index])
            subscriber = services[1 - side.index].subscriber_builder().create()
            copy = peers.iceoryx2_send(publisher, nbytes)
            if side.index == 0:
                side.meet()
            side.meet()  # both ends of both are there

            def receive(out: Words) -> None:
                while (sample := subscriber.receive()) is None:
                    pass
                ctypes.memmove(out.ctypes.data, sample.payload_ptr, nbytes)

            yield End(lambda words: copy(words.ctypes.data), receive)
            side.meet()

    return ends


WAYS: dict[str, Callable[[int], Ends]] = {
    "ndshare": _ndshare,
    "pipe": _pipe,
    "by-hand": _by_hand,
    "zmq": _zmq,
    "iceoryx2": _iceoryx2,
}


def ask(side: Side, end: End, nbytes: int) -> Findings:
    sent = sized.words(nbytes // 8)
    received = np.ones_like(sent)  # touched now
    number = wrong = 0
    send, receive = end
    samples = []
    clock = time.perf_counter_ns

    def round_trips(count: int) -> None:
        nonlocal number, wrong
        last_ns = clock()
        for _ in range(count):
            sized.stamp(sent, number)
            send(sent)
            receive(received)
            wrong += not sized.is_stamped(received, number)
            number += 1
            now_ns = clock()
            samples.append(now_ns - last_ns)
            last_ns = now_ns

    side.meet()
    round_trips(side.warm_up)
    samples.clear()
    side.pin()
    side.meet()
    side.begin()
    round_trips(side.count)
    side.end()
    return findings(samples, side, last=number - 1, checksum=payload.sum_of(received), wrong=wrong)


def answer(side: Side, end: End, nbytes: int) -> None:
    received = np.ones(nbytes // 8, np.uint64)

    def serve(count: int) -> None:
        for _ in range(count):
            end.receive(received)
            end.send(received)

    side.meet()
    serve(side.warm_up)
    side.pin()
    side.meet()
    side.begin()
    serve(side.count)
    side.end()


def main() -> None:
    options = arguments("pass a payload back and forth", list(WAYS), bytes=480)
    ends = WAYS[options.way](options.bytes)

    def first(side: Side) -> Findings:
        with ends(side) as end:
            return ask(side, end, options.bytes)

    def second(side: Side) -> None:
        with ends(side) as end:
            answer(side, end, options.bytes)

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
