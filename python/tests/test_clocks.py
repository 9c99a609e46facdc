"""Clocks that jump, stand still, or differ between containers decide nothing and shift nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import PeerMaker
from services import NUMBER, SECONDS, take

import ndshare

Script = Callable[..., str]

# Every look at the time of day gives another decade; or all of them are BEHIND seconds behind.
JUMPING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
#ifdef BEHIND
    return -BEHIND;
#endif
    static long count;
    const long n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    return (n % 3 - 1) * 10L * 365 * 86400;
}
int clock_gettime(clockid_t clock, struct timespec* now) {
    const int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
    return result;
}
int gettimeofday(struct timeval* restrict now, void* restrict zone) {
    (void)zone;
    struct timespec precise;
    const int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec, now->tv_usec = precise.tv_nsec / 1000;
    return result;
}
time_t time(time_t* out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""

EVERYTHING = f"""
import threading, time
import numpy as np
import ndshare

days = [time.time() for _ in range(3)]
assert max(days) - min(days) > 86400 * 3000, "the clock does not jump here"

def seconds_of(action):
    before = time.monotonic()
    found = action()
    return time.monotonic() - before, found

# Nothing comes: each wait lasts as long as it was told to, within what a busy machine takes.
array = ndshare.create("a", data=[1, 2])
publisher = ndshare.Publisher("s", 3, slots=4, overflow="block")
subscriber = ndshare.Subscriber("s")
worker = ndshare.Worker("w", **{NUMBER!r})
client = ndshare.Client("w")
reader = ndshare.open("a")
array.wait(0), reader.wait(0), subscriber.get(0)

def refused(kind, action):
    try:
        action()
    except kind:
        return None
    raise AssertionError(kind)

for wait in (
    lambda: reader.wait(0.3),
    lambda: subscriber.get(0.3),
    lambda: publisher.wait_subscribers(5, 0.3) or None,
    lambda: worker.get(timeout=0.3),
    lambda: ndshare.wait([reader, subscriber], 0.3) or None,
    lambda: refused(TimeoutError, lambda: client(1, timeout=0.3)),
    lambda: refused(ndshare.NotFound, lambda: ndshare.open("absent", timeout=0.3)),
):
    seconds, found = seconds_of(wait)
    assert found is None, found
    assert seconds >= 0.3, seconds

# What comes is seen, whatever the time of day says.
for k in range(50):
    later = threading.Timer(0.01, lambda: (publisher.put([k, k, k]), array.__setitem__(0, k)))
    later.start()
    frame = subscriber.get(30)
    assert frame.array[0] == k and 0 <= frame.age < 30, frame.age
    assert reader.wait(30) is not None
    later.join()
thread = threading.Thread(target=worker.run, args=(lambda x: x + 1,), kwargs={{"max_delay": 0.001}})
thread.start()
for k in range(50):
    assert client(k, timeout=30) == k + 1
assert ndshare.info("w").workers[0]["progress_s"] < 30
worker.close()
thread.join()
# Memory of the same name is newer each time, also when the clock is not.
generations = [array.generation]
for _ in range(20):
    newer = ndshare.create("a", data=[3], existing="replace")
    generations.append(newer.generation)
assert generations == sorted(set(generations)), generations
assert array.replaced and ndshare.open("a")[0] == 3
# A publisher that comes back with other frames goes on counting.
numbers = []
for k in range(6):
    publisher.close()
    publisher = ndshare.Publisher("s", 3 + k % 2, slots=4)
    publisher.put(np.zeros(3 + k % 2))
    numbers.append(subscriber.get(30).seq)
assert numbers == sorted(set(numbers)), numbers
"""


@pytest.fixture
def make_clock(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Compiles a time of day; returns the environment of those who have it."""
    return lambda *flags: _made_clock(tmp_path, *flags)


