"""What many small arrays cost the process that makes them and one that opens them all."""

from __future__ import annotations

import resource
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import payload
from pair import Findings, Side, arguments, run_pair


class Way(NamedTuple):
    """make(stack, name) and attach(stack, name): the array, alive until the stack is left."""

    make: Callable[[ExitStack, str], payload.Words]
    attach: Callable[[ExitStack, str], payload.Words]
    predict: Callable[[], int] = lambda: 0


def _ndshare() -> Way:
    import ndshare

    def make(stack: ExitStack, name: str) -> payload.Words:
        return stack.enter_context(ndshare.create(name, payload.SMALL_WORDS, np.uint64)).array

    def attach(stack: ExitStack, name: str) -> payload.Words:
        return stack.enter_context(ndshare.open(name)).array

    return Way(make, attach, lambda: ndshare.Array.footprint(payload.SMALL_WORDS, np.uint64))


def _shared_array() -> Way:
    import SharedArray

    def make(stack: ExitStack, name: str) -> payload.Words:
        array: payload.Words = SharedArray.create(
            f"shm://{name}", payload.SMALL_WORDS, dtype=np.uint64
        )
        stack.callback(SharedArray.delete, f"shm://{name}")
        return array

    return Way(make, lambda stack, name: SharedArray.attach(f"shm://{name}"))


def _stdlib() -> Way:
    from multiprocessing import resource_tracker
    from multiprocessing.shared_memory import SharedMemory

    nbytes = payload.SMALL_WORDS * 8

    def make(stack: ExitStack, name: str) -> payload.Words:
        memory = SharedMemory(name, create=True, size=nbytes)
        stack.callback(memory.unlink)
        return _view(stack, memory)

    def attach(stack: ExitStack, name: str) -> payload.Words:
        memory = SharedMemory(name)
        if sys.version_info < (3, 13):
            # Else this process's resource tracker would remove the other's memory at exit.
            stack.callback(resource_tracker.unregister, f"/{name}", "shared_memory")
        return _view(stack, memory)

    def _view(stack: ExitStack, memory: SharedMemory) -> payload.Words:
        stack.callback(memory.close)
        return np.ndarray(payload.SMALL_WORDS, np.uint64, memory.buf)

    return Way(make, attach)


def _pyshmem() -> Way:
    import pyshmem

    # It shows its memory only inside a lock or a write: every look is a read.
    def make(stack: ExitStack, name: str) -> Any:
        stream = pyshmem.create(name, shape=(payload.SMALL_WORDS,), dtype=np.uint64)
        stack.callback(stream.close)
        stack.callback(stream.unlink)
        return stream

    def attach(stack: ExitStack, name: str) -> Any:
        stream = pyshmem.open(name)
        stack.callback(stream.close)
        return stream

    return Way(make, attach)


WAYS: dict[str, Callable[[], Way]] = {
    "ndshare": _ndshare,
    "SharedArray": _shared_array,
    "stdlib": _stdlib,
    "pyshmem": _pyshmem,
}


class Usage(NamedTuple):
    """Of this process, but for shared_nbytes, which is the machine's."""

    private_nbytes: int
    fds: int
    maps: int
    shared_nbytes: int

    @classmethod
    def now(cls) -> Usage:
        return cls(
            _kilobytes("/proc/self/status", "RssAnon:"),
            len(list(Path("/proc/self/fd").iterdir())),
            len(Path("/proc/self/maps").read_text().splitlines()),
            _kilobytes("/proc/meminfo", "Shmem:"),
        )

    def since(self, before: Usage) -> Usage:
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))


def _kilobytes(file: str, word: str) -> int:
    for line in Path(file).read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{file} has no {word}")


def _raise_fd_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    options = arguments("hold many small arrays", list(WAYS))
    smalls = payload.smalls()

    def names(side: Side) -> list[str]:
        return [side.name(f"memory-{k}") for k in range(side.count)]

    def first(side: Side) -> Findings:
        _raise_fd_limit()
        way = WAYS[options.way]()
        side.meet()  # the other's libraries are loaded
        before = Usage.now()
        with ExitStack() as stack:
            begin_ns = time.perf_counter_ns()
            held = [way.make(stack, name) for name in names(side)]
            create_ns = time.perf_counter_ns() - begin_ns
            for k, array in enumerate(held):
                small = smalls[k % payload.SMALL_COUNT]
                if isinstance(array, np.ndarray):
                    array[:] = small
                else:
                    array.write(small)
            made = Usage.now().since(before)
            side.meet()  # they are there
            side.meet()  # the other has counted
            predicted = way.predict()
            opened = Usage(*struct.unpack_from("<4q", side.shared))
            total, open_ns = struct.unpack_from("<2Q", side.shared, 32)
            side.meet()  # the other has closed
            held.clear()
            del array
        n = side.count
        return {
            "ops": n,
            "checksum": total,
            "nbytes": payload.SMALL_WORDS * 8,
            "create_ns": create_ns / n,
            "open_ns": open_ns / n,
            "shared_nbytes": made.shared_nbytes / n,
            "predicted_nbytes": predicted,
            "control_nbytes": made.shared_nbytes / n - payload.SMALL_WORDS * 8,
            "maker_fds": made.fds / n,
            "maker_maps": made.maps / n,
            "maker_private_nbytes": made.private_nbytes / n,
            "opener_fds": opened.fds / n,
            "opener_maps": opened.maps / n,
            "opener_private_nbytes": opened.private_nbytes / n,
            "opener_shared_nbytes": opened.shared_nbytes / n,
        }

    def second(side: Side) -> None:
        _raise_fd_limit()
        way = WAYS[options.way]()
        side.meet()
        side.meet()
        before = Usage.now()
        total = 0
        with ExitStack() as stack:
            begin_ns = time.perf_counter_ns()
            held = [way.attach(stack, name) for name in names(side)]
            open_ns = time.perf_counter_ns() - begin_ns
            for array in held:
                words = array if isinstance(array, np.ndarray) else array.read()
                total += payload.sum_of(words)
                del words
            struct.pack_into("<4q", side.shared, 0, *Usage.now().since(before))
            struct.pack_into("<2Q", side.shared, 32, total % (1 << 64), open_ns)
            side.meet()
            held.clear()
            del array
        side.meet()

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
