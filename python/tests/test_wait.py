"""wait(), wait_async(), fileno() and ndshare.wait(): news, and only news, without polling."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from children import PeerError, PeerMaker

import ndshare

A = ndshare.Array[Any]


def pair(name: str = "news") -> tuple[A, A]:
    """Two handles of one array, of two names of this process."""
    return ndshare.create(name, 4, "i8"), ndshare.open(name, writeable=True)


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    """Does it in another thread."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_the_first_wait_of_a_new_handle_returns_at_once_if_there_was_a_write() -> None:
    a, _ = pair()
    assert ndshare.open("news").wait(0) is None
    a[0] = 1
    a[0] = 2
    b = ndshare.open("news")
    assert b.wait() == 2
    assert b.wait(0) is None


def test_what_was_read_written_or_waited_for_is_no_news() -> None:
    a, b = pair()
    a[0] = 1
    assert a.wait(0) is None
    assert b[0] == 1
    assert b.wait(0) is None
    a[0] = 2
    assert b.version == 2
    assert b.wait(0) == 2, "looking at version reads nothing"
    a[0] = 3
    b.read()
    assert b.wait(0) is None
    with b.write() as w:
        w[0] = 4
    assert b.wait(0) is None
    assert a.wait(0) == 4


def test_since_counts_from_where_it_is_told() -> None:
    a, b = pair()
    for k in range(1, 4):
        a[0] = k
    assert b.wait(0, since=0) == 3
    assert b.wait(0, since=2) == 3
    assert b.wait(0, since=3) is None
    assert b.wait(0.01, since=5) is None

    def three() -> None:
        for _ in range(3):
            a[0] = 9

    barrier = later(0.1, three)
    assert b.wait(since=5) == 6
    barrier.join()


def test_a_write_and_then_wait_waits_for_the_answer_however_fast_it_came() -> None:
    asked, answered = pair("dialogue")
    asked[0] = 1
    assert answered.wait() == 1
    answered[1] = 1
    assert asked.wait(0) == 2, "the answer came before the wait"
    asked[0] = 2
    reply = later(0.1, lambda: answered.__setitem__(1, 2))
    assert asked.wait() == 4
    reply.join()


def test_two_processes_talk_over_one_array(peer: PeerMaker) -> None:
    a = ndshare.create("talk", 2, "i8")
    other = peer()
    other.do("b = ndshare.open('talk', writeable=True)")
    other.start("for k in range(200): b.wait(); b[1] = b[0]")
    for k in range(200):
        a[0] = k
        assert a.wait() == 2 * k + 2
        assert a[1] == k
    other.finish()


@pytest.mark.parametrize("spin", [None, 0, 0.001])
def test_every_way_of_spinning_hears_another_process(peer: PeerMaker, spin: float | None) -> None:
    a = ndshare.create("spin", 2, "i8")
    b = ndshare.open("spin", spin=spin)
    other = peer()
    other.do("c = ndshare.open('spin', writeable=True)")
    other.start("import time; time.sleep(0.2); c[0] = 1")
    assert b.wait() == 1
    other.finish()
    assert a.wait(0) == 1


@pytest.mark.parametrize("timeout", [0, 0.0, 0.001, 0.05, -1, np.float32(0.001)])
def test_no_news_in_time_is_none(timeout: float) -> None:
    a, _ = pair()
    assert a.wait(timeout) is None
    assert a.wait(timeout, since=7) is None
    assert ndshare.wait([a], timeout) == []


@pytest.mark.parametrize("timeout", [True, False, np.True_, "1", [1]], ids=repr)
def test_a_timeout_that_is_no_number_is_a_type_error(timeout: Any) -> None:
    a, _ = pair()
    for wait in (
        a.wait,
        lambda timeout: ndshare.wait([a], timeout),
        lambda timeout: ndshare.open("news", timeout=timeout),
        lambda timeout: a.read(timeout=timeout),
        lambda timeout: a.write(timeout=timeout),
    ):
        with pytest.raises(TypeError, match="timeout"):
            wait(timeout)


def test_a_timeout_that_is_no_time_is_a_value_error() -> None:
    a, _ = pair()
    with pytest.raises(ValueError, match="NaN"):
        a.wait(float("nan"))
    a[0] = 1
    assert a.wait(float("inf"), since=0) == 1


def test_replaced_memory_ends_a_wait(peer: PeerMaker) -> None:
    a, _ = pair()
    other = peer()
    other.start("import time; time.sleep(0.2); b = ndshare.create('news', 9, existing='replace')")
    with pytest.raises(ndshare.Replaced, match="open it again"):
        a.wait()
    other.finish()
    with pytest.raises(ndshare.Replaced):
        a.wait(0)
    assert ndshare.wait([a], 0) == [a]


