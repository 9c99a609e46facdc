"""BlazeFace without the network: resize, anchors, box decoding, suppression. NumPy only.

What belongs here: arithmetic on arrays, which a test can check with numbers made by hand.

Sources: V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"
(2019), for the anchors on one cell and the weighted blending of overlapping boxes; MediaPipe's face
detection graphs, for the numbers (SsdAnchorsCalculator and TensorsToDetections options).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SCORE_LIMIT = 100.0
"""Raw scores are clipped to this before the sigmoid (MediaPipe's score_clipping_thresh)."""


@dataclass(frozen=True)
class Layout:
    """One variant of the network: its input is `size` x `size`; `grids` are (stride, anchors)."""

    size: int
    grids: tuple[tuple[int, int], ...]

    @property
    def anchor_count(self) -> int:
        """How many boxes the network proposes."""
        return sum((self.size // stride) ** 2 * count for stride, count in self.grids)


# MediaPipe gives every SSD layer two anchors (one aspect ratio and an interpolated one); layers of
# one stride share a grid: strides (8, 16, 16, 16) are 2 anchors a cell at 8 and 6 a cell at 16.
LAYOUTS = {
    layout.size: layout
    for layout in (
        Layout(128, ((8, 2), (16, 6))),  # short range: 896 anchors
        Layout(256, ((16, 2), (32, 6))),  # back camera: 896 anchors
        Layout(192, ((4, 1),)),  # full range: 2304 anchors
    )
}


def anchor_centers(layout: Layout) -> Floats:
    """Centers (x, y) of all anchors, shape (anchor_count, 2), as fractions of the input's side.

    Row by row over each grid, a cell's anchors side by side: the order of the network's output.
    All anchors have the size of the whole input (fixed_anchor_size), so centers say everything.
    """
    grids = []
    for stride, count in layout.grids:
        cells = layout.size // stride
        centers = (np.arange(cells, dtype=np.float32) + 0.5) / np.float32(cells)
        y, x = np.meshgrid(centers, centers, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(grids)


class Letterbox:
    """The way from an image of one shape into the network's square input, and back for boxes.

    The image keeps its aspect ratio and is centered; what remains is zero, the middle of [-1, 1].
    The resize is bilinear with pixel centers at one half. The tables are made once per shape.
    """

    def __init__(self, height: int, width: int, size: int) -> None:
        """For images of `height` x `width` pixels and an input of `size` x `size`; all >= 1."""
        if min(height, width, size) < 1:
            raise ValueError(f"an image of {width}x{height} cannot be put into {size}x{size}")
        self.size = size
        self.scale = size / max(height, width)
        self.rows = max(1, round(height * self.scale))
        self.columns = max(1, round(width * self.scale))
        self.top = (size - self.rows) // 2
        self.left = (size - self.columns) // 2
        self._y = _taps(height, self.rows)
        self._x = _taps(width, self.columns)
        self._input = np.zeros((1, size, size, 3), np.float32)

    def __call__(self, image: NDArray[np.uint8]) -> Floats:
        """The network's input, (1, size, size, 3) in [-1, 1], from RGB (height, width, 3).

        The same memory is returned each time: use it before the next call.
        """
        upper, lower, down = self._y
        near, far, across = self._x
        rows = image[upper] * (1 - down)[:, None, None] + image[lower] * down[:, None, None]
        pixels = rows[:, near] * (1 - across)[:, None] + rows[:, far] * across[:, None]
        inside = self._input[
            0, self.top : self.top + self.rows, self.left : self.left + self.columns
        ]
        inside[...] = pixels / 127.5 - 1.0
        return self._input

    def to_image(self, boxes: Floats) -> Floats:
        """Boxes (n, 4) in pixels of the image, from boxes in fractions of the input's side."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        return ((boxes * self.size - offset) / np.float32(self.scale)).astype(np.float32)


def _taps(source: int, target: int) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """For each of `target` places: its two neighbours among `source`, and the second's weight."""
    place = (np.arange(target) + 0.5) * (source / target) - 0.5
    place = np.clip(place, 0, source - 1)
    first = np.floor(place).astype(np.intp)
    return first, np.minimum(first + 1, source - 1), (place - first).astype(np.float32)


def decode_boxes(regressors: Floats, centers: Floats, size: int) -> Floats:
    """Boxes (n, 4) as left, top, right, bottom in fractions of the input, from raw (n, >= 4).

    A raw row begins with x, y (of the center, relative to the anchor's), width and height, all in
    input pixels; the rest are key points, which are not needed here.
    """
    middle = regressors[:, 0:2] / np.float32(size) + centers
    half = regressors[:, 2:4] / np.float32(2 * size)
    return np.concatenate([middle - half, middle + half], axis=1)


def decode_scores(raw: Floats) -> Floats:
    """Scores between 0 and 1, shape (n,), from the network's raw (n, 1) or (n,)."""
    clipped = np.clip(raw.reshape(-1), -SCORE_LIMIT, SCORE_LIMIT).astype(np.float64)
    return (1.0 / (1.0 + np.exp(-clipped))).astype(np.float32)


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of `boxes` (n, 4); 0 for empty boxes."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    union = np.prod(np.clip(box[2:] - box[:2], 0, None)) + area - common
    ratio: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return ratio


def suppress(
    boxes: Floats, scores: Floats, *, min_score: float = 0.5, min_overlap: float = 0.3
) -> tuple[Floats, Floats]:
    """One box per face: boxes (k, 4) and scores (k,), strongest first, from (n, 4) and (n,).

    Boxes that overlap the strongest are blended into it, weighted by their scores, instead of being
    thrown away: this keeps a box from trembling from frame to frame (BlazeFace, section 4.2).
    """
    strong = scores >= min_score
    boxes, scores = boxes[strong], scores[strong]
    order = np.argsort(-scores, kind="stable")
    kept_boxes, kept_scores = [], []
    while order.size:
        best = order[0]
        together = overlap(boxes[best], boxes[order]) > min_overlap
        together[0] = True  # also a box without an area belongs to itself, so the loop ends
        group = order[together]
        weights = scores[group, None]
        kept_boxes.append((boxes[group] * weights).sum(axis=0) / weights.sum())
        kept_scores.append(scores[best])
        order = order[~together]
    return (
        np.array(kept_boxes, np.float32).reshape(-1, 4),
        np.array(kept_scores, np.float32),
    )
