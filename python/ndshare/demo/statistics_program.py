"""The C++ program that follows the stream, as the parent sees it.

What belongs here: where it lies, its start, its end, and its one line of JSON. The job does not
need it: where it is missing, or fails, that is said in a line.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from ndshare.demo.child_process import how_it_ended, last_line, stop_process

PROGRAM = Path(__file__).with_name("demo_statistics")
"""Built from examples/demo_statistics.cpp and installed beside this module."""

READY = "ready"


class Statistics(NamedTuple):
    """What the program says at its end; `missing` and `repeated` are of the pictures' numbers."""

    results: int
    missing: int
    repeated: int
    faces: int
    mean_score: float
    pictures: int
    mean_brightness: float


class StatisticsProgram:
    """Its process. It ends by itself when the stream has."""

    def __init__(self, stream: str) -> None:
        """Starts nothing yet."""
        self._stream = stream
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.outcome: Statistics | str | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 if it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> str | None:
        """Starts it; returns when no picture can pass it by. Why it did not start, in a line."""
        if not PROGRAM.is_file():
            return f'"{PROGRAM}" is not installed'
        try:
            self._process = subprocess.Popen(
                [PROGRAM, self._stream],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                process_group=0,
            )
        except OSError as error:
            return f'"{PROGRAM}": {error.strerror}'
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() == READY:
            return None
        self.stop()
        return str(self.outcome)

    def stop(self) -> None:
        """Waits for its end, and makes one if need be; afterwards `outcome` says what it found."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdout is not None
            stop_process(process)
            try:
                self.outcome = Statistics(**json.loads(process.stdout.read()))
            except (ValueError, TypeError):
                words = last_line(self._errors)
                self.outcome = f"it ended ({how_it_ended(process)}): {words}"
            process.stdout.close()
        self._errors.close()
