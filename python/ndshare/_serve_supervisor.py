"""Supervisor: keeps worker processes alive, replaces stuck ones, drains and reloads.

One thread decides everything: what happens (a worker said something, or ended) and what is wished
(stop, reload) comes to it as a queue of calls. Death is learned from the kernel. Times decide only
when to try again, and what is called stuck by whoever asked for that.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ndshare._errors import Closed, Error, RemoteError
from ndshare._registry import info
from ndshare._serve_process import Launch, WorkerProcess, how_it_ended

BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0
BACKOFF_RESET_SECONDS = 10.0
"""Who was ready for so long begins with the first backoff again."""
EXIT_DRAIN_SECONDS = 5.0
"""What the end of the program gives workers that nobody stopped."""

StuckAction = Literal["replace", "report"]

log = logging.getLogger("ndshare.serve")


@dataclass(eq=False)
class _Place:
    """One of the wanted workers, whichever process it is at the moment."""

    current: WorkerProcess | None = None
    incoming: WorkerProcess | None = None  # of a reload, until it is ready
    restart_at: float | None = None
    backoff_seconds: float = BACKOFF_FIRST_SECONDS


class Supervisor:
    """Worker processes of one service. Threads: any; wishes may come from signal handlers."""

    def __init__(
        self, launch: Launch, count: int, stuck: float | None, stuck_action: StuckAction
    ) -> None:
        self.name: str | None = None  # known when the first worker is ready
        self.restarts = 0
        self._launch, self._stuck, self._stuck_action = launch, stuck, stuck_action
        self._pid = os.getpid()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._places = [_Place() for _ in range(count)]
        self._processes: list[WorkerProcess] = []  # all that were not reaped
        self._is_stopping = False
        self._is_over = False  # nobody looks at the calls any more
        self._kill_at: float | None = None
        self._look_at: float | None = None
        self._failure: Exception | None = None  # why the first start did not succeed
        self._is_served: Future[None] = Future()
        self._reloading: list[Future[None]] = []  # those who wait for the one under way
        self._reload_next: list[Future[None]] = []  # they asked while one was under way
        self._reload_places: list[_Place] = []
        self._leaving: WorkerProcess | None = None  # whose place was taken, until it has ended
        self._thread = threading.Thread(target=self._run, name="ndshare-serve", daemon=True)

    # ---- from any thread ------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The name, or before it is known the target."""
        return self.name or self._launch.label

    def start(self) -> None:
        """Begins; wait_ready() says how it went."""
        self._thread.start()
        atexit.register(self._at_exit)

    def wait_ready(self) -> None:
        """Until the first worker is ready, or all have ended because one could not begin."""
        self._is_served.result()

    def closed_error(self, operation: str, text: str = "its workers were stopped") -> Closed:
        """For whoever asks something of what was stopped."""
        error = Closed(f'[{operation}] "{self.label}": {text}')
        error.operation, error.name = operation, self.label
        return error

    @property
    def has_ended(self) -> bool:
        """No process is left, and none will come. In a forked child: it has none."""
        return not self._thread.is_alive() or os.getpid() != self._pid

    @property
    def pids(self) -> list[int]:
        """Of the workers that take calls now."""
        if self.has_ended or self._is_stopping:
            return []
        current = [place.current for place in self._places]
        return [one.pid for one in current if one is not None and one.ready_at is not None]

    def request_stop(self, timeout: float | None = None) -> None:
        """All finish their batches and end; after timeout seconds they are killed."""
        self._calls.put(partial(self._stop, timeout))

    def request_reload(self) -> Future[None]:
        """Fresh processes, one after the other; the result when all are there."""
        done: Future[None] = Future()
        if self.has_ended:
            done.set_exception(self.closed_error("reload"))
        else:
            self._calls.put(partial(self._ask_reload, done))
            if self._is_over:  # it may have come after the last look at the calls
                self._refuse(done)
        return done

    def wait_ended(self) -> None:
        """Until has_ended."""
        if os.getpid() == self._pid:
            self._thread.join()

    def _at_exit(self) -> None:
        if os.getpid() == self._pid:
            self.request_stop(EXIT_DRAIN_SECONDS)
            self.wait_ended()

    # ---- the supervisor's thread ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            for place in self._places:
                self._start(place)
            while self._processes or not self._is_stopping:
                try:
                    call = self._calls.get(timeout=self._seconds_to_next())
                except queue.Empty:
                    pass
                else:
                    call()
                self._do_due()
        except BaseException as error:
            self._failure = error if isinstance(error, Exception) else None
            log.exception("%s: the supervisor failed", self.label)
            for process in self._processes:
                process.kill()
                process.reap()
        finally:
            self._end()

    def _end(self) -> None:
        log.info("%s: stopped", self.label)
        atexit.unregister(self._at_exit)
        self._is_stopping = True
        if not self._is_served.done():
            self._is_served.set_exception(
                self._failure
                or self.closed_error("serve", "it was stopped before a worker was ready")
            )
        self._finish_reload(self.closed_error("reload"))
        self._is_over = True
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()()

    def _refuse(self, done: Future[None]) -> None:
        with suppress(InvalidStateError):  # it was refused already
            done.set_exception(self.closed_error("reload"))

    def _seconds_to_next(self) -> float | None:
        times = [place.restart_at for place in self._places] + [self._kill_at, self._look_at]
        known = [one for one in times if one is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _do_due(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            for process in self._processes:
                log.warning("worker %d: killed", process.pid)
                process.is_asked = True
                process.kill()
        if self._look_at is not None and now >= self._look_at:
            self._look_for_stuck()
        for place in self._places:
            if place.restart_at is not None and now >= place.restart_at:
                place.restart_at = None
                self.restarts += 1
                self._start(place)

    # ---- one worker -----------------------------------------------------------------------------

    def _launch_process(self) -> WorkerProcess:
        process = WorkerProcess(
            self._launch,
            lambda one, said: self._calls.put(partial(self._on_said, one, said)),
            lambda one: self._calls.put(partial(self._on_ended, one)),
        )
        self._processes.append(process)
        log.info("worker %d: started", process.pid)
        return process

    def _start(self, place: _Place) -> None:
        if self._is_stopping:
            return
        try:
            place.current = self._launch_process()
        except (OSError, RuntimeError, MemoryError) as error:  # no process, thread, descriptor
            log.warning("%s: no worker could be started: %s", self.label, error)
            if self.name is None:
                self._give_up(_not_started(self.label, error))
            else:
                self._restart_later(place)

    def _restart_later(self, place: _Place) -> None:
        seconds = place.backoff_seconds
        place.backoff_seconds = min(2 * seconds, BACKOFF_MAX_SECONDS)
        place.restart_at = time.monotonic() + seconds
        log.info("%s: restart in %.1f s", self.label, seconds)

    def _give_up(self, failure: Exception) -> None:
        """Nothing was served yet, so there is nothing to keep alive."""
        self._failure = self._failure or failure
        self._stop(0.0)

    def _on_said(self, process: WorkerProcess, said: tuple[str, Any]) -> None:
        what, value = said
        if what == "failed":
            process.error = value  # it ends now; told then
            return
        process.ready_at = time.monotonic()
        log.info("worker %d: ready", process.pid)
        if self.name is None:
            self.name = value
            if not self._is_stopping:  # else wait_ready() says what went wrong
                self._is_served.set_result(None)
            if self._stuck is not None and not self._is_stopping:
                self._look_at = time.monotonic() + self._look_seconds()
            self._begin_next_reload()
        for place in self._places:
            if place.incoming is process:
                self._take_place(place)

    def _on_ended(self, process: WorkerProcess) -> None:
        code = process.reap()
        self._processes.remove(process)
        how = how_it_ended(code)
        if process.is_asked:
            log.info("worker %d: stopped (%s)", process.pid, how)
        elif process.error is not None and self.name is None:
            log.warning(
                "worker %d: could not begin (%s)", process.pid, how
            )  # wait_ready() says why
        elif process.error is not None:
            log.warning("worker %d: could not begin: %s", process.pid, process.error)
        else:
            log.warning("worker %d: %s (%s)", process.pid, "died" if code else "ended", how)
        if process is self._leaving:
            self._leaving = None
            self._reload_step()
            return
        for place in self._places:
            if place.current is process:
                place.current = None
                self._on_loss(place, process, how)
            elif place.incoming is process:
                place.incoming = None
                self._on_failed_reload(place, process, how)

    def _why(self, process: WorkerProcess, how: str) -> Exception:
        if process.error is not None:
            return process.error
        return RemoteError(
            f'[serve] "{self.label}": the worker died before it was ready ({how}); '
            "its own output says more"
        )

    def _on_loss(self, place: _Place, process: WorkerProcess, how: str) -> None:
        if self._is_stopping:
            return
        if self.name is None:
            self._give_up(self._why(process, how))
            return
        if process.seconds_ready >= BACKOFF_RESET_SECONDS:
            place.backoff_seconds = BACKOFF_FIRST_SECONDS
        if place.incoming is None:
            self._restart_later(place)

    # ---- stuck ----------------------------------------------------------------------------------

    def _look_seconds(self) -> float:
        return min(max((self._stuck or 0.0) / 4, 0.02), 1.0)

    def _look_for_stuck(self) -> None:
        self._look_at = time.monotonic() + self._look_seconds()
        try:
            rows = info(self.name or "").workers
        except (Error, OSError) as error:  # nobody works at the moment, or it was unlinked
            log.debug("%s: %s", self.label, error)
            return
        for row in rows:
            for process in self._processes:
                if process.pid == row["pid"]:
                    self._judge(process, row)

    def _judge(self, process: WorkerProcess, row: dict[str, Any]) -> None:
        seconds = row["progress_s"]
        is_stuck = row["state"] == "busy" and self._stuck is not None and seconds > self._stuck
        if is_stuck and not process.is_called_stuck:
            log.warning("worker %d: stuck, no progress for %.1f s", process.pid, seconds)
            if self._stuck_action == "replace":
                process.kill()
        process.is_called_stuck = is_stuck

    # ---- stop and reload ------------------------------------------------------------------------

    def _stop(self, timeout: float | None) -> None:
        if timeout is not None:
            kill_at = time.monotonic() + timeout  # 0: in this very turn of the loop
            self._kill_at = kill_at if self._kill_at is None else min(kill_at, self._kill_at)
        if self._is_stopping:
            return
        self._is_stopping = True
        for place in self._places:
            place.restart_at = None
        for process in self._processes:
            if timeout != 0:
                process.drain()
                log.info("worker %d: draining", process.pid)
        self._finish_reload(self.closed_error("reload"))

    def _ask_reload(self, done: Future[None]) -> None:
        if self._is_stopping:
            self._refuse(done)
        elif self._reloading or self.name is None:
            # What is under way may have read the code before it changed: once more, after it.
            self._reload_next.append(done)
        else:
            self._begin_reload([done])

    def _begin_reload(self, asked: list[Future[None]]) -> None:
        log.info("%s: reload", self.label)
        self._reloading = asked
        self._reload_places = list(self._places)
        self._reload_step()

    def _reload_step(self) -> None:
        if self._is_stopping or not self._reloading:
            return
        if not self._reload_places:
            self._finish_reload(None)
            return
        place = self._reload_places.pop(0)
        place.restart_at = None  # the fresh one comes now
        try:
            place.incoming = self._launch_process()
        except (OSError, RuntimeError, MemoryError) as error:
            self._keep_old(place, error)

    def _take_place(self, place: _Place) -> None:
        """The fresh one works; the old one finishes what it has."""
        self._leaving, place.current, place.incoming = place.current, place.incoming, None
        place.backoff_seconds = BACKOFF_FIRST_SECONDS
        if self._leaving is None:
            self._reload_step()
        elif not self._is_stopping:
            self._leaving.drain()
            log.info("worker %d: draining", self._leaving.pid)

    def _on_failed_reload(self, place: _Place, process: WorkerProcess, how: str) -> None:
        if not self._is_stopping:
            self._keep_old(place, self._why(process, how))

    def _keep_old(self, place: _Place, why: Exception) -> None:
        log.warning("%s: reload failed, the old workers stay", self.label)
        if place.current is None:
            self._restart_later(place)
        self._finish_reload(why)

    def _finish_reload(self, why: Exception | None) -> None:
        asked, self._reloading = self._reloading, []
        if self._is_stopping:
            asked, self._reload_next = asked + self._reload_next, []
        for done in asked:
            if why is None:
                done.set_result(None)
            else:
                done.set_exception(why)
        if why is None and asked:
            log.info("%s: reloaded", self.label)
        self._begin_next_reload()

    def _begin_next_reload(self) -> None:
        if self._reload_next and not self._is_stopping:
            following, self._reload_next = self._reload_next, []
            self._begin_reload(following)


def _not_started(label: str, error: Exception) -> OSError:
    """What serve() says when this machine gives it no worker process."""
    return OSError(
        getattr(error, "errno", None) or errno.EAGAIN,
        f'[serve] "{label}": no worker process could be started ({error}); raise the limit of '
        "processes and threads (ulimit -u) or of descriptors (ulimit -n), or end some",
    )
