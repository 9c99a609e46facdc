"""Waiting for answers: threads, asyncio, several things at once, poll; and what ends a wait."""

from __future__ import annotations

import asyncio
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from frames import CAMERA, frame_of
from services import NUMBER, ROW, SECONDS, answered_in_thread, peer_worker, running, take

import ndshare


def require_ended(thread: threading.Thread, found: list[Any], kind: type[Exception]) -> None:
    thread.join(10)
    assert not thread.is_alive(), "the wait goes on"
    assert [type(one) for one in found] == [kind], found


# ---- in flight ----------------------------------------------------------------------------------


def test_several_calls_are_under_way_and_answers_come_in_any_order() -> None:
    with ndshare.Worker("s", **NUMBER) as worker, ndshare.Client("s") as client:
        calls = [client.submit(k) for k in range(6)]
        assert not any(call.done() for call in calls)
        batches = [take(worker) for _ in calls]
        for batch in reversed(batches):
            batch.reply(batch.inputs["x"] * 2)
            assert sum(call.done() for call in calls) == 6 - batches.index(batch)
        assert [int(call.result(0)) for call in calls] == [2 * k for k in range(6)]


@pytest.mark.parametrize("spin", [None, 0], ids=["default", "sleeping"])
def test_threads_share_one_client_and_each_gets_its_own_answer(spin: float | None) -> None:
    worker = ndshare.Worker("t", **ROW, slots=8, spin=spin)
    with (
        ndshare.Client("t", spin=spin) as client,
        running(worker, lambda x: x * 2, max_batch_size=4),
    ):

        def ask(me: int) -> int:
            for k in range(60):
                value = me * 1000 + k
                if k % 3 == 0:
                    call = client.submit([value] * 8, timeout=SECONDS)
                    answer = call.frame().array if k % 2 else call.result()
                else:
                    answer = client([value] * 8, timeout=SECONDS)
                assert answer.tolist() == [2 * value] * 8
            return me

        threads = [answered_in_thread(lambda me=me: ask(me)) for me in range(8)]  # type: ignore
        for thread, _ in threads:
            thread.join(60)
        assert [found for _, found in threads] == [[me] for me in range(8)]


def test_two_threads_may_wait_for_one_call() -> None:
    with ndshare.Worker("two", **NUMBER) as worker, ndshare.Client("two") as client:
        call = client.submit(4)
        threads = [answered_in_thread(lambda: int(call.result(5))) for _ in range(2)]
        time.sleep(0.1)
        take(worker).reply([8])
        for thread, _ in threads:
            thread.join(SECONDS)
        assert [found for _, found in threads] == [[8], [8]]


def test_result_in_vain_leaves_the_call_under_way() -> None:
    with ndshare.Worker("vain", **NUMBER) as worker, ndshare.Client("vain") as client:
        call = client.submit(4)
        for timeout in (0, 0.05):
            with pytest.raises(TimeoutError, match=r'^\[call\] "vain": '):
                call.result(timeout)
        take(worker).reply([8])
        assert call.result(SECONDS) == 8


# ---- what ends a wait ---------------------------------------------------------------------------


def waits(what: str, worker: ndshare.Worker, client: ndshare.Client) -> Callable[[], Any]:
    """A wait for something that never comes."""
    if what == "get":
        return lambda: worker.get()
    if what == "run":
        return lambda: worker.run(lambda x: x)
    if what == "slot":
        calls = [client.loan() for _ in range(2)]
        return lambda: (client.loan(), calls)
    if what == "call":
        return lambda: client(1)
    if what == "taken":
        call = client.submit(1)
        batch = take(worker)
        return lambda: (call.result(), batch)
    call = client.submit(1)
    return lambda: call.frame() if what == "frame" else call.result()


