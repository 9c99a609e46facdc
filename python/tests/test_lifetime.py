"""Who may end when: views, handles, interpreters, killed and stopped processes, descriptors."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from children import PeerError, PeerMaker
from conftest import entries

import ndshare

Script = Callable[..., str]


def test_a_view_outlives_its_handle_close_and_unlink() -> None:
    a = ndshare.create("view", data=np.arange(1000.0))
    b = ndshare.open("view")
    live, part, copy = a.array, b.array[10:20], np.asarray(b)[::-1]
    a.unlink()
    a.close()
    b.close()
    del a, b
    live[10] = -5.0
    assert (part[0], copy[-11]) == (-5.0, -5.0)
    assert not part.flags.writeable
    assert ndshare.ls() == []


def test_a_view_keeps_the_name_for_others(peer: PeerMaker) -> None:
    view = ndshare.create("view", data=[1, 2]).array
    assert peer().get("ndshare.open('view')[0]") == 1
    del view
    assert ndshare.ls() == []


ENDINGS = {
    "handles and views in globals": "a = create(); b = ndshare.open('end'); v = a.array; w = b.array[1:]",
    "a cycle": "a = create(); a.myself = a; v = a.array; v2 = [v]; v2.append(v2)",
    "a view in a module": "import sys; sys.keep = create().array",
    "a handle in a closure of atexit": "import atexit; a = create(); atexit.register(lambda: a[0])",
    "a waiting daemon thread": (
        "import threading, time; a = create()\n"
        "threading.Thread(target=a.wait, daemon=True).start(); time.sleep(0.2)"
    ),
    "a view in a thread's local": "import threading; t = threading.local(); t.v = create().array",
    "inside a write": "a = create(); w = a.write(); x = w.__enter__()",
    "a generator inside a write": (
        "def g():\n    with create().write() as w:\n        yield w\nk = g(); next(k)"
    ),
    "sys.exit inside a write": "import sys\nwith create().write() as w: sys.exit(0)",
    "os._exit": "import os; a = create(); v = a.array; os._exit(0)",
    "an asyncio wait": (
        "import asyncio; a = create()\n"
        "async def m():\n    t = asyncio.ensure_future(a.wait_async()); await asyncio.sleep(0.05)\n"
        "asyncio.run(m())"
    ),
    "a fileno": "import select; a = create(); p = select.epoll(); p.register(a); f = a.fileno()",
    "a finalizer that reads": (
        "class F:\n    def __init__(s): s.a = create(); s.a[0]\n    def __del__(s): s.a[0]\nf = F(); f.f = f"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("mode", ["plain", "dev"])
def test_the_interpreter_ends_quietly_with(script: Script, ending: str, mode: str) -> None:
    source = "import ndshare\ncreate = lambda: ndshare.create('end', 4096)\n" + ENDINGS[ending]
    script(source, options=["-X", "dev"] if mode == "dev" else [])
    assert ndshare.ls() == []


def test_what_a_killed_creator_made_stays_while_another_holds_it(peer: PeerMaker) -> None:
    creator, holder = peer(), peer()
    creator.do("a = ndshare.create('kept', data=np.arange(5), attrs={'k': 1})")
    holder.do("b = ndshare.open('kept')")
    creator.kill()
    a = ndshare.open("kept", writeable=True)
    assert a[...].tolist() == [0, 1, 2, 3, 4]
    assert dict(a.attrs) == {"k": 1}
    a[0] = 9
    assert holder.get("b.wait()") == 2
    with pytest.raises(ndshare.Exists):
        ndshare.create("kept", 3)
    assert holder.get("b.read().tolist()") == [9, 1, 2, 3, 4]


@pytest.mark.parametrize("ending", ["kill", "end"])
def test_what_nobody_holds_is_gone_and_its_name_is_free(
    peer: PeerMaker, name_space: str, ending: str
) -> None:
    creator, holder = peer(), peer()
    creator.do("a = [ndshare.create(f'gone/{k}', 100) for k in range(20)]")
    holder.do("b = [ndshare.open(f'gone/{k}') for k in range(20)]")
    assert len(ndshare.ls()) == 20
    for one in (creator, holder):
        getattr(one, ending)()
    with pytest.raises(ndshare.NotFound):
        ndshare.open("gone/0")
    assert ndshare.create("gone/1", 3).shape == (3,)
    assert ndshare.ls() == []
    assert entries(name_space) == []


def test_a_clean_exit_hands_the_name_to_another_holder(peer: PeerMaker) -> None:
    creator, holder = peer(), peer()
    creator.do("a = ndshare.create('kept', data=[1, 2])")
    holder.do("b = ndshare.open('kept')")
    assert creator.end() == 0
    assert ndshare.open("kept")[...].tolist() == [1, 2]
    assert ndshare.info("kept").holders == [holder.pid]
    assert holder.end() == 0
    with pytest.raises(ndshare.NotFound):
        ndshare.open("kept")


def test_the_name_stays_through_a_chain_of_holders(peer: PeerMaker) -> None:
    holder = peer()
    holder.do("a = ndshare.create('chain', data=[0])")
    for k in range(6):
        following = peer()
        following.do("a = ndshare.open('chain', writeable=True); a[0] += 1")
        if k % 2:
            holder.kill()
        else:
            assert holder.end() == 0
        holder = following
    assert holder.get("a[0]") == 6


@pytest.mark.parametrize("ending", ["killed", "stopped"])
def test_a_writer_inside_its_write_that_is(peer: PeerMaker, ending: str) -> None:
    a = ndshare.create("inside", data=np.zeros(4))
    writer = peer()
    writer.do("b = ndshare.open('inside', writeable=True); w = b.write(); x = w.__enter__()")
    writer.do("x[:2] = 7")
    if ending == "killed":
        writer.kill()
        for _ in range(2):
            with pytest.raises(ndshare.IncompleteWrite):
                a.read()
            with pytest.raises(ndshare.IncompleteWrite):
                a[0] = 1
        a[...] = 3
        assert ndshare.open("inside").read().tolist() == [3, 3, 3, 3]
        return
    writer.stop()
    with pytest.raises(TimeoutError, match=r'^\[read\] "inside": '):
        a.read(timeout=0.3)
    with pytest.raises(TimeoutError, match=r'^\[write\] "inside": '), a.write(timeout=0.3):
        pass
    with pytest.raises(TimeoutError), a.write(timeout=0, recover=True):
        pass
    assert a.wait(0.1) is None
    writer.go_on()
    writer.do("x[2:] = 7; w.__exit__(None, None, None)")
    assert a.wait() == 2
    assert a.read().tolist() == [7, 7, 7, 7]


def test_a_stopped_process_outside_of_a_write_disturbs_nobody(peer: PeerMaker) -> None:
    a = ndshare.create("idle", data=np.zeros(4))
    idle, other = peer(), peer()
    idle.do("b = ndshare.open('idle', writeable=True); b[0] = 1; b.read(); f = b.fileno()")
    other.do("c = ndshare.open('idle', writeable=True)")
    idle.stop()
    for k in range(50):
        other.do(f"c[0] = {k}")
        assert a.wait() == 3 + k
        assert a[0] == k
    assert ndshare.info("idle").holders == sorted([os.getpid(), idle.pid, other.pid])
    ndshare.open("idle").close()
    idle.go_on()
    assert idle.get("b.wait()") == 52


def test_a_stopped_holder_of_the_link_is_no_hindrance(peer: PeerMaker) -> None:
    creator = peer()
    creator.do("a = ndshare.create('link', data=[1])")
    creator.stop()
    a = ndshare.open("link", writeable=True)
    a[0] = 2
    ndshare.create("link", 3, existing="replace").close()
    creator.go_on()
    assert creator.get("a.replaced")
    assert creator.get("a[0]") == 2


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
    maps = sum(1 for _ in open("/proc/self/maps"))
    pages = int(open("/proc/self/statm").read().split()[1])
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
        with open("/proc/self/maps") as maps:  # noqa: PTH123
            return len(os.listdir("/proc/self/fd")), sum(1 for _ in maps)

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


def test_a_book_that_was_deleted_is_made_again_with_what_lives(peer: PeerMaker, own_place: Any) -> None:
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
    other.do("[os.close(int(f)) for f in os.listdir('/proc/self/fd') if "
             "'memfd' in (os.path.exists(p := '/proc/self/fd/' + f) and os.readlink(p) or '')]")
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


def test_a_signal_does_not_leave_a_write_half_done(peer: PeerMaker) -> None:
    a = ndshare.create("signal", 4)
    other = peer()
    other.do("b = ndshare.open('signal', writeable=True)")
    other.start("while True:\n with b.write() as w: w[...] = w[0] + 1")
    a.wait()
    other.signal(signal.SIGINT)
    with pytest.raises(PeerError, match="KeyboardInterrupt"):
        other.finish()
    try:
        values = a.read()
    except ndshare.IncompleteWrite:
        a[...] = 0
        values = a.read()
    assert len(set(values.tolist())) == 1
