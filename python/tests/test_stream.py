"""Streams: what is published is got, in order or the newest, by whoever comes when."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import select
import threading
import time
from typing import Any

import numpy as np
import pytest
from children import PeerMaker

import ndshare

CAMERA = {"shape": (4, 5), "dtype": "f4"}


def frame_of(number: float) -> np.ndarray[Any, Any]:
    return np.full((4, 5), number, "f4")


def numbers(frames: list[ndshare.Frame]) -> list[float]:
    return [float(frame.array[0, 0]) for frame in frames]


def drain(subscriber: ndshare.Subscriber) -> list[ndshare.Frame]:
    found = []
    while (frame := subscriber.get(0)) is not None:
        found.append(frame)
    return found


def values(subscriber: ndshare.Subscriber) -> list[float]:
    found = []
    while (frame := subscriber.get(0)) is not None:
        found.append(float(frame.array[0, 0]))
        frame.close()
    return found


# ---- in order and the newest --------------------------------------------------------------------


def test_frames_come_in_order_with_consecutive_numbers() -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub, ndshare.Subscriber("cam") as sub:
        seqs = [pub.put(frame_of(k)) for k in range(5)]
        got = [sub.get(1) for _ in range(5)]
        assert numbers(got) == [0, 1, 2, 3, 4]
        assert [frame.seq for frame in got] == seqs
        assert seqs == list(range(int(seqs[0] or 0), int(seqs[0] or 0) + 5))
        assert sub.get(0) is None
        assert (sub.lost, sub.lag) == (0, 0)


def test_a_slow_subscriber_loses_the_oldest_and_the_loss_is_counted() -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=4) as pub, ndshare.Subscriber("cam") as sub:
        for k in range(10):
            assert pub.put(frame_of(k)) is not None
        assert sub.lag == 10
        assert values(sub) == [6, 7, 8, 9]
        assert sub.lost == 6
        assert ndshare.info("cam").counters["lost"] == 6


def test_a_late_subscriber_begins_at_the_oldest_frame_still_there_latest_at_the_newest() -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=4) as pub:
        for k in range(10):
            pub.put(frame_of(k))
        with ndshare.Subscriber("cam") as in_order, ndshare.Subscriber("cam", latest=True) as last:
            assert values(in_order) == [6, 7, 8, 9]
            assert values(last) == [9]
            assert (in_order.lost, last.lost) == (0, 0)


def test_latest_skips_to_the_newest_and_gives_each_frame_once() -> None:
    with (
        ndshare.Publisher("cam", **CAMERA) as pub,
        ndshare.Subscriber("cam", latest=True) as sub,
    ):
        assert sub.get(0) is None
        for k in range(3):
            pub.put(frame_of(k))
        assert numbers([sub.get(0)]) == [2]
        assert sub.get(0) is None
        pub.put(frame_of(7))
        assert numbers([sub.get(0)]) == [7]


def test_several_subscribers_each_have_a_cursor() -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub:
        subs = [ndshare.Subscriber("cam") for _ in range(5)]
        for k in range(3):
            pub.put(frame_of(k))
        for sub in subs:
            assert values(sub) == [0, 1, 2]
            sub.close()


# ---- block --------------------------------------------------------------------------------------


def test_block_waits_for_the_slowest_and_loses_nothing() -> None:
    pub = ndshare.Publisher("cam", **CAMERA, slots=4, overflow="block")
    sub = ndshare.Subscriber("cam")
    for k in range(4):
        pub.put(frame_of(k), timeout=0)
    with pytest.raises(TimeoutError, match=r'^\[put\] "cam": process \d+ has not read'):
        pub.put(frame_of(4), timeout=0.05)
    with pytest.raises(TimeoutError, match=r'^\[loan\] "cam": '):
        pub.loan(timeout=0)
    results: list[int | None] = []
    writer = threading.Thread(target=lambda: results.append(pub.put(frame_of(4), timeout=30)))
    writer.start()
    assert values(sub)[:4] == [0, 1, 2, 3]
    writer.join()
    assert results[0] is not None
    assert numbers([sub.get(1)]) == [4]
    assert sub.lost == 0
    sub.close()
    pub.close()


def test_block_without_a_subscriber_drops_the_oldest_and_latest_never_holds_it_back() -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=3, overflow="block") as pub:
        with ndshare.Subscriber("cam", latest=True) as last:
            for k in range(9):
                assert pub.put(frame_of(k), timeout=0) is not None
            assert values(last) == [8]
        with ndshare.Subscriber("cam") as sub:
            assert values(sub) == [6, 7, 8]


def test_a_subscriber_that_leaves_or_dies_holds_nobody_back(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA, slots=2, overflow="block")
    for ending in ("close", "kill"):
        other = peer()
        other.do("sub = ndshare.Subscriber('cam')\nwhile sub.get(0): pass")
        pub.put(frame_of(1), timeout=5)
        pub.put(frame_of(1), timeout=5)
        with pytest.raises(TimeoutError):
            pub.put(frame_of(2), timeout=0.05)
        if ending == "close":
            other.do("sub.close()")
        else:
            other.kill()
        assert pub.put(frame_of(2), timeout=30) is not None
    pub.close()


def test_a_stopped_subscriber_keeps_its_place_in_block_and_loses_in_drop_oldest(
    peer: PeerMaker,
) -> None:
    for overflow in ("block", "drop_oldest"):
        other = peer()
        pub = ndshare.Publisher(overflow, **CAMERA, slots=3, overflow=overflow)
        other.do(f"sub = ndshare.Subscriber({overflow!r})")
        other.stop()
        put = 0
        try:
            for k in range(50):
                pub.put(frame_of(k), timeout=0.01)
                put += 1
        except TimeoutError:
            pass
        other.go_on()
        expected = (3, 0) if overflow == "block" else (50, 47)
        first = other.get("float(sub.get(5).array[0, 0])")
        assert (put, other.get("sub.lost")) == expected
        assert first == expected[1]
        pub.close()
        other.end()


# ---- pins ---------------------------------------------------------------------------------------


def test_a_held_frame_never_changes_and_keeps_its_slot() -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=4) as pub, ndshare.Subscriber("cam") as sub:
        pub.put(frame_of(1))
        held = sub.get(1)
        view = held.array[1:3]
        held.close()
        del held
        for k in range(2, 30):
            pub.put(frame_of(k))
        assert (view == 1).all()
        assert view.base is not None
        assert ndshare.info("cam").counters["pinned"] == 1
        del view
        gc.collect()
        assert ndshare.info("cam").counters["pinned"] == 0


def test_frames_are_read_only_by_flag_and_by_page(failing_script: Any) -> None:
    done = failing_script("""
        import ctypes, ndshare, numpy as np
        pub = ndshare.Publisher("cam", (4,), "f8")
        sub = ndshare.Subscriber("cam")
        pub.put(np.ones(4))
        frame = sub.get(1)
        try:
            frame.array[0] = 2
        except ValueError as error:
            print(error)
        try:
            frame.array.flags.writeable = True
        except ValueError as error:
            print(error)
        other = ndshare.Subscriber("cam")
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("read-only") + done.stdout.count("cannot set WRITEABLE") == 2


