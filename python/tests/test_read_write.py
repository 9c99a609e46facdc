"""Reading and writing: a[i], read(), write(), and what an unfinished write leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from children import PeerError, PeerMaker
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ndshare

RECORD = np.dtype([("x", "f4"), ("n", "i2", (3,)), ("in", [("a", "u1"), ("b", "S3")])])


@st.composite
def selections(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], Any]:
    """Values, and a key of any kind that fits them."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    values = np.arange(int(np.prod(shape)), dtype="i4").reshape(shape)
    kinds: list[st.SearchStrategy[Any]] = [hnp.basic_indices(shape, allow_newaxis=True)]
    if shape and 0 not in shape:
        kinds.append(hnp.integer_array_indices(shape))
        kinds.append(hnp.arrays(bool, shape))
        kinds.append(st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4))
    return values, draw(st.one_of(kinds))


@settings(max_examples=150, deadline=None)
@given(selections())
def test_every_kind_of_index_reads_as_numpy_does(case: tuple[Any, Any]) -> None:
    values, key = case
    with ndshare.create("index", data=values) as a:
        found, wanted = a[key], values[key]
        assert type(found) is type(wanted)
        np.testing.assert_array_equal(found, wanted)
        if isinstance(found, np.ndarray):
            assert not np.shares_memory(found, a.array)
            assert found.flags.writeable


@settings(max_examples=150, deadline=None)
@given(selections(), st.booleans())
def test_every_kind_of_index_stores_as_numpy_does(case: tuple[Any, Any], scalar: bool) -> None:
    values, key = case
    new = -1 if scalar else -np.arange(1, np.size(values[key]) + 1).reshape(np.shape(values[key]))
    with ndshare.create("index", data=values) as a:
        a[key] = new
        values[key] = new
        np.testing.assert_array_equal(a.array, values)
        assert a.version == 2


def test_fields_read_and_store_as_numpy_does() -> None:
    values = np.zeros(4, RECORD)
    a = ndshare.create("fields", data=values)
    for key, new in (
        ("x", [1, 2, 3, 4]),
        (["x", "n"], np.ones(4, RECORD)[["x", "n"]]),
        (slice(1, 3), np.ones(2, RECORD)),
        (2, (5, [6, 7, 8], (9, b"abc"))),
        (..., np.ones(4, RECORD)),
    ):
        a[key] = new
        values[key] = new
        np.testing.assert_array_equal(a[...], values)
        np.testing.assert_array_equal(a[key], values[key])


@pytest.mark.parametrize(
    "key", [99, (0, 99), "nofield", (1, 2, 3), [0, 99], 1.5, np.ones(7, bool)], ids=str
)
def test_a_bad_index_raises_as_numpy_does_and_harms_nothing(key: Any) -> None:
    a = ndshare.create("bad", data=np.ones((2, 3)))
    with pytest.raises(IndexError):
        a[key]
    with pytest.raises(IndexError):
        a[key] = 5
    assert a[...].tolist() == [[1, 1, 1], [1, 1, 1]]
    with a.write() as w:
        w[...] = 2
    assert a.read()[0, 0] == 2


@pytest.mark.parametrize(
    "value", ["text", len, [[1, 2], [3]], np.zeros(5), {1: 2}, np.zeros((3, 2, 3))], ids=str
)
@pytest.mark.parametrize("key", [..., 0, slice(None)], ids=str)
def test_a_bad_value_is_refused_and_harms_nothing(key: Any, value: Any) -> None:
    a = ndshare.create("bad", data=np.ones((2, 3)))
    with pytest.raises((ValueError, TypeError)):
        a[key] = value
    assert a[...].tolist() == [[1, 1, 1], [1, 1, 1]]
    a[0, 0] = 3
    assert ndshare.open("bad").read()[0, 0] == 3


def test_a_cast_that_fails_in_the_middle_of_the_values_harms_nothing() -> None:
    a = ndshare.create("late", data=np.ones(3, "i4"))
    with pytest.raises(RuntimeWarning, match="invalid value"):
        a[...] = np.array([5.0, np.nan, 6.0])
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        a[:2] = np.array([6.0, np.inf])
    with pytest.raises(np.exceptions.ComplexWarning):
        a[1:] = np.array([1j, 2.0])
    assert a[...].tolist() == [1, 1, 1]
    a[...] = np.array([5.5, 6.5, 7.5])
    assert a[...].tolist() == [5, 6, 7]


def test_read_gives_a_copy_of_one_s_own() -> None:
    a = ndshare.create("read", data=np.arange(6, dtype=">i2").reshape(2, 3), order="F")
    copy = a.read()
    assert copy.dtype == np.dtype(">i2")
    assert copy.flags.f_contiguous
    assert copy.flags.owndata
    copy[...] = 0
    assert a[1, 2] == 5


def test_read_fills_any_destination_of_the_same_shape_and_dtype() -> None:
    values = np.arange(12.0).reshape(3, 4)
    a = ndshare.create("read", data=values)
    wide = np.zeros((6, 8))
    fortran = np.zeros((3, 4), order="F")
    for out in (np.zeros((3, 4)), fortran, wide[::2, ::2], wide[::-2, ::-2]):
        assert a.read(out) is out
        np.testing.assert_array_equal(out, values)
        out[...] = 0
        assert a.read(out=out, timeout=1) is out
        np.testing.assert_array_equal(out, values)
    scalar = ndshare.create("scalar", data=2.5)
    out = np.zeros(())
    scalar.read(out)
    assert out == 2.5


