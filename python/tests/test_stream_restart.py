"""Who comes first, goes, and comes back: streams follow by themselves."""

from __future__ import annotations

import os
import pickle
import select
import time
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from frames import CAMERA, drain, frame_of, values

import ndshare

# ---- who comes, goes and comes back -------------------------------------------------------------


def test_a_subscriber_may_come_first_and_follows_a_restart_with_the_same_spec(
    peer: PeerMaker,
) -> None:
    sub = ndshare.Subscriber("cam")
    assert (sub.spec, sub.publisher_count, sub.get(0)) == (None, 0, None)
    seqs = []
    for k in range(3):
        other = peer()
        other.do(
            f"pub = ndshare.Publisher('cam', (4, 5), 'f4'); pub.put(np.full((4, 5), {k}, 'f4'))"
        )
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
    other.do(
        "p = ndshare.Publisher('cam', (4, 5), 'f4', shared=True); p.put(np.ones((4, 5), 'f4'))"
    )
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
    other.do(
        f"import pickle; p = pickle.loads({pickle.dumps(pub)!r}); p.put(np.ones((4, 5), 'f4'))"
    )
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


def test_a_subscriber_that_only_polls_follows_an_unlinked_name() -> None:
    pub = ndshare.Publisher("cam", **CAMERA)
    sub = ndshare.Subscriber("cam")
    ended = ndshare.Subscriber("cam")
    number = sub.fileno()
    assert sub.get(0) is None
    pub.end()
    with pytest.raises(ndshare.EndOfStream):
        sub.get(0)
    with pytest.raises(ndshare.EndOfStream):
        ended.get(5)
    ndshare.unlink("cam")
    pub.close()
    new = ndshare.Publisher("cam", **CAMERA)
    new.put(frame_of(3))
    assert select.select([number], [], [], 30)[0]
    for one in (sub, ended):
        frame = None
        for _ in range(1000):
            try:
                frame = one.get(0)
            except ndshare.EndOfStream:
                frame = None
            if frame is not None:
                break
            time.sleep(0.001)
        assert frame is not None
        assert float(frame.array[0, 0]) == 3
        one.close()
    new.close()


def test_a_child_that_never_reads_holds_nobody_back(script: Any) -> None:
    out = script("""
        import os, signal, warnings
        import ndshare, numpy as np
        pub = ndshare.Publisher("cam", (4,), "f8", slots=3, overflow="block")
        sub = ndshare.Subscriber("cam")
        number = sub.fileno()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write)
            os.read(read, 1)
            got = 0
            while sub.get(0.2) is not None:
                got += 1
            os._exit(got)
        for k in range(20):
            pub.put(np.full(4, k), timeout=30)
            assert sub.get(30).array[0] == k
        import select
        pub.put(np.full(4, 1))
        assert select.select([number], [], [], 5)[0]
        sub.close()
        os.write(write, b"x")
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        pub.close()
    """)
    assert out.split() == ["3"]


def test_forks_while_other_threads_read_and_publish(script: Any) -> None:
    script("""
        import os, threading, time
        import ndshare, numpy as np
        pub = ndshare.Publisher("cam", (500,), "i8", slots=8)
        subs = [ndshare.Subscriber("cam", latest=k == 1) for k in range(2)]
        stop = threading.Event()
        held = [None, None]
        def read(k):
            while not stop.is_set():
                frame = subs[k].get(1)
                if frame is not None:
                    assert (frame.array == frame.array[0]).all()
                    held[k] = frame
        def publish():
            k = 0
            while not stop.is_set():
                k += 1
                pub.put(np.full(500, k))
        threads = [threading.Thread(target=read, args=(k,)) for k in range(2)]
        threads.append(threading.Thread(target=publish))
        [t.start() for t in threads]
        time.sleep(0.05)
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                mine = [f for f in held if f is not None]
                before = [f.array.copy() for f in mine]
                time.sleep(0.01)
                ok = all((f.array == b).all() for f, b in zip(mine, before))
                ok = ok and subs[0].get(5) is not None
                pub.put(np.full(500, -1))
                subs[0].close()
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        [t.join() for t in threads]
        held.clear()
    """)
