"""One way to pass 480 bytes to another process and back."""

from __future__ import annotations

import ctypes
import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair

from contestants import peers


class End(NamedTuple):
    """send(words): the other side receives all of them. receive(out): the next ones, waited for."""

    send: Callable[[payload.Words], object]
    receive: Callable[[payload.Words], object]


Ends = Callable[[Side], AbstractContextManager[End]]

# ---- ndshare -------------------------------------------------------------------------------------


def _ndshare(spin: float | None) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import ndshare

        names = side.name("question"), side.name("reply")
        if side.index == 0:
            arrays = [
                ndshare.create(name, payload.SMALL_WORDS, np.uint64, spin=spin) for name in names
            ]
            side.meet()
        else:
            side.meet()
            arrays = [ndshare.open(name, writeable=True, spin=spin) for name in names]
        outgoing, incoming = arrays if side.index == 0 else reversed(arrays)

        def send(words: payload.Words) -> None:
            outgoing[...] = words

        def receive(out: payload.Words) -> None:
            incoming.wait()
            incoming.read(out)

        try:
            yield End(send, receive)
        finally:
            for array in arrays:
                array.close()

    return ends


def _ndshare_streams(spin: float | None) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import ndshare

        names = side.name("question"), side.name("reply")
        out, back = names if side.index == 0 else reversed(names)
        with (
            ndshare.Publisher(
                out, payload.SMALL_WORDS, np.uint64, overflow="block", spin=spin
            ) as publisher,
            ndshare.Subscriber(back, spin=spin) as subscriber,
        ):
            side.meet()  # both streams are there

            def receive(words: payload.Words) -> None:
                words[:] = subscriber.get().array

            yield End(publisher.put, receive)
            side.meet()

    return ends


# ---- iceoryx2 ------------------------------------------------------------------------------------


def _iceoryx2(sleeping: bool) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import iceoryx2

        if side.index == 1:
            side.meet()  # the services are there
        with peers.iceoryx2_node(side) as node:
            names = side.name("question"), side.name("reply")
            services = [
                peers.iceoryx2_service(node, name, payload.SMALL_NBYTES, 2) for name in names
            ]
            bells = [
                node.service_builder(iceoryx2.ServiceName.new(name)).event().open_or_create()
                for name in names
            ]
            publisher = peers.iceoryx2_publisher(services[side.index])
            subscriber = services[1 - side.index].subscriber_builder().create()
            notifier = bells[side.index].notifier_builder().create()
            listener = bells[1 - side.index].listener_builder().create()
            copy = peers.iceoryx2_send(publisher, payload.SMALL_NBYTES)
            if side.index == 0:
                side.meet()
            side.meet()  # both ends of both are there

            def send(words: payload.Words) -> None:
                copy(words.ctypes.data)
                if sleeping:
                    notifier.notify()

            def receive(out: payload.Words) -> None:
                if sleeping:
                    listener.blocking_wait()
                sample = subscriber.receive()
                while sample is None:
                    sample = subscriber.receive()
                ctypes.memmove(out.ctypes.data, sample.payload_ptr, payload.SMALL_NBYTES)

            yield End(send, receive)
            side.meet()

    return ends


# ---- kickmsg -------------------------------------------------------------------------------------


def _kickmsg(sleeping: bool) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import kickmsg

        names = side.name("question"), side.name("reply")
        with (
            peers.kickmsg_region(side, names[0], payload.SMALL_NBYTES, 4) as question,
            peers.kickmsg_region(side, names[1], payload.SMALL_NBYTES, 4) as reply,
        ):
            out, back = (question, reply) if side.index == 0 else (reply, question)
            publisher, subscriber = kickmsg.Publisher(out), kickmsg.Subscriber(back)
            side.meet()  # both ends of both are there
            patience = datetime.timedelta(seconds=10)

            def receive(words: payload.Words) -> None:
                received = subscriber.receive(patience) if sleeping else subscriber.try_receive()
                while received is None:
                    received = subscriber.try_receive()
                words[:] = np.frombuffer(received, np.uint64)

            yield End(lambda words: publisher.send(words.tobytes()), receive)
            side.meet()

    return ends


# ---- multiprocessing.Pipe ------------------------------------------------------------------------


def _pipe() -> Ends:
    from multiprocessing import Pipe

    connections = Pipe()  # before the fork, as a parent gives it to its child

    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        side.meet()
        own = connections[side.index]
        # Bytes, not pickles: the fastest that it offers.
        yield End(lambda words: own.send_bytes(words.data), own.recv_bytes_into)

    return ends


# ---- pyshmem -------------------------------------------------------------------------------------


