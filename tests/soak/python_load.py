"""Python's part of the crash campaign: a nursery that imports the package once and forks children
which do what roles_*.cpp do in C++. One order a line on stdin, "ROLE PLACE ID SEED"; the answer is
the child's pid. Children become the campaign's own, which reaps them.

Usage: python_load.py LEDGER (the file that ledger.h describes).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ndshare

PATIENCE_SECONDS = 30.0
PAYLOAD_BYTES = 1024
ENTRY_BYTES, TEXT_OFFSET, TEXT_BYTES = 1024, 176, 847
DOING = [
    "starting",
    "between",
    "attaching",
    "writing",
    "reading",
    "publishing",
    "taking",
    "holding",
    "asking",
    "answering",
    "naming",
    "forking",
    "leaving",
]
MASK = (1 << 64) - 1
PR_SET_PDEATHSIG = 1

Bytes = NDArray[np.uint8]
Mark = tuple[int, int]


class WrongError(Exception):
    """Something that the package must never do."""


# ---- payload.h ----------------------------------------------------------------------------------


def mixed(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def payload(mark: Mark, size_bytes: int = PAYLOAD_BYTES) -> Bytes:
    lines = []
    for place in range(size_bytes // 64):
        state = mixed(mark[0] ^ mixed(mark[1] ^ mixed(place)))
        words = []
        for _ in range(5):
            state = mixed(state)
            words.append(state)
        lines.append([*mark, place, *words])
    return np.array(lines, "u8").reshape(-1).view("u1")


def proven(values: Bytes) -> Mark | None:
    flat = np.ascontiguousarray(values).view("u8")
    mark = (int(flat[0]), int(flat[1]))
    return mark if np.array_equal(flat.view("u1"), payload(mark)) else None


def answer_to(mark: Mark) -> int:
    return mixed((mark[0] * 3 + mixed((mark[1] + 1) & MASK)) & MASK)


# ---- ledger.h -----------------------------------------------------------------------------------


class Life:
    """A child's line in the ledger, and its chance."""

    def __init__(self, ledger: mmap.mmap, place: int, number: int, seed: int) -> None:
        self.ledger, self.at = ledger, (1 + place) * ENTRY_BYTES
        self.id, self.chance = number, random.Random(seed)
        self._put("I", 8, self._get("I", 8) | 1)
        self._put("I", 4, os.getpid())
        self._add(24)
        self.now("starting")

    def _get(self, kind: str, offset: int) -> int:
        return int(struct.unpack_from("<" + kind, self.ledger, self.at + offset)[0])

    def _put(self, kind: str, offset: int, value: int) -> None:
        struct.pack_into("<" + kind, self.ledger, self.at + offset, value)

    def _add(self, offset: int) -> None:
        self._put("Q", offset, self._get("Q", offset) + 1)

    def now(self, doing: str) -> None:
        self._put("I", 0, DOING.index(doing))
        self._add(16)

    def did(self, doing: str) -> None:
        self._add(48 + 8 * DOING.index(doing))
        self.now("between")

    def one_in(self, n: int) -> bool:
        return self.chance.randrange(n) == 0

    def wrong(self, text: str) -> None:
        raw = text.encode()[:TEXT_BYTES]
        self.ledger[self.at + TEXT_OFFSET : self.at + TEXT_OFFSET + len(raw)] = raw
        self._put("I", 12, 1)


def require(good: bool, text: str) -> None:
    if not good:
        raise WrongError(text)


def require_proven(values: Bytes, what: str) -> Mark:
    mark = proven(values)
    if mark is None:
        raise WrongError(f"torn: {what}")
    return mark


# ---- roles --------------------------------------------------------------------------------------


def use_arrays(life: Life) -> None:
    life.now("attaching")
    array: Any = ndshare.open("kept", writeable=True, timeout=PATIENCE_SECONDS)
    version = 0
    for count in range(1 << 60):
        with suppress(ndshare.IncompleteWrite):
            if life.one_in(2):
                life.now("writing")
                values = payload((life.id, count))
                if life.one_in(2):
                    array[...] = values
                else:
                    with array.write(recover=life.one_in(2), timeout=PATIENCE_SECONDS) as w:
                        w[::2] = values[::2]
                        w[1::2] = values[1::2]
                life.did("writing")
            else:
                life.now("reading")
                require_proven(array.read(timeout=PATIENCE_SECONDS), "a copy mixes writes")
                require(array.version >= version, "a version went back")
                version = array.version
                life.did("reading")
        if life.one_in(100):
            array.close()
            array = ndshare.open("kept", writeable=True, timeout=PATIENCE_SECONDS)


