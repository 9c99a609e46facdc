"""kill -9 at random under load: no torn copy, no hang, and afterwards nothing is left.

Contents prove themselves: every 64-byte line carries its writer, the writer's count, its own place
and a hash over these. --kill-rounds=1000 for a long run.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from children import PeerMaker
from conftest import entries

import ndshare

# Forks workers, so that one is there in milliseconds; they end with it.
NURSERY = r"""
import ctypes, random, signal, time, traceback
LINES = 256
LINE = np.dtype([("writer", "u8"), ("count", "u8"), ("place", "u8"), ("hash", "u8", (5,))])
MASK = (1 << 64) - 1
libc = ctypes.CDLL(None)
living = {}

def mix(writer, count):
    seed = np.uint64((writer * 0xBF58476D1CE4E5B9 + count * 0x94D049BB133111EB) & MASK)
    base = np.arange(LINES, dtype="u8") * np.uint64(0x9E3779B97F4A7C15) + seed
    return (base[:, None] ^ (base[:, None] >> np.uint64(29))) * np.arange(3, 13, 2, dtype="u8")

def fill(w, writer, count, parts):
    for part in parts:
        w["writer"][part] = writer
        w["count"][part] = count
        w["place"][part] = np.arange(LINES)[part]
        w["hash"][part] = mix(writer, count)[part]

def prove(values):
    writer, count = int(values["writer"][0]), int(values["count"][0])
    same = (values["writer"] == writer).all() and (values["count"] == count).all()
    same = same and (values["place"] == np.arange(LINES)).all()
    same = same and (values["hash"] == mix(writer, count)).all()
    assert same, f"torn: {values[:4]} {values[-4:]}"

def made(writer):
    values = np.zeros(LINES, LINE)
    fill(values, writer, 1, [slice(None)])
    return values

def again(a, writeable):
    a.close()
    return ndshare.open("load", writeable=writeable, timeout=60)

def write(me, chance):
    a = ndshare.open("load", writeable=True, timeout=60)
    whole = made(me)
    halves = [slice(0, None, 2), slice(1, None, 2)]
    count = 0
    while True:
        count += 1
        try:
            way = chance.randrange(3)
            if way == 0:
                fill(whole, me, count, [slice(None)])
                a[...] = whole
            elif way == 1:
                with a.write(recover=True) as w:
                    fill(w, me, count, chance.sample(halves, 2))
            else:
                with a.write(timeout=30) as w:
                    fill(w, me, count, halves)
        except ndshare.IncompleteWrite:
            continue
        except ndshare.Replaced:
            a = again(a, True)
        if chance.random() < 0.05:
            a.attrs[str(me % 4)] = [count, "x" * chance.randrange(500)]
        if chance.random() < 0.02:
            a = again(a, True)
        if chance.random() < 0.2:
            time.sleep(0.0005)

def read(me, chance):
    done = ndshare.open("done", writeable=True, timeout=60)
    a = ndshare.open("load", timeout=60)
    out = np.zeros(a.shape, a.dtype)
    while True:
        try:
            way = chance.randrange(5)
            if way == 0:
                a.wait(30)
            elif way == 1:
                ndshare.wait([a, done], 0.001)
            prove(a.read(out) if way == 2 else a[...] if way == 3 else a.read(timeout=60))
            dict(a.attrs)
        except ndshare.IncompleteWrite:
            continue
        except ndshare.Replaced:
            a = again(a, False)
        if a.replaced or chance.random() < 0.02:
            a = again(a, False)
        with done.write(recover=True) as d:
            d[me % 8] += 1

def start(kind, me):
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL)
        try:
            kind(me, random.Random(me))
        except BaseException:
            with open(f"{folder}/{os.getpid()}", "w") as report:
                traceback.print_exc(file=report)
        os._exit(3)
    living[pid] = kind
    return pid

def kill(pid):
    kind = living.pop(pid)
    os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == -9, open(f"{folder}/{pid}").read() if status == 3 else status
    return kind

def require_alive():
    for pid in living:
        assert os.waitpid(pid, os.WNOHANG)[0] == 0, open(f"{folder}/{pid}").read()

def one_round(me):
    require_alive()
    time.sleep(chance.uniform(0, 0.03))
    start(kill(chance.choice(list(living))), me)
