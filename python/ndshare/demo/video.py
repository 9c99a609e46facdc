"""Video in and out through PyAV. What belongs here: the only code that knows about codecs."""

import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, cast

import av
import numpy as np
from numpy.typing import NDArray

from ndshare.demo.inputs import InputError

DEFAULT_RATE = Fraction(30)
"""Frames per second where the source does not say; cameras often do not."""

ENCODERS = (("libx264", {"crf": "20"}), ("mpeg4", {"q": "3"}))
"""The first that this build of FFmpeg has is used."""


class Frame(NamedTuple):
    """One decoded picture: `number` counts from 1, `time_ns` is time.time_ns() when it was taken,
    `image` is RGB, uint8, (height, width, 3)."""

    number: int
    time_ns: int
    image: NDArray[np.uint8]


class VideoSource:
    """A video file or a camera, as numbered RGB images of one size.

    The first frame is decoded at once: its size is the size of all, and a file that holds no
    picture is refused before anything else was started.
    """

    def __init__(self, path: str, *, camera: bool = False, limit: int | None = None) -> None:
        """Opens `path`; at most `limit` frames come out. InputError if it cannot be read."""
        self.path = path
        self._option = "--camera" if camera else "--video"
        try:
            self._container = av.open(path, format="v4l2" if camera else None)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._refuse("cannot be opened", error) from error
        try:
            if not self._container.streams.video:
                raise InputError(f'{self._option} "{path}": has no video stream')
            stream = self._container.streams.video[0]
            self.rate = Fraction(stream.average_rate or DEFAULT_RATE)
            self._images = self._decode()
            self._first = next(self._images, None)
            if self._first is None:
                raise InputError(f'{self._option} "{path}": has no frames')
        except BaseException:
            self._container.close()
            raise
        self.height, self.width = self._first.shape[:2]
        self._limit = limit
        counts = [count for count in (stream.frames, limit) if count]
        # A stream's own count is a promise of its header, and is 0 where the format has none.
        self.total: int | None = min(counts) if stream.frames or camera else limit

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order, once. InputError where decoding fails in the middle."""
        return islice(self._numbered(), self._limit)

    def close(self) -> None:
        """Gives file or camera back."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _numbered(self) -> Iterator[Frame]:
        assert self._first is not None
        yield Frame(1, time.time_ns(), self._first)
        for number, image in enumerate(self._images, start=2):
            yield Frame(number, time.time_ns(), image)

    def _decode(self) -> Iterator[NDArray[np.uint8]]:
        width, height = None, None
        try:
            for picture in self._container.decode(video=0):
                if width is None:
                    width, height = picture.width, picture.height
                # A stream may change its size on the way; the shared array does not.
                rgb = picture.reformat(width=width, height=height, format="rgb24")
                image = np.asarray(rgb.to_ndarray(), np.uint8)
                # Phones store portrait pictures lying on their side, with a note to turn them.
                yield np.rot90(image, round(picture.rotation / 90)) if picture.rotation else image
        except av.FFmpegError as error:
            raise self._refuse("cannot be decoded", error) from error

    def _refuse(self, what: str, error: Exception) -> InputError:
        reason = getattr(error, "strerror", None) or str(error)
        return InputError(f'{self._option} "{self.path}": {what}: {reason}')


class VideoFile:
    """An MP4 being written, frame by frame."""

    def __init__(self, path: Path, width: int, height: int, rate: Fraction) -> None:
        """Starts `path`; `width` and `height` in pixels must be even (the codecs halve colours)."""
        self.path = path
        codec, options = next(
            (name, options) for name, options in ENCODERS if name in av.codecs_available
        )
        self._container = av.open(str(path), "w")
        stream = self._container.add_stream(codec, rate=rate, options=dict(options))
        self._stream = cast(av.VideoStream, stream)  # by the codec's name; PyAV cannot know
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"

    def add(self, image: NDArray[np.uint8]) -> None:
        """Appends one RGB frame, uint8, (height, width, 3)."""
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Writes what the encoder still holds, and the index that makes the file playable."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()
