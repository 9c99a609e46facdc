"""ndshare's arrays: 480 bytes there and back, and attaching to an array of another process."""

from __future__ import annotations

from typing import Any

import numpy as np

import ndshare
from ndshare.bench.pair import PATIENCE, Side, met, require, timed

WORDS = 60


def _receive(array: ndshare.Array[Any], out: Any) -> None:
    if array.wait(PATIENCE) is None:
        raise TimeoutError("the other process does not answer")
    array.read(out)


def ask(side: Side, spin: float | None = None) -> list[float]:
    """Each answer is the question, whose first word is its number."""
    with (
        ndshare.create(side.name("question"), WORDS, np.uint64, spin=spin) as question,
        ndshare.create(side.name("reply"), WORDS, np.uint64, spin=spin) as reply,
        met(side),
    ):
        side.meet()  # the other one has opened both
        sent, received = np.arange(WORDS, dtype=np.uint64), np.zeros(WORDS, np.uint64)

        def there_and_back(k: int) -> None:
            sent[0] = k
            question[...] = sent
            _receive(reply, received)
            require(int(received[0]), k)

        samples = timed(side, there_and_back)
        require(received.tolist(), sent.tolist())
        return samples


def answer(side: Side, spin: float | None = None) -> None:
    with (
        met(side),
        ndshare.open(side.name("question"), spin=spin) as question,
        ndshare.open(side.name("reply"), writeable=True, spin=spin) as reply,
    ):
        side.meet()
        words = np.zeros(WORDS, np.uint64)
        for _ in range(side.total):
            _receive(question, words)
            reply[...] = words


def ask_sleeping(side: Side) -> list[float]:
    return ask(side, 0.0)


def answer_sleeping(side: Side) -> None:
    answer(side, 0.0)


def attach(side: Side) -> list[float]:
    name = side.name("attach")

    def once(k: int) -> None:
        with ndshare.open(name) as array:
            require(int(array.array[1]), 7)

    with met(side):
        return timed(side, once)


def hold(side: Side) -> None:
    with ndshare.create(side.name("attach"), data=np.full(WORDS, 7, np.uint64)), met(side):
        pass
