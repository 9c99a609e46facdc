"""One way to wait for many streams at once: one process publishes on them, another waits for any.

The first side publishes one frame, or one on each stream, and looks at a counter until the other
one has them all.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import resource
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair
from payload import SMALL_WORDS, Words

# send(stream, words), and receive(): some (stream, words) that are there, waited for.
Sender = Callable[[Side], AbstractContextManager[Callable[[int, Words], object]]]
Receiver = Callable[[Side], AbstractContextManager[Callable[[], Iterator[tuple[int, Any]]]]]
Way = tuple[Sender, Receiver]


def _ndshare(count: int, by_epoll: bool) -> Way:
    """ndshare.wait takes 128 at most; their descriptors go to epoll for any number."""
    import ndshare

    def name(side: Side, stream: int) -> str:
        return side.name(f"many-{stream}")

    @contextmanager
    def sender(side: Side) -> Iterator[Callable[[int, Words], object]]:
        with ExitStack() as stack:
            publishers = [
                stack.enter_context(
                    ndshare.Publisher(
                        name(side, k), SMALL_WORDS, np.uint64, slots=4, overflow="block"
                    )
                )
                for k in range(count)
            ]
            side.meet()
            side.meet()  # the other one has subscribed
            for publisher in publishers:
                publisher.wait_subscribers(1)
            puts = [publisher.put for publisher in publishers]
            yield lambda stream, words: puts[stream](words)

    @contextmanager
    def receiver(side: Side) -> Iterator[Callable[[], Iterator[tuple[int, Any]]]]:
        side.meet()
        with ExitStack() as stack:
            subscribers = [
                stack.enter_context(ndshare.Subscriber(name(side, k))) for k in range(count)
            ]
            number_of = {id(subscriber): k for k, subscriber in enumerate(subscribers)}
            poll = stack.enter_context(select.epoll())
            number_of_fd = {}
            if by_epoll:
                for k, subscriber in enumerate(subscribers):
                    number_of_fd[subscriber.fileno()] = k
                    poll.register(subscriber.fileno(), select.EPOLLIN)
            side.meet()

            def receive_by_epoll() -> Iterator[tuple[int, Any]]:
                for fd, _ in poll.poll():
                    frame = subscribers[number_of_fd[fd]].get(0)
                    if frame is not None:
                        yield number_of_fd[fd], frame.array

            def receive() -> Iterator[tuple[int, Any]]:
                for subscriber in ndshare.wait(subscribers):
                    frame = subscriber.get()
                    yield number_of[id(subscriber)], frame.array

            yield receive_by_epoll if by_epoll else receive

    return sender, receiver


def _pipes(count: int) -> Way:
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(count)]

    @contextmanager
    def sender(side: Side) -> Iterator[Callable[[int, Words], object]]:
        side.meet()
        side.meet()
        ends = [end for _, end in pipes]
        yield lambda stream, words: ends[stream].send_bytes(words.data)

    @contextmanager
    def receiver(side: Side) -> Iterator[Callable[[], Iterator[tuple[int, Any]]]]:
        ends = [end for end, _ in pipes]
        number_of = {id(end): k for k, end in enumerate(ends)}
        side.meet()
        side.meet()

        def receive() -> Iterator[tuple[int, Any]]:
            for end in multiprocessing.connection.wait(ends):
                assert isinstance(end, multiprocessing.connection.Connection)
                yield number_of[id(end)], np.frombuffer(end.recv_bytes(), np.uint64)

        yield receive

    return sender, receiver


WAYS: dict[str, Callable[[int], Way]] = {
    "ndshare": lambda count: _ndshare(count, False),
    "ndshare-epoll": lambda count: _ndshare(count, True),
    "pipes": _pipes,
}


def publish(side: Side, sender: Sender, streams: int, burst: int) -> Findings:
    words = payload.smalls()[0].copy()
    number = 0
    clock = time.perf_counter_ns
    with sender(side) as send:

        def one_burst() -> int:
            nonlocal number
            begin_ns = clock()
            for _ in range(burst):
                stream = payload.stream_of(number, streams, burst)
                words[0], words[1] = number, stream
                send(stream, words)
                number += 1
            while struct.unpack_from("<Q", side.shared)[0] < number:
                pass
            return clock() - begin_ns

        for _ in range(max(1, side.warm_up // burst)):
            one_burst()
        side.pin()
        side.meet()
        side.begin()
        samples = [one_burst() for _ in range(max(1, side.count // burst))]
        side.end()
        side.meet()
    wrong, checksum = struct.unpack_from("<2Q", side.shared, 8)
    return findings(
        samples,
        side,
        ops_per_sample=burst,
        streams=streams,
        frames=number,
        wrong=wrong,
        checksum=checksum,
    )


def receive_all(side: Side, receiver: Receiver, streams: int, burst: int) -> None:
    last = [-1] * streams
    count = wrong = total = 0

    with receiver(side) as receive:

        def run(until: int) -> None:
            nonlocal count, wrong, total
            while count < until:
                for stream, words in receive():
                    number = int(words[0])
                    wrong += int(words[1]) != stream or number <= last[stream]
                    last[stream] = number
                    total += int(words.sum(dtype=np.uint64))
                    count += 1
                    if burst == 1 or count == until or count % burst == 0:
                        struct.pack_into("<Q", side.shared, 0, count)

        warm_up = burst * max(1, side.warm_up // burst)
        run(warm_up)
        side.pin()
        side.meet()
        side.begin()
        run(warm_up + burst * max(1, side.count // burst))
        side.end()
        struct.pack_into("<2Q", side.shared, 8, wrong, total % (1 << 64))
        side.meet()


def main() -> None:
    options = arguments("wait for many streams", list(WAYS), streams=1, together=0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    streams = options.streams
    burst = streams if options.together else 1
    sender, receiver = WAYS[options.way](streams)
    run_pair(
        options,
        lambda side: publish(side, sender, streams, burst),
        lambda side: receive_all(side, receiver, streams, burst),
    )


if __name__ == "__main__":
    main()
