"""Waiting for frames: threads, asyncio, several things at once, poll, batches."""

from __future__ import annotations

import asyncio
import select
import threading
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from frames import CAMERA, frame_of, numbers

import ndshare

# ---- waiting ------------------------------------------------------------------------------------


def test_get_waits_and_a_put_wakes_it() -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub, ndshare.Subscriber("cam", spin=0) as sub:
        assert sub.get(0.05) is None
        timer = threading.Timer(0.1, lambda: pub.put(frame_of(1)))
        timer.start()
        assert sub.get(30) is not None
        timer.join()


def test_closing_from_another_thread_ends_a_wait() -> None:
    pub = ndshare.Publisher("cam", **CAMERA, overflow="block", slots=2)
    for action in ("get", "attached", "put", "wait_subscribers"):
        sub = ndshare.Subscriber("nowhere" if action == "get" else "cam")
        handle: Any = sub
        if action == "put":
            handle = ndshare.Publisher("full", **CAMERA, overflow="block", slots=2)
            keep = ndshare.Subscriber("full")
            handle.put(frame_of(0))
            handle.put(frame_of(1))
        if action == "wait_subscribers":
            handle = ndshare.Publisher("alone", **CAMERA)
        timer = threading.Timer(0.1, handle.close)
        timer.start()
        with pytest.raises(ndshare.Closed):
            if action in ("get", "attached"):
                sub.get()
            elif action == "put":
                handle.put(frame_of(2))
            else:
                handle.wait_subscribers(5)
        timer.join()
        sub.close()
    keep.close()
    pub.close()


def test_iteration_ends_with_the_stream_or_with_close() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    sub = ndshare.Subscriber("cam")
    for k in range(3):
        pub.put(frame_of(k))
    pub.end()
    assert numbers(list(sub)) == [0, 1, 2]
    with pytest.raises(ndshare.EndOfStream):
        sub.get(1)
    with pytest.raises(ndshare.EndOfStream):
        pub.put(frame_of(3))
    with pytest.raises(ndshare.EndOfStream):
        pub.loan()
    pub.close()
    other = ndshare.Publisher("cam", **CAMERA)  # nobody goes on with an ended one: it is new
    seen = []
    timer = threading.Timer(0.2, sub.close)
    timer.start()
    other.put(frame_of(9))
    for frame in sub:
        seen.append(float(frame.array[0, 0]))
    assert seen == [9]
    timer.join()
    other.close()


def test_asyncio_gets_and_iterates() -> None:
    async def main() -> list[float]:
        sub = ndshare.Subscriber("cam")
        getting = asyncio.create_task(sub.get_async(30))
        assert await ndshare.Subscriber("cam").get_async(0.05) is None
        pub = ndshare.Publisher("cam", **CAMERA)
        pub.put(frame_of(0))
        first = await getting
        assert first is not None
        found = [float(first.array[0, 0])]

        async def publish() -> None:
            for k in range(1, 5):
                await asyncio.sleep(0.01)
                pub.put(frame_of(k))
            pub.end()

        task = asyncio.create_task(publish())
        async for frame in sub:
            found.append(float(frame.array[0, 0]))
        await task
        pub.close()
        sub.close()
        return found

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_wait_for_a_mix_of_streams_and_arrays() -> None:
    array = ndshare.create("array", 3)
    pubs = [ndshare.Publisher(f"s{k}", **CAMERA) for k in range(3)]
    subs = [ndshare.Subscriber(f"s{k}") for k in range(3)]
    nobody = ndshare.Subscriber("later")
    things: list[Any] = [*subs, array, nobody]
    assert ndshare.wait(things, 0.05) == []
    pubs[1].put(frame_of(1))
    assert ndshare.wait(things, 5) == [subs[1]]
    subs[1].get(0)
    assert ndshare.wait(things, 0) == []
    timer = threading.Timer(0.1, lambda: ndshare.open("array", writeable=True).__setitem__(0, 1))
    timer.start()
    assert ndshare.wait(things, 30) == [array]
    timer.join()
    array.wait(0)
    late = ndshare.Publisher("later", **CAMERA)
    late.put(frame_of(1))
    assert ndshare.wait(things, 30) == [nobody]
    for handle in (*pubs, *subs, nobody, late, array):
        handle.close()


