"""The other program: looks at pictures, answers with faces, knows two names and a model file.

What belongs here: one loop. Size and type of the pictures come with the stream itself, so the
parent passes nothing else: no shape, no pickle, no file descriptor, no queue.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import ndshare
from ndshare.demo.detector import FaceDetector, ModelRefused
from ndshare.demo.records import FACES_FIELDS, FACES_SLOTS, MAX_FACES

READY = "ready"
"""The one line on standard output: both streams are open, the model is loaded."""

EXIT_REFUSED = 3
"""The exit status that says: starting me again would not help."""

LOOK_AFTER = 0.25
"""Seconds without a picture after which the stream is asked whether anybody still publishes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until the pictures end, their publisher is gone, or SIGTERM; the exit status."""
    signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(prog="python -m ndshare.demo.model_process")
    parser.add_argument("frames", help="name of the stream with the pictures to look at")
    parser.add_argument("faces", help="name of the stream for the answers")
    parser.add_argument("--model", type=Path, required=True, help="a BlazeFace .tflite file")
    options = parser.parse_args(arguments)
    try:
        detector = FaceDetector(options.model)
    except ModelRefused as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    with (
        ndshare.Subscriber(options.frames) as frames,
        ndshare.Publisher(
            options.faces, fields=FACES_FIELDS, slots=FACES_SLOTS, overflow="block"
        ) as faces,
    ):
        answer_all(frames, faces, detector)
    return 0


def answer_all(
    frames: ndshare.Subscriber, faces: ndshare.Publisher, detector: FaceDetector
) -> None:
    """Answers every picture that has no answer yet, until there will be no more.

    An earlier process may have died at any point. Its answers outlived it, and so did the pictures:
    a new subscriber begins with the oldest that is still there, and the last answer says how far
    the work had come. So each picture is answered exactly once.
    """
    answered = last_answered(faces.name)
    print(READY, flush=True)
    try:
        while True:
            picture = frames.get(timeout=LOOK_AFTER)
            if picture is None:
                if frames.publisher_count == 0:  # the parent is gone, by the kernel's word
                    return
                continue
            with picture:  # gives the slot back before the wait for the next one
                if int(picture["number"]) > answered:
                    faces.put(answer(picture, detector), time_ns=picture.time_ns)
    except ndshare.EndOfStream:
        faces.end()


def last_answered(name: str) -> int:
    """The number of the picture that was answered last, by whatever process; 0: none."""
    with ndshare.Subscriber(name, latest=True) as results:
        newest = results.get(timeout=0)
        return 0 if newest is None else int(newest["number"])


def answer(picture: ndshare.Frame, detector: FaceDetector) -> dict[str, Any]:
    """One complete result. The detector reads the pixels where they lie."""
    started_ns = time.perf_counter_ns()
    boxes, scores = detector.detect(picture["image"])
    return {
        "number": int(picture["number"]),
        "model_ns": time.perf_counter_ns() - started_ns,
        "pid": os.getpid(),
        "scores": scores[:MAX_FACES],
        "boxes": boxes[:MAX_FACES],
    }


def _end(signal_number: int, frame: FrameType | None) -> NoReturn:
    """The parent asks us to end: leave the loop as an exception would, handles get closed."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
