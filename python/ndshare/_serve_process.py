"""One worker process of serve(), as its supervisor sees it: started, heard, ended.

A fresh interpreter, by the rules of multiprocessing's spawn: the main program is imported again
where the target is an object, so that what it defines is found.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from ndshare._serve_target import Plan, refused

_BOOT = (
    "import sys; sys.path[:] = sys.argv[4].split(':'); "
    "from ndshare._serve_worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


class Launch:
    """What every worker process of one serve() gets; a look at this process, taken once.

    Errors: TypeError for a target that cannot be pickled.
    """

    def __init__(self, plan: Plan) -> None:
        self.label = plan.label
        try:
            self.payload = bytes(ForkingPickler.dumps(plan))
        except Exception as error:
            raise refused(
                self.label, f"it cannot be pickled ({error}); define it in a module", TypeError
            ) from None
        preparation: dict[str, Any] = multiprocessing.spawn.get_preparation_data("ndshare serve")
        preparation.pop("authkey")  # a worker has one of its own, as it was not forked
        if isinstance(plan.target, str):  # the main program has nothing that it needs
            preparation.pop("init_main_from_name", None)
            preparation.pop("init_main_from_path", None)
        self.preparation = preparation
        self.path = ":".join(path or str(Path.cwd()) for path in sys.path)
        self.environment = dict(os.environ)
        flags_of: Any = subprocess
        self.flags: list[str] = flags_of._args_from_interpreter_flags()


class WorkerProcess:
    """A process from its start to its end. on_said and on_ended are called in another thread.

    on_said: at most once, with ("ready", name) or ("failed", exception).
    on_ended: once, always, after the kernel has said so; then reap() does not wait.
    """

    def __init__(
        self,
        launch: Launch,
        on_said: Callable[[WorkerProcess, tuple[str, Any]], None],
        on_ended: Callable[[WorkerProcess], None],
    ) -> None:
        self._launch, self._on_said, self._on_ended = launch, on_said, on_ended
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            words = [f"ndshare serve {launch.label}", str(theirs.fileno()), str(os.getpid())]
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, *launch.flags, "-c", _BOOT, *words, launch.path],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=launch.environment,
                )
            except BaseException:  # now, not when the last traceback is gone
                self._connection.close()
                raise
        self.pid = self._popen.pid
        self.ready_at: float | None = None  # time.monotonic()
        self.error: Exception | None = None  # why it could not begin
        self.is_asked = False  # its end is our wish
        self.is_called_stuck = False
        attending = threading.Thread(
            target=self._attend, name=f"ndshare-serve-{self.pid}", daemon=True
        )
        try:
            attending.start()
        except BaseException:  # no thread is left: nobody would see its end
            self.kill()
            self.reap()
            raise

    def _attend(self) -> None:
        # Sent here: a large target fills the pipe until the new process reads.
        with suppress(OSError):
            self._connection.send(
                (self._launch.preparation, self._launch.label, self._launch.payload)
            )
        said = _first_message(self._connection, self.pid)
        if said is not None:
            self._on_said(self, said)
        with suppress(ChildProcessError):  # somebody else in this program reaped it
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._on_ended(self)

    @property
    def seconds_ready(self) -> float:
        """For how long it has been able to work."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def drain(self) -> None:
        """It finishes what it has and ends; before it is ready it ends at once."""
        self.is_asked = True
        self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; its calls go to other workers."""
        self._popen.kill()

    def reap(self) -> int:
        """The exit code, negative: the signal. REQUIRES: it has ended."""
        code = self._popen.wait()
        self._connection.close()
        return code


def _first_message(connection: Connection, pid: int) -> tuple[str, Any] | None:
    """None: it died before. Children that it forked may keep its end open, so look at it too."""
    pidfd: int | None = None
    with suppress(OSError):  # an old kernel
        pidfd = os.pidfd_open(pid)
    try:
        multiprocessing.connection.wait([connection, *([] if pidfd is None else [pidfd])])
        if not connection.poll(0):
            return None
        said: tuple[str, Any] = connection.recv()
        return said
    except Exception:  # its end, or bytes that are no message
        return None
    finally:
        if pidfd is not None:
            os.close(pidfd)


def how_it_ended(code: int) -> str:
    """Of an exit code, for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
