"""Every fixed-size dtype comes back from another handle and from numpy.load, byte for byte."""

from __future__ import annotations

from typing import Any, cast

import ml_dtypes
import numpy as np
import pytest
from children import PeerMaker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ndshare

DType = np.dtype[Any]
ORDERS = st.sampled_from("<>")

scalars: st.SearchStrategy[DType] = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.byte_string_dtypes(endianness="?", min_len=1, max_len=40),
    hnp.unicode_string_dtypes(endianness="?", min_len=1, max_len=20),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    st.sampled_from(["V1", "V7", "M8", "m8", "M8[25us]", ">m8[3D]", "g", "G"]).map(np.dtype),
)

# Field names that hurt: quotes, backslashes, brackets, other scripts, Python's words.
labels = st.sampled_from(
    ["x", "y", "class", "a b", "it's", 'say "no"', "back\\slash", "[('", "é", "名", "f0", "😀", ","]
)
shapes = hnp.array_shapes(max_dims=2, max_side=3)


@st.composite
def records(draw: st.DrawFn, depth: int = 2) -> DType:
    """Structured dtypes: nested, with subarrays and titles, aligned, padded by hand."""
    inner = scalars if depth == 0 else st.one_of(scalars, scalars, records(depth - 1))
    names = draw(st.lists(labels, min_size=1, max_size=4, unique=True))
    fields: list[Any] = []
    for k, name in enumerate(names):
        label = (f"title {k}", name) if draw(st.booleans()) else name
        part: Any = draw(inner)
        fields.append((label, part, draw(shapes)) if draw(st.booleans()) else (label, part))
    dtype = np.dtype(fields, align=draw(st.booleans()))
    if not dtype.isalignedstruct and draw(st.booleans()):
        gap = draw(st.integers(1, 9))
        spec: dict[str, Any] = {"names": [], "formats": [], "offsets": [], "titles": []}
        assert dtype.names is not None
        assert dtype.fields is not None
        for k, name in enumerate(dtype.names):
            field: Any = dtype.fields[name]
            spec["names"].append(name)
            spec["formats"].append(field[0])
            spec["offsets"].append(field[1] + gap * (k + 1))
            spec["titles"].append(field[2] if len(field) > 2 else None)
        spec["itemsize"] = dtype.itemsize + gap * (len(dtype.names) + 2)
        dtype = np.dtype(cast("Any", spec))
    return dtype


dtypes = st.one_of(scalars, records())


def fill(dtype: DType, shape: tuple[int, ...], order: Any, seed: int) -> np.ndarray[Any, Any]:
    """Bytes of every kind, also those that are no values; bool stays 0 or 1."""
    chance = np.random.default_rng(seed)
    values = np.zeros(shape, dtype, order=order)
    if dtype.kind == "U":
        values[...] = "aé名😀"
    elif dtype.names is None:
        raw = values.reshape(-1, order="A").view("u1")
        raw[...] = chance.integers(0, 2 if dtype.kind == "b" else 256, raw.size)
    else:
        for name in dtype.names:
            part = values[name]
            part[...] = fill(part.dtype, part.shape, order, seed + 1)
    return values


def same(one: DType, other: DType) -> None:
    """Equal in all that decides where bytes lie and what they mean, padding included."""
    assert one == other
    assert (one.str, one.itemsize, one.names) == (other.str, other.itemsize, other.names)
    for name in one.names or ():
        assert one.fields is not None
        assert other.fields is not None
        assert one.fields[name][1:] == other.fields[name][1:]
        same(one.fields[name][0].base, other.fields[name][0].base)


def bytes_of(values: np.ndarray[Any, Any]) -> bytes:
    """As they lie in memory, padding included."""
    return values.tobytes(order="A")


def contents(values: np.ndarray[Any, Any]) -> list[bytes]:
    """The bytes of the fields: where NumPy copies by fields, padding is its own affair."""
    if values.dtype.names is None:
        return [values.tobytes()]
    return [one for name in values.dtype.names for one in contents(values[name])]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    dtypes,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    st.sampled_from("CF"),
    st.integers(0, 1000),
)
def test_a_dtype_comes_back_from_another_handle_and_from_numpy(
    dtype: DType, shape: tuple[int, ...], order: Any, seed: int
) -> None:
    values = fill(dtype, shape, order, seed)
    with (
        ndshare.create("dtype", data=values, order=order, existing="replace") as a,
        ndshare.open("dtype", dtype=dtype, shape=shape) as b,
    ):
        same(b.dtype, values.dtype)
        assert b.dtype.isalignedstruct == dtype.isalignedstruct
        assert b.spec == ndshare.Spec(shape, dtype, order)
        for found in (a.array, b.array, b.read(), b[...]):
            same(found.dtype, values.dtype)
            assert found.shape == values.shape
        for found in (a.array, b.array, b.read()):
            assert bytes_of(found) == bytes_of(values)
        assert contents(b[...]) == contents(values)
        loaded = np.load(b.path)
        assert loaded.shape == values.shape
        assert loaded.dtype == np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
        assert bytes_of(loaded) == bytes_of(values)
        with ndshare.create("dtype", shape, dtype, order=order, existing="adopt") as c:
            assert c.generation == a.generation


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        scalars.filter(lambda one: one.kind != "V"), hnp.array_shapes(max_dims=2, max_side=3)
    )
)
def test_values_of_a_dtype_store_and_read_as_in_numpy(values: np.ndarray[Any, Any]) -> None:
    with ndshare.create("values", values.shape, values.dtype) as a:
        a[...] = values
        np.testing.assert_array_equal(a[...], values)
        a[...] = np.zeros_like(values)
        a[...] = values.tolist() if values.dtype.kind in "biufcSU" else values
        assert a.read().dtype == values.dtype


