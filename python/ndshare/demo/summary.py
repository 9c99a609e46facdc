"""What a job counted, and what follows from it.

What belongs here: numbers with their units, no text.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np


class FrameResult(NamedTuple):
    """One answered frame.

    `latency_ns`: from the start of the write that asks until the boxes are in the parent's hands;
    `model_ns`: the part of it that the model's process spent on resizing, inference and decoding.
    """

    number: int
    faces: int
    best_score: float
    latency_ns: int
    model_ns: int
    pid: int
    asked_again: bool


@dataclass
class Summary:
    """The whole job. `problem` is what ended it early, or kept it from its task, in one line."""

    title: str
    frames: int = 0
    frames_with_faces: int = 0
    faces: int = 0
    deaths: int = 0
    asked_again: int = 0
    frame_nbytes: int = 0
    result_nbytes: int = 0
    wall_ns: int = 0
    interrupted: bool = False
    problem: str | None = None
    paths: list[Path] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    model_times_ns: list[int] = field(default_factory=list)

    def add(self, result: FrameResult) -> None:
        """Counts one answered frame.

        A frame that was asked again counts everywhere but in the times: its latency is that of a
        process start, which would hide what the arrays and the model need.
        """
        self.frames += 1
        self.faces += result.faces
        self.frames_with_faces += result.faces > 0
        if result.asked_again:
            self.asked_again += 1
        else:
            self.latencies_ns.append(result.latency_ns)
            self.model_times_ns.append(result.model_ns)

    @property
    def model_share(self) -> float:
        """The model's part of all latency, 0 to 1; 0 without frames."""
        whole = sum(self.latencies_ns)
        return sum(self.model_times_ns) / whole if whole else 0.0

    @property
    def copied_nbytes(self) -> int:
        """All bytes copied into and out of the two arrays.

        Each frame is written once and read once by the model, once more for each time it was asked
        again (it still lay in shared memory: it is not written again); each result likewise.
        """
        asked = self.frames + self.asked_again
        return self.frame_nbytes * (self.frames + asked) + self.result_nbytes * 2 * self.frames


def percentiles_ms(times_ns: list[int]) -> tuple[float, float]:
    """The 50th and the 99th percentile in milliseconds, of at least one time in nanoseconds."""
    p50, p99 = np.percentile(times_ns, [50, 99]) / 1e6
    return float(p50), float(p99)
