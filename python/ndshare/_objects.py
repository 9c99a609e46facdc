"""Python objects in a slot: pickled once, the arrays inside out of band (pickle protocol 5).

bytes of a slot: count of buffers u8 | bytes of the pickle u8 | (offset u8, bytes u8) a buffer |
pickle | buffers, each from a multiple of 64. Numbers are little-endian.

Unpickling runs what the publisher wrote: streams are shared by one user's processes, who may do
everything to each other anyway.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ndshare._errors import Corrupt

_ALIGNMENT = 64
_HEAD = struct.Struct("<QQ")
# What an object may take beside its own bytes: the head, and the table and gaps of some buffers.
_OVERHEAD_BYTES = 4096


def capacity(max_nbytes: int) -> int:
    """Bytes of a slot for objects of so many bytes."""
    return max_nbytes + _OVERHEAD_BYTES


def _aligned(at: int) -> int:
    return (at + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def store(loan: Any, value: Any, name: str) -> None:
    """Pickles value into a loan of a stream of objects, each array copied once."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    at = _HEAD.size * (1 + len(raws)) + len(text)
    table = []
    for raw in raws:
        at = _aligned(at)
        table.append((at, raw.nbytes))
        at += raw.nbytes
    room = loan.array.nbytes
    if at > room:
        raise ValueError(
            f'[put] "{name}": the object takes {at} bytes with its arrays, a slot has {room}; make'
            " the publisher with a larger max_nbytes="
        )
    out = loan._resize((at,), "")
    head = b"".join(
        [_HEAD.pack(len(raws), len(text)), *(_HEAD.pack(*entry) for entry in table), text]
    )
    out[: len(head)] = np.frombuffer(head, np.uint8)
    for (offset, nbytes), raw in zip(table, raws, strict=True):
        out[offset : offset + nbytes] = np.frombuffer(raw, np.uint8)


def load(array: NDArray[Any], name: str) -> Any:
    """The value; arrays inside are read-only views of the slot, which stays pinned by them."""
    view = memoryview(array)  # type: ignore[arg-type]
    try:
        count, text_nbytes = _HEAD.unpack_from(view, 0)
        table = [_HEAD.unpack_from(view, _HEAD.size * (1 + k)) for k in range(count)]
        begin = _HEAD.size * (1 + count)
        if any(offset + nbytes > view.nbytes for offset, nbytes in table):
            raise struct.error("a buffer is beyond the frame")
        text = view[begin : begin + text_nbytes]
        return pickle.loads(text, buffers=[view[o : o + n] for o, n in table])
    except struct.error as error:
        raise Corrupt(f'[value] "{name}": the frame is no pickled object: {error}') from None