ML = [
    name
    for name in dir(ml_dtypes)
    if name.startswith(("bfloat", "float", "int", "uint"))
    and isinstance(getattr(ml_dtypes, name), type)
]


@pytest.mark.parametrize("name", ML)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_dtype_of_ml_dtypes_comes_back(peer: PeerMaker, name: str, order: Any) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    values = np.array([[-1, 1], [1, -1], [1, 1]], dtype=dtype, order=order)
    a = ndshare.create("ml", data=values, order=order)
    b = ndshare.open("ml", dtype=dtype)
    same(b.dtype, dtype)
    assert bytes_of(b.read()) == bytes_of(values)
    assert ndshare.open("ml", dtype=name).dtype == dtype
    np.testing.assert_array_equal(b.array.astype("f4"), values.astype("f4"))
    a[0, 0] = dtype.type(1)
    assert b[0, 0] == dtype.type(1)
    loaded = np.load(a.path)
    assert loaded.dtype == np.dtype(f"V{dtype.itemsize}")
    assert bytes_of(loaded) == bytes_of(a.array)
    with ndshare.create("ml0", (), name) as c:
        assert c.dtype == dtype
    with ndshare.create("mls", 2, [("x", dtype), ("y", "f4", (2,))]) as d:
        assert d.dtype["x"] == dtype
    if name == "bfloat16" and order == "C":
        assert peer().get("str(ndshare.open('ml').dtype)") == "bfloat16"


def test_a_subarray_dtype_becomes_axes_as_in_numpy() -> None:
    a = ndshare.create("sub", 3, "(2,5)f4")
    assert list(a.shape) == [3, 2, 5]
    assert a.dtype == np.dtype("f4")
    assert ndshare.open("sub", shape=3, dtype="(2,5)f4").shape == (3, 2, 5)


@pytest.mark.parametrize(
    "dtype",
    [
        object,
        "O",
        [("x", "f4"), ("y", object)],
        [("in", [("o", object, (2,))])],
        # NumPy 2's strings of variable width; 1.26 has none.
        *([np.dtypes.StringDType()] if hasattr(np.dtypes, "StringDType") else []),
        np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]}),
        np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [4, 0]}),
    ],
    ids=str,
)
def test_what_cannot_be_shared_is_a_type_error_that_hints(dtype: Any) -> None:
    with pytest.raises(TypeError, match=r"fixed-size dtype|overlap or are out of order"):
        ndshare.create("refused", 3, dtype)
    with pytest.raises(TypeError, match=r"fixed-size dtype|overlap or are out of order"):
        ndshare.create("refused", data=np.zeros(3, dtype))


def test_a_dtype_with_hundreds_of_fields_still_opens() -> None:
    dtype = np.dtype([(f"a field with a long name, number {k}", "f4") for k in range(500)])
    a = ndshare.create("wide", 3, dtype)
    a[1] = tuple(range(500))
    b = ndshare.open("wide", dtype=dtype)
    same(b.dtype, dtype)
    assert b[1][499] == 499
    loaded = np.load(a.path, max_header_size=1 << 20)
    assert loaded.dtype == dtype
    assert loaded[1][7] == 7


@pytest.mark.parametrize("dtype", ["S0", "U0", "V0", [], [("x", "S0"), ("y", "f4")]], ids=str)
def test_elements_without_bytes_are_empty(dtype: Any) -> None:
    a = ndshare.create("nothing", 5, dtype)
    assert a.shape == a.read().shape == a[...].shape == (5,)
    assert a.nbytes == (20 if len(dtype) == 2 and dtype[0] == ("x", "S0") else 0)
    for values in (a.read(), a[...], a.array):
        assert not any(values.tobytes())


class Half(np.void):  # type: ignore[misc]
    """A type that no other process knows."""


def test_a_type_of_another_package_is_refused_not_changed() -> None:
    with pytest.raises(TypeError, match="does not know"):
        ndshare.create("foreign", 3, np.dtype((Half, 2)))


def test_the_memory_is_aligned_for_every_element() -> None:
    for dtype in ("u1", "f8", "c16", "g", "V3", [("a", "u1"), ("b", "f8")]):
        a = ndshare.create("aligned", 100, dtype, existing="replace")
        assert a.array.ctypes.data % 4096 == 0
        assert a.array.flags.aligned == np.zeros(100, dtype).flags.aligned
