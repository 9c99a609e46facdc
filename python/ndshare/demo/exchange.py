"""Both arrays and the model process, seen from the parent: one frame in, its faces out.

What belongs here: the conversation, and that no frame gets lost when the model process dies.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import ndshare
from ndshare.demo.records import FACES_DTYPE, frame_dtype
from ndshare.demo.report import Display
from ndshare.demo.summary import FrameResult
from ndshare.demo.supervisor import ModelProcess
from ndshare.demo.video import Frame

LOOK_AFTER = 0.1
"""Seconds of waiting for an answer after which the process handle is asked whether it is dead."""


class Exchange:
    """One conversation; a context manager that creates the names and the process, and ends both."""

    def __init__(self, height: int, width: int, model: Path, display: Display) -> None:
        """For frames of `height` x `width` pixels. Creates nothing yet.

        The names carry our process id: demos beside each other do not meet.
        """
        self._display = display
        self._frame_dtype = frame_dtype(height, width)
        self._names = (f"demo-{os.getpid()}/frames", f"demo-{os.getpid()}/faces")
        self._model = ModelProcess(*self._names, model)
        self._stack = ExitStack()
        self._answer: NDArray[Any] = np.zeros((), FACES_DTYPE)
        self.deaths = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._frames = self._create(stack, self._names[0], self._frame_dtype)
            self._faces = self._create(stack, self._names[1], FACES_DTYPE)
            # Last in, first out: the process ends before the names go.
            stack.callback(self._model.stop)
            self._model.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes of one frame record and of one faces record."""
        return self._frames.nbytes, self._faces.nbytes

    @property
    def description(self) -> str:
        """Who shares what, in one line."""
        frames, faces = self._names
        return f'process {os.getpid()} writes "{frames}", process {self._model.pid} "{faces}"'

    def ask(self, frame: Frame, *, kill: bool = False) -> tuple[FrameResult, NDArray[Any]]:
        """Writes the frame and waits for its faces: the result and the record (FACES_DTYPE, 0-d).

        With `kill` the model process is killed while the frame is in flight. The record is the
        same memory each time.
        """
        deaths = self.deaths
        started_ns = time.perf_counter_ns()
        with self._frames.write() as record:
            record["number"] = frame.number
            record["time_ns"] = frame.time_ns
            record["image"] = frame.image
        if kill:
            self.kill_model()  # before a word is said: the frame must still be in flight
            self._display.event(f"frame {frame.number}: kill -9 {self._model.pid}")
        while not self._answered(frame):
            if self._model.died():
                self._bring_back(frame)
        latency_ns = time.perf_counter_ns() - started_ns
        self._model.answered()
        answer, count = self._answer, int(self._answer["count"])
        return FrameResult(
            number=frame.number,
            faces=count,
            best_score=float(answer["scores"][0]) if count else 0.0,
            latency_ns=latency_ns,
            model_ns=int(answer["model_ns"]),
            pid=int(answer["pid"]),
            asked_again=self.deaths > deaths,
        ), answer

    def kill_model(self) -> None:
        """kill -9 for the model process, wherever it is just now."""
        self._model.kill()

    def _answered(self, frame: Frame) -> bool:
        """Whether the answer to this very frame was read."""
        try:
            if self._faces.wait(timeout=LOOK_AFTER) is None:
                return False
            self._faces.read(out=self._answer)
        except ndshare.IncompleteWrite:
            # Half an answer: its writer is dead or about to be, which died() will say. It stays
            # half until the next complete write, so only the process is worth waiting for.
            self._model.wait_end(LOOK_AFTER)
            return False
        # Number and time: also an answer from before a restart to an earlier frame is not ours.
        asked = (frame.number, frame.time_ns)
        return (int(self._answer["number"]), int(self._answer["time_ns"])) == asked

    def _bring_back(self, frame: Frame) -> None:
        """Starts the dead process again. The frame still lies in shared memory: no resending."""
        self.deaths += 1
        dead_pid, how = self._model.pid, self._model.how_it_ended()
        self._model.restart()
        self._display.event(
            f"frame {frame.number}: process {dead_pid} died ({how}), {self._model.pid} goes on"
        )

    @staticmethod
    def _create(stack: ExitStack, name: str, dtype: np.dtype[Any]) -> ndshare.Array[Any]:
        array = stack.enter_context(ndshare.create(name, (), dtype))
        stack.callback(array.unlink)
        return array
