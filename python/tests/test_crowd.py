"""Places used up: more processes, handles and pollers than a thing has room for, and no process or
thread for serve(). One clear error, those who are there go on, and places come back."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import PeerError, PeerMaker
from refusals import refused, require_text
from services import NUMBER, running
from serving import ask, processes_of, until

import ndshare
from ndshare import _serve_process

ROWS = 248  # of processes
PLACES = 256  # of publishers and subscribers together, and of workers and clients
POLLED = 128  # handles with a fileno()


F_OFD_SETLK = 37


def take_rows(path: str) -> int:
    """Locks rows of the peer table, as that many living processes would; the descriptor."""
    fd = os.open(path, os.O_RDWR)
    for row in range(ROWS):
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, row, 1, 0)
        try:
            fcntl.fcntl(fd, F_OFD_SETLK, lock)
        except BlockingIOError:
            continue  # a living one's own
    return fd


@pytest.fixture
def stream() -> Iterator[Callable[[], None]]:
    """A stream named "crowd" with a publisher and a subscriber; a check that both work."""
    with (
        ndshare.Publisher("crowd", 3, slots=4, shared=True) as publisher,
        ndshare.Subscriber("crowd", latest=True) as subscriber,
    ):

        def works() -> None:
            assert publisher.put([1, 2, 3]) is not None
            assert subscriber.get(timeout=5) is not None

        works()
        yield works
        works()


def test_more_subscribers_than_places_are_refused_and_places_come_back(
    stream: Callable[[], None],
) -> None:
    others = [ndshare.Subscriber("crowd") for _ in range(PLACES - 2)]
    late = ndshare.Subscriber("crowd")
    for _ in range(3):
        with refused(ValueError, "get", "crowd", f"too many handles: {PLACES}.*close"):
            late.get(timeout=0)
    stream()
    with refused(ValueError, "publish", "crowd", f"too many handles: {PLACES}.*close"):
        ndshare.Publisher("crowd", shared=True)
    others.pop().close()
    late.get(timeout=0)
    assert ndshare.info("crowd").counters["subscribers"] == PLACES - 1
    for one in [late, *others]:
        one.close()


def test_more_publishers_than_places_are_refused_and_places_come_back(
    stream: Callable[[], None],
) -> None:
    others = [ndshare.Publisher("crowd", shared=True) for _ in range(PLACES - 2)]
    with refused(ValueError, "publish", "crowd", f"too many handles: {PLACES}.*close"):
        ndshare.Publisher("crowd", shared=True)
    stream()
    others.pop().close()
    others.append(ndshare.Publisher("crowd", shared=True))
    assert others[-1].put([4, 5, 6]) is not None
    for one in others:
        one.close()


def test_more_clients_and_workers_than_places_are_refused_and_places_come_back() -> None:
    with (
        running(ndshare.Worker("crowd", **NUMBER), lambda x: x + 1),
        ndshare.Client("crowd") as client,
    ):
        others: list[Any] = [ndshare.Client("crowd") for _ in range(PLACES - 3)]
        others.append(ndshare.Worker("crowd"))
        late = ndshare.Client("crowd")
        for _ in range(3):
            with refused(ValueError, "call", "crowd", f"too many handles: {PLACES}.*close"):
                late(1, timeout=30)
        with refused(ValueError, "work", "crowd", f"too many handles: {PLACES}.*close"):
            ndshare.Worker("crowd")
        others.pop().close()
        assert client(1, timeout=30) == 2
        assert late(4, timeout=30) == 5
        with refused(ValueError, "work", "crowd", f"too many handles: {PLACES}.*close"):
            ndshare.Worker("crowd")
        for one in [late, *others]:
            one.close()
        assert client(1, timeout=30) == 2


@pytest.mark.parametrize("kind", ["array", "stream", "service"])
def test_more_processes_than_places_are_refused_by_every_kind_and_places_come_back(
    peer: PeerMaker, kind: str
) -> None:
    made: Any
    if kind == "array":
        made, (operation, attempt) = ndshare.create("crowd", 3), ("open", "ndshare.open('crowd')")
    elif kind == "stream":
        made = ndshare.Publisher("crowd", 3, shared=True)
        operation, attempt = "publish", "ndshare.Publisher('crowd', shared=True)"
    else:
        made, operation, attempt = (
            ndshare.Worker("crowd", **NUMBER),
            "work",
            "ndshare.Worker('crowd')",
        )
    other = peer()
    fd = take_rows(ndshare.info("crowd").path)
    try:
        with pytest.raises(PeerError) as failure:
            other.do(f"a = {attempt}")
        require_text(failure.value.text, operation, "crowd", f"too many peers: {ROWS}.*close")
        assert os.getpid() in ndshare.info("crowd").holders
    finally:
        os.close(fd)
    other.do(f"a = {attempt}")
    made.close()


def test_more_pollers_than_places_are_refused_and_places_come_back() -> None:
    with ndshare.create("crowd", 3) as a:
        handles = [ndshare.open("crowd") for _ in range(POLLED + 1)]
        for one in handles[:-1]:
            assert one.fileno() > 2
        with refused(ValueError, "fileno", "crowd", f"too many handles with a fileno.*{POLLED}"):
            handles[-1].fileno()
        assert handles[-1].wait(0) is None, "waiting needs no such place"
        handles[0].close()
        assert handles[-1].fileno() > 2
        a[...] = 1
        assert handles[-1].wait(5) == 1
        for one in handles:
            one.close()


# ---- serve() ------------------------------------------------------------------------------------


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes processes, or threads for them, unobtainable; "" makes both obtainable again."""
    popen, thread = subprocess.Popen, threading.Thread
    lacking = ""

    class Popen(popen):  # type: ignore[misc, valid-type]
        def __init__(self, *words: Any, **more: Any) -> None:
            if lacking == "process":
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            super().__init__(*words, **more)

    class Thread(thread):  # type: ignore[misc, valid-type]
        def start(self) -> None:
            if lacking == "thread" and self.name.startswith("ndshare-serve-"):
                raise RuntimeError("can't start new thread")
            super().start()

    def lack(what: str) -> None:
        nonlocal lacking
        lacking = what

    monkeypatch.setattr(_serve_process.subprocess, "Popen", Popen)
    monkeypatch.setattr(_serve_process.threading, "Thread", Thread)
    yield lack
    lack("")


@pytest.mark.parametrize("lacking", ["process", "thread"])
def test_serve_that_gets_no_process_says_so_and_leaves_nothing(
    models: str, shortage: Callable[[str], None], lacking: str
) -> None:
    gc.collect()
    before = sorted(Path("/proc/self/fd").iterdir())
    shortage(lacking)
    with refused(OSError, "serve", f"{models}:Model", "ulimit -u"):
        ndshare.serve(f"{models}:Model", workers=2)
    gc.collect()
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert processes_of(models) == []
    shortage("")
    with ndshare.serve(f"{models}:Model"):
        assert ask(4)["y"] == 5


@pytest.mark.parametrize("lacking", ["process", "thread"])
def test_a_worker_that_cannot_be_started_again_is_when_there_are_processes_again(
    models: str, shortage: Callable[[str], None], lacking: str
) -> None:
    with ndshare.serve(f"{models}:Model", retries=3) as workers, ndshare.Client("model") as client:
        assert ask(4)["y"] == 5
        shortage(lacking)
        os.kill(workers.pids[0], signal.SIGKILL)
        until(lambda: workers.restarts >= 3)
        assert not workers.closed
        assert workers.pids == []
        call = client.submit(6, timeout=60)
        shortage("")
        assert call.result()["y"] == 7
