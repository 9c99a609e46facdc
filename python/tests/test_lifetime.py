"""Who may end when: views, handles, interpreters, killed and stopped processes, descriptors."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

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
    "handles and views in globals": (
        "a = create(); b = ndshare.open('end'); v = a.array; w = b.array[1:]"
    ),
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
        "class F:\n    def __init__(s): s.a = create(); s.a[0]\n    def __del__(s): s.a[0]\n"
        "f = F(); f.f = f"
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
    with pytest.raises(TimeoutError, match=r'^\[read\] "inside": process \d+ is inside '):
        a.read(timeout=0.3)
    with (
        pytest.raises(TimeoutError, match=r'^\[write\] "inside": process \d+ is inside '),
        a.write(timeout=0.3),
    ):
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


def test_close_does_not_keep_the_interpreter_from_a_thread_that_changes_the_same_name(
    peer: PeerMaker, tmp_path: Path
) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    fd = os.open(lock, os.O_RDWR)
    other = peer(env={"NDSHARE_ROOT": str(tmp_path)})
    other.do("import threading, time; a = ndshare.create('same', 3)")
    lock_bytes(fd, fcntl.F_WRLCK)  # as another process's change does, for a moment
    other.start(
        """
        new = []
        thread = threading.Thread(
            target=lambda: new.append(ndshare.create('same', 4, existing='replace')))
        thread.start()
        time.sleep(0.3)
        a.close()
        thread.join()
        """
    )
    assert other.is_busy(1.0)
    lock_bytes(fd, fcntl.F_UNLCK)
    os.close(fd)
    other.finish(10)
    assert other.get("new[0].shape") == (4,)


def lock_bytes(fd: int, kind: int) -> None:
    """Locks or unlocks all of a file, for this description of it."""
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))  # F_OFD_SETLK