@pytest.mark.parametrize("what", ["get", "run", "slot", "call", "result", "frame", "taken", "name"])
@pytest.mark.parametrize("spin", [None, 0], ids=["default", "sleeping"])
def test_closing_from_another_thread_ends_a_wait(what: str, spin: float | None) -> None:
    with (
        ndshare.Worker("close", **NUMBER, slots=2, spin=spin) as worker,
        ndshare.Client("nowhere" if what == "name" else "close", spin=spin) as client,
    ):
        wait = waits("call" if what == "name" else what, worker, client)
        thread, found = answered_in_thread(wait)
        thread.join(0.15)
        assert thread.is_alive(), found
        handle = worker if what in ("get", "run") else client
        handle.close()
        handle.close()
        assert handle.closed
        if what == "run":
            thread.join(SECONDS)
            assert found == [None]
        else:
            require_ended(thread, found, ndshare.Closed)
            assert str(found[0]).startswith(f'[{"get" if what == "get" else "call"}] "')


def test_cancelling_from_another_thread_ends_a_wait() -> None:
    with ndshare.Worker("c", **NUMBER) as worker, ndshare.Client("c") as client:
        for taken in (False, True):
            call = client.submit(1)
            batch = take(worker) if taken else None
            thread, found = answered_in_thread(lambda call=call: call.result())  # type: ignore
            thread.join(0.15)
            call.cancel()
            require_ended(thread, found, ndshare.Closed)
            if batch is not None:
                batch.reply([0])


def test_a_signal_ends_a_wait(peer: PeerMaker) -> None:
    with ndshare.Worker("signal", **NUMBER) as worker:
        other = peer()
        other.do("client = ndshare.Client('signal')")
        for wait in ("client(1)", "client.submit(1).result()", "ndshare.wait([client.submit(1)])"):
            other.start(wait)
            take(worker)
            assert other.is_busy()
            other.signal(signal.SIGINT)
            with pytest.raises(Exception, match="KeyboardInterrupt"):
                other.finish()


def test_idle_ends_use_no_cpu(peer: PeerMaker) -> None:
    with ndshare.Worker("idle", **NUMBER), ndshare.Client("idle"):
        other = peer()
        other.do("""
            import time
            client, worker = ndshare.Client('idle'), ndshare.Worker('other', {'x': (1, 'f4')},
                                                                    {'y': (1, 'f4')})
            begin = time.process_time()
            nobody = ndshare.Client('no')
            for wait in (lambda: client(1, timeout=1.5), lambda: nobody(1, timeout=1)):
                try:
                    wait()
                    assert False, "an answer"
                except (TimeoutError, ndshare.NoWorker):
                    pass
            assert worker.get(timeout=1.5) is None
            used = time.process_time() - begin
        """)
        assert other.get("used") < 0.2


# ---- several things, poll -----------------------------------------------------------------------


def test_wait_for_a_mix_of_calls_streams_and_arrays() -> None:
    array = ndshare.create("array", 3)
    with (
        ndshare.Worker("svc", **NUMBER) as worker,
        ndshare.Client("svc") as client,
        ndshare.Publisher("cam", **CAMERA) as pub,
        ndshare.Subscriber("cam") as sub,
    ):
        calls = [client.submit(k) for k in range(3)]
        things: list[Any] = [*calls, sub, array]
        assert ndshare.wait(things, 0.05) == []
        batches = [take(worker) for _ in calls]
        timer = threading.Timer(0.1, lambda: batches[1].reply([10]))
        timer.start()
        assert ndshare.wait(things, SECONDS) == [calls[1]]
        timer.join()
        assert calls[1].result(0) == 10
        things.remove(calls[1])
        assert ndshare.wait(things, 0) == []
        pub.put(frame_of(1))
        assert ndshare.wait(things, SECONDS) == [sub]
        sub.get(0)
        timer = threading.Timer(
            0.1, lambda: ndshare.open("array", writeable=True).__setitem__(0, 1)
        )
        timer.start()
        assert ndshare.wait(things, SECONDS) == [array]
        timer.join()
        array.wait(0)
        batches[0].fail(ValueError("no"))
        assert ndshare.wait(things, SECONDS) == [calls[0]]
        batches[2].reply([5])
        assert ndshare.wait(things, SECONDS) == [calls[0], calls[2]]
        assert calls[2].result(0) == 5
    array.close()


