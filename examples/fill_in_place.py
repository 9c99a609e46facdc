"""A picture is resized straight into shared memory: the result is nowhere else, so no copy.

Whatever takes an output array works on a loan: NumPy's out=, OpenCV's dst=, readinto(), torch's
out=. With opencv-python installed cv2.resize() is used, else NumPy.
Run it: python examples/fill_in_place.py [NAME]
"""

import multiprocessing
import os
import sys

import numpy as np
from numpy.typing import NDArray

import ndshare

try:
    import cv2
except ImportError:
    cv2 = None

SMALL = (120, 160)


def halve(picture: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Every second pixel of every second row, into `out`."""
    if cv2 is None:
        np.copyto(out, picture[::2, ::2])
        return
    # OpenCV uses dst as it is if shape and dtype fit, and silently makes another if they do not.
    # That would publish a slot that nobody filled, so look.
    used = cv2.resize(picture, SMALL[::-1], dst=out, interpolation=cv2.INTER_NEAREST)
    assert np.shares_memory(used, out)


def viewer(name: str) -> None:
    """Another process."""
    with ndshare.Subscriber(name) as pictures:
        for frame in pictures:
            print(f"{frame.array.shape} mean {frame.array.mean():.0f}", flush=True)


def main() -> None:
    """The camera: three pictures, made small on the way out."""
    name = sys.argv[1] if len(sys.argv) > 1 else f"fill-in-place-{os.getpid()}"
    process = multiprocessing.get_context("spawn").Process(target=viewer, args=(name,), daemon=True)
    with ndshare.Publisher(name, SMALL, np.uint8, overflow="block") as small:
        process.start()
        for brightness in (10, 20, 30):
            picture = np.full((240, 320), brightness, np.uint8)
            with small.loan() as loan:  # leaving the block publishes; an exception would not
                halve(picture, loan.array)
        small.end()
        process.join()  # the memory is there as long as somebody holds it: not before it has read
    sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
