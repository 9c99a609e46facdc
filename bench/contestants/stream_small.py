"""One way to pass 480 bytes to another process, one message after the other, and lose none.

The receiver copies each into a row of an array of its own, as who fills a batch does: where a way
hands out bytes, numpy.frombuffer() makes an array of them first ("-bytes": without, and the bytes
are kept). What came is compared after the clock has stopped.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair
from payload import SMALL_NBYTES, SMALL_WORDS

from contestants import peers

OPS_PER_SAMPLE = payload.SMALL_COUNT
# As many at once where a way takes several.
MANY = 16 * payload.SMALL_COUNT

# The first side receives the next one, waited for; or several, as rows. The second sends message k;
# or so many.
Receive = Callable[[], Any]
Send = Callable[[int], Any]
Ends = Callable[[Side], AbstractContextManager[Callable[..., Any]]]

_WORDS = payload.smalls()
_BYTES: list[bytes] = [row.tobytes() for row in _WORDS]


def _of_bytes(receive: Callable[[], Any]) -> Receive:
    """The same, as an array."""
    frombuffer, dtype = np.frombuffer, np.dtype(np.uint64)
    return lambda: frombuffer(receive(), dtype)


def _small(k: int) -> bytes:
    return _BYTES[k % payload.SMALL_COUNT]


# ---- ndshare -------------------------------------------------------------------------------------

SLOTS = 64


@contextmanager
def _ndshare(side: Side) -> Iterator[Callable[..., Any]]:
    import ndshare

    if side.index == 0:
        with ndshare.Subscriber(side.name("stream")) as subscriber:
            get = subscriber.get
            yield lambda: get().array
        return
    rows = list(_WORDS)
    with ndshare.Publisher(
        side.name("stream"), SMALL_WORDS, np.uint64, slots=SLOTS, overflow="block"
    ) as publisher:
        put = publisher.put
        awaited = False

        def send(k: int) -> None:
            nonlocal awaited
            if not awaited:
                awaited = publisher.wait_subscribers(1)
            put(rows[k % payload.SMALL_COUNT])

        yield send


@contextmanager
def _ndshare_many(side: Side) -> Iterator[Callable[..., Any]]:
    import ndshare

    if side.index == 0:
        with ndshare.Subscriber(side.name("stream")) as subscriber:
            yield subscriber.get_many
        return
    block = np.tile(_WORDS, (MANY // payload.SMALL_COUNT, 1))
    with ndshare.Publisher(
        side.name("stream"), SMALL_WORDS, np.uint64, slots=MANY, overflow="block"
    ) as publisher:

        def send(count: int) -> None:
            publisher.wait_subscribers(1)
            publisher.put_many(block[:count])

        yield send


# ---- iceoryx2 ------------------------------------------------------------------------------------


@contextmanager
def _iceoryx2(side: Side) -> Iterator[Callable[..., Any]]:
    if side.index == 1:
        side.meet()  # the subscriber is there
    with peers.iceoryx2_node(side) as node:
        service = peers.iceoryx2_service(node, side.name("small"), SMALL_NBYTES, SLOTS)
        if side.index == 0:
            subscriber = service.subscriber_builder().create()
            side.meet()
            side.meet()  # the publisher is there
            subscriber.has_samples()  # connects: it loses one when its buffer is full before

            def receive() -> bytes:
                while True:
                    sample = subscriber.receive()
                    if sample is not None:
                        return ctypes.string_at(sample.payload_ptr, SMALL_NBYTES)

            yield _of_bytes(receive)
        else:
            send = peers.iceoryx2_send(peers.iceoryx2_publisher(service), SMALL_NBYTES)
            addresses = [row.ctypes.data for row in _WORDS]
            side.meet()
            yield lambda k: send(addresses[k % payload.SMALL_COUNT])
        side.meet()


# ---- kickmsg -------------------------------------------------------------------------------------


@contextmanager
def _kickmsg_bytes(side: Side) -> Iterator[Callable[..., Any]]:
    import kickmsg

    depth = 256
    pace = peers.Pace(side, depth // 2)
    with peers.kickmsg_region(side, side.name("small"), SMALL_NBYTES, depth) as region:
        if side.index == 0:
            subscriber = kickmsg.Subscriber(region)
            side.meet()
            try_receive = subscriber.try_receive

            def receive() -> bytes:
                while True:
                    received: bytes | None = try_receive()
                    if received is not None:
                        pace.after_receive()
                        return received

            yield receive
        else:
            side.meet()
            publisher = kickmsg.Publisher(region)

            def send(k: int) -> None:
                pace.before_send()
                publisher.send(_small(k))

            yield send
        side.meet()


@contextmanager
def _kickmsg(side: Side) -> Iterator[Callable[..., Any]]:
    with _kickmsg_bytes(side) as way:
        yield way if side.index == 1 else _of_bytes(way)


# ---- eclipse-zenoh -------------------------------------------------------------------------------


@contextmanager
def _zenoh(side: Side) -> Iterator[Callable[..., Any]]:
    import zenoh

    # A socket between two peers that know each other: nothing is searched for.
    endpoint = f"unixsock-stream/{peers.socket_path(side, 'zenoh')}"
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("transport/shared_memory/enabled", "false")  # for large ones
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    where = "listen/endpoints" if side.index == 0 else "connect/endpoints"
    config.insert_json5("listen/endpoints", "[]")
    config.insert_json5(where, json.dumps([endpoint]))
    if side.index == 1:
        side.meet()  # there is somebody who listens
    with zenoh.open(config) as session:
        if side.index == 0:
            subscriber = session.declare_subscriber(
                side.name("small"), zenoh.handlers.FifoChannel(1024)
            )
            side.meet()
            yield _of_bytes(lambda: subscriber.recv().payload.to_bytes())
        else:
            publisher = session.declare_publisher(
                side.name("small"), congestion_control=zenoh.CongestionControl.BLOCK
            )
            while not publisher.matching_status.matching:
                time.sleep(0.001)
            yield lambda k: publisher.put(_small(k))
        side.meet()


# ---- pyzmq ---------------------------------------------------------------------------------------


@contextmanager
def _zmq(side: Side) -> Iterator[Callable[..., Any]]:
    import zmq

    address = f"ipc://{peers.socket_path(side, 'zmq')}"
    with zmq.Context() as context:
        if side.index == 0:
            with context.socket(zmq.PULL) as pull:
                pull.bind(address)
                yield _of_bytes(pull.recv)
                side.meet()
        else:
            with context.socket(zmq.PUSH) as push:
                push.connect(address)
                yield lambda k: push.send(_small(k))
                side.meet()


# ---- queues and pipes of multiprocessing, faster-fifo --------------------------------------------


def _of_both(receive: Callable[..., Any], send: Callable[..., Any]) -> Ends:
    @contextmanager
    def ends(side: Side) -> Iterator[Callable[..., Any]]:
        yield receive if side.index == 0 else send
        side.meet()

    return ends


def _queue() -> Ends:
    queue: multiprocessing.Queue[bytes] = multiprocessing.Queue()
    return _of_both(_of_bytes(queue.get), lambda k: queue.put(_small(k)))


def _pipe() -> Ends:
    reader, writer = multiprocessing.Pipe(duplex=False)
    # Bytes, not pickles: the fastest that it offers.
    return _of_both(_of_bytes(reader.recv_bytes), lambda k: writer.send_bytes(_small(k)))


def _faster_fifo_queue() -> Any:
    from faster_fifo import Queue

    return Queue(MANY * SMALL_NBYTES * 2, loads=bytes, dumps=bytes)


def _faster_fifo() -> Ends:
    queue = _faster_fifo_queue()
    return _of_both(
        _of_bytes(lambda: queue.get(timeout=10.0)), lambda k: queue.put(_small(k), timeout=10.0)
    )


def _faster_fifo_many() -> Ends:
    queue = _faster_fifo_queue()
    batch = [_small(k) for k in range(MANY)]

    def receive(most: int) -> Any:
        chunk = queue.get_many(timeout=10.0, max_messages_to_get=most)
        return np.frombuffer(b"".join(chunk), np.uint64).reshape(-1, SMALL_WORDS)

    return _of_both(receive, lambda count: queue.put_many(batch[:count], timeout=10.0))


WAYS: dict[str, Callable[[], Ends]] = {
    "ndshare": lambda: _ndshare,
    "ndshare-many": lambda: _ndshare_many,
    "iceoryx2": lambda: _iceoryx2,
    "kickmsg": lambda: _kickmsg,
    "kickmsg-bytes": lambda: _kickmsg_bytes,
    "zenoh": lambda: _zenoh,
    "zmq": lambda: _zmq,
    "queue": _queue,
    "pipe": _pipe,
    "faster-fifo": _faster_fifo,
    "faster-fifo-many": _faster_fifo_many,
}


def _sent(count: int) -> Any:
    return np.tile(_WORDS, (count // payload.SMALL_COUNT, 1))


def rounded(count: int) -> int:
    """The next multiple of the number of payloads: every run begins with the first one."""
    return -(-count // payload.SMALL_COUNT) * payload.SMALL_COUNT


def take(side: Side, receive: Receive, as_bytes: bool) -> Findings:
    count = rounded(side.count)
    # Filled once: what is measured is no first touch of memory.
    received: Any = [b""] * count if as_bytes else np.full((count, SMALL_WORDS), 1, np.uint64)

    def warm_up() -> None:
        for k in range(side.warm_up):
            if bytes(receive()) != _small(k):
                raise ValueError(f"payload {k} is not what was sent")

    side.meet()
    warm_up()
    side.pin()
    side.meet()
    warm_up()
    samples = [0] * (count // OPS_PER_SAMPLE)
    side.begin()
    last_ns = time.perf_counter_ns()
    for sample in range(len(samples)):
        for k in range(sample * OPS_PER_SAMPLE, (sample + 1) * OPS_PER_SAMPLE):
            received[k] = receive()
        now_ns = time.perf_counter_ns()
        samples[sample] = now_ns - last_ns
        last_ns = now_ns
    side.end()
    words = np.frombuffer(b"".join(received), np.uint64) if as_bytes else received
    wrong = int(np.count_nonzero((words.reshape(count, -1) != _sent(count)).any(axis=1)))
    return findings(
        samples, side, ops_per_sample=OPS_PER_SAMPLE, checksum=payload.sum_of(words), wrong=wrong
    )


def give(side: Side, send: Send) -> None:
    def run(count: int) -> None:
        for k in range(count):
            send(k)

    side.meet()
    run(side.warm_up)
    side.pin()
    side.meet()
    run(side.warm_up)
    side.begin()
    run(rounded(side.count))
    side.end()


def take_many(side: Side, receive: Callable[[int], Any]) -> Findings:
    """A sample is what one call returned, however many; p50 and p99 are of those."""
    count = -(-side.count // MANY) * MANY
    received: list[Any] = []

    def run(wanted: int) -> list[float]:
        samples = []
        last_ns = time.perf_counter_ns()
        while wanted > 0:
            chunk = receive(min(MANY, wanted))
            received.append(chunk)
            now_ns = time.perf_counter_ns()
            samples.append((now_ns - last_ns) / max(1, len(chunk)))
            last_ns = now_ns
            wanted -= len(chunk)
        return samples

    side.meet()
    run(MANY)
    side.pin()
    side.meet()
    run(MANY)
    received.clear()
    side.begin()
    begin_ns = time.perf_counter_ns()
    samples = run(count)
    mean_ns = (time.perf_counter_ns() - begin_ns) / count
    side.end()
    words = np.concatenate(received)
    return findings(
        samples,
        side,
        checksum=payload.sum_of(words),
        wrong=int(np.count_nonzero((words != _sent(count)).any(axis=1))),
    ) | {
        "ops": count,
        "mean_ns": mean_ns,
        "per_second": 1e9 / mean_ns,
        "cpu_ns_per_op": side.cpu_of_both_ns / count,
    }


def give_many(side: Side, send: Callable[[int], Any]) -> None:
    count = -(-side.count // MANY) * MANY
    side.meet()
    send(MANY)
    side.pin()
    side.meet()
    send(MANY)
    side.begin()
    for _ in range(count // MANY):
        send(MANY)
    side.end()


def main() -> None:
    options = arguments("pass 480 bytes one way", list(WAYS))
    ends = WAYS[options.way]()
    many = options.way.endswith("-many")

    def first(side: Side) -> Findings:
        with ends(side) as receive:
            if many:
                return take_many(side, receive)
            return take(side, receive, options.way.endswith("-bytes"))

    def second(side: Side) -> None:
        with ends(side) as send:
            if many:
                give_many(side, send)
            else:
                give(side, send)

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
