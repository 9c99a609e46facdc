"""The fields of the two streams. What belongs here: names, dtypes, units, limits.

A frame has all its fields at once or is not there: a number and its pixels, or a number and its
boxes, can never be of two different frames, and no second channel has to keep them together.
"""

import numpy as np

from ndshare import Spec

MAX_FACES = 16
"""Faces that fit into one result; the strongest are kept."""

SLOTS = 8
"""Pictures that are there at once: those without an answer, one that is drawn, one that the C++
program looks at, one that is filled."""

IN_FLIGHT = 4
"""Pictures that the parent publishes ahead of the answers. More than one, so that the model works
while the parent draws; less than SLOTS, so that the parent never waits for itself."""

FACES_SLOTS = 64
"""Answers are small: their readers may be late by this many before the model waits for them."""

FACES_FIELDS = {
    "number": Spec((), "<u8"),  # of the picture that was looked at
    "model_ns": Spec((), "<i8"),  # resize, inference and decoding, by a monotonic clock
    "pid": Spec((), "<i8"),  # who answered
    "scores": Spec(maxshape=(MAX_FACES,), dtype="<f4"),  # 0 to 1, strongest first
    "boxes": Spec(maxshape=(MAX_FACES, 4), dtype="<f4"),  # left, top, right, bottom in pixels
}
"""The model's answer. Its stamp is that of the picture."""


def frame_fields(height: int, width: int) -> dict[str, Spec]:
    """A decoded picture: `number` counts from 1, `image` is RGB. Its stamp: when it was taken."""
    return {"number": Spec((), "<u8"), "image": Spec((height, width, 3), np.uint8)}