def test_more_frames_than_half_of_the_slots_are_copies() -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=8) as pub, ndshare.Subscriber("cam") as sub:
        for k in range(8):
            pub.put(frame_of(k))
        held = drain(sub)
        assert numbers(held) == list(range(8))
        assert ndshare.info("cam").counters["pinned"] == 4
        for k in range(8, 40):
            assert pub.put(frame_of(k)) is not None
        assert numbers(held) == list(range(8))


def test_when_every_slot_is_pinned_new_frames_are_dropped_and_counted() -> None:
    pub = ndshare.Publisher("cam", **CAMERA, slots=2)
    subs = [ndshare.Subscriber("cam") for _ in range(2)]
    pub.put(frame_of(0))
    first = subs[0].get(1)
    pub.put(frame_of(1))
    assert subs[1].get(1) is not None
    second = subs[1].get(1)
    assert pub.put(frame_of(2)) is None
    with pub.loan() as loan:
        loan.array[:] = 3
    assert loan.seq is None
    assert pub.dropped == 2
    assert ndshare.info("cam").counters["dropped"] == 2
    with pub.loan() as loan:
        loan.array[:] = 4
        first.close()
    assert loan.seq is not None
    assert float(second.array[0, 0]) == 1
    assert float(subs[0].get(1).array[0, 0]) == 1
    assert float(subs[0].get(1).array[0, 0]) == 4
    for handle in (*subs, pub):
        handle.close()