def _pyshmem(notify: bool) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        import pyshmem

        names = side.name("question"), side.name("reply")
        if side.index == 0:
            streams = [
                pyshmem.create(name, shape=(payload.SMALL_WORDS,), dtype=np.uint64, notify=notify)
                for name in names
            ]
            side.meet()
        else:
            side.meet()
            streams = [pyshmem.open(name) for name in names]
        outgoing, incoming = streams if side.index == 0 else reversed(streams)

        def receive(out: payload.Words) -> None:
            seen = incoming.last_read_count
            if notify:
                incoming.read_after(seen, out=out)
                return
            # Its own polling sleeps for 50 us and more between two looks; this is the fastest.
            while incoming.count <= seen:
                pass
            incoming.read(out=out)

        try:
            yield End(outgoing.write, receive)
            side.meet()
        finally:
            for stream in streams:
                if side.index == 0:
                    stream.unlink()
                stream.close()

    return ends


# ---- torch.multiprocessing -----------------------------------------------------------------------


def _torch() -> Ends:
    """Two tensors in shared memory; its queues say that one was filled."""
    import torch
    import torch.multiprocessing

    torch.set_num_threads(1)
    context = torch.multiprocessing.get_context("fork")
    queues = context.SimpleQueue(), context.SimpleQueue()
    tensors = [
        torch.zeros(payload.SMALL_WORDS, dtype=torch.int64).share_memory_() for _ in range(2)
    ]

    @contextmanager
    def ends(side: Side) -> Iterator[End]:
        side.meet()
        arrays = [tensor.numpy().view(np.uint64) for tensor in tensors]
        out, back = side.index, 1 - side.index

        def send(words: payload.Words) -> None:
            arrays[out][:] = words
            queues[out].put(True)

        def receive(words: payload.Words) -> None:
            queues[back].get()
            words[:] = arrays[back]

        yield End(send, receive)
        side.meet()

    return ends


WAYS: dict[str, Callable[[], Ends]] = {
    "ndshare": lambda: _ndshare(None),
    "ndshare-sleeping": lambda: _ndshare(0),
    "streams": lambda: _ndshare_streams(None),
    "streams-sleeping": lambda: _ndshare_streams(0),
    "iceoryx2": lambda: _iceoryx2(False),
    "iceoryx2-sleeping": lambda: _iceoryx2(True),
    "kickmsg": lambda: _kickmsg(False),
    "kickmsg-sleeping": lambda: _kickmsg(True),
    "pipe": _pipe,
    "torch": _torch,
    "pyshmem-notify": lambda: _pyshmem(True),
    "pyshmem-polling": lambda: _pyshmem(False),
}


def ask(side: Side, end: End) -> Findings:
    """Sends, waits for the answer, keeps it; what came is compared after the clock has stopped."""
    prepared = list(payload.smalls())
    received = np.zeros((side.count, payload.SMALL_WORDS), dtype=np.uint64)
    received[:] = 1  # touched now: no page fault falls into a measurement
    rows = list(received)
    sent = [prepared[k % payload.SMALL_COUNT] for k in range(side.count)]
    spare = np.zeros(payload.SMALL_WORDS, dtype=np.uint64)

    def warm_up() -> None:
        for k in range(side.warm_up):
            end.send(prepared[k % payload.SMALL_COUNT])
            end.receive(spare)

    side.meet()
    warm_up()
    side.pin()
    side.meet()
    warm_up()
    samples = [0] * side.count
    send, receive = end
    side.begin()
    last_ns = time.perf_counter_ns()
    for k in range(side.count):
        send(sent[k])
        receive(rows[k])
        now_ns = time.perf_counter_ns()
        samples[k] = now_ns - last_ns
        last_ns = now_ns
    side.end()
    wrong = sum(not np.array_equal(rows[k], sent[k]) for k in range(side.count))
    return findings(samples, side, checksum=payload.sum_of(received), wrong=wrong)


def answer(side: Side, end: End) -> None:
    """Sends back what it received."""
    buffer = np.zeros(payload.SMALL_WORDS, dtype=np.uint64)
    send, receive = end

    def serve(count: int) -> None:
        for _ in range(count):
            receive(buffer)
            send(buffer)

    side.meet()
    serve(side.warm_up)
    side.pin()
    side.meet()
    serve(side.warm_up)
    side.begin()
    serve(side.count)
    side.end()


def main() -> None:
    options = arguments("pass 480 bytes back and forth", list(WAYS))
    ends = WAYS[options.way]()

    def first(side: Side) -> Findings:
        with ends(side) as end:
            return ask(side, end)

    def second(side: Side) -> Any:
        with ends(side) as end:
            answer(side, end)

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
