"""How long a wait looks before it sleeps: not at all, in the end, where that only keeps the CPU
from who is waited for."""

from __future__ import annotations

import os
import statistics
import time

import numpy as np
import pytest
from children import PeerMaker

import ndshare

ROUNDS = 3000

ECHO = """
import os
os.sched_setaffinity(0, {{ {cpu} }})
there = ndshare.open("there-{spin}", spin={spin})
back = ndshare.create("back-{spin}", (), "u8", spin={spin})
for k in range(1, {rounds} + 1):
    there.wait()
    back[...] = there[()]
"""


def round_trip(peer: PeerMaker, cpu: int, spin: float | None) -> float:
    """Seconds, the median of those after it has settled."""
    there = ndshare.create(f"there-{spin}", (), "u8", spin=spin)
    other = peer()
    other.start(ECHO.format(cpu=cpu, spin=spin, rounds=ROUNDS))
    back = ndshare.open(f"back-{spin}", timeout=30, spin=spin)
    times = []
    for k in range(1, ROUNDS + 1):
        begin = time.perf_counter()
        there[...] = np.uint64(k)
        back.wait(timeout=30)
        assert back[()] == k
        times.append(time.perf_counter() - begin)
    other.finish()
    there.close()
    back.close()
    return statistics.median(times[ROUNDS // 2 :])


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="nobody looks before sleeping on one CPU")
def test_two_on_one_cpu_are_as_fast_as_those_who_sleep_at_once(peer: PeerMaker) -> None:
    mine = os.sched_getaffinity(0)
    cpu = min(mine)
    os.sched_setaffinity(0, {cpu})
    try:
        asleep, default = round_trip(peer, cpu, 0), round_trip(peer, cpu, None)
    finally:
        os.sched_setaffinity(0, mine)
    # It was ten times as long when each wait looked for its 50 us first.
    assert default < 3 * asleep, (default, asleep)
