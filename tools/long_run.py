"""Every kind of operation, over and over in one process: does anything grow?

python tools/long_run.py ROUNDS    fourteen operations and more a round; exit status 1 if it grew
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

import ndshare

PAGES_MAX = 1000  # of 4 KiB; Python's own arenas come and go


def sizes() -> tuple[int, int, int, int]:
    """Descriptors, mappings, pages, and objects that Python's collector knows."""
    gc.collect()
    maps = len(Path("/proc/self/maps").read_text().splitlines())
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(list(Path("/proc/self/fd").iterdir())), maps, pages, len(gc.get_objects())


class Work:
    """Handles of each noun, and one round with all of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value, self.out = np.zeros(60, "u8"), np.empty(60, "u8")
        self.boxes = np.ones((5, 6), "f4")
        self.array = ndshare.create(f"{name}/array", (60,), "u8")
        self.reader = ndshare.open(f"{name}/array")
        self.publisher = ndshare.Publisher(f"{name}/stream", (60,), "u8", overflow="block")
        self.subscriber = ndshare.Subscriber(f"{name}/stream")
        fields = {"boxes": ndshare.Spec(maxshape=(30, 6), dtype="f4"), "id": ((), "u8")}
        self.detector = ndshare.Publisher(f"{name}/fields", fields=fields)
        self.newest = ndshare.Subscriber(f"{name}/fields", latest=True)
        self.objects = ndshare.Publisher(f"{name}/objects", dtype=object, max_nbytes=4096)
        self.taker = ndshare.Subscriber(f"{name}/objects", latest=True)
        specs = {"inputs": {"x": ((3,), "i8")}, "outputs": {"y": ((), "i8")}}
        self.worker = ndshare.Worker(f"{name}/service", **specs, slots=4)
        self.client = ndshare.Client(f"{name}/service")
        model, size = lambda x: x.sum(axis=1), {"max_batch_size": 4}
        self.thread = threading.Thread(target=self.worker.run, args=(model,), kwargs=size)
        self.thread.start()

    def close(self) -> None:
        self.worker.close()
        self.thread.join()

    def round(self, k: int) -> None:
        self.array[3] = k
        assert self.reader[3] == k
        self.reader.read(out=self.out)
        np.asarray(self.reader)
        self.array[...] = self.value
        with self.array.write() as inside:
            inside[0] += 1
        self.publisher.put(self.value)
        frame = self.subscriber.get()
        assert (frame.array[0], frame.age >= 0, frame.ref.seq) == (0, True, frame.seq)
        with self.publisher.loan() as loan:
            loan.array[0] = k
        frame = self.subscriber.get(1.0)
        view = frame.array[:3]
        frame.close()
        assert view[0] == k
        if k % 10 == 0:
            self.seldom(k)
        if k % 100 == 0:
            self.rarely()

    def seldom(self, k: int) -> None:
        self.detector.put({"boxes": self.boxes[: k // 10 % 5], "id": k}, attrs={"k": k})
        frame = self.newest.get()
        assert (len(frame["boxes"]), frame.attrs["k"]) == (k // 10 % 5, k)
        self.objects.put({"a": [k, self.boxes]})
        assert self.taker.get().value["a"][0] == k
        assert self.client((k, 1, 1), timeout=60) == k + 2
        assert self.client.submit((k, 1, 1)).frame().array == k + 2
        with suppress(IndexError):
            self.array[99]
        with suppress(TypeError):
            self.publisher.put(np.zeros(3))
        with suppress(ndshare.Error):
            ndshare.FrameRef(f"{self.name}/stream", 0, 0).get()
        self.array.attrs["k"] = k
        assert dict(self.reader.attrs) == {"k": k}

    def rarely(self) -> None:
        name = f"{self.name}/short"
        with ndshare.create(name, (5,)), ndshare.open(name) as again:
            assert again.array[0] == 0
        with ndshare.Publisher(name, (5,)) as publisher, ndshare.Subscriber(name) as subscriber:
            publisher.put(np.ones(5))
            assert subscriber.get().array[0] == 1
        ndshare.info(f"{self.name}/array")
        ndshare.ls(f"{self.name}/*")


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    work = Work(f"long-run-{os.getpid()}")
    try:
        for k in range(3000):
            work.round(k)
        before, began = sizes(), time.monotonic()
        for k in range(rounds):
            work.round(k)
            if rounds >= 10 and k % (rounds // 10) == 0:
                print(f"{k:,} of {rounds:,} rounds", flush=True)
        after = sizes()
    finally:
        work.close()
    print(f"{rounds:,} rounds in {time.monotonic() - began:.1f} s")
    for what, first, last in zip(
        ("descriptors", "mappings", "pages", "objects"), before, after, strict=True
    ):
        print(f"{what:12}{first:>10,} before{last:>10,} after")
    grew = (
        after[0] > before[0]
        or after[1] > before[1] + 4
        or after[2] > before[2] + PAGES_MAX
        or after[3] > before[3] + 100
    )
    print("it grew" if grew else "nothing grew")
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