def test_a_bad_destination_is_refused_untouched() -> None:
    a = ndshare.create("read", data=np.ones((2, 3)))
    fixed = np.zeros((2, 3))
    fixed.flags.writeable = False
    for out, kind in (
        (np.zeros((3, 2)), ValueError),
        (np.zeros(6), ValueError),
        (np.zeros((2, 3), "f4"), TypeError),
        (np.zeros((2, 3), ">f8"), TypeError),
        (fixed, ValueError),
        ([[0.0] * 3] * 2, TypeError),
    ):
        with pytest.raises(kind, match="out"):
            a.read(out)  # type: ignore[arg-type]
    assert fixed.tolist() == [[0] * 3] * 2


def test_data_without_elements_is_a_write_as_well() -> None:
    assert ndshare.create("empty", data=np.zeros((0, 3))).version == 1


def test_a_write_is_one_version_and_a_read_none() -> None:
    a = ndshare.create("count", 3)
    b = ndshare.open("count")
    assert a.version == 0
    a[0] = 1
    a[...] = 2
    with a.write() as w:
        w[0] = 5
        w[1] += 5
        assert w is a.array
    assert a.version == b.version == 3
    b.read()
    b[...]
    _ = a.array[0], np.asarray(a)
    assert a.version == 3
    a.array[0] = 9
    assert (a.version, b[0]) == (3, 9), "a live store is not announced"


def test_the_lock_is_taken_on_entering(peer: PeerMaker) -> None:
    a = ndshare.create("enter", 3)
    writing = a.write(timeout=0)
    other = peer()
    other.do("b = ndshare.open('enter', writeable=True); b[0] = 1")
    with writing as w:
        w[1] = 2
        other.start("b[0] = 5")
        assert other.is_busy()
        assert ndshare.info("enter").counters["writing"] == 1
    other.finish()
    assert a[...].tolist() == [5, 2, 0]
    with writing, pytest.raises(ValueError, match="again"):
        writing.__enter__()


@pytest.mark.parametrize("heal", ["store", "recover"])
def test_an_exception_in_the_block_is_told_to_all_until_it_is_healed(
    peer: PeerMaker, heal: str
) -> None:
    a = ndshare.create("unfinished", data=np.ones(3))
    other = peer()
    other.do("b = ndshare.open('unfinished', writeable=True); b.read()")
    with pytest.raises(KeyError), a.write() as w:
        w[0] = 7
        raise KeyError
    for _ in range(2):
        for refused in ("b.read()", "b[0]", "b.wait(0)", "b.wait()", "b.write().__enter__()"):
            with pytest.raises(PeerError, match=r"IncompleteWrite.*recover=True"):
                other.do(refused)
        with pytest.raises(PeerError, match="IncompleteWrite"):
            other.do("b[0] = 1")
        with pytest.raises(ndshare.IncompleteWrite):
            a.read()
        with pytest.raises(ndshare.IncompleteWrite):
            a[0] = 1
    assert a.array[0] == 7
    assert a.version == 1
    assert other.get("ndshare.wait([b], 5) == [b]")
    if heal == "store":
        other.do("b[...] = 4")
    else:
        other.do("with b.write(recover=True) as w: w[...] = 4")
    assert a[...].tolist() == [4, 4, 4]
    assert other.get("b.read().tolist()") == [4, 4, 4]
    assert a.wait(0) is None
    assert a.version == 2


def test_a_failed_attempt_to_heal_leaves_it_incomplete() -> None:
    a = ndshare.create("unfinished", data=np.ones(3))
    with pytest.raises(KeyError), a.write():
        raise KeyError
    with pytest.raises(ValueError, match="could not broadcast"):
        a[...] = np.zeros(5)
    with pytest.raises(ndshare.IncompleteWrite):
        a.read()
    with pytest.raises(ZeroDivisionError), a.write(recover=True):
        raise ZeroDivisionError
    with pytest.raises(ndshare.IncompleteWrite):
        a.read()
    with a.write(recover=True):
        pass
    assert a.read().tolist() == [1, 1, 1]


def test_reading_and_writing_inside_one_s_own_write_raise_at_once() -> None:
    a = ndshare.create("nested", 3)
    b = ndshare.open("nested", writeable=True)
    with a.write() as w:
        w[0] = 1
        for handle in (a, b):
            with pytest.raises(ValueError, match="inside its own write"):
                handle.read()
            with pytest.raises(ValueError, match="inside its own write"):
                handle[0]
            with pytest.raises(ValueError, match="writ"), handle.write():
                pass
            with pytest.raises(ValueError, match="writ"):
                handle[0] = 5
        w[1] = 2
    assert b[...].tolist() == [1, 2, 0]
    assert a.version == 1


def test_threads_exclude_each_other() -> None:
    a = ndshare.create("threads", 2, "i8")
    inside = []

    def work() -> None:
        mine = ndshare.open("threads", writeable=True)
        for k in range(300):
            with (a if k % 2 else mine).write() as w:
                inside.append(1)
                assert len(inside) == 1
                w[0] += 1
                w[1] = -w[0]
                inside.pop()
            one, two = mine.read()
            assert one == -two

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert a[...].tolist() == [1200, -1200]
    assert a.version == 1200


def test_a_reader_waits_out_a_writer_in_every_way_of_reading(peer: PeerMaker) -> None:
    a = ndshare.create("slow", data=np.zeros((4, 4)))
    other = peer()
    other.do("import time; b = ndshare.open('slow', writeable=True)")
    out = np.zeros((8, 8))[::2, ::2]
    reads: list[Callable[[], Any]] = [
        lambda: a[...],
        lambda: a[0],
        lambda: a[[0, 1]],
        a.read,
        lambda: a.read(out),
    ]
    for count, read in enumerate(reads, 1):
        other.start("with b.write() as w: w[...] += 1; time.sleep(0.3)")
        while a.array[0, 0] != count:
            pass
        assert np.all(read() == count)
        other.finish()
