"""The model process as its parent sees it: started, alive or dead, started again, ended.

What belongs here: the life of one child process. That it is ready is its own word through a pipe;
that it is dead is the kernel's word through the process handle. Neither is concluded from time.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from ndshare.demo.inputs import InputError
from ndshare.demo.model_process import EXIT_REFUSED, READY

MAX_DEATHS_IN_A_ROW = 3
"""A model that dies this often without one answer in between is not started again."""

STOP_TIMEOUT = 10.0
"""Seconds a process gets to end; then it is asked to, then killed. Only politeness depends on it.
"""


class ModelFailed(RuntimeError):
    """The model process cannot be kept running. The text is one line."""


def stop_process(process: subprocess.Popen[str]) -> None:
    """Waits for an end that is due; asks for it when it does not come; then makes it."""
    for insist in (process.terminate, process.kill):
        try:
            process.wait(STOP_TIMEOUT)
            return
        except subprocess.TimeoutExpired:
            insist()
    process.wait()


def how_it_ended(process: subprocess.Popen[str]) -> str:
    """In words: the signal or the exit status of an ended process."""
    code = process.returncode
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"


def last_line(errors: TextIO) -> str:
    """The last line that a process has written into the file of its errors."""
    errors.seek(0)
    lines = [line for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class ModelProcess:
    """The separate program that looks at frames. It is told two names and a model file."""

    def __init__(self, frames_name: str, faces_name: str, model: Path) -> None:
        """Starts nothing yet."""
        # -P: the same package as ours, whatever folder the demo is run in.
        self._command = [sys.executable, "-P", "-m", "ndshare.demo.model_process"]
        self._command += [frames_name, faces_name, "--model", str(model)]
        self._process: subprocess.Popen[str] | None = None
        # A file, not a pipe: nobody has to read it for the child to go on writing.
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._deaths_in_a_row = 0

    @property
    def pid(self) -> int:
        """The process id of the current process; 0 before the first start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Starts the process and returns when it says that it is ready.

        InputError if it refuses the model file; ModelFailed if it does not come up.
        """
        while True:
            self._errors.seek(0)
            self._errors.truncate()
            # A group of its own: Ctrl-C in the terminal is for the parent, which then ends the job
            # in order; the child hears of it from the parent.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                process_group=0,
            )
            assert self._process.stdout is not None
            # The kernel ends this line, too: a dead process has closed its end of the pipe.
            if self._process.stdout.readline().strip() == READY:
                return
            if self._process.wait() == EXIT_REFUSED:
                raise InputError(f"--model {last_line(self._errors)}")
            self._count_death()

    def died(self) -> bool:
        """Whether the process has ended, by the kernel's word."""
        return self._process is not None and self._process.poll() is not None

    def restart(self) -> None:
        """Starts it again after its death. ModelFailed if it died too often without an answer."""
        assert self._process is not None and self._process.stdout is not None
        self._process.stdout.close()
        self._count_death()
        self.start()

    def answered(self) -> None:
        """Says that the process did its work: earlier deaths no longer count."""
        self._deaths_in_a_row = 0

    def how_it_ended(self) -> str:
        """In words: the signal or the exit status of the ended process."""
        assert self._process is not None
        return how_it_ended(self._process)

    def kill(self) -> None:
        """kill -9: no goodbye, no cleanup, wherever it is just now."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Waits for its end, which comes when the pictures have ended; makes one if need be."""
        if self._process is not None:
            stop_process(self._process)
            if self._process.stdout is not None:
                self._process.stdout.close()
        self._errors.close()

    def _count_death(self) -> None:
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            raise ModelFailed(
                f"the model process ended {self._deaths_in_a_row} times without an answer "
                f"({self.how_it_ended()}): {last_line(self._errors)}"
            )