def test_fileno_is_readable_exactly_while_there_is_a_frame_and_over_restarts() -> None:
    sub = ndshare.Subscriber("cam")
    number = sub.fileno()

    def is_readable(seconds: float = 0) -> bool:
        return bool(select.select([number], [], [], seconds)[0])

    pub = ndshare.Publisher("cam", **CAMERA)
    assert is_readable(5)  # the name came: a look tells that there is no frame yet
    assert sub.get(0) is None
    assert not is_readable(0.05)
    for round_number in range(3):
        pub.put(frame_of(round_number))
        pub.put(frame_of(round_number))
        assert is_readable(5)
        assert sub.get(0) is not None
        assert is_readable()
        assert sub.get(0) is not None
        assert not is_readable(0.05)
        pub.close()
        pub = ndshare.Publisher("cam", **(CAMERA if round_number else {"shape": 4, "dtype": "f8"}))
        if sub.get(0) is None and round_number == 0:
            pub.close()
            pub = ndshare.Publisher("cam", **CAMERA)
            assert sub.get(0) is None
        assert sub.fileno() == number
    sub.close()
    pub.close()


def test_an_idle_subscriber_uses_no_cpu(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    other = peer()
    other.do("sub = ndshare.Subscriber('cam'); import time")
    used = other.get("[time.process_time(), sub.get(2.0), time.process_time()]")
    assert used[2] - used[0] < 0.1
    pub.close()


# ---- batches ------------------------------------------------------------------------------------


def test_put_many_and_get_many() -> None:
    with (
        ndshare.Publisher("m", (3,), "i8", slots=64, overflow="block") as pub,
        ndshare.Subscriber("m") as sub,
    ):
        assert sub.get_many(5, 0).shape == (0, 3)
        rows = np.arange(300).reshape(100, 3)
        done: list[int] = []
        writer = threading.Thread(target=lambda: done.append(pub.put_many(rows, timeout=30)))
        writer.start()
        got: list[np.ndarray[Any, Any]] = []
        while sum(len(part) for part in got) < 100:
            got.append(sub.get_many(32, 30))
        writer.join()
        assert done == [100]
        assert np.array_equal(np.concatenate(got), rows)
        assert pub.put_many(rows, timeout=0) == 64
        with pytest.raises(ndshare.SpecMismatch):
            pub.put_many(np.zeros((4, 4), "i8"))
        pub.end()
        while len(sub.get_many(100, 1)):
            if sub.lag == 0:
                break
        with pytest.raises(ndshare.EndOfStream):
            sub.get_many(1, 1)


def test_get_many_waits_for_the_first_and_takes_what_is_there() -> None:
    with (
        ndshare.Publisher("w", (2,), "i8", slots=16, overflow="block") as pub,
        ndshare.Subscriber("w") as sub,
    ):
        asked = threading.Semaphore(0)

        def answer() -> None:
            for k in range(200):
                asked.acquire()  # the reader waits by then, mostly
                pub.put(np.full(2, k))

        writer = threading.Thread(target=answer)
        writer.start()
        for k in range(200):
            asked.release()
            assert sub.get_many(8, 30).tolist() == [[k, k]]
        writer.join()


def test_get_many_before_there_is_a_stream_takes_all_that_is_there() -> None:
    with ndshare.Subscriber("later") as sub:
        assert len(sub.get_many(4, 0.01)) == 0
        writer = threading.Timer(0.05, lambda: made.append(publisher_of_three()))
        made: list[ndshare.Publisher] = []
        writer.start()
        got = list(sub.get_many(8, 30))
        while len(got) < 3:
            got.extend(sub.get_many(8, 30))
        assert [row.tolist() for row in got] == [[k, k] for k in range(3)]
        writer.join()
        made[0].close()


def publisher_of_three() -> ndshare.Publisher:
    publisher = ndshare.Publisher("later", (2,), "i8", slots=8, overflow="block")
    for k in range(3):
        publisher.put(np.full(2, k))
    return publisher


@pytest.mark.parametrize("before", [True, False])
def test_get_many_of_several_fields_is_refused_and_loses_no_frame(before: bool) -> None:
    def publish() -> ndshare.Publisher:
        fields = {"a": ((2,), "i8"), "b": ((1,), "i8")}
        publisher = ndshare.Publisher("two", fields=fields, slots=4, overflow="block")
        publisher.put({"a": [1, 2], "b": [3]})
        return publisher

    made = [publish()] if before else []
    with ndshare.Subscriber("two") as sub:
        timer = threading.Timer(0.05, lambda: before or made.append(publish()))
        timer.start()
        with pytest.raises(ValueError, match="one field"):
            sub.get_many(4, 30)
        frame = sub.get(30)
        assert frame is not None and frame["a"].tolist() == [1, 2]
        assert sub.lost == 0
        timer.join()
        made[0].close()
