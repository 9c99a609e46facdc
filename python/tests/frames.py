"""Frames of a small camera, for the tests of streams."""

from __future__ import annotations

from typing import Any

import numpy as np

import ndshare

CAMERA = {"shape": (4, 5), "dtype": "f4"}


def frame_of(number: float) -> np.ndarray[Any, Any]:
    return np.full((4, 5), number, "f4")


def numbers(frames: list[ndshare.Frame]) -> list[float]:
    return [float(frame.array[0, 0]) for frame in frames]


def drain(subscriber: ndshare.Subscriber) -> list[ndshare.Frame]:
    found = []
    while (frame := subscriber.get(0)) is not None:
        found.append(frame)
    return found


def values(subscriber: ndshare.Subscriber) -> list[float]:
    found = []
    while (frame := subscriber.get(0)) is not None:
        found.append(float(frame.array[0, 0]))
        frame.close()
    return found
