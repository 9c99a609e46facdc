"""fork, spawn and forkserver: children read and write, whoever of the family ends first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from children import PeerMaker

import ndshare

Script = Callable[..., str]
METHODS = ["fork", "spawn", "forkserver"]

HEAD = """
import multiprocessing, os, signal, sys, time
import ndshare
import numpy as np

def wait_for(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, (os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_knows_the_name_reads_and_writes(script: Script, method: str) -> None:
    script(
        HEAD
        + f"""
def work(name):
    b = ndshare.open(name, writeable=True, timeout=30)
    assert b[0] == 1
    b[1] = 2

if __name__ == "__main__":
    a = ndshare.create("family", data=[1, 0])
    child = multiprocessing.get_context("{method}").Process(target=work, args=("family",))
    child.start(); child.join()
    assert child.exitcode == 0
    assert a[...].tolist() == [1, 2] and a.wait(0) is None
""",
        options=["-W", "error"],
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_children_counts_together(script: Script, method: str) -> None:
    script(
        HEAD
        + f"""
def work(a):
    for _ in range(100):
        with a.write() as w:
            w[0] += 1
    return a.version

if __name__ == "__main__":
    a = ndshare.create("pool", 1, "i8")
    with multiprocessing.get_context("{method}").Pool(3) as pool:
        pool.map(work, [a] * 4)
        pool.close(); pool.join()
    assert a[0] == 400, a[0]
"""
    )


def test_a_forked_child_goes_on_with_the_handles_and_views_it_has(script: Script) -> None:
    script(
        HEAD
        + """
a = ndshare.create("fork", data=np.zeros(1000))
b = ndshare.open("fork")
view, look = a.array, b.array
pid = os.fork()
if pid == 0:
    assert b[0] == 0
    a[0] = 1
    view[1] = 2
    with a.write() as w: w[2] = 3
    assert look[:3].tolist() == [1, 2, 3]
    assert b.wait(0) in (3, 4)
    assert a.wait(30, since=3) == 4
    assert ndshare.info("fork").holders == sorted([os.getpid(), os.getppid()])
    os._exit(0)
assert a.wait(30, since=2) == 3
a[5] = 5
wait_for(pid)
assert a[...][:3].tolist() == [1, 2, 3]
assert ndshare.info("fork").holders == [os.getpid()]
"""
    )


@pytest.mark.parametrize("ending", ["exit", "_exit", "kill"])
def test_a_child_goes_on_when_its_parent_is_gone(peer: PeerMaker, ending: str) -> None:
    done = ndshare.create("done", 1)
    parent = peer()
    parent.do(
        """
        import time
        a = ndshare.create("orphan", data=np.zeros(4))
        view, parent = a.array, os.getpid()
        if os.fork() == 0:
            try:
                done = ndshare.open("done", writeable=True)
                while os.getppid() == parent:
                    time.sleep(0.01)
                a[0] = 1
                view[1] = 2
                assert ndshare.open("orphan")[...].tolist() == [1, 2, 0, 0]
                assert ndshare.info("orphan").holders == [os.getpid()]
                done[0] = 1
                assert done.wait(30) and a[3] == 9
                done[0] = 2
            finally:
                os._exit(0)
        """
    )
    if ending == "kill":
        parent.kill()
    elif ending == "exit":
        assert parent.end() == 0
    else:
        parent.start("os._exit(0)")
        assert parent.ended() == 0
    assert done.wait(30) == 1
    assert done[0] == 1
    b = ndshare.open("orphan", writeable=True)
    assert b[...].tolist() == [1, 2, 0, 0]
    b[3] = 9
    done[0] = 5
    assert done.wait(30) == 3
    assert done[0] == 2


def test_the_parent_s_locks_and_rows_are_not_the_child_s(script: Script) -> None:
    script(
        HEAD
        + """
a = ndshare.create("inside", data=np.zeros(4))
with a.write() as w:
    w[0] = 1
    pid = os.fork()
    if pid == 0:
        try:
            a.read(timeout=0.2)
        except TimeoutError:
            pass
        else:
            os._exit(3)
        try:
            with a.write(timeout=0): pass
        except TimeoutError:
            os._exit(0)
        os._exit(4)
    wait_for(pid)
    w[1] = 1
assert a[...].tolist() == [1, 1, 0, 0] and a.version == 2
"""
    )


@pytest.mark.parametrize("leave", ["pass", "raise KeyError"])
def test_the_child_s_way_out_of_its_parent_s_write_does_nothing(script: Script, leave: str) -> None:
    script(
        HEAD
        + f"""
a = ndshare.create("inside", data=np.zeros(4))
try:
    with a.write() as w:
        w[0] = 1
        pid = os.fork()
        if pid == 0:
            {leave}
        else:
            wait_for(pid)
            assert ndshare.info("inside").counters["writing"] == 1
            w[1] = 1
except KeyError:
    pass
if pid == 0:
    try:
        a.read(timeout=0)
    except TimeoutError:
        os._exit(0)
    os._exit(5)
assert a[...].tolist() == [1, 1, 0, 0] and a.version == 2
"""
    )


def test_a_child_killed_in_its_own_write_leaves_incomplete(script: Script) -> None:
    script(
        HEAD
        + """
a = ndshare.create("killed", data=np.zeros(4))
pid = os.fork()
if pid == 0:
    with a.write() as w:
        w[0] = 1
        os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
try:
    a.read()
except ndshare.IncompleteWrite:
    a[...] = 2
assert a[...].tolist() == [2, 2, 2, 2]
"""
    )


def test_grandchildren_and_many_forks_all_write(script: Script) -> None:
    script(
        HEAD
        + """
a = ndshare.create("many", 2, "i8")
fds = len(os.listdir("/proc/self/fd"))
for k in range(40):
    pid = os.fork()
    if pid == 0:
        with a.write() as w: w[0] += 1
        grand = os.fork()
        if grand == 0:
            with a.write() as w: w[1] += 1
            os._exit(0)
        wait_for(grand)
        os._exit(0)
    wait_for(pid)
assert a[...].tolist() == [40, 40]
assert len(os.listdir("/proc/self/fd")) == fds
assert ndshare.info("many").holders == [os.getpid()]
"""
    )


BUSY = {
    "writing": "with a.write() as w: w += 1",
    "reading": "a.read(); a[0]; a.wait(0)",
    "creating": 'ndshare.create("own", 3, existing="replace").close()',
    "opening": 'b = ndshare.open("threads"); b.fileno(); b.close()',
    "attributes": 'a.attrs["k"] = 1',
    "listing": "ndshare.ls()",
}


@pytest.mark.parametrize("busy", BUSY)
def test_a_fork_while_threads_work_leaves_a_child_that_works(script: Script, busy: str) -> None:
    script(
        HEAD
        + f"""
import threading, warnings
warnings.simplefilter("ignore")
a = ndshare.create("threads", data=np.zeros(8, "i8"))
a.fileno()
stop = threading.Event()

def work():
    while not stop.is_set():
        {BUSY[busy]}

threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for k in range(60):
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)  # a child that hangs dies of it
        b = ndshare.open("threads", writeable=True)
        for _ in range(3):
            with b.write() as w: w += 1
            v = a.read()
            assert (v == v[0]).all()
        a.wait(0)
        a.attrs["child"] = 1
        a.close(); b.close()
        os._exit(0)
    pid, status = os.waitpid(pid, 0)
    if status:
        print("child", k, "ended with", os.waitstatus_to_exitcode(status), file=sys.stderr)
        break
stop.set()
for t in threads: t.join()
v = a.read()
assert (v == v[0]).all()
""",
        seconds=30,
    )


def test_a_view_in_a_forked_child_keeps_the_memory_after_everybody_else(script: Script) -> None:
    script(
        HEAD
        + """
view = ndshare.create("view", data=np.arange(1000)).array
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(write)
    os.read(read, 1)
    assert view.sum() == 499500
    assert ndshare.open("view")[999] == 999
    view[0] = 1
    os._exit(0)
os.close(read)
del view
os.close(write)
wait_for(pid)
try:
    ndshare.open("view")
except ndshare.NotFound:
    sys.exit(0)
sys.exit("still there")
"""
    )


def test_a_forked_child_that_only_leaves_takes_nothing_with_it(script: Script) -> None:
    script(
        HEAD
        + """
a = ndshare.create("stay", data=[1])
for ending in ("exit", "_exit", "kill"):
    pid = os.fork()
    if pid == 0:
        if ending == "exit": sys.exit(0)
        if ending == "_exit": os._exit(0)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with ndshare.open("stay") as b:
        assert b[0] == 1
    assert ndshare.info("stay").holders == [os.getpid()]
    a[0] = 1
"""
    )