def test_pins_of_the_dead_come_back(peer: PeerMaker) -> None:
    with ndshare.Publisher("cam", **CAMERA, slots=2) as pub:
        pub.put(frame_of(0))
        other = peer()
        other.do("sub = ndshare.Subscriber('cam'); frame = sub.get(5)")
        pub.put(frame_of(1))
        assert pub.put(frame_of(2)) is None
        other.kill()
        assert pub.put(frame_of(3)) is not None


def test_a_frame_outlives_its_subscriber_the_stream_and_its_name() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    sub = ndshare.Subscriber("cam")
    pub.put(frame_of(5))
    array = sub.get(1).array
    sub.close()
    pub.close()
    ndshare.unlink("cam", missing_ok=True)
    gc.collect()
    assert (array == 5).all()


# ---- loans --------------------------------------------------------------------------------------


def test_a_loan_is_published_on_leaving_and_dropped_on_an_exception_or_discard() -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub, ndshare.Subscriber("cam") as sub:
        with pub.loan() as loan:
            loan.array[:] = 1
            kept = loan.array
        assert not kept.flags.writeable
        with pub.loan() as loan:
            loan.array[:] = 2
            loan.discard()
        with pytest.raises(KeyError), pub.loan() as loan:
            loan.array[:] = 3
            raise KeyError
        with pub.loan() as loan:
            loan.array[:] = 4
        assert values(sub) == [1, 4]
        assert sub.lost == 0
        with pytest.raises(ndshare.Closed):
            loan.publish()
        with pytest.raises(ndshare.Closed):
            _ = loan.array


def test_a_loan_after_its_publisher_closed_says_so() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    keep = ndshare.Subscriber("cam")
    loan = pub.loan()
    pub.close()
    with pytest.raises(ndshare.Closed), loan:
        loan.array[:] = 1
    assert keep.get(0) is None
    keep.close()


def test_stamps_attrs_and_age() -> None:
    with (
        ndshare.Publisher("cam", **CAMERA, attrs={"format": "BGR"}) as pub,
        ndshare.Subscriber("cam") as sub,
    ):
        before = time.time_ns()
        pub.put(frame_of(1), attrs={"exposure": 8})
        pub.put(frame_of(2), time_ns=12345)
        with pub.loan() as loan:
            loan.attrs["k"] = [1, 2]
            loan.time_ns = 99
        frames = [sub.get(1) for _ in range(3)]
        assert abs(frames[0].time_ns - before) < 1e9
        assert [frame.time_ns for frame in frames[1:]] == [12345, 99]
        assert [dict(frame.attrs) for frame in frames] == [{"exposure": 8}, {}, {"k": [1, 2]}]
        assert 0 <= frames[2].age < 60
        assert dict(sub.attrs) == {"format": "BGR"}
        pub.attrs["gain"] = 2
        assert sub.attrs["gain"] == 2
        with pytest.raises(PermissionError):
            sub.attrs["x"] = 1


# ---- fields, shapes, objects --------------------------------------------------------------------


def test_fields_are_one_frame_and_shapes_vary_within_maxshape() -> None:
    fields = {"boxes": ndshare.Spec(maxshape=(300, 6), dtype="f4"), "frame": ((2,), "u8")}
    with ndshare.Publisher("det", fields=fields) as pub, ndshare.Subscriber("det") as sub:
        assert pub.spec == sub.spec == {"boxes": fields["boxes"], "frame": ndshare.Spec(2, "u8")}
        for count in (17, 0, 300):
            pub.put({"boxes": np.full((count, 6), count), "frame": (1, count)})
            frame = sub.get(1)
            assert frame["boxes"].shape == (count, 6)
            assert (frame["boxes"] == count).all()
            assert frame["frame"].tolist() == [1, count]
        with pub.loan() as loan:
            boxes = loan.resize((2, 6), "boxes")
            boxes[:] = 5
            loan["frame"] = (3, 4)
            loan["boxes"] = np.ones((4, 6))
        assert sub.get(1)["boxes"].shape == (4, 6)
        with pytest.raises(ValueError, match="several fields"):
            _ = frame.array


