"""Detections as one frame of several fields: boxes, scores and the picture they belong to.

Boxes and scores of one frame always belong together, so there is nothing to synchronise; and the
reference to the picture is a tuple of a name and two numbers, so pictures are not sent twice.
Run it: python examples/detections.py [NAME]
"""

import multiprocessing
import os
import sys
from typing import Any

import numpy as np

import ndshare
from ndshare import Spec

MAX_BOXES = 10
PICTURES = 4

FIELDS = {
    "seq": Spec((), np.uint64),  # which picture: enough to find it, with its generation
    "generation": Spec((), np.uint64),
    "boxes": Spec(maxshape=(MAX_BOXES, 4), dtype=np.float32),  # each frame its own number of rows
    "scores": Spec(maxshape=(MAX_BOXES,), dtype=np.float32),
}


def find_boxes(picture: Any) -> dict[str, Any]:
    """Stands for a model: as many boxes as the picture is bright."""
    count = int(picture[0, 0])
    return {"boxes": np.zeros((count, 4)), "scores": np.full(count, 0.5)}


def detector(pictures_name: str, boxes_name: str) -> None:
    """The model's process."""
    with (
        ndshare.Subscriber(pictures_name) as pictures,
        ndshare.Publisher(boxes_name, fields=FIELDS, overflow="block") as boxes,
    ):
        # Memory goes with the last who holds it: who comes after our end would find nothing.
        boxes.wait_subscribers(timeout=60)
        for picture in pictures:
            found = find_boxes(picture.array)
            # The stamp is that of the picture: what matters later is when it was seen.
            boxes.put(
                {"seq": picture.seq, "generation": picture.generation, **found},
                time_ns=picture.time_ns,
            )
        boxes.end()


def main() -> None:
    """The camera, which also reads what was found."""
    name = sys.argv[1] if len(sys.argv) > 1 else f"detections-{os.getpid()}"
    names = f"{name}/pictures", f"{name}/boxes"
    process = multiprocessing.get_context("spawn").Process(target=detector, args=names, daemon=True)
    with (
        ndshare.Publisher(names[0], (48, 64), np.uint8, slots=8) as camera,
        ndshare.Subscriber(names[1]) as boxes,
    ):
        process.start()
        for k in range(PICTURES):
            camera.put(np.full((48, 64), k, np.uint8))
        camera.end()
        for found in boxes:
            # Exactly the picture that these boxes were found in, pinned; Overwritten if the
            # stream has gone on too far since (then give it more slots).
            ref = ndshare.FrameRef(camera.name, int(found["generation"]), int(found["seq"]))
            with ref.get() as picture:
                brightness = picture.array[0, 0]
            print(f"brightness {brightness}: boxes {found['boxes'].shape}", flush=True)
        process.join()
    sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
