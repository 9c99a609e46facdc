"""Reference counts: whatever is done a thousand times leaves as many references to None, to types
and to dtypes as before, and as many blocks of memory. A missing one ends in a crash much later."""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from services import NUMBER, take

import ndshare

ROUNDS = 1000
SLACK = 100  # caches of Python's own, and what other tests' threads still let go

STRUCT = np.dtype([("a", "i4"), ("b", "f8", (2,))])


class World:
    """One thing of each kind, and both its ends."""

    def __init__(self) -> None:
        self.array = ndshare.create("a", data=np.zeros(3, STRUCT), attrs={"x": 1})
        self.publisher = ndshare.Publisher("s", fields={"x": (3, "f8"), "y": ((), STRUCT)})
        self.subscriber = ndshare.Subscriber("s")
        self.objects = ndshare.Publisher("o", dtype=object, max_nbytes=4096)
        self.taker = ndshare.Subscriber("o")
        self.worker = ndshare.Worker("w", **NUMBER)
        self.client = ndshare.Client("w")

    def close(self) -> None:
        for one in vars(self).values():
            one.close()

    def frame(self) -> ndshare.Frame:
        self.publisher.put({"x": [1, 2, 3], "y": np.zeros((), STRUCT)}, attrs={"k": 1})
        frame = self.subscriber.get(timeout=5)
        assert frame is not None
        return frame

    # ---- operations -----------------------------------------------------------------------------

    def read(self) -> None:
        self.array[0]["a"] = 1
        assert len(self.array[1:]) == 2
        self.array.read()
        self.array.read(out=np.empty(3, STRUCT))
        np.asarray(self.array)["a"].sum()

    def write(self) -> None:
        self.array[...] = np.ones(3, STRUCT)
        with self.array.write() as inside:
            inside["a"] += 1
        self.array.attrs.update(x=2)
        dict(self.array.attrs)
        self.array.wait(timeout=0)

    def fail_to_write(self) -> None:
        for wrong in ("text", object(), np.zeros(5, STRUCT), [[1], [2, 3]]):
            with pytest.raises((TypeError, ValueError)):
                self.array[...] = wrong
        with pytest.raises(ZeroDivisionError), self.array.write():
            _ = 1 / 0
        self.array[...] = 0

    def open(self) -> None:
        with ndshare.open("a", writeable=True, dtype=STRUCT) as again:
            view = again.array
        assert view.shape == (3,)
        again = pickle.loads(pickle.dumps(self.array))
        assert (again.shape, again.dtype, again.closed) == ((3,), STRUCT, False)
        assert again.fileno() > 2
        assert repr(again)

    def fail_to_open(self) -> None:
        for attempt in (
            lambda: ndshare.open("absent"),
            lambda: ndshare.open("a", shape=4),
            lambda: ndshare.open("s"),
            lambda: ndshare.create("a", 3),
            lambda: ndshare.create("new", "text"),  # type: ignore[arg-type]
            lambda: ndshare.create("new", dtype=object),
        ):
            with pytest.raises((ndshare.Error, TypeError, ValueError)):
                attempt()

    def take(self) -> None:
        frame = self.frame()
        views = [frame["x"], frame["y"], frame["x"][1:]]
        assert (frame.attrs, frame.seq) == ({"k": 1}, frame.ref.seq)
        assert frame.age >= 0
        assert repr(frame)
        again = pickle.loads(pickle.dumps(frame.ref)).get()
        frame.close()
        assert views[0][2] == again["x"][2]

    def loan(self) -> None:
        with self.publisher.loan() as loan:
            loan["x"][...] = 5
            loan["y"] = np.zeros((), STRUCT)
            loan.attrs.update(k=2)
        with self.publisher.loan() as loan:
            loan.discard()
        with pytest.raises(ZeroDivisionError), self.publisher.loan():
            _ = 1 / 0
        with pytest.raises(ValueError, match="missing"):
            self.publisher.put({"x": [1, 2, 3]})
        frame = self.subscriber.get(timeout=5)
        assert frame is not None
        with pytest.raises(ValueError, match="nothing"):
            _ = frame["nothing"]
        assert self.subscriber.get(timeout=0) is None

    def pass_objects(self) -> None:
        self.objects.put({"k": np.arange(3), "n": None})
        frame = self.taker.get(timeout=5)
        assert frame is not None
        assert frame.value["n"] is None

    def call(self) -> None:
        call = self.client.submit(4, timeout=30)
        batch = take(self.worker)
        batch.outputs["y"][:] = batch.inputs["x"]
        batch.reply()
        assert call.result() is call.result()
        with self.client.loan(timeout=30) as loan:
            loan.array[...] = 5
        batch = take(self.worker)
        batch[0].reply([6])
        assert loan.frame(30)["y"] == 6
        assert (call.done(), call.cancel()) == (True, False)
        assert repr(call)

    def fail_to_call(self) -> None:
        call = self.client.submit(4, timeout=30)
        take(self.worker).fail(KeyError("no"))
        with pytest.raises(ndshare.RemoteError):
            call.result()
        for wrong in ("text", None, [1, 2], {"z": 1}):
            with pytest.raises((ndshare.Error, TypeError, ValueError)):
                self.client(wrong, timeout=30)
        with pytest.raises(TimeoutError):
            self.client.submit(4, timeout=0.0001).result()
        self.client.submit(4, timeout=30).cancel()
        assert self.worker.get(timeout=0) is None

    def look(self) -> None:
        for one in ndshare.ls():
            ndshare.info(one.name)
        ndshare.wait([self.array, self.subscriber], timeout=0)


OPERATIONS: dict[str, Callable[[World], None]] = {
    name: one
    for name, one in vars(World).items()
    if callable(one) and not name.startswith("_") and name not in ("close", "frame")
}

CLASSES = (ndshare.Array, ndshare.Frame, ndshare.Loan, ndshare.Call, ndshare.Batch, ndshare.Spec)


def counts() -> dict[str, int]:
    """References to what everything shares, and Python's blocks of memory."""
    gc.collect()
    shared: list[Any] = [None, True, False, (), STRUCT, np.dtype("f8"), np.dtype("i8"), np.ndarray]
    shared += CLASSES
    found = {repr(one): sys.getrefcount(one) for one in shared}
    found["blocks"] = sys.getallocatedblocks()
    return found


def growth(operation: Callable[[World], None], world: World) -> dict[str, int]:
    """What a thousand rounds added or took away, beyond the slack. Caches fill once: what is left
    by each of three thousands counts."""
    changed: dict[str, int] = {}
    after = counts()
    for _ in range(3):
        before = after
        for _ in range(ROUNDS):
            operation(world)
        after = counts()
        changed = {name: after[name] - n for name, n in before.items()}
        changed = {name: more for name, more in changed.items() if abs(more) > SLACK}
        if not changed:
            break
    return changed


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_thousand_rounds_change_no_reference_count(world: World, operation: str) -> None:
    assert growth(OPERATIONS[operation], world) == {}


def test_a_reference_too_many_or_too_few_would_be_seen(world: World) -> None:
    kept: list[Any] = []
    assert "None" in growth(lambda _: kept.append(None), world)
    kept.clear()
    kept += [np.ndarray] * (4 * ROUNDS)
    assert growth(lambda _: kept.pop() and None, world)[repr(np.ndarray)] == -ROUNDS
    assert "blocks" in growth(lambda _: kept.append(object()), world)
