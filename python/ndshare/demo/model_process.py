"""The other program: looks at frames, answers with faces, knows two names and a model file.

What belongs here: one loop. Size and type of the frames come with the shared memory itself, so the
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

import numpy as np
from numpy.typing import NDArray

import ndshare
from ndshare.demo.detector import FaceDetector, ModelRefused
from ndshare.demo.records import FACES_DTYPE, MAX_FACES, NO_FRAME

READY = "ready"
"""The one line on standard output: both arrays are open, the model is loaded."""

EXIT_REFUSED = 3
"""The exit status that says: starting me again would not help."""

PARENT_CHECK = 0.25
"""Seconds between two questions to the kernel whether the parent still lives, while idle."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or until the parent is gone; the exit status."""
    parent_pid = os.getppid()  # first of all: a parent that dies later is then noticed for certain
    signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(prog="python -m ndshare.demo.model_process")
    parser.add_argument("frames", help="name of the array with the frame to look at")
    parser.add_argument("faces", help="name of the array for the answer")
    parser.add_argument("--model", type=Path, required=True, help="a BlazeFace .tflite file")
    options = parser.parse_args(arguments)
    try:
        detector = FaceDetector(options.model)
    except ModelRefused as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    with (
        ndshare.open(options.frames) as frames,
        ndshare.open(options.faces, writeable=True, shape=(), dtype=FACES_DTYPE) as faces,
    ):
        answer_frames(frames, faces, detector, parent_pid)
    return 0


def answer_frames(
    frames: ndshare.Array[Any], faces: ndshare.Array[Any], detector: FaceDetector, parent_pid: int
) -> None:
    """Answers every new frame until the parent is gone.

    A process that was killed before may have left its answer half written. The first write here is
    complete, so it heals that; and the frame in flight still lies in shared memory: as this handle
    has read nothing yet, its first wait() returns with it at once.
    """
    frame: NDArray[Any] = np.empty((), frames.dtype)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    write_faces(faces, NO_FRAME, 0, 0, *nothing)
    print(READY, flush=True)
    while True:
        try:
            if frames.wait(timeout=PARENT_CHECK) is None:
                if os.getppid() != parent_pid:
                    return
                continue
            frames.read(out=frame)
        except ndshare.IncompleteWrite:  # only the parent writes frames, and it died doing so
            return
        if frame["number"] == NO_FRAME:
            continue
        started_ns = time.perf_counter_ns()
        boxes, scores = detector.detect(frame["image"])
        model_ns = time.perf_counter_ns() - started_ns
        write_faces(faces, int(frame["number"]), int(frame["time_ns"]), model_ns, boxes, scores)


def write_faces(
    faces: ndshare.Array[Any],
    number: int,
    time_ns: int,
    model_ns: int,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """One complete answer: every field is written. `boxes` (n, 4) in pixels and `scores` (n,)."""
    count = min(len(scores), MAX_FACES)
    with faces.write(recover=True) as record:
        record["number"] = number
        record["time_ns"] = time_ns
        record["model_ns"] = model_ns
        record["pid"] = os.getpid()
        record["count"] = count
        record["scores"] = 0
        record["boxes"] = 0
        record["scores"][:count] = scores[:count]
        record["boxes"][:count] = boxes[:count]


def _end(signal_number: int, frame: FrameType | None) -> NoReturn:
    """The parent asks us to end: leave the loop as an exception would, handles get closed."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
