"""Small services and what is done with them, for the tests of services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ndshare

# Rows of one cache line: neighbours in the pool are one contiguous batch.
ROW = {"inputs": {"x": ((8,), "i8")}, "outputs": {"y": ((8,), "i8")}}
NUMBER = {"inputs": {"x": ((), "i8")}, "outputs": {"y": ((), "i8")}}

SECONDS = 30.0  # far from what anything here needs: only a hang meets it


def take(worker: ndshare.Worker, size: int = 1, delay: float = 0.0) -> ndshare.Batch:
    """The next batch, which has to come."""
    batch = worker.get(size, delay, timeout=SECONDS)
    assert batch is not None, "no call came"
    return batch


@contextmanager
def running(
    worker: ndshare.Worker, model: Callable[..., Any], **more: Any
) -> Iterator[ndshare.Worker]:
    """worker.run(model) in a thread, until the end of the block."""
    thread = threading.Thread(target=lambda: worker.run(model, **more), daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.close()
        thread.join(SECONDS)
        assert not thread.is_alive(), "run() goes on after close()"


def answered_in_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts action in a thread that does not keep a failed test alive; what it gave or raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(action())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def require_all_free(name: str) -> None:
    """Every slot comes back: each can be had, by clients that take their least share, two."""
    slots = ndshare.info(name).counters["slots"]
    clients = [ndshare.Client(name) for _ in range((slots + 1) // 2)]
    loans = [clients[k // 2].loan(timeout=10) for k in range(slots)]
    for loan in loans:
        loan.discard()
    counters = ndshare.info(name).counters
    assert (counters["free"], counters["slots"]) == (slots, slots), counters
    for client in clients:
        client.close()


# In another process: a worker whose model counts, so that a test sees what was computed.
PEER_WORKER = """
    import signal, threading, time
    computed = []
    worker = ndshare.Worker({name!r}, {inputs!r}, {outputs!r}, **{more!r})
    def work():
        for batch in worker.batches():
            computed.append(int(batch.inputs["x"].reshape(-1)[0]))
            batch.reply(batch.inputs["x"] * 2)
    def held():
        global batch
        batch = worker.get(timeout=60)
        assert batch is not None
        computed.append(int(batch.inputs["x"].reshape(-1)[0]))
"""


def peer_worker(other: Any, name: str, **more: Any) -> None:
    """Makes a worker of NUMBER there: work() serves it, held() takes a call and keeps it."""
    other.do(
        PEER_WORKER.format(name=name, inputs=NUMBER["inputs"], outputs=NUMBER["outputs"], more=more)
    )