def _made_clock(tmp_path: Path, *flags: str) -> dict[str, str]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "clock").mkdir()
    source, library = tmp_path / "clock" / "jump.c", tmp_path / "clock" / "jump.so"
    source.write_text(JUMPING)
    command = [compiler, "-shared", "-fPIC", "-O1", *flags, "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library)}


def test_no_wait_deadline_age_or_order_follows_the_time_of_day(
    script: Script, make_clock: Callable[..., dict[str, str]]
) -> None:
    script(EVERYTHING, env=make_clock())


def test_losses_are_counted_in_a_stream_that_began_anew_while_the_clock_was_behind(
    peer: PeerMaker, make_clock: Callable[..., dict[str, str]]
) -> None:
    with ndshare.Subscriber("s") as subscriber:
        with ndshare.Publisher("s", 3) as before:
            last = before.put([1, 2, 3])
            first = subscriber.get(SECONDS)
            assert first is not None
            assert first.seq == last
        ndshare.unlink("s")
        other = peer(env=make_clock("-DBEHIND=86400"))
        other.do(
            "p = ndshare.Publisher('s', 3, slots=4)\nnumbers = [p.put([k] * 3) for k in range(10)]"
        )
        assert other.get("numbers[-1]") < last, "its numbers go on"
        frame = subscriber.get(SECONDS)
        assert frame is not None
        assert frame.seq == other.get("numbers[6]")
        assert subscriber.lost == 6


# ---- time namespaces ----------------------------------------------------------------------------

FAR_SECONDS = 500_000


def can_unshare_time() -> bool:
    """May this user have a time namespace of its own?"""
    if shutil.which("unshare") is None:
        return False
    test = ["unshare", "--time", "--monotonic", "1000", "--fork", "true"]
    return subprocess.run(test, capture_output=True).returncode == 0


needs_time_namespaces = pytest.mark.skipif(
    not can_unshare_time(), reason="no time namespace for this user"
)


def elsewhere(seconds: int) -> list[str]:
    """Runs what follows it where CLOCK_MONOTONIC is that far from ours."""
    uptime = int(time.clock_gettime(time.CLOCK_MONOTONIC))
    far = max(seconds, -uptime // 2)
    return ["unshare", "--time", "--monotonic", str(far), "--fork", "--kill-child"]


@needs_time_namespaces
@pytest.mark.parametrize("far", [FAR_SECONDS, -FAR_SECONDS], ids=["ahead", "behind"])
def test_deadlines_ages_and_delays_hold_between_containers_whose_clocks_differ(
    peer: PeerMaker, far: int
) -> None:
    other = peer(prefix=elsewhere(far))
    theirs = other.get("__import__('time').clock_gettime(1)")
    assert abs(theirs - time.clock_gettime(time.CLOCK_MONOTONIC)) > 600, "one clock for all"

    with ndshare.Publisher("cam", 3, slots=4) as publisher:
        publisher.put([1, 2, 3])
        other.do("s = ndshare.Subscriber('cam', latest=True); frame = s.get(timeout=30)")
        assert 0 <= other.get("frame.age") < 60
        other.do("p = ndshare.Publisher('back', 3); p.put([1, 2, 3])")
        with ndshare.Subscriber("back", latest=True) as subscriber:
            frame = subscriber.get(timeout=30)
            assert frame is not None
            assert 0 <= frame.age < 60
        other.do("s.close(); p.close()")

    # Their worker, our call: neither dropped as too late nor kept back for company.
    other.do(f"w = ndshare.Worker('theirs', **{NUMBER!r})")
    with ndshare.Client("theirs") as client:
        call = client.submit(4, timeout=60)
        other.do("b = w.get(8, 0.001, timeout=60); b.reply(b.inputs['x'] + 1)")
        assert call.result() == 5
        (row,) = ndshare.info("theirs").workers
        assert 0 <= row["progress_s"] < 60
        late = client.submit(4, timeout=0.2)
        with pytest.raises(TimeoutError):
            late.result()
        assert other.get("w.get(timeout=0)") is None
    # Ours, their call.
    with ndshare.Worker("ours", **NUMBER) as worker:
        other.do("c = ndshare.Client('ours'); call = c.submit(4, timeout=60)")
        take(worker, 8, 0.001).reply([5])
        assert other.get("int(call.result())") == 5
        other.do("call = c.submit(4, timeout=0.2)")
        other.do("try: call.result()\nexcept TimeoutError: pass")
        assert worker.get(timeout=0) is None


@needs_time_namespaces
@pytest.mark.parametrize("far", [FAR_SECONDS, -FAR_SECONDS], ids=["ahead", "behind"])
def test_waits_for_several_things_last_as_long_where_the_clock_is_another(
    peer: PeerMaker, far: int
) -> None:
    other = peer(prefix=elsewhere(far))
    other.do(
        """
        import time
        a = ndshare.create("a", data=[1]); b = ndshare.create("b", data=[1])
        began, used = time.monotonic(), time.process_time()
        assert ndshare.wait([a, b], 0.5) == []
        assert time.monotonic() - began >= 0.5
        assert time.process_time() - used < 0.4, "it did not sleep"
        """
    )


@needs_time_namespaces
def test_a_child_that_is_forked_into_another_time_namespace_looks_again(peer: PeerMaker) -> None:
    other = peer()
    other.do(
        f"""
        import ctypes, time
        p = ndshare.Publisher("cam", 3); p.put([1, 2, 3])
        s = ndshare.Subscriber("cam", latest=True)
        frame = s.get(timeout=5)
        assert ctypes.CDLL(None).unshare(0x80) == 0  # CLONE_NEWTIME
        with open("/proc/self/timens_offsets", "w") as file:
            file.write("monotonic {FAR_SECONDS} 0")
        assert 0 <= frame.age < 60
        child = os.fork()
        if child == 0:
            far = time.monotonic() > {FAR_SECONDS}
            os._exit(0 if far and 0 <= frame.age < 60 else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """
    )
    assert other.get("code") == 0