def test_wait_ends_at_a_calls_deadline_and_when_its_worker_died(peer: PeerMaker) -> None:
    with ndshare.Client("w") as client:
        other = peer()
        peer_worker(other, "w", retries=0)
        call = client.submit(1, timeout=0.2)
        assert ndshare.wait([call], SECONDS) == [call]
        call = client.submit(2)
        other.do("held()")
        timer = threading.Timer(0.1, other.kill)
        timer.start()
        assert ndshare.wait([call], SECONDS) == [call]
        timer.join()
        with pytest.raises(ndshare.WorkerDied):
            call.result(0)


def test_fileno_is_readable_once_the_call_is_done() -> None:
    def is_readable(number: int, seconds: float = 0) -> bool:
        return bool(select.select([number], [], [], seconds)[0])

    with ndshare.Worker("f", **NUMBER) as worker, ndshare.Client("f") as client:
        calls = [client.submit(k) for k in range(3)]
        numbers = [call.fileno() for call in calls]
        assert len(set(numbers)) == 3
        assert not any(is_readable(number) for number in numbers)
        batches = [take(worker) for _ in calls]
        batches[1].reply([1])
        assert is_readable(numbers[1], SECONDS)
        assert calls[1].done()
        for k in (0, 2):  # a ring says: look; a look that finds nothing takes the ring away
            assert not calls[k].done()
            assert calls[k].fileno() == numbers[k]
            assert not is_readable(numbers[k], 0.05)
        batches[0].fail(ValueError("no"))
        assert is_readable(numbers[0], SECONDS)
        calls[2].cancel()
        done = client.submit(5)
        take(worker).reply([6])
        assert is_readable(done.fileno(), SECONDS)
        assert done.result(0) == 6


# ---- asyncio ------------------------------------------------------------------------------------


def test_asyncio_awaits_calls_and_gathers_fifty() -> None:
    async def main(client: ndshare.Client) -> list[Any]:
        assert await client.submit([1] * 8, timeout=SECONDS) is not None
        call = client.submit([2] * 8)
        assert (await call)[0] == (await call)[0] == 4
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        answers = await asyncio.gather(
            *(client.submit([k] * 8, timeout=SECONDS) for k in range(50))
        )
        await asyncio.sleep(0.01)
        assert ticks > 0
        ticking.cancel()
        return answers

    worker = ndshare.Worker("aio", **ROW)

    def model(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        time.sleep(0.002)
        return x * 2

    with ndshare.Client("aio") as client, running(worker, model, max_batch_size=8):
        answers = asyncio.run(main(client))
    assert [int(answer[0]) for answer in answers] == [2 * k for k in range(50)]


def test_asyncio_outcomes_and_a_cancelled_task_cancels_its_call() -> None:
    async def main(worker: ndshare.Worker, client: ndshare.Client) -> None:
        with pytest.raises(TimeoutError):
            await client.submit(1, timeout=0.1)
        call = client.submit(2)
        waiting = asyncio.ensure_future(call)
        await asyncio.sleep(0.05)
        take(worker).fail(ValueError("bad input"))
        with pytest.raises(ndshare.RemoteError, match="bad input"):
            await waiting
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.submit(3)
        calls = [client.submit(k) for k in (4, 5)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert calls[0].cancelled
        batch = take(worker)  # 3 and 4 are not computed
        assert batch.inputs["x"].tolist() == [5]
        batch.reply([50])
        assert await tasks[1] == 50
        assert worker.get(timeout=0) is None

    with ndshare.Worker("aio", **NUMBER, slots=2) as worker, ndshare.Client("aio") as client:
        asyncio.run(main(worker, client))
        for k in range(4):  # no slot is lost
            call = client.submit(k, timeout=5)
            take(worker).reply([k])
            assert call.result(0) == k
