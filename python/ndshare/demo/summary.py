"""What a job counted, and what follows from it.

What belongs here: numbers with their units, no text.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

import ndshare
from ndshare.demo.statistics_program import Statistics


class PictureResult(NamedTuple):
    """One picture with its faces.

    `latency_ns`: from before the picture is copied until its faces are with the camera; `model_ns`:
    the part of it from the taking of its batch until its answer, which is resizing, inference and
    decoding, also of those that went first in its batch.
    """

    camera: int
    number: int
    faces: int
    best_score: float
    latency_ns: int
    model_ns: int
    batch_size: int
    pid: int
    nbytes: int

    @classmethod
    def of(cls, picture: ndshare.Frame) -> Self:
        """Of a frame of the stream."""
        scores = picture["scores"]
        return cls(
            camera=int(picture["camera"]),
            number=int(picture["number"]),
            faces=len(scores),
            best_score=float(scores[0]) if len(scores) else 0.0,
            latency_ns=int(picture["latency_ns"]),
            model_ns=int(picture["model_ns"]),
            batch_size=int(picture["batch_size"]),
            pid=int(picture["pid"]),
            nbytes=picture["image"].nbytes,
        )


@dataclass
class Summary:
    """The whole job. `problem` is what ended it early, or kept it from its task, in one line.

    `complete`: every picture came with its faces, once and in order; `statistics`: what the C++
    program counted, why it did not, None if it never ran; `redelivered`: calls that another worker
    answered because theirs died.
    """

    title: str
    cameras: int = 1
    workers: int = 1
    pictures: int = 0
    pictures_with_faces: int = 0
    faces: int = 0
    killed: int = 0
    restarts: int = 0
    redelivered: int = 0
    pixels_nbytes: int = 0
    wall_ns: int = 0
    interrupted: bool = False
    complete: bool = False
    statistics: Statistics | str | None = None
    problem: str | None = None
    paths: list[Path] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    model_times_ns: list[int] = field(default_factory=list)
    batch_sizes: Counter[int] = field(default_factory=Counter)

    def add(self, result: PictureResult) -> None:
        """Counts one picture."""
        self.pictures += 1
        self.faces += result.faces
        self.pictures_with_faces += result.faces > 0
        self.pixels_nbytes += result.nbytes
        self.latencies_ns.append(result.latency_ns)
        self.model_times_ns.append(result.model_ns)
        self.batch_sizes[result.batch_size] += 1

    @property
    def rate_hz(self) -> float:
        """Pictures a second, over all cameras."""
        return self.pictures / (self.wall_ns / 1e9) if self.wall_ns else 0.0

    @property
    def beyond_ns(self) -> list[int]:
        """Of each picture: its latency without the model's part."""
        pairs = zip(self.latencies_ns, self.model_times_ns, strict=True)
        return [latency - model for latency, model in pairs]


def percentiles_ms(times_ns: list[int]) -> tuple[float, float]:
    """The 50th and the 99th percentile in milliseconds, of at least one time in nanoseconds."""
    p50, p99 = np.percentile(times_ns, [50, 99]) / 1e6
    return float(p50), float(p99)
