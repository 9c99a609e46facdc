"""One way to send 480 bytes to several processes; none is lost by any of them.

The first side publishes 32 at once and waits until all have them, as programs/ndshare_fan_out.cpp
does; p50 is of the publishing alone, delivered_ns of both.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import crowd
import numpy as np
import payload
from numpy.typing import NDArray
from pair import Findings, Side, arguments, findings, run_pair
from payload import SMALL_COUNT, SMALL_NBYTES, SMALL_WORDS

from contestants import peers

BURST = 32
SLOTS = 2 * BURST
# Of each subscriber, a cache line.
_FRAMES, _SUM, _WRONG, _REPORT_WORDS = 0, 1, 2, 8

# publisher(side): send(number). subscriber(side, number): receive(), the bytes of the next one.
Publisher = Callable[[Side], AbstractContextManager[Callable[[int], object]]]
Subscriber = Callable[[Side, int], AbstractContextManager[Callable[[], Any]]]
Way = tuple[Publisher, Subscriber]

_WORDS = payload.smalls()
_ROWS = list(_WORDS)
_BYTES = [row.tobytes() for row in _WORDS]


def _ndshare(count: int) -> Way:
    @contextmanager
    def publisher(side: Side) -> Iterator[Callable[[int], object]]:
        import ndshare

        with ndshare.Publisher(
            side.name("fan-out"), SMALL_WORDS, np.uint64, slots=SLOTS, overflow="block"
        ) as made:
            side.meet()
            made.wait_subscribers(count)
            yield lambda number: made.put(_ROWS[number % SMALL_COUNT])

    @contextmanager
    def subscriber(side: Side, number: int) -> Iterator[Callable[[], Any]]:
        import ndshare

        with ndshare.Subscriber(side.name("fan-out")) as made:
            yield lambda: made.get().array

    return publisher, subscriber


def _pipes(count: int) -> Way:
    """One for each."""
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(count)]

    @contextmanager
    def publisher(side: Side) -> Iterator[Callable[[int], object]]:
        ends = [sender for _, sender in pipes]

        def send(number: int) -> None:
            for end in ends:
                end.send_bytes(_BYTES[number % SMALL_COUNT])

        side.meet()
        yield send

    @contextmanager
    def subscriber(side: Side, number: int) -> Iterator[Callable[[], Any]]:
        yield pipes[number][0].recv_bytes

    return publisher, subscriber


def _zmq(count: int) -> Way:
    @contextmanager
    def publisher(side: Side) -> Iterator[Callable[[int], object]]:
        import zmq

        with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # tells of each subscriber
            socket.bind(f"ipc://{peers.socket_path(side, 'zmq')}")
            side.meet()
            for _ in range(count):
                socket.recv()
            yield lambda number: socket.send(_BYTES[number % SMALL_COUNT])

    @contextmanager
    def subscriber(side: Side, number: int) -> Iterator[Callable[[], Any]]:
        import zmq

        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
            socket.connect(f"ipc://{peers.socket_path(side, 'zmq')}")
            yield socket.recv

    return publisher, subscriber


def _iceoryx2(count: int) -> Way:
    @contextmanager
    def publisher(side: Side) -> Iterator[Callable[[int], object]]:
        with peers.iceoryx2_node(side) as node:
            service = peers.iceoryx2_service(
                node, side.name("fan-out"), SMALL_NBYTES, SLOTS, subscribers=count
            )
            send = peers.iceoryx2_send(peers.iceoryx2_publisher(service), SMALL_NBYTES)
            side.meet()
            while service.dynamic_config.number_of_subscribers < count:
                time.sleep(0.001)
            addresses = [row.ctypes.data for row in _WORDS]
            yield lambda number: send(addresses[number % SMALL_COUNT])

    @contextmanager
    def subscriber(side: Side, number: int) -> Iterator[Callable[[], Any]]:
        with peers.iceoryx2_node(side) as node:
            service = peers.iceoryx2_service(
                node, side.name("fan-out"), SMALL_NBYTES, SLOTS, subscribers=count
            )
            made = service.subscriber_builder().create()

            def receive() -> bytes:
                while (sample := made.receive()) is None:
                    # They share a CPU: who has nothing to do lets the next one look.
                    time.sleep(0)
                return ctypes.string_at(sample.payload_ptr, SMALL_NBYTES)

            yield receive

    return publisher, subscriber


WAYS: dict[str, Callable[[int], Way]] = {
    "ndshare": _ndshare,
    "pipes": _pipes,
    "zmq": _zmq,
    "iceoryx2": _iceoryx2,
}


def _reports(side: Side, count: int) -> NDArray[np.uint64]:
    return np.frombuffer(side.shared, np.uint64, count * _REPORT_WORDS).reshape(count, -1)


def _bursts(count: int) -> int:
    return -(-count // BURST)


def publish(side: Side, publisher: Publisher, count: int) -> Findings:
    reports = _reports(side, count)
    frames = reports[:, _FRAMES]
    number = 0
    clock = time.perf_counter_ns
    with publisher(side) as send:

        def burst() -> int:
            nonlocal number
            begin_ns = clock()
            for _ in range(BURST):
                send(number)
                number += 1
            took_ns = clock() - begin_ns
            while frames.min() < number:
                pass
            return took_ns

        for _ in range(_bursts(side.warm_up)):
            burst()
        side.pin()
        for _ in range(_bursts(side.warm_up)):
            burst()
        begin_ns = clock()
        samples = [burst() for _ in range(_bursts(side.count))]
        delivered_ns = (clock() - begin_ns) / (len(samples) * BURST)
        side.meet()  # all have left their loops
    wrong = int(reports[:, _WRONG].sum()) + int((frames != number).sum())
    return findings(
        samples,
        side,
        ops_per_sample=BURST,
        delivered_ns=delivered_ns,
        frames=number,
        wrong=wrong,
        checksum=int(reports[:, _SUM].sum(dtype=np.uint64)),
    )


def subscribe(side: Side, subscriber: Subscriber, count: int) -> None:
    side.meet()  # the publisher is there
    reports = _reports(side, count)
    total = 2 * BURST * _bursts(side.warm_up) + BURST * _bursts(side.count)

    def body(number: int, meet: crowd.Meet) -> None:
        report = reports[number]
        with subscriber(side, number) as receive:
            for k in range(total):
                words = np.frombuffer(receive(), np.uint64)
                report[_WRONG] += words[0] != _WORDS[k % SMALL_COUNT][0]
                report[_SUM] += words.sum(dtype=np.uint64)
                report[_FRAMES] = k + 1
                if k + 1 == BURST:
                    side.pin()
            meet()

    with np.errstate(over="ignore"):  # sums wrap around as in C++
        crowd.run_clients(count, body)
    side.meet()


def main() -> None:
    options = arguments("send to several processes", list(WAYS), subscribers=1)
    count = options.subscribers
    publisher, subscriber = WAYS[options.way](count)
    run_pair(
        options,
        lambda side: publish(side, publisher, count),
        lambda side: subscribe(side, subscriber, count),
        8 * _REPORT_WORDS * count,
    )


if __name__ == "__main__":
    main()
