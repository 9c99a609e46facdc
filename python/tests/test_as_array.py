"""What NumPy and other libraries get from a handle: live memory or a copy, said in advance."""

from __future__ import annotations

import numpy as np
import pytest

import ndshare

RECORD = np.dtype([("x", "f4"), ("n", "i2", (3,)), ("in", [("a", "u1"), ("b", "S3")])])


def test_a_structured_scalar_does_not_alias_live_memory() -> None:
    a = ndshare.create("record", data=np.ones(3, RECORD))
    one = a[1]
    a[...] = np.zeros(3, RECORD)
    assert (one["x"], one["n"].tolist(), one["in"]["a"]) == (1, [1, 1, 1], 1)
    one["x"] = 7
    assert a[1]["x"] == 0
    zero = ndshare.create("record0", data=np.ones((), RECORD))
    copy = zero[()]
    zero[...] = np.zeros((), RECORD)
    assert copy["x"] == 1
    raw = ndshare.create("raw", data=np.array([b"12345678"]).view("V8"))
    copy = raw[0]
    raw[...] = np.zeros(1, "V8")
    assert copy.tobytes() == b"12345678"


def test_conversion_to_numpy_says_live_or_copy() -> None:
    a = ndshare.create("numpy", data=np.arange(3.0))
    assert np.asarray(a) is a.array
    assert np.asarray(a, dtype=float) is a.array
    assert np.shares_memory(np.array(a, copy=False), a.array)
    copy = np.array(a)
    assert not np.shares_memory(copy, a.array)
    assert np.array(a, dtype="i4").dtype == np.dtype("i4")
    assert np.asarray(a, dtype="i4").tolist() == [0, 1, 2]
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # before, copy=False meant "if needed"
        with pytest.raises(ValueError, match="copy"):
            np.array(a, dtype="i4", copy=False)
    assert (a.array + 1).tolist() == [1, 2, 3]
    assert np.sum(a) == 3
    np.asarray(a)[0] = 9
    assert a[0] == 9


def test_dlpack_shares_the_live_memory() -> None:
    a = ndshare.create("dlpack", data=np.arange(3.0))
    other = np.from_dlpack(a)
    other = other if other.flags.writeable else other.view()
    assert np.shares_memory(other, a.array)
    assert a.__dlpack_device__() == (1, 0)


def test_len_and_repr_are_those_of_an_array() -> None:
    a = ndshare.create("repr", (5, 2), "f4")
    assert len(a) == 5
    assert repr(a) == "<ndshare.Array 'repr' (5, 2) float32>"
    assert repr(ndshare.open("repr")) == "<read-only ndshare.Array 'repr' (5, 2) float32>"
    with pytest.raises(TypeError, match="0-d"):
        len(ndshare.create("zero", ()))
    assert len(ndshare.create("none", (0, 3))) == 0


def test_a_store_from_its_own_memory_is_as_in_numpy() -> None:
    a = ndshare.create("own", data=np.arange(5))
    a[1:] = a.array[:-1]
    assert a[...].tolist() == [0, 0, 1, 2, 3]
    a[...] = a
    a[::-1] = a
    assert a[...].tolist() == [3, 2, 1, 0, 0]
