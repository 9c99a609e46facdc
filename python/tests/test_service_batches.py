"""Batches: calls side by side, answered together or one by one, and when they are taken."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from services import NUMBER, ROW, SECONDS, answered_in_thread, running, take

import ndshare

# ---- batches ------------------------------------------------------------------------------------


def test_neighbours_are_one_contiguous_batch_and_others_are_gathered() -> None:
    with ndshare.Worker("b", **ROW) as worker, ndshare.Client("b") as client:
        calls = [client.submit([k] * 8) for k in range(6)]
        batch = take(worker, 4)
        assert len(batch) == 4
        assert not batch.gathered
        for array in (batch.inputs["x"], batch.outputs["y"]):
            assert array.shape == (4, 8)
            assert array.flags.c_contiguous
            assert np.shares_memory(array, batch[2].inputs["x"]) == (array is batch.inputs["x"])
        assert batch.inputs["x"][:, 0].tolist() == [0, 1, 2, 3]  # the oldest first
        batch.reply(batch.inputs["x"] + 10)
        calls[4].cancel()
        calls += [client.submit([6] * 8)]
        assert [int(call.result(SECONDS)[0]) for call in calls[:4]] == [10, 11, 12, 13]
        calls += [client.submit([k] * 8) for k in (7, 8)]
        calls[6].cancel()  # what waits is not side by side any more, wherever it lies
        seen: dict[int, bool] = {}
        while len(seen) < 3:
            batch = take(worker, 8)
            assert batch.inputs["x"].flags.c_contiguous
            for value in batch.inputs["x"][:, 0].tolist():
                seen[value] = batch.gathered
            batch.reply(batch.inputs["x"] + 10)
        assert sorted(seen) == [5, 7, 8]
        assert [int(calls[k].result(SECONDS)[0]) for k in (5, 7, 8)] == [15, 17, 18]


def test_a_gathered_batch_says_so_and_answers_each_its_own() -> None:
    with ndshare.Worker("g", **ROW, slots=8) as worker, ndshare.Client("g") as client:
        calls = [client.submit([k] * 8) for k in range(8)]
        for k in (1, 2, 5):
            assert calls[k].cancel()
        batch = take(worker, 8)
        assert batch.gathered
        assert batch.inputs["x"][:, 0].tolist() == [0, 3, 4, 6, 7]
        assert batch.inputs["x"].flags.c_contiguous
        batch.outputs["y"][:] = batch.inputs["x"] * 3
        batch.reply()
        for k in (0, 3, 4, 6, 7):
            assert calls[k].result(SECONDS).tolist() == [3 * k] * 8


def test_parts_of_a_batch_are_answered_in_any_order() -> None:
    with ndshare.Worker("p", **ROW) as worker, ndshare.Client("p") as client:
        calls = [client.submit([k] * 8) for k in range(6)]
        batch = take(worker, 6)
        batch[4].reply([[40] * 8])
        batch[-1].fail(ValueError("the last"))
        part = batch[1:3]
        assert len(part) == len(part.inputs["x"]) == len(part.outputs["y"]) == 2
        assert part[1].inputs["x"][0, 0] == part.inputs["x"][1, 0] == 2
        part[1].outputs["y"][:] = 20
        part[1].reply()
        assert [call.done() for call in calls] == [False, False, True, False, True, True]
        part.outputs["y"][0] = 10
        part.reply()  # what is left of it
        with pytest.raises(ndshare.Closed, match=r'^\[reply\] "p": '):
            part.reply()
        with pytest.raises(IndexError):
            batch[6]
        assert len(batch[5:9]) == 1
        assert len(batch[4:2]) == 0
        assert [int(one.inputs["x"][0, 0]) for one in batch] == list(range(6))
        for k in (0, 3):
            batch.outputs["y"][k] = 7
        batch.reply()
        assert [int(calls[k].result(SECONDS)[0]) for k in range(5)] == [7, 10, 20, 7, 40]
        with pytest.raises(ndshare.RemoteError, match="the last"):
            calls[5].result(SECONDS)
        assert not batch.outputs["y"].flags.writeable


@pytest.mark.parametrize("neighbours", [True, False], ids=["neighbours", "gathered"])
def test_what_was_answered_stays_when_the_rest_is_answered(neighbours: bool) -> None:
    # A pinned frame never changes, and a slot may be another call's by then.
    with ndshare.Worker("rest", **ROW, slots=4) as worker, ndshare.Client("rest") as client:
        calls = [client.submit([k] * 8) for k in range(4)]
        if not neighbours:
            calls.pop(1).cancel()
        batch = take(worker, 4)
        batch[0].reply([[5] * 8])
        batch[1].reply([[6] * 8])
        frame = calls[0].frame(SECONDS)
        assert calls[1].result(SECONDS)[0] == 6
        other = client.submit([1] * 8)  # takes a slot of this batch
        second = take(worker, 4)
        second.reply([[7] * 8])
        batch.reply([[9] * 8] * len(batch))
        assert frame.array.tolist() == [5] * 8
        assert other.result(SECONDS).tolist() == [7] * 8
        assert [int(call.result(SECONDS)[0]) for call in calls[2:]] == [9] * (len(batch) - 2)


def test_the_loop_answers_when_it_asks_for_the_next() -> None:
    worker = ndshare.Worker("loop", **ROW)
    with ndshare.Client("loop") as client:
        calls = [client.submit([k] * 8) for k in range(5)]
        for number, batch in enumerate(worker.batches(max_batch_size=2)):
            batch.outputs["y"][:] = batch.inputs["x"] + 1
            if number == 2:
                worker.close()  # ends the loop, after the answer
        assert [int(call.result(SECONDS)[0]) for call in calls] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("size", [None, 1, 4])
def test_run_gives_one_call_or_a_leading_axis(size: int | None) -> None:
    shapes = []

    def model(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        shapes.append(x.shape)
        assert not x.flags.writeable
        return x + 1

    worker = ndshare.Worker("run", **ROW)
    with ndshare.Client("run") as client:
        calls = [client.submit([k] * 8) for k in range(9)]
        with running(worker, model, max_batch_size=size):
            assert [int(call.result(SECONDS)[0]) for call in calls] == list(range(1, 10))
    if size is None:
        assert shapes == [(8,)] * 9
    else:
        assert [len(shape) for shape in shapes] == [2] * len(shapes)
        assert [shape[0] for shape in shapes] == ([1] * 9 if size == 1 else [4, 4, 1])


def test_max_delay_lets_a_call_wait_for_company() -> None:
    with ndshare.Worker("co", **ROW) as worker, ndshare.Client("co") as client:
        thread, found = answered_in_thread(lambda: worker.get(4, 600.0, timeout=SECONDS))
        calls = []
        for k in range(4):
            calls.append(client.submit([k] * 8))
            thread.join(0.05)
            assert thread.is_alive() == (k < 3) or k == 3
        thread.join(SECONDS)
        assert [len(batch) for batch in found] == [4]
        found.pop().reply(np.ones((4, 8), "i8"))
        alone = client.submit([9] * 8)
        batch = take(worker, 4, 0.05)
        assert len(batch) == 1
        batch.reply(batch.inputs["x"])
        assert alone.result(SECONDS)[0] == 9


def test_calls_of_a_client_with_a_greater_priority_go_first() -> None:
    with (
        ndshare.Worker("urgent", **NUMBER) as worker,
        ndshare.Client("urgent", priority=-3) as background,
        ndshare.Client("urgent") as usual,
        ndshare.Client("urgent", priority=5) as urgent,
    ):
        copied = pickle.loads(pickle.dumps(urgent))
        asked = [(background, 1), (usual, 2), (urgent, 3), (usual, 4), (copied, 5), (urgent, 6)]
        calls = [client.submit(value) for client, value in asked]
        turns = []
        for _ in calls:
            batch = take(worker)
            turns.append(int(batch.inputs["x"][0]))
            batch.reply([0])
        copied.close()
        assert set(turns[:3]) == {3, 5, 6}
        assert turns[3:] == [2, 4, 1]
        assert [int(call.result(timeout=SECONDS)) for call in calls] == [0] * 6


@pytest.mark.parametrize(
    ("priority", "kind", "text"),
    [
        (101, ValueError, "-100 to 100"),
        (-101, ValueError, "-100 to 100"),
        (-(1 << 40), ValueError, "-100 to 100"),
        ("high", TypeError, "int"),
    ],
)
def test_a_priority_that_is_none_is_refused(
    priority: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=rf'^\[connect\] "urgent": .*{text}'):
        ndshare.Client("urgent", priority=priority)