def test_any_axis_may_vary_and_fortran_order_is_kept() -> None:
    spec = ndshare.Spec(maxshape=(4, 3, 5), dtype="i2", order="F")
    with ndshare.Publisher("f", fields={"x": spec}) as pub, ndshare.Subscriber("f") as sub:
        for shape in ((4, 3, 5), (1, 3, 2), (4, 0, 5)):
            given = np.arange(np.prod(shape), dtype="i2").reshape(shape)
            pub.put({"x": given})
            got = sub.get(1)["x"]
            assert np.array_equal(got, given)
            assert got.flags.f_contiguous


@pytest.mark.parametrize(
    "dtype",
    ["?", ">i4", "c16", "M8[ns]", "S7", "U3", [("a", "f4"), ("b", "i2", (3,))], "bfloat16"],
    ids=str,
)
def test_dtypes(dtype: Any) -> None:
    made = ndshare.Spec((2, 3), dtype)
    with ndshare.Publisher("d", (2, 3), dtype) as pub, ndshare.Subscriber("d") as sub:
        given = np.zeros((2, 3), made.dtype)
        given.reshape(-1).view("u1")[:] = 1
        pub.put(given)
        got = sub.get(1).array
        assert got.dtype == made.dtype
        assert got.tobytes() == given.tobytes()


def test_scalars_and_empty_frames() -> None:
    with ndshare.Publisher("s", (), "f8") as pub, ndshare.Subscriber("s") as sub:
        pub.put(2.5)
        pub.put(np.float64(3))
        assert [float(sub.get(1).array), float(sub.get(1).array)] == [2.5, 3]
    with ndshare.Publisher("e", (0, 4), "f8") as pub, ndshare.Subscriber("e") as sub:
        pub.put(np.zeros((0, 4)))
        assert sub.get(1).array.shape == (0, 4)


def test_objects_are_pickled_with_their_arrays_out_of_band() -> None:
    with (
        ndshare.Publisher("o", dtype=object, max_nbytes=100_000, overflow="block") as pub,
        ndshare.Subscriber("o") as sub,
    ):
        big = np.arange(5000, dtype="f8")
        for value in ({"a": big, "b": [1, None, "x"]}, None, 5, "text", (big, big[:3])):
            pub.put(value)
            frame = sub.get(1)
            got = frame.value
            assert repr(got) == repr(value)
        array = got[0]
        assert not array.flags.writeable
        frame.close()
        del frame, got
        for _ in range(20):
            pub.put(0)
            sub.get(1).close()
        assert (array == big).all()
        with pytest.raises(ValueError, match=r"takes \d+ bytes.*max_nbytes"):
            pub.put(np.zeros(20_000))
        with pytest.raises(TypeError, match=r"frame\.array"):
            with ndshare.Publisher("p", 2, "f4") as plain, ndshare.Subscriber("p") as other:
                plain.put([1, 2])
                _ = other.get(1).value
        assert sub.lost == 0


# ---- refs ---------------------------------------------------------------------------------------


