"""Contents that prove themselves, as programs/support/payload.h has them for the C++ programs.

Small: 480 bytes, one of 64 different ones; Line: the first 48 of them. Block: 1 MB; each word says
its version and its place, so a mixture of two versions shows. Frame: 1080p, 8 bits a colour; its
first word is its number. Image: what a service is asked about; six of its bytes say who asks and
what, and are its answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

SMALL_WORDS = 60
SMALL_NBYTES = SMALL_WORDS * 8
SMALL_COUNT = 64
LINE_WORDS = 6
BLOCK_WORDS = 1_000_000 // 8
BLOCK_NBYTES = BLOCK_WORDS * 8
FRAME_SHAPE = (1080, 1920, 3)
FRAME_NBYTES = 1080 * 1920 * 3
FRAME_WORDS = FRAME_NBYTES // 8
_MASK = (1 << 64) - 1


def smalls() -> Words:
    """All of them, one a row; the sums wrap around as in C++."""
    k = np.arange(1, SMALL_COUNT + 1, dtype=np.uint64)[:, None]
    i = np.arange(SMALL_WORDS, dtype=np.uint64)
    return k * np.uint64(0x9E3779B97F4A7C15) + i * np.uint64(0xC2B2AE3D27D4EB4F)


def sum_of(words: Words) -> int:
    """Modulo 2**64."""
    return int(np.sum(words, dtype=np.uint64))


def round_trip_checksum(count: int, words: int = SMALL_WORDS) -> int:
    """What `count` payloads add up to: payload k is number k % 64, all of it is received; of each
    the first `words`."""
    sums = [sum_of(row[:words]) for row in smalls()]
    return (
        sum(sums[k] * ((count - k + SMALL_COUNT - 1) // SMALL_COUNT) for k in range(SMALL_COUNT))
        & _MASK
    )


def frame() -> Words:
    """Number 0."""
    words = np.arange(FRAME_WORDS, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words[0] = 0
    return words


def frames_checksum(first: int, count: int) -> int:
    """What `count` frames add up to, from number `first` on."""
    return (count * sum_of(frame()) + count * (2 * first + count - 1) // 2) & _MASK


def attach_checksum(count: int) -> int:
    """The first element once an operation, and all of them once at the end."""
    first = smalls()[0]
    return (int(first[0]) * count + sum_of(first)) & _MASK


def block_places() -> Words:
    """What a block of version 0 would hold."""
    return np.arange(BLOCK_WORDS, dtype=np.uint64)


def block_base(version: int) -> np.uint64:
    """To be added to the places: word i of a version is (version << 32) + i."""
    return np.uint64(version << 32)


def block_version(words: Words) -> int:
    return int(words[0]) >> 32


def is_whole(words: Words, places: Words, scratch: Words) -> bool:
    """All words of one version, each in its place. `scratch` is as large as a block."""
    np.add(places, block_base(block_version(words)), out=scratch)
    return bool(np.array_equal(words, scratch))


def stream_of(number: int, streams: int, burst: int) -> int:
    """Of a frame's number. One at a time: now this stream, now that one, far apart."""
    return number % streams if burst > 1 else number * 7919 % streams


# ---- services ------------------------------------------------------------------------------------

IMAGE_SHAPES: dict[int, tuple[int, ...]] = {
    480: (480,),
    320 * 320 * 3: (320, 320, 3),
    FRAME_NBYTES: FRAME_SHAPE,
}
BOXES_SHAPE = (20, 6)


def places(nbytes: int) -> NDArray[np.intp]:
    """Of the bytes that are read: the first, the last and four between, evenly; six cache lines."""
    columns = BOXES_SHAPE[1]
    return np.array([k * (nbytes - 1) // (columns - 1) for k in range(columns)], dtype=np.intp)


_PLACES = {nbytes: places(nbytes) for nbytes in IMAGE_SHAPES}


def image(nbytes: int) -> NDArray[np.uint8]:
    """Not stamped yet."""
    shape = IMAGE_SHAPES[nbytes]
    return (np.arange(nbytes, dtype=np.uint32) * 7 % 251).astype(np.uint8).reshape(shape)


def stamps(client: int, count: int) -> NDArray[np.uint8]:
    """Of calls 0 to count: the number in four bytes, the client, and what makes the sum 0."""
    rows = np.zeros((count, BOXES_SHAPE[1]), dtype=np.uint8)
    rows[:, :4] = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)
    rows[:, 4] = client
    rows[:, 5] = -rows.sum(axis=1, dtype=np.uint8)
    return rows


def detect(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The model: reads six bytes; each row of the answer is those six."""
    found = np.empty(BOXES_SHAPE, np.float32)
    found[...] = image.take(_PLACES[image.size])
    return found


def detect_batch(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same of several images side by side."""
    count = len(images)
    flat = images.reshape(count, -1)
    return boxes(flat.take(_PLACES[flat.shape[1]], axis=1))


def boxes(stamps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the answers to such calls are."""
    found = np.empty((len(stamps), *BOXES_SHAPE), np.float32)
    found[...] = stamps[:, None, :]
    return found


def boxes_checksum(clients: int, count: int) -> int:
    """What the answers add up to, when each client makes so many calls."""
    return sum(int(boxes(stamps(k, count)).sum(dtype=np.float64)) for k in range(clients))
