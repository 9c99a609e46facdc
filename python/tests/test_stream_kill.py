"""kill -9 at random under full load of a stream: nothing torn, nothing wrong, nobody hangs, and
afterwards nothing is left.

Frames prove themselves: every 64-byte line carries the publisher, its count, the line's place and a
hash over these. --kill-rounds=1000 for a long run.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from children import PeerMaker
from test_kill import NURSERY, mappings, open_files, require_settled

import ndshare

LOAD = r"""
def publisher():
    return ndshare.Publisher("load", LINES, LINE, slots=SLOTS, overflow=OVERFLOW, shared=True)

def publish(me, chance):
    frame = made(me)
    count = 0
    pub = publisher()
    while True:
        count += 1
        way = chance.randrange(4)
        try:
            if way == 0:
                with pub.loan(timeout=60) as loan:
                    fill(loan.array, me, count, [slice(0, None, 2), slice(1, None, 2)])
                    if chance.random() < 0.1:
                        loan.discard()
            else:
                fill(frame, me, count, [slice(None)])
                pub.put(frame, timeout=60)
        except (ndshare.Replaced, ndshare.EndOfStream):
            pub.close()
            pub = publisher()
        if chance.random() < 0.01:
            pub.close()
            pub = publisher()
        if OVERFLOW == "drop_oldest" and chance.random() < 0.2:
            time.sleep(0.0003)

def subscribe(me, chance):
    done = ndshare.open("done", writeable=True, timeout=60)
    latest = me % 3 == 0
    sub = ndshare.Subscriber("load", latest=latest)
    held, last = [], 0
    while True:
        frame = sub.get(60)
        assert frame is not None, f"nothing came for 60 s: {ndshare.info('load')}"
        assert frame.seq > last, (frame.seq, last)
        if OVERFLOW == "block" and not latest and last:
            assert frame.seq == last + 1 and sub.lost == 0, (frame.seq, last, sub.lost)
        last = frame.seq
        prove(frame.array)
        held.append(frame)
        if chance.random() < 0.5:
            held.pop(chance.randrange(len(held)))
        while len(held) > chance.choice((1, 2, 3, 8)):
            prove(held[0].array)
            held.pop(0)
        if chance.random() < 0.05:
            try:
                prove(frame.ref.get().array)
            except (ndshare.Overwritten, ndshare.NotFound):
                pass
        if chance.random() < 0.01:
            held.clear()
            sub.close()
            sub = ndshare.Subscriber("load", latest=latest)
            last = 0
        with done.write(recover=True) as d:
            d[me % 8] += 1
"""


@pytest.mark.parametrize("overflow", ["drop_oldest", "block"])
@pytest.mark.parametrize("publishers", [1, 2])
def test_kills_under_load_of_a_stream(
    peer: PeerMaker,
    name_space: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    overflow: str,
    publishers: int,
) -> None:
    rounds = max(40, request.config.getoption("--kill-rounds") // 2)
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    nursery = peer()
    ndshare.create("done", 8, "i8").close()
    files, maps = open_files(), mappings()
    nursery.do(NURSERY)
    nursery.do(f"SLOTS, OVERFLOW = 6, {overflow!r}")
    nursery.do(LOAD)
    nursery.do(f"folder = {str(tmp_path)!r}; chance = random.Random({seed})")
    done = ndshare.create("done", 8, "i8")
    kinds = "[publish] * " + str(publishers) + " + [subscribe] * 3"
    nursery.do(f"[start(kind, me) for me, kind in enumerate({kinds}, 1)]")
    last = 0
    for number in range(rounds):
        nursery.start(f"one_round({number + 10})")
        nursery.finish(60)
        if number % 20 == 19:
            assert done.wait(60, since=last) is not None, "the subscribers stand still"
            last = done.version
    # A newcomer finds everything in order: all slots come back.
    with ndshare.Subscriber("load") as sub:
        assert sub.get(60) is not None
    nursery.do("require_alive(); [kill(pid) for pid in list(living)]")
    got = int(done.array.sum())
    assert got > rounds
    done.close()
    assert nursery.end() == 0
    require_settled(name_space)
    assert open_files() <= files
    assert mappings() <= maps + 4


def test_all_slots_come_back_after_many_deaths(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("back", 1000, "u1", slots=4)
    nursery = peer()
    nursery.do(NURSERY)
    nursery.do("""
def hold(me, chance):
    sub = ndshare.Subscriber('back')
    held = []
    while True:
        frame = sub.get(1)
        if frame is not None: held = [frame]

def lend(me, chance):
    pub = ndshare.Publisher('back', shared=True)
    while True:
        loans = [pub.loan() for _ in range(2)]
        loans[0].publish()
""")
    nursery.do("folder = '/tmp'; chance = random.Random(5)")
    nursery.do("[start(kind, me) for me, kind in enumerate([hold, lend])]")
    frame = bytes(1000)
    import numpy as np

    values = np.frombuffer(frame, "u1")
    for number in range(40):
        for _ in range(20):
            pub.put(values)
        nursery.do(f"one_round({number})")
    nursery.do("[kill(pid) for pid in list(living)]")
    seqs = [pub.put(values) for _ in range(40)]
    assert None not in seqs
    info = ndshare.info("back")
    assert info.counters["pinned"] == 0
    assert info.counters["publishers"] == 1
    with ndshare.Subscriber("back") as sub:
        found = [sub.get(0) for _ in range(5)]
    assert [frame is not None for frame in found] == [True] * 4 + [False]
    del found
    pub.close()