def test_a_ref_leads_to_exactly_that_frame_or_says_why_not(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA, slots=4)
    sub = ndshare.Subscriber("cam")
    seqs = [pub.put(frame_of(k)) for k in range(4)]
    frame = sub.get(1)
    ref = frame.ref
    assert ref == ndshare.FrameRef("cam", pub.generation, seqs[0])
    again = ndshare.FrameRef(*json.loads(json.dumps(ref)))
    assert (again.get().array == frame.array).all()
    assert again.get().ref == ref
    other = peer()
    assert other.get(f"ndshare.FrameRef(*{tuple(ref)!r}).get().array.tolist()") == [[0] * 5] * 4
    one, two = ref.get(), ref.get()
    one.close()
    assert (two.array == 0).all()
    frame.close()
    del frame
    two.close()
    sub.close()
    for k in range(4, 9):
        pub.put(frame_of(k))
    with pytest.raises(ndshare.Overwritten, match="overwritten"):
        ref.get()
    with pytest.raises(ndshare.NotFound, match="not published yet"):
        ref._replace(seq=(seqs[0] or 0) + 100).get()
    with pytest.raises(ndshare.Overwritten, match="generation"):
        ref._replace(generation=1).get()
    pub.close()
    with pytest.raises(ndshare.NotFound, match="gone"):
        ref.get()


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


# ---- who comes, goes and comes back -------------------------------------------------------------


def test_a_subscriber_may_come_first_and_follows_a_restart_with_the_same_spec(
    peer: PeerMaker,
) -> None:
    sub = ndshare.Subscriber("cam")
    assert (sub.spec, sub.publisher_count, sub.get(0)) == (None, 0, None)
    seqs = []
    for k in range(3):
        other = peer()
        other.do(f"pub = ndshare.Publisher('cam', (4, 5), 'f4'); pub.put(np.full((4, 5), {k}, 'f4'))")
        frame = sub.get(30)
        assert float(frame.array[0, 0]) == k
        assert sub.publisher_count == 1
        seqs.append((frame.generation, frame.seq))
        other.kill()
        assert sub.publisher_count == 0
    assert seqs == [(seqs[0][0], seqs[0][1] + k) for k in range(3)]
    sub.close()


def test_another_spec_is_a_new_generation_and_numbers_go_on() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    sub = ndshare.Subscriber("cam")
    pub.put(frame_of(1))
    pub.put(frame_of(2))
    held = sub.get(1)
    pub.close()
    new = ndshare.Publisher("cam", (7,), "u1")
    new.put(np.arange(7, dtype="u1"))
    assert float(sub.get(1).array[0, 0]) == 2  # what was published before is read first
    frame = sub.get(1)
    assert frame.array.tolist() == list(range(7))
    assert frame.generation > held.generation
    assert frame.seq == held.seq + 2
    assert (held.array == 1).all()
    assert sub.lost == 0
    new.close()
    sub.close()


def test_numbers_never_go_back_even_when_nobody_remembers() -> None:
    last = 0
    for _ in range(3):
        with ndshare.Publisher("cam", **CAMERA) as pub:
            for _ in range(5):
                seq = pub.put(frame_of(0))
                assert seq is not None
                assert seq > last
                last = seq


