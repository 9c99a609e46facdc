"""What runs in a worker process of serve(): makes the model, works until it is told to stop.

It takes no more work after SIGTERM, or when the supervisor is gone. Ctrl-C and the end of the
terminal reach it as they reach the supervisor, which decides what they mean.
"""

from __future__ import annotations

import faulthandler
import multiprocessing.process
import multiprocessing.spawn
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from ndshare._errors import Error
from ndshare._serve_target import Model, Plan, Service, refused, remote, resolve
from ndshare._service import OnBatch, Worker

ORPHAN_SECONDS = 10.0
"""A worker without a supervisor has so long to finish its batch: nobody else would end it."""


class _Batchwise:
    """A model of whole batches."""

    def __init__(self, on_batch: Callable[..., Any], max_batch_size: int) -> None:
        self.on_batch = on_batch
        self.max_batch_size = max_batch_size


class Draining:
    """Turns SIGTERM into an end of the worker's loop that loses no batch.

    The worker is closed at once while it waits, which ends the wait; while a batch is computed
    only a flag is set, so that its health is seen until the batch is done.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._is_computing = False
        self._is_asked = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler; it may interrupt any line of the main thread."""
        self._is_asked = True
        if not self._is_computing:
            self._worker.close()

    def around(self, model: Any) -> Callable[..., Any] | OnBatch:
        """The model, with the flag kept."""

        def kept(function: Callable[..., Any]) -> Callable[..., Any]:
            def compute(*arrays: Any) -> Any:
                self._is_computing = True
                try:
                    return function(*arrays)
                finally:
                    self._is_computing = False
                    if self._is_asked:
                        self._worker.close()  # what was taken may still be answered

            compute.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)
            return compute

        if hasattr(model, "on_batch"):
            return _Batchwise(kept(model.on_batch), getattr(model, "max_batch_size", 1))
        return kept(model)


def _keep_from_forks() -> None:
    """Processes that the model forks (a loader's, say) end at SIGTERM, as if it had no handler.

    It is blocked over the fork: Python forgets what arrives in the child before it runs there.
    """
    masks = threading.local()

    def before() -> None:
        masks.former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.former)

    def in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.former)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _watch(connection: Connection, supervisor: int) -> None:
    """Ends this process when the supervisor is gone, however it went."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)  # it says nothing more: this is its end
    with suppress(OSError):  # an old kernel
        # A forked child of the supervisor may keep the connection open; this is only about it.
        poll.register(os.pidfd_open(supervisor), select.POLLIN)
    if os.getppid() == supervisor:  # else it was gone before we looked
        poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _become(preparation: dict[str, Any], label: str, payload: bytes) -> Plan:
    """Makes this process like the supervisor's (sys.path, main module), then unpickles the plan."""
    process: Any = multiprocessing.process.current_process()
    process._inheriting = True  # serve() and multiprocessing refuse to start others meanwhile
    try:
        multiprocessing.spawn.prepare(preparation)
    except (Exception, SystemExit) as error:
        raise remote(label, "importing the main program again raised", error) from None
    finally:
        del process._inheriting
    try:
        plan: Plan = pickle.loads(payload)
    except Exception as error:
        raise refused(
            label, f"it cannot be found in a new process ({error}); define it in a module"
        ) from None
    return plan


def _begin(plan: Plan) -> tuple[Service, Model, Worker]:
    service = resolve(plan)
    model = service.make()
    worker = Worker(
        service.name, service.inputs, service.outputs, slots=plan.slots, retries=plan.retries
    )
    return service, model, worker


def _portable(error: Exception, label: str) -> Exception:
    """The error as serve() tells it, such that the supervisor can unpickle it."""
    if error.args and isinstance(error.args[0], str) and error.args[0].startswith("[work]"):
        error.args = (error.args[0].replace("[work]", "[serve]", 1), *error.args[1:])
        if isinstance(error, Error):
            error.operation = "serve"
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return remote(label, "a worker could not begin", error)
    return error


def main(descriptor: int, supervisor: int) -> None:
    """Entry point of the process."""
    # A program that blocks or ignores SIGTERM hands that down; here it means: drain.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)  # children of the model shall not hold it
    with suppress(Exception):  # no usable stderr
        faulthandler.enable()
    connection = Connection(descriptor)
    try:
        preparation, label, payload = connection.recv()
    except (EOFError, OSError):
        sys.exit(1)  # the supervisor is gone
    threading.Thread(
        target=_watch, args=(connection, supervisor), name="ndshare-watch", daemon=True
    ).start()
    try:
        service, model, worker = _begin(_become(preparation, label, payload))
    except Exception as error:
        with suppress(OSError):
            connection.send(("failed", _portable(error, label)))
        sys.exit(1)
    draining = Draining(worker)
    signal.signal(signal.SIGTERM, draining.on_signal)
    _keep_from_forks()
    with suppress(OSError):  # gone: the watch ends us
        connection.send(("ready", worker.name))
    with worker:
        worker.run(
            draining.around(model),
            max_batch_size=service.max_batch_size,
            max_delay=service.max_delay,
        )
