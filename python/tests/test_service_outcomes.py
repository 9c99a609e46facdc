"""How a call can end, and that every end leaves the service as it should be: each outcome is
distinct, late answers reach nobody, and every slot comes back."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from services import (
    NUMBER,
    SECONDS,
    answered_in_thread,
    peer_worker,
    require_all_free,
    running,
    take,
)

import ndshare


def counters(name: str) -> dict[str, int]:
    return ndshare.info(name).counters


def require_answer(client: ndshare.Client, value: int = 21) -> None:
    assert client(value, timeout=SECONDS) == 2 * value


def until(condition: Any) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


# ---- nobody there -------------------------------------------------------------------------------


def test_a_client_may_come_first_and_waits_for_a_worker() -> None:
    with ndshare.Client("first") as client:
        assert client.worker_count == 0
        assert client.inputs is None
        for timeout in (0, 0.05):
            for ask in (client, client.submit):
                with pytest.raises(ndshare.NoWorker, match=r'^\[call\] "first": '):
                    ask(1, timeout=timeout)
        thread, found = answered_in_thread(lambda: int(client(4, timeout=SECONDS)))
        thread.join(0.1)
        with running(ndshare.Worker("first", **NUMBER), lambda x: x * 2):
            thread.join(SECONDS)
            assert found == [8]
            assert client.worker_count == 1


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_no_worker_where_all_of_them_are_gone_and_the_next_one_answers(
    peer: PeerMaker, how: str
) -> None:
    other = peer()
    peer_worker(other, "gone")
    with ndshare.Client("gone") as client:
        other.do("threading.Thread(target=work, daemon=True).start()")
        require_answer(client)
        if how == "killed":
            other.kill()
        else:
            other.do("worker.close()")
            until(lambda: client.worker_count == 0)  # its thread may be in the middle of a look
        with pytest.raises(ndshare.NoWorker, match=r'^\[call\] "gone": .*start one'):
            client(1, timeout=0.1)
        assert client.worker_count == 0
        waiting = client.submit(5, timeout=SECONDS)  # for a worker that comes later
        generation = ndshare.info("gone").generation
        with running(ndshare.Worker("gone", **NUMBER), lambda x: x * 2) as worker:
            assert waiting.result() == 10
            require_answer(client)
            assert worker.generation == generation
        assert counters("gone")["free"] == 64


# ---- too late -----------------------------------------------------------------------------------


def test_a_short_look_is_no_end_of_a_call_that_waits_for_a_worker() -> None:
    with ndshare.Worker("short-look", **NUMBER) as worker, ndshare.Client("short-look") as client:
        worker.close()
        call = client.submit(1)
        with pytest.raises(TimeoutError, match=r"the call goes on.*; 0 workers are attached"):
            call.result(timeout=0.01)
        with ndshare.Worker("short-look", **NUMBER) as another:
            take(another).reply([3])
            assert call.result(timeout=SECONDS) == 3


def test_a_late_answer_reaches_nobody_and_its_slot_comes_back() -> None:
    with ndshare.Worker("late", **NUMBER, slots=1) as worker, ndshare.Client("late") as client:
        call = client.submit(1, timeout=0.1)
        batch = take(worker)
        with pytest.raises(TimeoutError, match=r'^\[call\] "late": .*deadline; 1 worker'):
            call.result()
        assert call.done()
        with pytest.raises(TimeoutError, match="every slot is in use"):
            client.submit(2, timeout=0.05)  # its worker reads that memory still
        assert batch.inputs["x"].tolist() == [1]
        batch.reply([-1])
        call_2 = client.submit(2, timeout=5)
        take(worker).reply([4])
        assert call_2.result() == 4
        with pytest.raises(TimeoutError):
            call.result(0)
        assert counters("late")["late"] == 1
        require_all_free("late")


def test_a_call_past_its_deadline_is_not_computed() -> None:
    with ndshare.Worker("past", **NUMBER) as worker, ndshare.Client("past") as client:
        calls = [client.submit(k, timeout=None if k % 2 else 0.05) for k in range(6)]
        time.sleep(0.1)
        batch = take(worker, 8)
        assert batch.inputs["x"].tolist() == [1, 3, 5]
        batch.reply(batch.inputs["x"])
        for k, call in enumerate(calls):
            if k % 2:
                assert call.result(SECONDS) == k
            else:
                with pytest.raises(TimeoutError):
                    call.result()
        assert counters("past")["expired"] == 3
        require_all_free("past")


def test_calls_that_were_given_up_are_not_computed() -> None:
    with ndshare.Worker("up", **NUMBER) as worker, ndshare.Client("up") as client:
        calls = [client.submit(k) for k in range(5)]
        assert calls[0].cancel()
        assert calls[0].cancelled
        assert not calls[0].cancel()
        with pytest.raises(ndshare.Closed, match="cancelled"):
            calls[0].result()
        del calls[2]
        gc.collect()
        batch = take(worker, 8)
        assert batch.inputs["x"].tolist() == [1, 3, 4]
        assert calls[1].cancel()
        batch.reply(batch.inputs["x"] * 2)
        assert calls[2].done()
        assert not calls[2].cancel()  # it was over already
        assert calls[3].result(0) == 8
        assert (counters("up")["abandoned"], counters("up")["late"]) == (2, 1)
        require_all_free("up")


def test_a_closed_client_counts_no_more_though_its_calls_are_kept() -> None:
    with ndshare.Worker("count", **NUMBER) as worker:
        client = ndshare.Client("count")
        call = client.submit(1)
        take(worker).reply([2])
        assert call.result(SECONDS) == 2
        assert worker.client_count == 1
        client.close()
        assert worker.client_count == 0
        assert call.result() == 2


@pytest.mark.parametrize("outcome", ["answered", "failed", "expired"])
def test_a_call_that_is_done_and_dropped_gives_its_slot_back(outcome: str) -> None:
    with ndshare.Worker("drop", **NUMBER, slots=1) as worker, ndshare.Client("drop") as client:
        for k in range(3):
            call = client.submit(k, timeout=0.01 if outcome == "expired" else 5)
            if outcome == "answered":
                take(worker).reply([k])
            elif outcome == "failed":
                take(worker).fail(ValueError("no"))
            until(call.done)
            del call
        require_all_free("drop")


# ---- errors of the model ------------------------------------------------------------------------


def test_an_error_of_the_model_goes_to_its_caller_with_the_traceback() -> None:
    def model(x: np.ndarray[Any, Any]) -> Any:
        if x == 1:
            raise KeyError("the unlikely word")
        if x == 2:
            raise ValueError("begin" + "é" * 20_000 + "the end")
        return x * 2

    worker = ndshare.Worker("model", **NUMBER)
    with ndshare.Client("model") as client, running(worker, model):
        for _ in range(2):
            with pytest.raises(ndshare.RemoteError) as caught:
                client(1, timeout=SECONDS)
            text = str(caught.value)
            assert text.startswith('[call] "model": Traceback')
            assert "in model" in text
            assert text.endswith("KeyError: 'the unlikely word'")
            assert (caught.value.operation, caught.value.name) == ("call", "model")
            with pytest.raises(ndshare.RemoteError, match="Traceback") as caught:
                client(2, timeout=SECONDS)
            assert str(caught.value).endswith("the end")
            require_answer(client)


# ---- whose turn it is ---------------------------------------------------------------------------


def test_a_busy_client_does_not_starve_a_quiet_one() -> None:
    with (
        ndshare.Worker("fair", **NUMBER, slots=128) as worker,
        ndshare.Client("fair") as busy,
        ndshare.Client("fair") as quiet,
    ):
        calls = [busy.submit(k) for k in range(50)]
        order = []
        for number in range(53):
            if number in (0, 10, 30):
                calls.append(quiet.submit(1000 + number))
            batch = take(worker)
            order.append(int(batch.inputs["x"][0]))
            batch.reply([0])
        assert [k for k in order if k < 1000] == list(range(50))  # each client's own: in order
        for number in (0, 10, 30):
            assert order.index(1000 + number) - number <= 1, order


def test_clients_with_equal_loads_take_turns() -> None:
    with ndshare.Worker("turns", **NUMBER, slots=60) as worker:
        clients = [ndshare.Client("turns") for _ in range(3)]
        calls = [c.submit(100 * me + k) for me, c in enumerate(clients) for k in range(20)]
        order = []
        while len(order) < 60:
            batch = take(worker, 4)
            order += batch.inputs["x"].tolist()
            batch.reply(batch.inputs["x"])
        for me in range(3):
            places = [place for place, k in enumerate(order) if k // 100 == me]
            # The first in turn goes with each batch; neighbours that go with it may be any.
            for turn, place in enumerate(sorted(places)):
                assert place < 4 * 3 * (turn + 1), order
        assert all(call.done() for call in calls)
        for client in clients:
            client.close()


def test_a_busy_client_leaves_room_for_a_quiet_one() -> None:
    with (
        ndshare.Worker("room", **NUMBER, slots=8) as worker,
        ndshare.Client("room") as busy,
    ):
        calls = [busy.submit(k) for k in range(8)]
        with ndshare.Client("room") as quiet:
            thread, found = answered_in_thread(lambda: int(quiet(1000, timeout=SECONDS)))
            thread.join(0.1)
            more, _ = answered_in_thread(lambda: [busy(k, timeout=SECONDS) for k in range(8, 40)])
            order = []
            while len(order) < 41:
                if len(order) >= 8 and 1000 not in order:
                    time.sleep(0.02)  # a busy machine lets it wake up late
                batch = take(worker)
                order.append(int(batch.inputs["x"][0]))
                batch.reply(batch.inputs["x"])
                if order[-1] < 8:
                    calls[order[-1]].result(SECONDS)
            thread.join(SECONDS)
            more.join(SECONDS)
            assert found == [1000]
            # After the eight that held every slot; a few more go while it wakes up.
            assert order.index(1000) < 25, order
