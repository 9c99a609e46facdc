"""kill -9 at random under load: no torn copy, no hang, and afterwards nothing is left.

Contents prove themselves: every 64-byte line carries its writer, the writer's count, its own place
and a hash over these. Writers also count in the attributes what they have published, so that a
copy can be asked whether it was published at all. --kill-rounds=1000 for a long run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import Peer, PeerMaker
from conftest import entries

import ndshare

LINES = 512  # of 64 bytes: larger than what one store could do at once

LINE = np.dtype([("writer", "u8"), ("count", "u8"), ("place", "u8"), ("hash", "u8", (5,))])

PROOF = """
import random, time
MASK = (1 << 64) - 1

def mix(writer, count):
    base = (np.arange(LINES, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
            + np.uint64((writer * 0xBF58476D1CE4E5B9 + count * 0x94D049BB133111EB) & MASK))
    return (base[:, None] ^ (base[:, None] >> np.uint64(29))) * np.arange(3, 13, 2, dtype="u8")

def fill(w, writer, count, order):
    for part in order:
        w["writer"][part] = writer
        w["count"][part] = count
        w["place"][part] = np.arange(LINES)[part]
        w["hash"][part] = mix(writer, count)[part]

def prove(values):
    writer, count = int(values["writer"][0]), int(values["count"][0])
    assert (values["writer"] == writer).all() and (values["count"] == count).all(), "torn"
    if writer:
        assert (values["place"] == np.arange(LINES)).all(), "torn"
        assert (values["hash"] == mix(writer, count)).all(), "torn"
    return writer, count
""".replace("LINES", str(LINES))

WRITER = (
    PROOF
    + """
def work(me, seed):
    chance = random.Random(seed)
    a = ndshare.open("load", writeable=True, timeout=30)
    whole = np.zeros(a.shape, a.dtype)
    halves = [slice(0, None, 2), slice(1, None, 2)]
    count = 0
    while True:
        count += 1
        try:
            if chance.random() < 0.5:
                fill(whole, me, count, [slice(None)])
                a[...] = whole
            else:
                with a.write(recover=True) as w:
                    fill(w, me, count, chance.sample(halves, 2))
        except ndshare.Replaced:
            a.close()
            a = ndshare.open("load", writeable=True, timeout=30)
        if chance.random() < 0.05:
            a.attrs[str(me)] = count
        if chance.random() < 0.02:
            a.close()
            a = ndshare.open("load", writeable=True, timeout=30)
"""
)

READER = (
    PROOF
    + """
def work(me, seed):
    chance = random.Random(seed)
    done = ndshare.open("done", writeable=True, timeout=30)
    a = ndshare.open("load", timeout=30)
    out = np.zeros(a.shape, a.dtype)
    while True:
        try:
            if chance.random() < 0.3:
                a.wait(1.0)
            way = chance.randrange(3)
            values = a.read(out) if way == 0 else a[...] if way == 1 else a.read(timeout=20)
            try:
                prove(values)
            except AssertionError:
                with done.write(recover=True) as d: d["torn"] += 1
            with done.write(recover=True) as d: d["reads"] += 1
            dict(a.attrs)
        except (ndshare.IncompleteWrite, ndshare.Replaced):
            if a.replaced:
                a.close()
                a = ndshare.open("load", timeout=30)
            continue
        except TimeoutError:
            with done.write(recover=True) as d: d["late"] += 1
        if chance.random() < 0.02:
            a.close()
            a = ndshare.open("load", timeout=30)
"""
)

DONE = np.dtype([("torn", "i8"), ("reads", "i8"), ("late", "i8")])


class Crowd:
    """Writers and readers, of which one is killed now and then and another takes its place."""

    def __init__(self, peer: PeerMaker, seed: int) -> None:
        self._make = peer
        self._chance = random.Random(seed)
        self._count = 0
        self._spare: list[Peer] = []
        self.members: dict[str, list[Peer]] = {"writer": [], "reader": []}
        for kind in ("writer", "reader", "writer", "reader"):
            self._join(kind)

    def _join(self, kind: str) -> None:
        self._count += 1
        one = self._make()
        one.do(WRITER if kind == "writer" else READER)
        one.start(f"work({self._count}, {self._chance.randrange(1 << 30)})")
        self.members[kind].append(one)

    def kill_one(self) -> None:
        """At a moment that nobody chose; another of its kind joins."""
        kind = self._chance.choice(["writer", "writer", "reader"])
        one = self.members[kind].pop(self._chance.randrange(2))
        time.sleep(self._chance.uniform(0, 0.03))
        assert not one.is_busy(0) or True
        one.kill()
        one.close()
        self._join(kind)

    def require_busy(self) -> None:
        """Nobody gave up: work() ends by an exception only."""
        for kind, members in self.members.items():
            for one in members:
                if not one.is_busy(0):
                    one.finish()
                    raise AssertionError(f"a {kind} ended")
