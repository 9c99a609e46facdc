"""What a job counted, and what follows from it.

What belongs here: numbers with their units, no text.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ndshare.demo.statistics_program import Statistics


class FrameResult(NamedTuple):
    """One answered frame.

    `latency_ns`: from before the picture is copied into its stream until its boxes are published in
    theirs; `model_ns`: the part of it that the model's process spent on resizing, inference and
    decoding; `taken_over`: the frame was there when a model process died, and the next answered it.
    """

    number: int
    faces: int
    best_score: float
    latency_ns: int
    model_ns: int
    result_nbytes: int
    pid: int
    taken_over: bool


@dataclass
class Summary:
    """The whole job. `problem` is what ended it early, or kept it from its task, in one line.

    `complete`: every frame was answered, once and in order, and the results were ended after that;
    `statistics`: what the C++ program counted, why it did not, None if it never ran.
    """

    title: str
    frames: int = 0
    frames_with_faces: int = 0
    faces: int = 0
    deaths: int = 0
    taken_over: int = 0
    frame_nbytes: int = 0
    results_nbytes: int = 0
    wall_ns: int = 0
    interrupted: bool = False
    complete: bool = False
    statistics: Statistics | str | None = None
    problem: str | None = None
    paths: list[Path] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    model_times_ns: list[int] = field(default_factory=list)

    def add(self, result: FrameResult) -> None:
        """Counts one answered frame.

        A frame that was taken over counts everywhere but in the times: its latency is that of a
        process start, which would hide what the streams and the model need.
        """
        self.frames += 1
        self.faces += result.faces
        self.frames_with_faces += result.faces > 0
        self.results_nbytes += result.result_nbytes
        if result.taken_over:
            self.taken_over += 1
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
        """All bytes copied into the two streams. Nothing is copied out: every reader looks at the
        pictures and the results where they lie."""
        return self.frame_nbytes * self.frames + self.results_nbytes


def percentiles_ms(times_ns: list[int]) -> tuple[float, float]:
    """The 50th and the 99th percentile in milliseconds, of at least one time in nanoseconds."""
    p50, p99 = np.percentile(times_ns, [50, 99]) / 1e6
    return float(p50), float(p99)
