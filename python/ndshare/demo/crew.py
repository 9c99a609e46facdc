"""The stream, the workers, the cameras and the C++ program: begun in order, ended in order.

What belongs here: who is there, and that nothing of what the cameras saw gets lost.

Why nothing is lost: a call ends with an answer or with an error, whoever dies, and a killed
worker's calls go to another one. The stream is a `block` one, which the parent reads in order.
"""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import ndshare
from ndshare.demo.camera import CameraProcess, Shot
from ndshare.demo.face_model import FaceModel
from ndshare.demo.records import FACES, IN_FLIGHT, SLOTS_BESIDE, picture_spec, seen_fields
from ndshare.demo.report import Display
from ndshare.demo.statistics_program import Statistics, StatisticsProgram

LOOK_AFTER = 0.1
"""Seconds without a picture after which the cameras are asked whether they have ended."""


class PictureLost(RuntimeError):
    """A picture was lost, or came twice. It would be a bug. The text is one line."""


@dataclass(frozen=True)
class Task:
    """What the crew does: pictures of at most `height` x `width` pixels are looked at."""

    shots: list[Shot]
    height: int
    width: int
    model: Path
    workers: int
    max_batch_size: int


class Crew:
    """A context manager that creates names and processes, and ends them all."""

    def __init__(self, task: Task, display: Display) -> None:
        """Creates nothing yet. ModelRefused if the model's file is no BlazeFace.

        The names carry our process id: demos beside each other do not meet.
        """
        self._task = task
        self._model = FaceModel(task.model, task.max_batch_size)
        self._display = display
        self._names = (f"demo-{os.getpid()}/seen", f"demo-{os.getpid()}/faces")
        self._statistics = StatisticsProgram(self._names[0])
        self._cameras: list[CameraProcess] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        seen, faces = self._names
        task = self._task
        with ExitStack() as stack:
            stack.enter_context(_told_to(self._display))
            self._seen = stack.enter_context(
                ndshare.Publisher(
                    seen,
                    fields=seen_fields(task.height, task.width),
                    slots=len(task.shots) * IN_FLIGHT + SLOTS_BESIDE,
                    overflow="block",
                    shared=True,
                )
            )
            self._pictures = stack.enter_context(ndshare.Subscriber(seen))
            # Last in, first out: cameras, workers, the stream, and then who follows it.
            stack.callback(self._statistics.stop)
            stack.callback(self._seen.end)
            self._workers = stack.enter_context(
                ndshare.serve(
                    self._model,
                    faces,
                    inputs={"image": picture_spec(task.height, task.width)},
                    outputs=FACES,
                    workers=task.workers,
                    slots=2 * len(task.shots) * IN_FLIGHT,
                    retries=3,
                )
            )
            stack.callback(self._end_cameras)
            self._cameras += [CameraProcess(shot, seen, faces) for shot in task.shots]
            for camera in self._cameras:
                camera.require_ready()
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
    def statistics(self) -> Statistics | str | None:
        """What the C++ program counted, or in a line why not; None before the end, or without."""
        return self._statistics.outcome

    @property
    def description(self) -> str:
        """Who is there, in one line."""
        cameras = ", ".join(str(camera.pid) for camera in self._cameras)
        workers = ", ".join(str(pid) for pid in self._workers.pids)
        text = f"process {os.getpid()} looks on; cameras {cameras}; workers {workers}"
        if self._statistics.pid:
            text += f"; C++ program {self._statistics.pid}"
        return text

    @property
    def restarts(self) -> int:
        """How many workers were started in the place of dead ones."""
        return self._workers.restarts

    @property
    def redelivered(self) -> int:
        """How many calls went to another worker because theirs died."""
        return ndshare.info(self._names[1]).counters["redelivered"]

    def begin(self) -> None:
        """All cameras take pictures from now on."""
        for camera in self._cameras:
            camera.begin()

    def pictures(self) -> Iterator[ndshare.Frame]:
        """What the cameras saw, once each, until all have ended. Hold one at a time.

        CameraFailed; PictureLost.
        """
        seen = dict.fromkeys((camera.number for camera in self._cameras), 0)
        while True:
            # Asked before the look, so that what was published last is seen.
            ended = [camera for camera in self._cameras if camera.has_ended()]
            everybody = len(ended) == len(self._cameras)
            picture = self._pictures.get(timeout=0 if everybody else LOOK_AFTER)
            if picture is not None:
                camera_number, number = int(picture["camera"]), int(picture["number"])
                seen[camera_number] += 1
                if number != seen[camera_number]:
                    raise PictureLost(
                        f"camera {camera_number}: picture {number} came as {seen[camera_number]}."
                    )
                yield picture
                continue
            for camera in ended:
                if camera.published != seen[camera.number]:
                    raise PictureLost(
                        f"camera {camera.number}: {seen[camera.number]} of "
                        f"{camera.published} pictures came"
                    )
            if everybody:
                return

    def kill_a_worker(self) -> int:
        """kill -9 for a worker, one that computes if any does just now; its pid."""
        for _ in range(1000):
            for worker in ndshare.info(self._names[1]).workers:
                if worker["state"] == "busy":
                    os.kill(worker["pid"], signal.SIGKILL)
                    return int(worker["pid"])
        pid = self._workers.pids[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def _end_cameras(self) -> None:
        for camera in self._cameras:
            camera.ask_to_end()
        for camera in self._cameras:
            camera.stop()


class _told_to(logging.Handler):  # noqa: N801
    """While it is entered, what the supervisor of the workers warns of is shown."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display
        self._log = logging.getLogger("ndshare.serve")

    def emit(self, record: logging.LogRecord) -> None:
        """Shows it."""
        self._display.event(record.getMessage())

    def __enter__(self) -> Self:
        self._propagates, self._log.propagate = self._log.propagate, False
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._propagates