@pytest.mark.parametrize("wait", ["wait", "several"])
def test_close_from_another_thread_ends_a_wait(wait: str) -> None:
    a, b = pair()
    closer = later(0.1, b.close)
    if wait == "wait":
        with pytest.raises(ndshare.Closed):
            b.wait()
    else:
        c = ndshare.create("other", 3)
        assert ndshare.wait([c, b]) == [b]
    closer.join()
    assert a.wait(0) is None


BLOCKED = {
    "wait": "b.wait()",
    "timeout": "b.wait(1000)",
    "several": "ndshare.wait([b, c])",
    "read": "stuck.read()",
    "write": "stuck[0] = 1",
    "open": "ndshare.open('absent', timeout=None)",
}


@pytest.mark.parametrize("blocked", BLOCKED)
def test_ctrl_c_ends_every_wait(peer: PeerMaker, blocked: str) -> None:
    _held = ndshare.create("news", 4), ndshare.create("stuck", 4)
    writer = peer()
    writer.do("a = ndshare.open('stuck', writeable=True); w = a.write(); w.__enter__()")
    other = peer()
    other.do(
        "b = ndshare.open('news'); c = ndshare.open('news');"
        "stuck = ndshare.open('stuck', writeable=True)"
    )
    other.start(BLOCKED[blocked])
    assert other.is_busy()
    other.signal(signal.SIGINT)
    with pytest.raises(PeerError, match="KeyboardInterrupt"):
        other.finish()
    writer.do("w.__exit__(None, None, None)")
    other.do("stuck[0] = 2; stuck.read(); b.wait(0)")


def test_a_signal_handler_that_raises_ends_a_wait_and_one_that_returns_does_not(
    peer: PeerMaker,
) -> None:
    a, _ = pair()
    other = peer()
    other.do(
        """
        import signal
        b = ndshare.open('news')
        heard = []
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        def refuse(*_): raise LookupError('heard')
        signal.signal(signal.SIGUSR2, refuse)
        """
    )
    other.start("b.wait()")
    for _ in range(5):
        other.signal(signal.SIGUSR1)
        assert other.is_busy(0.05)
    a[0] = 1
    other.finish()
    assert other.get("len(heard)") >= 1
    other.start("b.wait()")
    assert other.is_busy()
    other.signal(signal.SIGUSR2)
    with pytest.raises(PeerError, match="LookupError: heard"):
        other.finish()
    a[0] = 2
    assert other.get("b.wait(0)") == 2


def test_waiting_for_several_gives_those_with_news() -> None:
    arrays = [ndshare.create(f"many/{k}", 2) for k in range(128)]
    readers = [ndshare.open(a.name) for a in arrays]
    assert ndshare.wait(readers, 0) == []
    arrays[3][0] = 1
    assert ndshare.wait(readers) == [readers[3]]
    arrays[127][0] = 1
    assert ndshare.wait(tuple(readers), 5) == [readers[3], readers[127]]
    assert (readers[3].wait(0), readers[127].wait(0)) == (1, 1)
    timer = later(0.1, lambda: arrays[64].__setitem__(0, 1))
    assert ndshare.wait(readers) == [readers[64]]
    timer.join()
    with pytest.raises(ValueError, match="128"):
        ndshare.wait([*readers, arrays[0]], 0)
    with pytest.raises(TypeError, match="arrays"):
        ndshare.wait([readers[0], 5], 0)  # type: ignore[list-item]
    assert ndshare.wait([], 0) == []


@pytest.mark.parametrize(
    "wait", ["b.wait(4)", "ndshare.wait([b], 4)", "asyncio.run(b.wait_async(4))"]
)
def test_an_idle_wait_uses_almost_no_cpu(peer: PeerMaker, wait: str) -> None:
    a, _ = pair()
    other = peer()
    other.do("import asyncio, time; b = ndshare.open('news')")
    other.do(f"t = time.process_time(); w = time.monotonic(); r = {wait}")
    share = other.get("(time.process_time() - t) / (time.monotonic() - w)")
    assert share < 0.05
    assert other.get("not r")
    assert a.wait(0) is None


def test_the_interpreter_runs_on_while_a_thread_waits() -> None:
    a, b = pair()
    counted = 0
    stop = later(0.2, lambda: a.__setitem__(0, 1))
    waiter = threading.Thread(target=b.wait)
    waiter.start()
    while waiter.is_alive():
        counted += 1
        time.sleep(0)
    stop.join()
    assert counted > 100
