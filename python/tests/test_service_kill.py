"""kill -9 at random under full load of a service: every call ends with its own answer or with the
right error, nobody hangs, and afterwards nothing is left.

Answers prove themselves: each is a function of an input that names its client and its count.
--kill-rounds=1000 for a long run.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from children import PeerMaker
from services import require_all_free
from test_kill import NURSERY, mappings, open_files, require_settled

import ndshare

LOAD = r"""
import gc
MASK32 = (1 << 32) - 1
SPEC = {"inputs": {"x": ndshare.Spec(maxshape=(64,), dtype="u8")},
        "outputs": {"y": ndshare.Spec(maxshape=(64,), dtype="u8"), "hash": ((), "u8")}}

def question(me, count, size):
    values = np.arange(size, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
    values[0], values[1] = me, count
    return values

def answers(batch):
    x = batch.inputs["x"]
    y = batch.resize(x.shape[1:], "y")
    y[:] = (x ^ (x >> np.uint64(7))) * np.uint64(0xBF58476D1CE4E5B9)
    batch.outputs["hash"][:] = x.sum(1, dtype="u8")

def prove(x, answer):
    y = (x ^ (x >> np.uint64(7))) * np.uint64(0xBF58476D1CE4E5B9)
    assert np.array_equal(answer["y"], y), f"another's answer: {x[:2]} {answer['y'][:4]}"
    assert int(answer["hash"]) == int(x.sum(dtype="u8")), "another's hash"

def work(me, chance):
    size = chance.choice((1, 2, 4, 8))
    while True:
        with ndshare.Worker("load", **SPEC, slots=SLOTS, retries=15) as worker:
            for batch in worker.batches(size, chance.choice((0, 0, 0.001))):
                parts = [batch]
                if chance.random() < 0.2:
                    answers(batch)
                    parts = list(batch)
                    chance.shuffle(parts)
                    for part in parts:
                        part.reply()
                elif chance.random() < 0.1:
                    batch.fail(ValueError(f"meant: {batch.inputs['x'][:, :2].tolist()}"))
                elif chance.random() < 0.03:
                    del batch, parts
                    break  # left unanswered, with its worker
                else:
                    answers(batch)

def finish(call, x, chance, kept):
    try:
        if chance.random() < 0.3:
            frame = call.frame()
            prove(x, frame)
            kept.append((x, frame))
        else:
            prove(x, call.result())
        return True
    except TimeoutError:
        assert call.limit is not None, "no deadline, and too late"
    except ndshare.NoWorker:
        assert call.limit is not None, "no deadline, and no worker"
    except ndshare.RemoteError as error:
        assert f"[{x[0]}, {x[1]}]" in str(error), f"another's error: {x[:2]} {error}"
    except ndshare.WorkerDied:
        pass  # so many workers died with it
    return False

def ask(me, chance):
    done = ndshare.open("done", writeable=True, timeout=60)
    client = ndshare.Client("load")
    count, calls, kept = 0, [], []
    while True:
        count += 1
        # One call or one kept answer, and then the next call: more may be a client's share and
        # its pins may be all slots, so that clients that hold on to them wait for each other.
        while calls and (len(calls) + bool(kept) > 1 or chance.random() < 0.5):
            call, x = calls.pop(chance.randrange(len(calls)))
            if finish(call, x, chance, kept):
                with done.write(recover=True) as d:
                    d[me % 8] += 1
            del call
        while len(kept) > chance.randrange(2):
            x, frame = kept.pop(0)
            prove(x, frame)
            del frame
        x = question(me, count, chance.choice((2, 2, 2, 5, 64)))
        limit = chance.choice((None, None, None, 60, 0.02, 0.002))
        try:
            if chance.random() < 0.3:
                call = client.loan(timeout=60)
                call.resize(x.shape)[:] = x
                if chance.random() < 0.1:
                    call.discard()
                    continue
                call.submit(timeout=limit)
            else:
                call = client.submit(x, timeout=60 if limit is None else limit)
                limit = 60 if limit is None else limit
        except (TimeoutError, ndshare.NoWorker) as error:
            assert limit is not None and limit < 60, f"no slot in 60 s: {error}"
            continue
        call.limit = limit
        calls.append((call, x))
        del call
        if chance.random() < 0.05 and calls:
            calls.pop(chance.randrange(len(calls)))[0].cancel()
        if chance.random() < 0.02 and calls:
            calls.pop()  # dropped
        if chance.random() < 0.01:
            for x, frame in kept:
                prove(x, frame)
            calls.clear(), kept.clear()
            client.close()
            client = ndshare.Client("load")
"""


def require_progress(done: ndshare.Array, since: int) -> int:
    """Somebody got an answer after that version; the version now."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            version = done.wait(1, since=since)
            if version is not None:
                return version
        except ndshare.IncompleteWrite:
            time.sleep(0.01)  # who counted was killed; the next one heals it
    raise AssertionError(f"it stands still: {ndshare.info('load')}")


@pytest.mark.parametrize(("slots", "clients", "workers"), [(32, 16, 3), (4, 3, 2)], ids=str)
def test_kills_under_load_of_a_service(
    peer: PeerMaker,
    name_space: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    slots: int,
    clients: int,
    workers: int,
) -> None:
    rounds = max(40, request.config.getoption("--kill-rounds") // 4)
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    nursery = peer()
    ndshare.create("done", 8, "i8").close()
    files, maps = open_files(), mappings()
    nursery.do(NURSERY)
    nursery.do(LOAD)
    nursery.do(f"SLOTS = {slots}")
    nursery.do(f"folder = {str(tmp_path)!r}; chance = random.Random({seed})")
    done = ndshare.create("done", 8, "i8")
    nursery.do(
        f"[start(kind, me) for me, kind in enumerate([work] * {workers} + [ask] * {clients}, 1)]"
    )
    last = 0
    for number in range(rounds):
        nursery.start(f"one_round({number + 20})")
        nursery.finish(60)
        if number % 10 == 9:
            last = require_progress(done, last)
    # Whoever lives goes on: nothing was lost that somebody waits for.
    for _ in range(3):
        last = require_progress(done, done.version)
    holder = ndshare.Client("load")  # keeps the memory
    while holder.inputs is None:  # the name may be in the middle of a change
        time.sleep(0.01)
    size = ndshare.info("load").nbytes
    nursery.do("require_alive(); [kill(pid) for pid in list(living) if living[pid] is ask]")
    nursery.do("require_alive(); [kill(pid) for pid in list(living)]")
    assert ndshare.info("load").counters["slots"] == slots
    require_all_free("load")
    nursery.do("start(work, 99)")
    for number in range(20):
        try:
            assert len(holder([1, number], timeout=60)["y"]) == 2
        except ndshare.RemoteError as error:
            assert f"[[1, {number}]]" in str(error)
        except ndshare.WorkerDied as error:
            raise AssertionError("a living worker") from error
    nursery.do("require_alive(); [kill(pid) for pid in list(living)]")
    info = ndshare.info("load")
    assert info.nbytes == size
    assert (info.counters["clients"], info.counters["workers"]) == (1, 0)
    holder.close()
    got = int(done.array.sum())
    assert got > rounds
    done.close()
    assert nursery.end() == 0
    require_settled(name_space)
    assert open_files() <= files
    assert mappings() <= maps + 4


def test_places_of_the_dead_are_used_again(peer: PeerMaker) -> None:
    # More clients and workers than there are places, one after another, all killed.
    with ndshare.Worker("ends", {"x": ((), "i8")}, {"y": ((), "i8")}, slots=2) as worker:
        nursery = peer()
        nursery.do(NURSERY)
        nursery.do("""
def both(me, chance):
    client, worker = ndshare.Client('ends'), ndshare.Worker('ends')
    call = client.submit(me)
    batch = worker.get(timeout=0)
    os.write(told, b'x')
    time.sleep(60)

hear, told = os.pipe()
chance, folder = None, '/tmp'
def many(count):
    for me in range(count):
        pid = start(both, me)
        assert os.read(hear, 1) == b'x'
        kill(pid)
""")
        nursery.do("random.Random(1); many(200)")
        with ndshare.Client("ends") as client:
            call = client.submit(-4, timeout=30)
            end = time.monotonic() + 30
            while not call.done() and time.monotonic() < end:
                batch = worker.get(timeout=0.1)
                if batch is not None:
                    batch.reply(batch.inputs["x"] * 2)
            assert call.result(0) == -8
        require_all_free("ends")
        counters = ndshare.info("ends").counters
        # A closed client counts no more.
        assert (counters["workers"], counters["clients"]) == (1, 0)
