"""Both streams and the processes at them, seen from the parent: pictures out, faces in.

What belongs here: the conversation, and that no picture gets lost when the model process dies.

Why nothing is lost: the pictures' stream is a `block` one, and the parent reads it, too, each
picture with its answer. So whatever has no answer yet is not overwritten, whoever dies meanwhile;
the next model process finds it there, and nobody has to send anything again.
"""

import os
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import ndshare
from ndshare.demo.records import FACES_FIELDS, IN_FLIGHT, SLOTS, frame_fields
from ndshare.demo.report import Display
from ndshare.demo.statistics_program import Statistics, StatisticsProgram
from ndshare.demo.summary import FrameResult
from ndshare.demo.supervisor import ModelProcess
from ndshare.demo.video import Frame

LOOK_AFTER = 0.1
"""Seconds of waiting for an answer after which the process handle is asked whether it is dead."""


class WrongAnswer(RuntimeError):
    """A picture was lost, or answered twice. It would be a bug. The text is one line."""


class Answer(NamedTuple):
    """A picture (fields of frame_fields) with its faces (FACES_FIELDS), both where they lie."""

    result: FrameResult
    picture: ndshare.Frame
    faces: ndshare.Frame


class _Question(NamedTuple):
    """A picture that was published: when, and the model process of that time."""

    number: int
    started_ns: int
    pid: int


class Exchange:
    """One conversation; a context manager that creates the streams and the processes, and ends
    them all."""

    def __init__(self, height: int, width: int, model: Path, display: Display) -> None:
        """For pictures of `height` x `width` pixels. Creates nothing yet.

        The names carry our process id: demos beside each other do not meet.
        """
        self._display = display
        self._fields = frame_fields(height, width)
        self._names = (f"demo-{os.getpid()}/frames", f"demo-{os.getpid()}/faces")
        self._model = ModelProcess(*self._names, model)
        self._statistics = StatisticsProgram(*self._names)
        self._questions: deque[_Question] = deque()
        self._stack = ExitStack()
        self.deaths = 0

    def __enter__(self) -> Self:
        frames, faces = self._names
        with ExitStack() as stack:
            self._frames = stack.enter_context(
                ndshare.Publisher(frames, fields=self._fields, slots=SLOTS, overflow="block")
            )
            self._pictures = stack.enter_context(ndshare.Subscriber(frames))
            # Last in, first out: the pictures end, then the model, then who follows both.
            stack.callback(self._statistics.stop)
            stack.callback(self._model.stop)
            stack.callback(self._frames.end)
            self._model.start()
            self._faces = stack.enter_context(ndshare.Subscriber(faces))
            reason = self._statistics.start()
            if reason is not None:
                self._display.event(f"no C++ statistics: {reason}")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def frame_nbytes(self) -> int:
        """Bytes of one picture with its number."""
        return sum(spec.nbytes for spec in self._fields.values())

    @property
    def is_full(self) -> bool:
        """Whether as many pictures wait for their answer as may."""
        return len(self._questions) >= IN_FLIGHT

    @property
    def is_waiting(self) -> bool:
        """Whether any picture waits for its answer."""
        return bool(self._questions)

    @property
    def statistics(self) -> Statistics | str | None:
        """What the C++ program counted, or in a line why not; None before the end, or without."""
        return self._statistics.outcome

    @property
    def description(self) -> str:
        """Who does what, in one line."""
        frames, faces = self._names
        text = f'process {os.getpid()} publishes "{frames}", process {self._model.pid} "{faces}"'
        if self._statistics.pid:
            text += f", process {self._statistics.pid} (C++) follows both"
        return text

    def publish(self, frame: Frame, *, kill: bool = False) -> None:
        """Publishes a picture; with `kill` the model process is killed at this moment."""
        self._questions.append(_Question(frame.number, time.perf_counter_ns(), self._model.pid))
        with self._frames.loan() as loan:
            loan["number"] = frame.number
            loan["image"] = frame.image
            loan.time_ns = frame.time_ns
        if kill:
            self.kill_model()  # before a word is said: the picture must still be in flight
            self._display.event(f"frame {frame.number}: kill -9 {self._model.pid}")

    def next_answer(self) -> Answer:
        """The oldest picture without an answer, with its answer, for which it waits.

        Both are pinned as long as they are held: three at once are too many.
        """
        question = self._questions[0]
        while (faces := self._faces.get(timeout=LOOK_AFTER)) is None:
            if self._model.died():
                self._bring_back(f"frame {question.number}")
        answered_ns = time.perf_counter_ns() - round(faces.age * 1e9)
        picture = self._pictures.get(timeout=0)
        number = int(faces["number"])
        if picture is None or not question.number == int(picture["number"]) == number:
            raise WrongAnswer(f"frame {question.number}: the answer was to frame {number}")
        self._model.answered()
        self._questions.popleft()
        scores, pid = faces["scores"], int(faces["pid"])
        result = FrameResult(
            number=number,
            faces=len(scores),
            best_score=float(scores[0]) if len(scores) else 0.0,
            latency_ns=answered_ns - question.started_ns,
            model_ns=int(faces["model_ns"]),
            result_nbytes=sum(faces[field].nbytes for field in FACES_FIELDS),
            pid=pid,
            taken_over=pid != question.pid,
        )
        return Answer(result, picture, faces)

    def finish(self) -> None:
        """Ends the pictures and waits until the answers have ended, which is the model's word.

        WrongAnswer if more of them come.
        """
        self._frames.end()
        try:
            while (faces := self._faces.get(timeout=LOOK_AFTER)) is None:
                if self._model.died():
                    self._bring_back("after the last frame")
        except ndshare.EndOfStream:
            return
        raise WrongAnswer(f"frame {int(faces['number'])}: answered twice")

    def kill_model(self) -> None:
        """kill -9 for the model process, wherever it is just now."""
        self._model.kill()

    def _bring_back(self, when: str) -> None:
        """Starts the dead process again. What it did not answer still lies in shared memory."""
        self.deaths += 1
        dead_pid, how = self._model.pid, self._model.how_it_ended()
        self._model.restart()
        self._display.event(f"{when}: process {dead_pid} died ({how}), {self._model.pid} goes on")
