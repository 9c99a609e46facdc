"""The dtypes of the two shared arrays. What belongs here: fields, their units, and their limits.

Each array is one 0-d structured record, written in one complete write. So a number, its time and
its pixels can never be of two different frames, and no second channel has to keep them together.
"""

from typing import Any

import numpy as np

MAX_FACES = 16
"""Faces that fit into one result; the strongest are kept."""

NO_FRAME = 0
"""The frame number that means "none yet"; real frames count from 1."""

FACES_DTYPE: np.dtype[Any] = np.dtype(
    [
        ("number", "<u8"),  # the frame that was looked at
        ("time_ns", "<i8"),  # that frame's own stamp, handed back
        ("model_ns", "<i8"),  # resize, inference and decoding, by a monotonic clock
        ("pid", "<i8"),  # who answered
        ("count", "<u4"),  # how many of the rows below are faces
        ("scores", "<f4", (MAX_FACES,)),  # 0 to 1, strongest first
        ("boxes", "<f4", (MAX_FACES, 4)),  # left, top, right, bottom in pixels of the frame
    ]
)
"""The model's answer."""


def frame_dtype(height: int, width: int) -> np.dtype[Any]:
    """The record of one decoded frame: `number` (u8), `time_ns` (i8), `image` (height, width, 3).

    `time_ns` is when the frame was taken, by the clock of `time.time_ns()`; `image` is RGB, uint8.
    """
    return np.dtype([("number", "<u8"), ("time_ns", "<i8"), ("image", "u1", (height, width, 3))])