def test_a_second_publisher_is_refused_unless_shared(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    other = peer()
    other.do("""
        try:
            ndshare.Publisher('cam', (4, 5), 'f4')
            said = 'nothing'
        except ndshare.Exists as error:
            said = str(error)
    """)
    assert f"process {os.getpid()} publishes" in other.get("said")
    other.do("p = ndshare.Publisher('cam', (4, 5), 'f4', shared=True); p.put(np.ones((4, 5), 'f4'))")
    other.do("""
        try:
            ndshare.Publisher('cam', (4, 6), 'f4', shared=True)
            said = 'nothing'
        except ndshare.SpecMismatch as error:
            said = str(error)
    """)
    assert "(4, 6)" in other.get("said")
    assert other.get("ndshare.Publisher('cam', shared=True).spec.shape") == (4, 5)
    with ndshare.Subscriber("cam") as sub:
        seq = pub.put(frame_of(2))
        assert seq is not None
        assert [f.seq for f in drain(sub)] == [seq - 1, seq]
    pub.close()


def test_a_publisher_without_a_spec_takes_the_streams_own() -> None:
    with pytest.raises(ndshare.NotFound, match="shape and dtype"):
        ndshare.Publisher("cam")
    with ndshare.Subscriber("cam") as keep:
        first = ndshare.Publisher("cam", **CAMERA)
        assert keep.get(0) is None  # holds the stream from here
        first.close()
        with ndshare.Publisher("cam") as pub:
            assert pub.spec == ndshare.Spec((4, 5), "f4")


def test_a_publisher_whose_name_got_new_memory_says_replaced() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    ndshare.unlink("cam")
    assert pub.put(frame_of(1)) is not None  # those who have it go on
    other = ndshare.Publisher("cam", **CAMERA)
    with pytest.raises(ndshare.Replaced):
        pub.put(frame_of(2))
    other.close()
    pub.close()


def test_wait_subscribers(peer: PeerMaker) -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub:
        assert not pub.wait_subscribers(timeout=0)
        others = [peer() for _ in range(3)]
        for other in others:
            other.do("sub = ndshare.Subscriber('cam')")
        assert pub.wait_subscribers(3, timeout=30)
        assert pub.subscriber_count == 3
        assert not pub.wait_subscribers(4, timeout=0.05)


def test_pickled_handles_attach_again(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    sub = ndshare.Subscriber("cam", latest=True)
    other = peer()
    other.do(f"import pickle; p = pickle.loads({pickle.dumps(pub)!r}); p.put(np.ones((4, 5), 'f4'))")
    assert sub.get(5) is not None
    other.do(f"s = pickle.loads({pickle.dumps(sub)!r})")
    assert other.get("s.latest and float(s.get(5).array[0, 0])") == 1
    frame = sub.get(0)
    pub.put(frame_of(1))
    frame = sub.get(1)
    with pytest.raises(TypeError, match=r"frame\.ref"):
        pickle.dumps(frame)
    with pytest.raises(TypeError, match="loan"):
        pickle.dumps(pub.loan())
    pub.close()
    sub.close()


def test_a_forked_child_keeps_its_frames_and_reads_on(script: Any) -> None:
    out = script("""
        import os, warnings
        import ndshare, numpy as np
        pub = ndshare.Publisher("cam", (1000,), "i8", slots=4)
        sub = ndshare.Subscriber("cam")
        pub.put(np.full(1000, 1))
        pub.put(np.full(1000, 2))
        held = sub.get(1)
        go, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(go[0], 1)
            ok = (held.array == 1).all() and sub.get(1) is not None
            pub.put(np.full(1000, 77))
            os.write(done[1], b"y" if ok else b"n")
            os._exit(0)
        held.close()
        del held
        sub.close()
        for k in range(3, 40):
            pub.put(np.full(1000, k))
        os.write(go[1], b"x")
        print(os.read(done[0], 1).decode())
        os.waitpid(pid, 0)
        with ndshare.Subscriber("cam", latest=True) as last:
            print(int(last.get(1).array[0]))
        pub.close()
    """)
    assert out.split() == ["y", "77"]


def test_persistent_streams_survive_everybody() -> None:
    with ndshare.Publisher("p", **CAMERA, persistent=True) as pub:
        pub.put(frame_of(3))
    assert ndshare.info("p").persistent
    with ndshare.Subscriber("p") as sub:
        assert values(sub) == [3]
        with ndshare.Publisher("p", **CAMERA, persistent=True) as pub:
            pub.put(frame_of(4))
        assert values(sub) == [4]
    ndshare.unlink("p")


def test_sixty_four_subscribers(peer: PeerMaker) -> None:
    other = peer()
    with ndshare.Publisher("cam", **CAMERA) as pub:
        other.do("subs = [ndshare.Subscriber('cam') for _ in range(32)]")
        mine = [ndshare.Subscriber("cam") for _ in range(32)]
        assert pub.wait_subscribers(64, timeout=30)
        pub.put(frame_of(7))
        assert other.get("[float(s.get(5).array[0, 0]) for s in subs] == [7] * 32")
        assert [values(sub) for sub in mine] == [[7]] * 32
        for sub in mine:
            sub.close()


def test_a_stream_opens_with_plain_numpy() -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub:
        pub.put(frame_of(3))
        loaded = np.load(ndshare.info("cam").path, mmap_mode="r")
        assert loaded.shape == (8,)
        assert loaded["array"].shape == (8, 4, 5)
        assert (loaded["array"] == 3).all(axis=(1, 2)).any()
