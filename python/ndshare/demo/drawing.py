"""Boxes on an image, with Pillow. What belongs here: pixels, colours and fonts."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

BOX = (80, 255, 120)
TEXT = (255, 255, 255)
SHADE = (0, 0, 0)
MIN_HEIGHT = 360
"""Smaller videos are enlarged by a whole factor, so that lines and letters stay sharp."""


def scale_for(height: int) -> int:
    """The whole factor by which images of `height` pixels are enlarged before drawing."""
    return max(1, math.ceil(MIN_HEIGHT / height))


def annotate(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    caption: str,
) -> Image.Image:
    """A picture of its own with boxes, scores and a caption; both of its sides are even.

    `image` is RGB (height, width, 3); `boxes` (n, 4) are left, top, right, bottom in its pixels;
    `scores` (n,) are 0 to 1.
    """
    height, width = image.shape[:2]
    scale = scale_for(height)
    size = (width * scale + width * scale % 2, height * scale + height * scale % 2)
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(14, size[1] // 24))
    line = max(2, size[1] // 180)
    for (left, top, right, bottom), score in zip(boxes * scale, scores, strict=True):
        # Pillow refuses a box whose sides have changed places; a bad model's must not end the job.
        corners = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        draw.rectangle([float(c) for c in corners], outline=BOX, width=line)
        _label(draw, (float(corners[0]), float(corners[1])), f"{score:.2f}", font)
    _label(draw, (0, size[1]), caption, font)
    return picture


def _label(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Text on a dark ground above `corner`, kept inside the picture at its left and top."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 8, bottom - top + 8
    x, y = max(0.0, corner[0]), max(0.0, corner[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=SHADE)
    draw.text((x + 4 - left, y + 4 - top), text, fill=TEXT, font=font)
