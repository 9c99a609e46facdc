"""One way to copy 1 MB that another process writes a thousand times a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair

WRITE_PERIOD_NS = 1_000_000
WRITES_BEFORE_PIN = 20
# The front of Side.shared says when to stop; copyto's block follows.
BLOCK_OFFSET_NBYTES = 4096

Read = Callable[[payload.Words], object]
Write = Callable[[payload.Words], object]


@contextmanager
def _copyto_reader(side: Side) -> Iterator[Read]:
    block = _block_of(side)
    yield lambda out: np.copyto(out, block)


@contextmanager
def _copyto_writer(side: Side) -> Iterator[Write]:
    block = _block_of(side)
    yield lambda words: np.copyto(block, words)


def _block_of(side: Side) -> payload.Words:
    return np.frombuffer(side.shared, np.uint64, payload.BLOCK_WORDS, BLOCK_OFFSET_NBYTES)


@contextmanager
def _ndshare_reader(side: Side) -> Iterator[Read]:
    import ndshare

    with ndshare.open(side.name("block"), timeout=10.0) as array:
        yield lambda out: array.read(out)


@contextmanager
def _ndshare_writer(side: Side) -> Iterator[Write]:
    import ndshare

    with ndshare.create(side.name("block"), payload.BLOCK_WORDS, np.uint64) as array:

        def write(words: payload.Words) -> None:
            array[...] = words

        yield write


@contextmanager
def _pyshmem_reader(side: Side) -> Iterator[Read]:
    import pyshmem

    stream = pyshmem.open(side.name("block"))
    try:
        yield lambda out: stream.read(out=out)
    finally:
        stream.close()


@contextmanager
def _pyshmem_writer(side: Side) -> Iterator[Write]:
    import pyshmem

    stream = pyshmem.create(side.name("block"), shape=(payload.BLOCK_WORDS,), dtype=np.uint64)
    try:
        yield stream.write
    finally:
        stream.unlink()
        stream.close()


WAYS: dict[
    str,
    tuple[
        Callable[[Side], AbstractContextManager[Read]],
        Callable[[Side], AbstractContextManager[Write]],
    ],
] = {
    "copyto": (_copyto_reader, _copyto_writer),
    "ndshare": (_ndshare_reader, _ndshare_writer),
    "pyshmem": (_pyshmem_reader, _pyshmem_writer),
}


def read_blocks(side: Side, read: Read) -> Findings:
    """Only the copy is timed, not the look at it."""
    copy, scratch = (np.ones(payload.BLOCK_WORDS, dtype=np.uint64) for _ in range(2))
    places = payload.block_places()
    for _ in range(side.warm_up):
        read(copy)
    side.pin()
    versions = torn = backwards = last_version = 0
    samples = [0] * side.count
    side.begin()
    for k in range(side.count):
        begin_ns = time.perf_counter_ns()
        read(copy)
        samples[k] = time.perf_counter_ns() - begin_ns
        version = payload.block_version(copy)
        if not payload.is_whole(copy, places, scratch):
            torn += 1
        elif version < last_version:
            backwards += 1
        versions += version != last_version
        last_version = version
    side.shared[0] = 1
    side.end()
    return findings(
        samples,
        side,
        torn=torn,
        backwards=backwards,
        versions=versions,
        bytes=payload.BLOCK_NBYTES,
    )


def write_blocks(side: Side, write: Write) -> None:
    """The words are made before, so that only a copy falls into the write."""
    places = payload.block_places()
    words = np.zeros_like(places)
    version = 0

    def write_next() -> None:
        nonlocal version
        version += 1
        np.add(places, payload.block_base(version), out=words)
        write(words)

    write_next()
    side.meet()
    next_ns = time.monotonic_ns()
    side.begin()
    while not side.shared[0]:
        write_next()
        if version == WRITES_BEFORE_PIN:
            side.pin()
        next_ns += WRITE_PERIOD_NS
        time.sleep(max(0, next_ns - time.monotonic_ns()) / 1e9)
    side.end()


def main() -> None:
    options = arguments("read 1 MB consistently", list(WAYS))
    reader, writer = WAYS[options.way]

    def first(side: Side) -> Findings:
        side.meet()  # written once
        with reader(side) as read:
            result = read_blocks(side, read)
        side.meet()
        return result

    def second(side: Side) -> None:
        with writer(side) as write:
            write_blocks(side, write)
            side.meet()

    run_pair(options, first, second, BLOCK_OFFSET_NBYTES + payload.BLOCK_NBYTES)


if __name__ == "__main__":
    main()
