"""Streams under load: many who come and go, and new generations in the middle of it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from children import PeerMaker

import ndshare

JOINERS = """
import random, threading, time
chance = random.Random(SEED)

def come_and_go(until):
    while time.monotonic() < until:
        sub = ndshare.Subscriber("load", latest=chance.random() < 0.3)
        last = 0
        for _ in range(chance.randrange(1, 6)):
            frame = sub.get(5)
            if frame is None:
                break
            assert frame.seq > last, (frame.seq, last)
            last = frame.seq
            values = frame.array
            assert (values == values.flat[0]).all(), "torn"
            counts[0] += 1
        sub.close()

counts, errors = [0], []
def guarded(until):
    try:
        come_and_go(until)
    except BaseException as error:
        errors.append(repr(error))
until = time.monotonic() + SECONDS
threads = [threading.Thread(target=guarded, args=(until,)) for _ in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not errors, errors[:3]
"""


@pytest.mark.parametrize("overflow", ["drop_oldest", "block"])
def test_sixty_four_subscribers_join_and_leave_under_load(peer: PeerMaker, overflow: str) -> None:
    others = [peer() for _ in range(4)]
    pub = ndshare.Publisher("load", (300,), "i8", slots=16, overflow=overflow)
    for seed, other in enumerate(others):
        other.start(f"SEED, SECONDS = {seed}, 2.0\n{JOINERS}")
    stop = threading.Event()

    def publish() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            pub.put(np.full(300, count), timeout=30)
            if overflow == "drop_oldest":
                time.sleep(0.0002)

    thread = threading.Thread(target=publish)
    thread.start()
    for other in others:
        other.finish()
    stop.set()
    thread.join()
    for other in others:
        assert other.get("counts[0]") > 50
    info = ndshare.info("load")
    assert (info.counters["subscribers"], info.counters["pinned"]) == (0, 0)
    pub.close()


def test_generations_change_under_load_and_everybody_follows(peer: PeerMaker) -> None:
    others = [peer() for _ in range(3)]
    first = ndshare.Publisher("gen", (4,), "i8")
    for k, other in enumerate(others):
        other.do(f"sub = ndshare.Subscriber('gen', latest={k == 2}); seen = []; last = 0")
        other.start("""
            while not seen or seen[-1] != 99:
                frame = sub.get(30)
                assert frame is not None and frame.seq > last, (seen, last)
                last = frame.seq
                values = frame.array
                assert (values == values.flat[0]).all(), "torn"
                shape = values.shape[0]
                if not seen or seen[-1] != shape:
                    seen.append(shape)
        """)
    assert first.wait_subscribers(3, timeout=30)
    first.close()
    seqs = []
    for size in (*range(5, 25), 99):
        with ndshare.Publisher("gen", (size,), "i8", slots=4) as pub:
            # In order they follow from memory to memory; who is slow skips some, nobody is stuck.
            pub.wait_subscribers(3, timeout=30)
            for count in range(200 if size != 99 else 400):
                seqs.append(pub.put(np.full(size, count)))
            if size == 99:
                for other in others:
                    other.finish()
    numbers = [seq for seq in seqs if seq is not None]  # None: every slot was pinned
    assert numbers == sorted(set(numbers))
    for k, other in enumerate(others):
        seen = other.get("seen")
        assert seen == sorted(seen)
        assert len(seen) > (5 if k < 2 else 0)
