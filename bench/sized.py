"""Payloads of any size that prove themselves, as programs/support/sized.h has them.

Word i is i times an odd constant; the first word is the payload's number, which is also added to
the last one. Both are looked at each time, all words of the last
payload when the clock has stopped.
"""

from __future__ import annotations

import numpy as np
from payload import Words

_FACTOR = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def words(count: int) -> Words:
    """Number 0. In place: it may be a gigabyte."""
    made = np.arange(count, dtype=np.uint64)
    made *= np.uint64(_FACTOR)
    return made


def last_of(count: int, number: int) -> int:
    return ((count - 1) * _FACTOR + number) & _MASK if count > 1 else number


def stamp(payload: Words, number: int) -> None:
    payload[-1] = last_of(len(payload), number)
    payload[0] = number


def is_stamped(payload: Words, number: int) -> bool:
    return int(payload[0]) == number and int(payload[-1]) == last_of(len(payload), number)


def checksum(count: int, number: int) -> int:
    """Of the whole payload."""
    stamped = 2 * number if count > 1 else number
    return (_FACTOR * (count * (count - 1) // 2) + stamped) & _MASK


def slots(nbytes: int) -> int:
    """Of a ring of such payloads: many small ones, few large ones."""
    return 64 if nbytes <= 1 << 16 else 4 if nbytes <= 1 << 26 else 2


def ops_per_sample(nbytes: int) -> int:
    """One way; a look at the clock takes as long as a small payload."""
    return 64 if nbytes <= 1 << 16 else 1
