"""Streams: what is published is got, in order or the newest; slots are pinned and lent."""

from __future__ import annotations

import gc
import signal
import threading
import time

import pytest
from children import PeerError, PeerMaker
from frames import CAMERA, drain, frame_of, numbers, values

import ndshare

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


def test_what_was_there_before_a_subscriber_and_goes_before_its_first_frame_is_not_lost_to_it() -> (
    None
):
    with ndshare.Publisher("cam", **CAMERA, slots=4) as pub:
        for k in range(3):
            pub.put(frame_of(k))
        with ndshare.Subscriber("cam") as sub:
            pub.put(frame_of(3))
            pub.put(frame_of(4))  # over the first
            assert numbers([sub.get(0)]) == [1]
            assert sub.lost == 0
            for k in range(5, 10):
                pub.put(frame_of(k))
            assert values(sub) == [6, 7, 8, 9]
            assert sub.lost == 4
        with ndshare.Subscriber("cam") as sub:
            for k in range(10, 20):
                pub.put(frame_of(k))
            assert values(sub) == [16, 17, 18, 19]
            assert sub.lost == 6, "what came after it was lost to it"


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
    peer: PeerMaker, stop_seconds: float
) -> None:
    for overflow in ("block", "drop_oldest"):
        other = peer()
        pub = ndshare.Publisher(overflow, **CAMERA, slots=3, overflow=overflow)
        other.do(f"sub = ndshare.Subscriber({overflow!r})")
        other.stop()
        put = 0
        end = time.monotonic() + stop_seconds
        try:
            while put < 50 or time.monotonic() < end:
                pub.put(frame_of(put), timeout=max(stop_seconds, 0.01))
                put += 1
                if put > 50:  # their numbers stay exact in four bytes
                    time.sleep(0.0005)
        except TimeoutError:
            pass
        other.go_on()
        expected = (3, 0) if overflow == "block" else (max(put, 50), put - 3)
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


def test_frames_are_read_only_by_flag_and_by_page(peer: PeerMaker) -> None:
    with ndshare.Publisher("cam", **CAMERA) as pub, ndshare.Subscriber("cam") as mine:
        pub.put(frame_of(1))
        other = peer()
        other.do("""
            import ctypes
            sub = ndshare.Subscriber("cam")
            frame = sub.get(10)
        """)
        assert other.get("frame.array.flags.writeable") is False
        with pytest.raises(PeerError, match="read-only"):
            other.do("frame.array[0] = 2")
        with pytest.raises(PeerError, match="WRITEABLE"):
            other.do("frame.array.flags.writeable = True")
        # Whoever gets past the flag: a pointer, torch, an extension.
        other.start("ctypes.memset(frame.array.ctypes.data, 0xff, 8)")
        assert other.ended() == -signal.SIGSEGV
        assert (mine.get(1).array == 1).all()


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
        assert f"process {other.get('os.getpid()')} " in pub.blocked_by
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
