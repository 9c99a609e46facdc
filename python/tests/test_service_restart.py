"""Workers and clients that die, stop, come back, or come with other specs: who waits is served by
those who live, and nobody gets what was not his."""

from __future__ import annotations

import time
from typing import Any

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


# ---- dying workers ------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_call_goes_to_another_worker_as_often_as_it_may(peer: PeerMaker, retries: int) -> None:
    last = peer()
    peer_worker(last, "retry", retries=retries, slots=2)
    with ndshare.Client("retry") as client:
        for survives in (True, False) if retries else (False,):
            call = client.submit(7)
            for _ in range(retries if survives else retries + 1):
                other = peer()
                peer_worker(other, "retry")
                other.do("held()")
                assert other.get("computed") == [7]
                assert not call.done()
                assert other.kill() == -9
            if survives:
                last.do("held(); batch.reply([14])")
                assert call.result(SECONDS) == 14
            else:
                with pytest.raises(ndshare.WorkerDied, match=r'^\[call\] "retry": '):
                    call.result(SECONDS)
        last.do("threading.Thread(target=work, daemon=True).start()")
        require_answer(client)
        assert counters("retry")["died"] == 1
        assert counters("retry")["redelivered"] == retries * (2 if retries else 1)
        client.close()
        require_all_free("retry")


def test_a_killed_worker_costs_each_call_of_its_batch_a_try_and_idle_ones_none(
    peer: PeerMaker,
) -> None:
    idle, busy = peer(), peer()
    for other in (idle, busy):
        peer_worker(other, "batch", retries=1)
    with ndshare.Client("batch") as client:
        calls = [client.submit(k) for k in range(6)]
        busy.do("batch = worker.get(4, timeout=30); batch[2].reply([20])")
        assert busy.get("len(batch)") == 4
        assert calls[2].result(SECONDS) == 20
        idle.start("import time; worker.get(timeout=0); time.sleep(60)")
        idle.kill()
        busy.kill()
        with running(ndshare.Worker("batch", **NUMBER), lambda x: x * 2):
            answers = [int(calls[k].result(SECONDS)) for k in (0, 1, 3, 4, 5)]
        assert answers == [0, 2, 6, 8, 10]


@pytest.mark.parametrize("sleeps", [True, False], ids=["asleep", "between"])
def test_a_killed_idle_worker_disturbs_nobody(peer: PeerMaker, sleeps: bool) -> None:
    worker = ndshare.Worker("idle", **NUMBER)
    with ndshare.Client("idle") as client, running(worker, lambda x: x * 2):
        for _ in range(3):
            other = peer()
            peer_worker(other, "idle", spin=0)
            other.do("threading.Thread(target=lambda: worker.get(timeout=60)).start()")
            other.do(f"time.sleep({0.05 if sleeps else 0})")
            other.kill()
            for k in range(20):
                require_answer(client, k)


@pytest.mark.parametrize("how", ["dropped", "error", "closed"])
def test_a_batch_that_its_worker_leaves_goes_to_another_one(how: str) -> None:
    with (
        ndshare.Worker("leave", **NUMBER) as second,
        ndshare.Worker("leave", **NUMBER) as first,
        ndshare.Client("leave") as client,
    ):
        call = client.submit(4)
        if how == "error":
            with pytest.raises(KeyError):
                for batch in first.batches():
                    raise KeyError(len(batch))
            del batch
        else:
            batch = take(first)
            if how == "closed":
                first.close()
            del batch
        take(second).reply([8])
        assert call.result(SECONDS) == 8


def test_a_model_that_ends_its_process_is_a_dead_worker(peer: PeerMaker) -> None:
    with ndshare.Client("exit") as client:
        for statement in ("sys.exit(3)", "os._exit(3)", "os.abort()"):
            other = peer()
            peer_worker(other, "exit", retries=0)
            call = client.submit(1)
            other.start(f"for batch in worker.batches(): x = batch.inputs; {statement}")
            try:
                other.finish()
            except Exception:  # SystemExit is answered to the test, and the process goes on
                other.close()
            with pytest.raises(ndshare.WorkerDied):
                call.result(SECONDS)


# ---- other workers ------------------------------------------------------------------------------

OTHER = {"inputs": {"x": ((3,), "f4")}, "outputs": {"y": ((), "f8")}}


def test_a_worker_with_other_specs_is_refused_while_one_works(peer: PeerMaker) -> None:
    other = peer()
    peer_worker(other, "spec")
    other.do("threading.Thread(target=work, daemon=True).start()")
    for more in (OTHER, {**NUMBER, "outputs": OTHER["outputs"]}):
        with pytest.raises(ndshare.SpecMismatch) as caught:
            ndshare.Worker("spec", **more)
        text = str(caught.value)
        assert text.startswith('[work] "spec": ')
        assert f"process {other.pid}" in text
        assert "shape (), dtype <i8" in text
        assert "dtype <f8" in text
    with ndshare.Client("spec") as client:
        require_answer(client)
        assert client.worker_count == 1


def test_other_specs_are_a_new_generation_which_clients_follow(peer: PeerMaker) -> None:
    other = peer()
    peer_worker(other, "new")
    with ndshare.Client("new") as client:
        assert client.inputs == {"x": ndshare.Spec((), "i8")}
        waiting, loan = client.submit(1), client.loan()
        taken = client.submit(2)
        other.do("held()")
        generation = ndshare.info("new").generation
        other.kill()
        worker = ndshare.Worker("new", **OTHER)
        assert worker.generation > generation
        with running(worker, lambda x: x.sum()):
            for call in (waiting, taken):
                with pytest.raises(ndshare.SpecMismatch, match=r'^\[call\] "new": .*dtype <i8'):
                    call.result(SECONDS)
            with pytest.raises((ndshare.SpecMismatch, ndshare.Closed)), loan:
                loan["x"] = 4
                loan.submit(timeout=SECONDS)
                loan.result()
            assert client([1, 2, 3], timeout=SECONDS) == 6
            assert client.outputs == {"y": ndshare.Spec((), "f8")}
            with pytest.raises(ndshare.SpecMismatch, match=r'^\[call\] "new'):
                client([1, 2], timeout=SECONDS)