def use_streams(life: Life) -> None:
    life.now("attaching")
    name = life.chance.choice(["drop", "block"])
    publisher: Any = ndshare.Publisher(
        name,
        (PAYLOAD_BYTES,),
        "u1",
        slots=8,
        overflow="block" if name == "block" else "drop_oldest",
        shared=True,
    )
    subscriber: Any = ndshare.Subscriber(name)
    count, last, lost = 0, 0, 0
    while True:
        life.now("publishing")
        # Not for ever: what it waits for in `block` may be its own subscriber.
        seq = publisher.put(payload((life.id, count + 1))) if name == "drop" else None
        if seq is not None:
            count += 1
        life.did("publishing")
        life.now("taking")
        frame = subscriber.get(timeout=PATIENCE_SECONDS)
        require(frame is not None, "hung: no frame came in time")
        mark = require_proven(frame.array, "a frame mixes writes")
        lost_now = subscriber.lost - lost
        require(
            last == 0 or frame.seq == last + lost_now + 1,
            f"lost: frame {frame.seq} came after {last} and {lost_now} lost",
        )
        require(name == "drop" or subscriber.lost == 0, "lost: a block stream says so itself")
        last, lost = frame.seq, subscriber.lost
        life.did("taking")
        life.now("holding")
        if life.one_in(4):
            time.sleep(0.001)
            require(proven(frame.array) == mark, "torn: a pinned frame changed")
        del frame


def use_services(life: Life) -> None:
    life.now("attaching")
    if life.one_in(2):
        worker: Any = ndshare.Worker("sum")
        while True:
            life.now("taking")
            batch = worker.get(max_batch_size=4, timeout=0.5)
            if batch is None:
                continue
            life.now("answering")
            for k, lines in enumerate(batch.inputs["lines"]):
                mark = require_proven(lines, "a request mixes calls")
                batch.outputs["echo"][k] = payload(mark)
                batch.outputs["sum"][k] = answer_to(mark)
            batch.reply()
            del batch
            life.did("answering")
    client: Any = ndshare.Client("sum")
    for count in range(1 << 60):
        life.now("asking")
        mark = (life.id, count)
        try:
            answer = client(payload(mark), timeout=PATIENCE_SECONDS)
            require(int(answer["sum"]) == answer_to(mark), "wrong: the answer to another call")
            require(proven(answer["echo"]) == mark, "wrong: the echo of another call")
        except ndshare.RemoteError as error:
            require(str(answer_to(mark)) in str(error), "wrong: the refusal of another call")
        except ndshare.WorkerDied:
            pass  # retries are bounded
        life.did("asking")


ROLES: dict[str, Callable[[Life], None]] = {
    "python array": use_arrays,
    "python stream": use_streams,
    "python service": use_services,
}


# ---- nursery ------------------------------------------------------------------------------------


def be_child(ledger: mmap.mmap, middle: int, role: str, numbers: list[int]) -> None:
    """Never returns."""
    while os.getppid() == middle:  # the signal would be sent at its end already
        time.sleep(0.0001)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    life = Life(ledger, *numbers)
    try:
        ROLES[role](life)
    except BaseException as error:
        life.wrong(f"{role}: {type(error).__name__}: {error}")
    os._exit(4)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(sys.argv[1]).open("r+b") as file:
        ledger = mmap.mmap(file.fileno(), 0)
    for line in sys.stdin:
        *role, place, number, seed = line.split()
        numbers = [int(place), int(number), int(seed)]
        if (between := os.fork()) == 0:
            middle = os.getpid()
            if (child := os.fork()) == 0:
                be_child(ledger, middle, " ".join(role), numbers)
            os.write(1, f"{child}\n".encode())
            os._exit(0)
        os.waitpid(between, 0)


if __name__ == "__main__":
    main()
