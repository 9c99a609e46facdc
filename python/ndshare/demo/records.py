"""The fields of the stream and of the service. What belongs here: names, dtypes, units, limits.

A frame has all its fields at once or is not there: pixels and boxes can never be of two different
pictures, and no second channel has to keep them together.
"""

import numpy as np

from ndshare import Spec

MAX_FACES = 16
"""Faces that fit into one answer; the strongest are kept."""

IN_FLIGHT = 3
"""Pictures for which a camera asks before the first answer is there. More than one, so that the
workers work while the camera decodes."""

SLOTS_BESIDE = 5
"""Slots of the stream beside the cameras' loans: one that is drawn, two that the C++ program looks
at, and two that wait."""

FACES = {
    "scores": Spec(maxshape=(MAX_FACES,), dtype="<f4"),  # 0 to 1, strongest first
    "boxes": Spec(maxshape=(MAX_FACES, 4), dtype="<f4"),  # left, top, right, bottom in pixels
    "model_ns": Spec((), "<i8"),  # from the taking of the batch until this answer
    "batch_size": Spec((), "<i4"),  # calls that were taken together
    "pid": Spec((), "<i8"),  # who answered
}
"""What the model answers about one picture."""


def picture_spec(height: int, width: int) -> Spec:
    """A decoded picture, RGB, at most so large: cameras may differ."""
    return Spec(maxshape=(height, width, 3), dtype=np.uint8)


def seen_fields(height: int, width: int) -> dict[str, Spec]:
    """A picture and what was found in it. Its stamp: when it was taken."""
    return {
        "camera": Spec((), "<u4"),  # counts from 1
        "number": Spec((), "<u8"),  # of the picture in its camera, counts from 1
        "latency_ns": Spec((), "<i8"),  # from before the pixels are copied until the boxes are here
        "image": picture_spec(height, width),
        **FACES,
    }
