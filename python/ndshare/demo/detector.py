"""The face detection network, run by LiteRT. What belongs here: the one place that knows LiteRT."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ndshare.demo import blazeface

REGRESSORS_PER_ANCHOR = 16
"""Four numbers for the box and six key points of two numbers each."""


class ModelRefused(ValueError):
    """The file cannot be used as a BlazeFace model; the text is one line for the user."""


class _Interpreter(Protocol):
    """The part of LiteRT's Interpreter that is used; the package ships no types of its own."""

    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, index: int, value: NDArray[np.float32]) -> None: ...
    def invoke(self) -> None: ...
    def get_tensor(self, index: int) -> NDArray[np.float32]: ...


class FaceDetector:
    """BlazeFace: RGB images in, boxes and scores out. Belongs to one thread."""

    def __init__(self, model: Path, threads: int = 1) -> None:
        """Loads the model file. ModelRefused if it is no BlazeFace; ImportError without LiteRT."""
        self._interpreter = _load(model, threads)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        shape = tuple(int(n) for n in inputs[0]["shape"])
        layout = blazeface.LAYOUTS.get(shape[1] if len(shape) == 4 else 0)
        if layout is None or shape != (1, layout.size, layout.size, 3):
            raise ModelRefused(
                f'--model "{model}": input {shape} is not one of BlazeFace: {_expected()}'
            )
        self._layout = layout
        self._input = int(inputs[0]["index"])
        # By shape, not by position: the files differ in the order of their outputs.
        found = {tuple(int(n) for n in o["shape"]): int(o["index"]) for o in outputs}
        wanted = [(1, layout.anchor_count, columns) for columns in (REGRESSORS_PER_ANCHOR, 1)]
        if any(shape not in found for shape in wanted):
            raise ModelRefused(f'--model "{model}": outputs {sorted(found)}, expected {wanted}')
        self._regressors, self._scores = (found[shape] for shape in wanted)
        self._centers = blazeface.anchor_centers(layout)
        self._letterbox: blazeface.Letterbox | None = None
        self._shape: tuple[int, ...] = ()

    def detect(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (n, 4), left, top, right, bottom in pixels, and scores (n,), strongest first.

        `image` is RGB, uint8, (height, width, 3).
        """
        if self._letterbox is None or self._shape != image.shape:
            height, width = image.shape[:2]
            self._letterbox = blazeface.Letterbox(height, width, self._layout.size)
            self._shape = image.shape
        self._interpreter.set_tensor(self._input, self._letterbox(image))
        self._interpreter.invoke()
        scores = blazeface.decode_scores(self._interpreter.get_tensor(self._scores))
        boxes = blazeface.decode_boxes(
            self._interpreter.get_tensor(self._regressors)[0], self._centers, self._layout.size
        )
        boxes, scores = blazeface.suppress(boxes, scores)
        return self._letterbox.to_image(boxes), scores


def _load(model: Path, threads: int) -> _Interpreter:
    module = importlib.import_module("ai_edge_litert.interpreter")
    try:
        with _silence():
            interpreter: _Interpreter = module.Interpreter(
                model_path=str(model), num_threads=threads
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:  # LiteRT's words for a file it cannot use
        reason = (str(error).splitlines() or ["unknown reason"])[0]
        raise ModelRefused(f'--model "{model}": not a LiteRT model: {reason}') from error
    return interpreter


@contextmanager
def _silence() -> Iterator[None]:
    """LiteRT writes to the process's standard error which way it took; errors it raises.

    Of the whole process: what other threads write to it meanwhile is lost.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _expected() -> str:
    return " or ".join(f"(1, {size}, {size}, 3)" for size in sorted(blazeface.LAYOUTS))
