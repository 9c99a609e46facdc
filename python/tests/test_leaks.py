"""Nothing grows: descriptors, mappings and memory after many cycles, failures and damage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import PeerError, PeerMaker

import ndshare

Script = Callable[..., str]


def test_many_threads_open_write_read_and_close_at_once(script: Script) -> None:
    script(
        """
        import threading, ndshare, numpy as np

        keep = ndshare.create("busy", data=np.zeros(64, "i8"))
        errors = []

        def work(seed):
            try:
                for k in range(150):
                    with ndshare.open("busy", writeable=True) as a:
                        view = a.array
                        with a.write() as w:
                            w += 1
                        values = a.read()
                        assert (values == values[0]).all(), values
                        a.wait(0)
                        a.attrs[str(seed)] = k
                    assert view[0] > 0
                    with ndshare.create(f"own/{seed}", data=[k]) as b:
                        assert ndshare.open(f"own/{seed}")[0] == k
            except BaseException as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=work, args=(s,)) for s in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert not errors, errors
        assert keep[0] == 900, keep[0]
        assert [i.name for i in ndshare.ls()] == ["busy"]
        """
    )


def test_threads_that_close_a_handle_under_its_users_get_closed(script: Script) -> None:
    script(
        """
        import threading, ndshare, numpy as np

        errors = []
        for round in range(60):
            a = ndshare.create("shut", 50_000)
            go = threading.Barrier(4)

            def use(step):
                go.wait()
                try:
                    while True:
                        step()
                except ndshare.Closed:
                    pass
                except BaseException as error:
                    errors.append(repr(error))

            def store():
                a[...] = 1

            threads = [threading.Thread(target=use, args=(f,))
                       for f in (a.read, store, lambda: a.wait(0.01))]
            for t in threads: t.start()
            go.wait()
            a.close()
            for t in threads: t.join()
        assert not errors, errors
        """
    )


GROWTH = """
import os, gc, ndshare, numpy as np

def sizes():
    gc.collect()
    with open("/proc/self/maps") as file:
        maps = sum(1 for _ in file)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), maps, pages * 4096

def cycle(k):
    a = ndshare.create("cycle", 16, attrs={"k": k})
    b = ndshare.open("cycle", writeable=True)
    b[0] = k
    assert a[0] == k
    if k % 10 == 0:
        a.fileno(); b.array; a.wait(0); ndshare.wait([b], 0)
    b.close(); a.close()

for k in range(1000):
    cycle(k)
before = sizes()
for k in range(10_000):
    cycle(k)
after = sizes()
assert after[0] == before[0], (before, after)
assert after[1] <= before[1] + 2, (before, after)
assert after[2] <= before[2] + (2 << 20), (before, after)
"""


def test_ten_thousand_cycles_leave_no_descriptor_mapping_or_memory(script: Script) -> None:
    script(GROWTH, seconds=120)


def test_a_failed_attempt_leaves_no_descriptor_or_mapping() -> None:
    keep = ndshare.create("keep", 4)

    def count() -> tuple[int, int]:
        here = Path("/proc/self")
        return len(list((here / "fd").iterdir())), (here / "maps").read_text().count("\n")

    def fail() -> None:
        attempts: list[Callable[[], Any]] = [
            lambda: ndshare.create("keep", 4),
            lambda: ndshare.create("keep", 5, existing="adopt"),
            lambda: ndshare.create("huge", 1 << 50, "u1"),
            lambda: ndshare.create("attrs", 4, attrs={"x": "y" * 20000}),
            lambda: ndshare.open("keep", shape=(5,)),
            lambda: ndshare.open("absent", timeout=0.001),
        ]
        for attempt in attempts:
            with pytest.raises((ndshare.Error, MemoryError, ValueError)):
                attempt()

    fail()
    before = count()
    for _ in range(20):
        fail()
    after = count()
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 2
    assert keep.version == 0


def test_a_book_that_was_deleted_is_made_again_with_what_lives(
    peer: PeerMaker, own_place: Any
) -> None:
    other = peer()
    other.do("a = ndshare.create('kept', data=[1, 2]); import shutil")
    mine = ndshare.create("mine", data=[3])
    other.do(f"shutil.rmtree({str(own_place)!r} + '/ndshare-{os.getuid()}')")
    assert ndshare.open("kept")[...].tolist() == [1, 2]
    assert [one.name for one in ndshare.ls()] == ["kept", "mine"]
    with pytest.raises(ndshare.Exists):
        ndshare.create("mine", 3)
    assert mine[0] == 3


def test_descriptors_closed_behind_our_back_cost_only_the_name(peer: PeerMaker) -> None:
    other = peer()
    other.do("a = ndshare.create('shut', data=[1, 2]); b = ndshare.create('alone', data=[3])")
    a = ndshare.open("shut", writeable=True)
    other.do("import resource; os.closerange(100, 200)")
    other.do(
        "[os.close(int(f)) for f in os.listdir('/proc/self/fd') if "
        "'memfd' in (os.path.exists(p := '/proc/self/fd/' + f) and os.readlink(p) or '')]"
    )
    a[0] = 5
    assert other.get("a.array.tolist()") == [5, 2]
    assert ndshare.open("shut")[0] == 5
    with pytest.raises(ndshare.NotFound):
        ndshare.open("alone")
    try:
        other.do("a.close(); b.close()")
    except PeerError as error:
        raise AssertionError(error.text) from None
    assert other.end() == 0
