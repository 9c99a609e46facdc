"""How a process that is ours ends, and what is said of it. Here is nothing of its job."""

import signal
import subprocess
from typing import TextIO

STOP_TIMEOUT = 10.0
"""Seconds a process gets to end; then it is asked to, then killed. Only politeness depends on it.
"""


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
