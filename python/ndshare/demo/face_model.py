"""What the workers run: pictures in, faces out.

What belongs here: the way from a batch to answers. Where the pixels lie, who asks, and what becomes
of a worker that dies is not its concern.
"""

import os
import time
from pathlib import Path
from typing import Any

import ndshare
from ndshare.demo.detector import FaceDetector
from ndshare.demo.records import MAX_FACES


class FaceModel:
    """For ndshare.serve(). Loads the network where it is made, and again in each worker process."""

    def __init__(self, model: Path, max_batch_size: int) -> None:
        """ModelRefused if the file is no BlazeFace."""
        self._model = model
        self._detector = FaceDetector(model)
        self.max_batch_size = max_batch_size

    def on_batch(self, batch: ndshare.Batch) -> None:
        """The network takes one picture at a time, so each call is answered when its own is done.

        The detector reads the pixels where they lie.
        """
        taken_ns = time.perf_counter_ns()
        for i, image in enumerate(batch.inputs["image"]):
            boxes, scores = self._detector.detect(image)
            batch[i].reply(
                {
                    "scores": scores[None, :MAX_FACES],
                    "boxes": boxes[None, :MAX_FACES],
                    "model_ns": [time.perf_counter_ns() - taken_ns],
                    "batch_size": [len(batch)],
                    "pid": [os.getpid()],
                }
            )

    def __reduce__(self) -> Any:
        return FaceModel, (self._model, self.max_batch_size)