"""


def open_files() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def mappings() -> int:
    """How many lines /proc/self/maps has."""
    return Path("/proc/self/maps").read_text().count("\n")


def memory_of(name_space: str) -> list[str]:
    """Memory of that name space that any process of this user holds still."""
    found = []
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if f"memfd:ndshare:{name_space}" in target:
            found.append(f"{fd} {target}")
    return found


def require_settled(name_space: str) -> None:
    """Names and memory are gone, once the kernel has finished the exits."""
    end = time.monotonic() + 30
    while memory_of(name_space) and time.monotonic() < end:
        time.sleep(0.05)
    assert memory_of(name_space) == []
    assert ndshare.ls() == []
    assert entries(name_space) == []


def test_kills_under_load_tear_nothing_and_leave_nothing(
    peer: PeerMaker, name_space: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rounds = request.config.getoption("--kill-rounds")
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    nursery = peer()
    ndshare.create("done", 8, "i8").close()
    files, maps = open_files(), mappings()
    nursery.do(NURSERY)
    nursery.do(f"folder = {str(tmp_path)!r}; chance = random.Random({seed})")
    nursery.do("load = ndshare.create('load', data=made(7))")
    done = ndshare.create("done", 8, "i8")
    nursery.do("[start(kind, me) for me, kind in enumerate([write, read, write, read], 1)]")
    last = 0
    for number in range(rounds):
        nursery.start(f"one_round({number + 10})")
        nursery.finish(60)
        if number % 25 == 24:
            assert done.wait(60, since=last) is not None, "the readers stand still"
            last = done.version
        if number % 40 == 39:
            nursery.do(
                "new = ndshare.create('load', data=made(7), existing='replace');"
                "load.close(); load = new; del new"
            )
    nursery.do("require_alive(); [kill(pid) for pid in list(living)]")
    with ndshare.open("load", writeable=True) as load:
        try:
            load.read(timeout=30)
        except ndshare.IncompleteWrite:
            nursery.do("with ndshare.open('load', writeable=True) as a: a[...] = made(7)")
        nursery.do("prove(load.read(timeout=30))")
        assert ndshare.info("load").counters["peers"] == 2
    reads = done.array.sum()
    assert reads > rounds
    done.close()
    assert nursery.end() == 0
    require_settled(name_space)
    assert open_files() <= files
    assert mappings() <= maps + 4


@pytest.mark.parametrize("what", ["create", "open", "close", "fork", "replace", "attrs", "unlink"])
def test_kills_in_the_middle_of_everything_else_leave_names_that_work(
    peer: PeerMaker, name_space: str, tmp_path: Path, request: pytest.FixtureRequest, what: str
) -> None:
    steps = {
        "create": "a = ndshare.create(f'own/{me}', data=[me] * 1000, existing='adopt'); a.close()",
        "open": "b = ndshare.open('kept'); assert b[0] == 1; b.close()",
        "close": "b = [ndshare.open('kept') for _ in range(3)]; del b",
        "fork": "p = os.fork()\n        if p == 0: os._exit(0)\n        os.waitpid(p, 0)",
        "replace": "c = ndshare.create('hot', data=[me] * 5000, existing='replace'); c.close()",
        "attrs": "k.attrs.update(me=me, text='x' * (me % 5000))",
        "unlink": "c = ndshare.create(f'u/{me}', 3); c.unlink(); ndshare.unlink(f'u/{me}', "
        "missing_ok=True)",
    }
    nursery = peer()
    nursery.do(NURSERY)
    nursery.do(
        f"def other(me, chance):\n    k = ndshare.open('kept', writeable=True)\n"
        f"    while True:\n        {steps[what]}"
    )
    kept = ndshare.create("kept", data=[1], attrs={"me": 0, "text": ""})
    nursery.do(f"folder = {str(tmp_path)!r}; chance = random.Random({os.getpid()})")
    nursery.do("[start(other, me) for me in range(3)]")
    for number in range(max(20, request.config.getoption("--kill-rounds") // 6)):
        nursery.start(f"one_round({number + 10})")
        nursery.finish(60)
        with ndshare.open("kept") as b:
            assert b[0] == 1
        snapshot = dict(kept.attrs)
        assert len(snapshot["text"]) == snapshot["me"] % 5000
    nursery.do("require_alive(); [kill(pid) for pid in list(living)]")
    end = time.monotonic() + 30
    while ndshare.info("kept").counters["peers"] > 1 and time.monotonic() < end:
        time.sleep(0.01)  # children of the killed are on their way out
    assert ndshare.info("kept").holders == [os.getpid()]
    kept[0] = 2
    kept.close()
    assert nursery.end() == 0
    for one in ndshare.ls():
        raise AssertionError(f"{one.name} is held by {one.holders}")
    require_settled(name_space)


def test_lines_of_the_proof_are_cache_lines() -> None:
    assert np.dtype([("head", "u8", (3,)), ("hash", "u8", (5,))]).itemsize == 64
