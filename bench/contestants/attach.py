"""One way to open an array of another process, touch its first element and close it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair


class Way(NamedTuple):
    """hold(name): the array exists inside the block. attach(name): its whole contents and the
    operation that is measured, which returns the first element."""

    hold: Callable[[str], Any]
    attach: Callable[[str], tuple[Callable[[], int], Callable[[], payload.Words]]]
    end: Callable[[str], None] = lambda name: None


# ---- ndshare -------------------------------------------------------------------------------------


@contextmanager
def _hold_ndshare(name: str) -> Iterator[None]:
    import ndshare

    with ndshare.create(name, data=payload.smalls()[0]) as array:
        yield
        array.unlink()


def _attach_ndshare(name: str) -> tuple[Callable[[], int], Callable[[], payload.Words]]:
    import ndshare

    def once() -> int:
        with ndshare.open(name) as handle:
            return int(handle.array[0])

    def whole() -> payload.Words:
        with ndshare.open(name) as handle:
            return handle.array.copy()

    return once, whole


# ---- SharedArray ---------------------------------------------------------------------------------


@contextmanager
def _hold_shared_array(name: str) -> Iterator[None]:
    import SharedArray

    array = SharedArray.create(f"shm://{name}", payload.SMALL_WORDS, dtype=np.uint64)
    try:
        array[:] = payload.smalls()[0]
        yield
    finally:
        SharedArray.delete(f"shm://{name}")


def _attach_shared_array(name: str) -> tuple[Callable[[], int], Callable[[], payload.Words]]:
    import SharedArray

    url = f"shm://{name}"

    def once() -> int:
        return int(SharedArray.attach(url)[0])  # unmapped with its last reference, here

    return once, lambda: SharedArray.attach(url).copy()


# ---- multiprocessing.shared_memory ---------------------------------------------------------------


@contextmanager
def _hold_stdlib(name: str) -> Iterator[None]:
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(name, create=True, size=payload.SMALL_WORDS * 8)
    try:
        np.ndarray(payload.SMALL_WORDS, np.uint64, memory.buf)[:] = payload.smalls()[0]
        yield
    finally:
        memory.close()
        memory.unlink()


def _attach_with(
    options: dict[str, Any],
) -> Callable[[str], tuple[Callable[[], int], Callable[[], payload.Words]]]:
    def attach(name: str) -> tuple[Callable[[], int], Callable[[], payload.Words]]:
        from multiprocessing.shared_memory import SharedMemory

        def once() -> int:
            memory = SharedMemory(name, **options)
            array = np.ndarray(payload.SMALL_WORDS, np.uint64, memory.buf)
            value = int(array[0])
            del array  # close() refuses while a view is there
            memory.close()
            return value

        def whole() -> payload.Words:
            memory = SharedMemory(name, **options)
            copy = np.ndarray(payload.SMALL_WORDS, np.uint64, memory.buf).copy()
            memory.close()
            return copy

        return once, whole

    return attach


def _forget_stdlib(name: str) -> None:
    # Else the resource tracker of the attaching process would remove the other's memory at exit.
    from multiprocessing import resource_tracker

    resource_tracker.unregister(f"/{name}", "shared_memory")


WAYS = {
    "ndshare": Way(_hold_ndshare, _attach_ndshare),
    "SharedArray": Way(_hold_shared_array, _attach_shared_array),
    "stdlib": Way(_hold_stdlib, _attach_with({}), _forget_stdlib),
    "stdlib-untracked": Way(_hold_stdlib, _attach_with({"track": False})),
}


def main() -> None:
    options = arguments("attach to an array of another process", list(WAYS))
    way = WAYS[options.way]

    def first(side: Side) -> Findings:
        side.meet()  # the array is there
        once, whole = way.attach(side.name("attach"))
        for _ in range(side.warm_up):
            once()
        side.pin()
        samples = [0] * side.count
        total = 0
        side.begin()
        last_ns = time.perf_counter_ns()
        for k in range(side.count):
            total += once()
            now_ns = time.perf_counter_ns()
            samples[k] = now_ns - last_ns
            last_ns = now_ns
        side.end()
        total += payload.sum_of(whole())
        way.end(side.name("attach"))
        side.meet()
        return findings(samples, side, checksum=total % (1 << 64))

    def second(side: Side) -> None:
        with way.hold(side.name("attach")):
            side.meet()
            side.begin()
            side.end()
            side.meet()

    run_pair(options, first, second)


if __name__ == "__main__":
    main()