def test_workers_restart_and_clients_go_on(peer: PeerMaker) -> None:
    with ndshare.Client("again") as client, ndshare.Client("again") as second:
        answers = []
        for k in range(8):
            other = peer()
            peer_worker(other, "again", retries=1)
            other.do("threading.Thread(target=work, daemon=True).start()")
            for handle in (client, second):
                answers.append(int(handle(k, timeout=SECONDS)))
            other.kill() if k % 2 else other.close()
        assert answers == [2 * k for k in range(8) for _ in range(2)]


def test_a_persistent_service_survives_everybody(peer: PeerMaker, name_space: str) -> None:
    try:
        other = peer()
        peer_worker(other, "kept", persistent=True, slots=4, attrs={"labels": ["cat"]})
        other.do("client = ndshare.Client('kept'); calls = [client.submit(k) for k in range(3)]")
        other.do("held()")
        other.kill()
        with ndshare.Client("kept") as client:
            assert dict(client.attrs) == {"labels": ["cat"]}
            with running(ndshare.Worker("kept"), lambda x: x * 2) as worker:
                require_answer(client)
                assert worker.slots == 4
                client.close()
                require_all_free("kept")
    finally:
        ndshare.unlink("kept")


def test_a_waiting_call_ends_when_its_name_leads_elsewhere() -> None:
    with ndshare.Client("moved") as client:
        worker = ndshare.Worker("moved", **NUMBER)
        call = client.submit(1)
        worker.close()
        ndshare.unlink("moved")
        with running(ndshare.Worker("moved", **NUMBER), lambda x: x * 2):
            require_answer(client)
            # Its inputs lie in memory that no worker will ever see: that has to be said.
            thread, found = answered_in_thread(call.result)
            thread.join(5)
            assert not thread.is_alive(), "it waits for ever"
            assert isinstance(found[0], ndshare.Error)


# ---- stopped and killed -------------------------------------------------------------------------


def test_a_stopped_worker_keeps_its_call_and_nothing_is_wrong_afterwards(peer: PeerMaker) -> None:
    other = peer()
    peer_worker(other, "stop", slots=3)
    with ndshare.Client("stop") as client:
        call, patient = client.submit(1, timeout=0.5), client.submit(2)
        other.do("held()")
        other.stop()
        with pytest.raises(TimeoutError, match=r"1 workers? "):
            call.result()
        worker = ndshare.Worker("stop", **NUMBER)
        with running(worker, lambda x: x * 2):
            for k in range(10):
                require_answer(client, k)
            assert patient.result(SECONDS) == 4
            assert (counters("stop")["running"], counters("stop")["redelivered"]) == (1, 0)
            other.go_on()
            other.do("batch.reply([-1])")
            require_answer(client)
        assert counters("stop")["late"] == 1
        other.do("threading.Thread(target=work, daemon=True).start()")
        require_answer(client)
        client.close()
        require_all_free("stop")


@pytest.mark.parametrize("when", ["loaned", "waiting", "running", "answered", "kept"])
def test_a_killed_clients_slot_comes_back(peer: PeerMaker, when: str) -> None:
    with ndshare.Worker("client", **NUMBER, slots=1) as worker:
        other = peer()
        other.do(f"""
            client = ndshare.Client("client")
            call = client.loan() if {when == "loaned"!r} else client.submit(666)
        """)
        batch = take(worker) if when in ("running", "answered", "kept") else None
        if when in ("answered", "kept"):
            assert batch is not None
            batch.reply([5])
            if when == "kept":
                other.do("frame = call.frame(5); array = frame.array")
        other.kill()
        with ndshare.Client("client") as client:
            if when == "running":
                assert batch is not None
                assert batch.inputs["x"].tolist() == [666]
                batch.reply([-1])
            call = client.submit(4, timeout=10)
            batch = take(worker)
            assert batch.inputs["x"].tolist() == [4]
            batch.reply([8])
            assert call.result(SECONDS) == 8


# ---- fork ---------------------------------------------------------------------------------------


def test_a_forked_childs_handles_are_its_own_and_calls_stay_the_parents(script: Any) -> None:
    script("""
        import os, threading, ndshare
        NUMBER = {"inputs": {"x": ((), "i8")}, "outputs": {"y": ((), "i8")}}
        worker, client = ndshare.Worker("fork", slots=4, **NUMBER), ndshare.Client("fork")
        call, loan, other = client.submit(1), client.loan(), client.submit(3)
        batch = worker.get(timeout=30)
        pid = os.fork()
        if pid == 0:
            for action in (lambda: call.result(1), loan.submit, lambda: batch.reply([5])):
                try:
                    action()
                except (ndshare.Error, ValueError) as error:
                    assert "fork()" in str(error), error
                else:
                    os._exit(1)
            del call, loan, other, batch
            mine = client.submit(7)
            worker.get(timeout=30).reply([30])   # 3 goes first
            worker.get(timeout=30).reply([70])
            os._exit(0 if mine.result(30) == 70 else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        batch.reply([2])
        assert call.result(30) == 2 and other.result(30) == 30
        with loan:
            loan["x"] = 4
        worker.get(timeout=30).reply([8])
        assert loan.result(30) == 8
        assert ndshare.info("fork").counters["free"] == 4
    """)
