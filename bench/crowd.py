"""Several clients in processes of their own: the first side of a pair and those that it forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable

PATIENCE = 60.0  # seconds at a meeting; only somebody who hangs gets there

Meet = Callable[[], object]


def run_clients(count: int, body: Callable[[int, Meet], None]) -> None:
    """body(number, meet) in each; this process is number 0. meet() returns when all have called
    it. A failure of one ends all: RuntimeError, or what body threw here."""
    barrier = multiprocessing.get_context("fork").Barrier(count)

    def meet() -> None:
        barrier.wait(PATIENCE)

    children = [_fork(number, body, meet, barrier.abort) for number in range(1, count)]
    try:
        body(0, meet)
    except BaseException:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the second side has failed, or will
        for child in children:
            os.kill(child, signal.SIGTERM)
        raise
    finally:
        failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    if failed:
        raise RuntimeError("a client failed")


def _fork(
    number: int, body: Callable[[int, Meet], None], meet: Meet, abort: Callable[[], None]
) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        body(number, meet)
        status = 0
    except BaseException as error:
        if not isinstance(error, (KeyboardInterrupt, SystemExit)):
            traceback.print_exc()
        abort()
    finally:
        sys.stderr.flush()
        os._exit(status)
