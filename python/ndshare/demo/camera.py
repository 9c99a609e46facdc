"""A camera's process as the parent sees it: started, told to begin, ended.

What belongs here: the life of one child process. That it is ready is its own word through a pipe;
that it has ended is the kernel's word. Neither is concluded from time.
"""

import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from ndshare.demo.camera_process import READY
from ndshare.demo.child_process import how_it_ended, last_line, stop_process


class CameraFailed(RuntimeError):
    """A camera's process ended before its video did. The text is one line."""


@dataclass(frozen=True)
class Shot:
    """What a camera is told. `video` is a file or, with `device`, a device; `frames` is a limit."""

    number: int
    video: str
    device: bool = False
    frames: int | None = None
    fast: bool = False


class CameraProcess:
    """One camera. It is told two names and a video."""

    def __init__(self, shot: Shot, seen: str, faces: str) -> None:
        """Starts it; require_ready() waits for it."""
        self.number = shot.number
        command = [sys.executable, "-P", "-m", "ndshare.demo.camera_process"]
        command += [seen, faces, shot.video, "--number", str(shot.number)]
        command += ["--device"] * shot.device + ["--fast"] * shot.fast
        command += [] if shot.frames is None else ["--frames", str(shot.frames)]
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            process_group=0,  # Ctrl-C reaches the parent, which ends this one
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def require_ready(self) -> None:
        """Waits until its video is open. CameraFailed if that does not come."""
        if self._output.readline().strip() != READY:
            raise self._failed()

    def begin(self) -> None:
        """Tells it to take pictures."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def has_ended(self) -> bool:
        """By the kernel's word. CameraFailed if it was not at its video's end."""
        code = self._process.poll()
        if code:
            raise self._failed()
        return code is not None

    @cached_property
    def published(self) -> int:
        """How many pictures it says it has published. REQUIRES: has_ended()."""
        return int(self._output.readline())

    def ask_to_end(self) -> None:
        """SIGTERM."""
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Waits for its end, which was asked for or is due; makes one if need be."""
        stop_process(self._process)
        self._output.close()
        assert self._process.stdin is not None
        with suppress(OSError):  # a line that nobody read
            self._process.stdin.close()
        self._errors.close()

    @property
    def _output(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _failed(self) -> CameraFailed:
        stop_process(self._process)
        how = how_it_ended(self._process)
        return CameraFailed(f"camera {self.number} ended ({how}): {last_line(self._errors)}")
