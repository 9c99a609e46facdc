"""A camera: a program of its own that takes pictures, asks for the faces in them, publishes both.

What belongs here: one loop. It knows two names; sizes and types come with the stream and with the
service. The picture is decoded into the stream's memory; what asks and what answers is shared, too.
"""

import argparse
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple, NoReturn

import ndshare
from ndshare.demo.inputs import InputError
from ndshare.demo.records import FACES, IN_FLIGHT
from ndshare.demo.video import Frame, VideoSource

READY = "ready"
"""The first line on standard output. Then it waits for a line on standard input, and at its end it
prints how many pictures it has published."""

LOOK_AFTER = 0.25
"""Seconds of waiting after which it asks whether its parent is still there."""


class Asked(NamedTuple):
    """A picture that lies in its slot of the stream, and waits for its faces."""

    loan: ndshare.Loan
    call: ndshare.Call
    started_ns: int


class Camera:
    """Takes pictures, keeps up to IN_FLIGHT questions on their way, publishes in order."""

    def __init__(self, number: int, seen: ndshare.Publisher, faces: ndshare.Client) -> None:
        """As camera `number`. Both handles stay the caller's."""
        self._number = number
        self._seen = seen
        self._faces = faces
        self._asked: deque[Asked] = deque()
        self._parent = os.getppid()
        self.published = 0

    def ask(self, frame: Frame) -> None:
        """Puts the picture into the stream's next slot and asks for its faces."""
        while len(self._asked) >= IN_FLIGHT:
            self.collect(LOOK_AFTER)
        loan = self._loan()
        started_ns = time.perf_counter_ns()
        loan["camera"] = self._number
        loan["number"] = frame.number
        loan["image"] = frame.image
        loan.time_ns = frame.time_ns
        self._asked.append(Asked(loan, self._faces.submit({"image": frame.image}), started_ns))

    def collect(self, timeout: float) -> bool:
        """Publishes the oldest picture with its faces. False: none are there in time."""
        self.require_parent()
        loan, call, started_ns = self._asked[0]
        try:
            answer = call.result(timeout)
        except TimeoutError:
            return False
        loan["latency_ns"] = time.perf_counter_ns() - started_ns
        for field in FACES:
            loan[field] = answer[field]
        loan.publish()
        self._asked.popleft()
        self.published += 1
        return True

    def wait_until(self, due: float) -> None:
        """Until time.perf_counter() says so; publishes meanwhile what was answered."""
        while (left := due - time.perf_counter()) > 0:
            if self._asked:
                self.collect(min(left, LOOK_AFTER))
            else:
                time.sleep(min(left, LOOK_AFTER))
                self.require_parent()

    def finish(self) -> None:
        """Until every picture has its faces."""
        while self._asked:
            self.collect(LOOK_AFTER)

    def _loan(self) -> ndshare.Loan:
        while True:
            # Whoever waits for a slow reader still takes what was answered. A dead one is not
            # waited for.
            try:
                return self._seen.loan(timeout=0 if self._asked else LOOK_AFTER)
            except TimeoutError:
                if self._asked:
                    self.collect(LOOK_AFTER)
                self.require_parent()

    def require_parent(self) -> None:
        """Ends the program if nobody is there any more who wanted the pictures."""
        if os.getppid() != self._parent:
            sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until the video ends, or SIGTERM; the exit status."""
    signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(prog="python -m ndshare.demo.camera_process")
    parser.add_argument("seen", help="name of the stream for pictures with their faces")
    parser.add_argument("faces", help="name of the service that finds faces")
    parser.add_argument("video", help="a file, or with --device a V4L2 device")
    parser.add_argument("--number", type=int, required=True, help="which camera this is")
    parser.add_argument("--device", action="store_true")
    parser.add_argument("--frames", type=int, help="at most so many")
    parser.add_argument("--fast", action="store_true", help="not at the video's own pace")
    options = parser.parse_args(arguments)
    try:
        with (
            VideoSource(options.video, camera=options.device, limit=options.frames) as source,
            ndshare.Publisher(options.seen, overflow="block", shared=True) as seen,
            ndshare.Client(options.faces) as faces,
        ):
            print(READY, flush=True)
            if not sys.stdin.readline():
                return 1
            camera = Camera(options.number, seen, faces)
            began = time.perf_counter()
            for frame in source:
                if not (options.fast or options.device):  # a device has its pace by itself
                    camera.wait_until(began + float((frame.number - 1) / source.rate))
                camera.ask(frame)
            camera.finish()
            print(camera.published, flush=True)
    except (InputError, ndshare.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end(signal_number: int, frame: FrameType | None) -> NoReturn:
    """The parent asks us to end: leave the loop as an exception would, handles get closed."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
