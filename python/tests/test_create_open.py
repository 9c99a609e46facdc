"""create() and open(): what a name gets, what it shows, and what the handle is."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PeerMaker

import ndshare

SHAPES: list[tuple[int, ...]] = [(), (1,), (0,), (3, 0, 2), (5, 5), (2, 3, 4, 5)]


def test_a_new_array_is_zeros_of_float64() -> None:
    a = ndshare.create("zeros", (5, 5))
    assert a.dtype == np.dtype("float64")
    assert a.shape == (5, 5)
    assert a.array.flags.c_contiguous
    assert a.version == 0
    assert a.writeable
    assert isinstance(a, ndshare.Handle)
    assert type(a.array) is np.ndarray
    assert a.array is a.array
    np.testing.assert_array_equal(a[...], np.zeros((5, 5)))


def test_a_number_as_shape_is_one_axis() -> None:
    assert ndshare.create("axis", 7, "i2").shape == (7,)
    assert ndshare.create("numpy-axis", np.int64(7), "i2").shape == (7,)
    assert ndshare.create("list", [2, np.int8(3)], "i2").shape == (2, 3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_shape_and_order_comes_back_from_open(shape: tuple[int, ...], order: Any) -> None:
    a = ndshare.create("shape", shape, "i4", order=order)
    assert (a.shape, a.nbytes) == (shape, int(np.prod(shape)) * 4)
    a[...] = np.arange(a.nbytes // 4).reshape(shape)
    b = ndshare.open("shape")
    assert b.spec == a.spec == ndshare.Spec(shape, "i4", order)
    assert b.array.flags.f_contiguous == np.zeros(shape, order=order).flags.f_contiguous
    assert b.array.flags.c_contiguous == np.zeros(shape, order=order).flags.c_contiguous
    np.testing.assert_array_equal(b[...], a.array)
    loaded = np.load(b.path)
    np.testing.assert_array_equal(loaded, a.array)
    assert loaded.shape == shape
    assert loaded.flags.f_contiguous == a.array.flags.f_contiguous


def test_data_is_copied_before_the_name_appears_and_counts_as_one_write() -> None:
    data = np.arange(6, dtype="u2").reshape(2, 3)
    a = ndshare.create("data", data=data)
    data[...] = 9
    assert a.dtype == np.dtype("u2")
    assert a.version == 1
    assert a[...].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ndshare.open("data").wait(0) == 1
    assert a.wait(0) is None, "the creator knows what it wrote"


def test_data_may_be_anything_that_numpy_takes() -> None:
    assert ndshare.create("list", data=[[1, 2]], dtype="f4").dtype == np.dtype("f4")
    assert ndshare.create("scalar", data=3.5)[()] == 3.5
    strided = np.arange(24).reshape(4, 6)[::2, ::-3]
    np.testing.assert_array_equal(ndshare.create("strided", data=strided)[...], strided)
    fortran = ndshare.create("fortran", data=strided, order="F")
    assert fortran.array.flags.f_contiguous
    np.testing.assert_array_equal(fortran[...], strided)
    assert ndshare.create("empty", data=np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_array_equal(ndshare.create("same", data=fortran)[...], strided)


def test_data_of_another_shape_than_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\) is not the shape of data, \(2,\)"):
        ndshare.create("data", (3,), data=[1, 2])
    assert ndshare.ls() == []


def test_attributes_are_there_when_the_name_appears() -> None:
    a = ndshare.create("attrs", 3, attrs={"unit": "m", "scale": [1, 2.5, None, {"é": True}]})
    b = ndshare.open("attrs")
    assert dict(b.attrs) == {"unit": "m", "scale": [1, 2.5, None, {"é": True}]}
    assert dict(ndshare.create("none", 3).attrs) == {}
    a.attrs["unit"] = "km"
    assert b.attrs["unit"] == "km"


def test_a_taken_name_is_refused_and_the_holder_is_named() -> None:
    a = ndshare.create("taken", data=[1, 2])
    with pytest.raises(ndshare.Exists, match=rf"\b{os.getpid()}\b") as caught:
        ndshare.create("taken", 2)
    assert isinstance(caught.value, FileExistsError)
    assert (caught.value.operation, caught.value.name) == ("create", "taken")
    assert a[...].tolist() == [1, 2]


def test_adopt_joins_the_same_spec_and_creates_what_is_absent() -> None:
    a = ndshare.create("adopt", 2, "i4", existing="adopt")
    a[...] = [1, 2]
    b = ndshare.create("adopt", 2, "i4", existing="adopt")
    assert b.generation == a.generation
    assert b[...].tolist() == [1, 2]
    c = ndshare.create("adopt", data=np.array([3, 4], "i4"), existing="adopt")
    assert a[...].tolist() == [3, 4]
    assert a.version == c.version == 2


@pytest.mark.parametrize(
    ("shape", "dtype", "order"), [((2, 3), "i8", "C"), ((3, 2), "i4", "C"), ((2, 3), "i4", "F")]
)
def test_adopt_of_another_spec_names_both(shape: Any, dtype: str, order: Any) -> None:
    a = ndshare.create("adopt", data=np.ones((2, 3), "i4"))
    with pytest.raises(ndshare.SpecMismatch) as caught:
        ndshare.create("adopt", shape, dtype, order=order, existing="adopt")
    assert isinstance(caught.value, TypeError)
    assert caught.value.expected == ndshare.Spec(shape, dtype, order)
    assert caught.value.found == a.spec
    assert a[0, 0] == 1


def test_replace_gives_the_name_to_new_memory_and_leaves_the_old_to_its_holders() -> None:
    old = ndshare.create("name", data=[1, 2])
    new = ndshare.create("name", (3,), "f4", existing="replace")
    assert old.replaced
    assert not new.replaced
    assert new.generation > old.generation
    assert old[...].tolist() == [1, 2]
    assert ndshare.open("name").shape == (3,)
    with pytest.raises(ndshare.Replaced):
        old.wait(0)
    old.unlink()
    assert ndshare.open("name").generation == new.generation


def test_an_array_without_a_name_gets_one_of_its_own() -> None:
    a = ndshare.create(None, 3)
    b = ndshare.create(None, data=[1])
    assert a.name != b.name
    assert ndshare.open(a.name).generation == a.generation
    assert pickle.loads(pickle.dumps(b))[...].tolist() == [1]


@pytest.mark.parametrize("timeout", [30.0, None])
def test_open_waits_for_a_name_that_another_process_makes_later(
    peer: PeerMaker, timeout: float | None
) -> None:
    other = peer()
    other.start("import time; time.sleep(0.3); a = ndshare.create('later', data=[7])")
    assert ndshare.open("later", timeout=timeout)[0] == 7
    other.finish()


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_an_absent_name_is_not_found_at_the_end_of_the_timeout(timeout: float) -> None:
    with pytest.raises(ndshare.NotFound) as caught:
        ndshare.open("absent", timeout=timeout)
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.operation, caught.value.name) == ("open", "absent")


def test_open_checks_what_it_is_told_and_nothing_else() -> None:
    a = ndshare.create("check", (2, 3), "f4", order="F")
    ndshare.open("check", shape=(2, 3))
    ndshare.open("check", dtype=np.float32)
    ndshare.open("check", shape=(2, 3), dtype="=f4")
    for wrong in ({"shape": (3, 2)}, {"dtype": "f8"}, {"shape": (2, 3), "dtype": ">f4"}):
        with pytest.raises(ndshare.SpecMismatch) as caught:
            ndshare.open("check", **wrong)
        assert caught.value.found.shape == a.shape
        assert caught.value.found.dtype == a.dtype
        assert caught.value.expected.shape == wrong.get("shape", a.shape)
        assert caught.value.expected.dtype == wrong.get("dtype", a.dtype)


def test_open_is_for_reading_unless_asked_otherwise() -> None:
    a = ndshare.create("reader", 3)
    b = ndshare.open("reader")
    assert not b.writeable
    assert not b.array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        b.array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        b.array.flags.writeable = True
    with pytest.raises(PermissionError, match="writeable=True"):
        b[0] = 1
    with pytest.raises(PermissionError, match="writeable=True"), b.write():
        pass
    with pytest.raises(PermissionError, match="writeable=True"):
        b.attrs["x"] = 1
    assert a.version == 0
    ndshare.open("reader", writeable=True)[0] = 1
    assert b[0] == 1


def test_a_store_through_a_pointer_into_a_reader_s_page_dies_of_it(peer: PeerMaker) -> None:
    a = ndshare.create("pages", data=[1, 2])
    other = peer()
    other.do("import ctypes; b = ndshare.open('pages')")
    other.start("ctypes.memset(b.array.ctypes.data, 0xff, 8)")
    assert other.ended() == -11
    assert a[...].tolist() == [1, 2]


def test_plain_numpy_reads_and_writes_the_live_array_from_another_process() -> None:
    a = ndshare.create("plain", data=np.arange(4.0))
    code = (
        "import sys, numpy as np; m = np.load(sys.argv[1], mmap_mode='r+'); m[1] += 40.0; "
        "m.flush(); assert 'ndshare' not in sys.modules; print(m.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, a.path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[0.0, 41.0, 2.0, 3.0]\n"
    assert a.array.tolist() == [0.0, 41.0, 2.0, 3.0]


@pytest.mark.parametrize(("shape", "dtype"), [((), "u1"), ((1000, 1000), "f8"), ((0, 9), "S5")])
def test_the_footprint_is_known_before_creation(shape: Any, dtype: str) -> None:
    a = ndshare.create("size", shape, dtype)
    footprint = ndshare.Array.footprint(shape, dtype)
    assert footprint == ndshare.info("size").footprint_bytes
    assert a.nbytes < footprint <= a.nbytes + 4096 + (64 << 10)


def test_names_may_be_long_and_in_any_script() -> None:
    for name in (
        "a",
        "cam/front/left",
        "größe/カメラ/📷",
        "%2F",
        "#x",
        ".hidden",
        "x" * 200,
        "é" * 100,
    ):
        a = ndshare.create(name, data=[len(name)])
        assert a.name == name
        assert ndshare.open(name)[0] == len(name)
        assert [one.name for one in ndshare.ls()] == [name]
        a.close()
        assert ndshare.ls() == []


OPERATIONS: dict[str, Callable[[ndshare.Array[Any]], object]] = {
    "array": lambda a: a.array,
    "asarray": np.asarray,
    "copy": lambda a: a[...],
    "store": lambda a: a.__setitem__(0, 1),
    "read": lambda a: a.read(),
    "write": lambda a: a.write().__enter__(),
    "wait": lambda a: a.wait(0),
    "fileno": lambda a: a.fileno(),
    "attrs": lambda a: dict(a.attrs),
    "attrs store": lambda a: a.attrs.update(x=1),
    "unlink": lambda a: a.unlink(),
    "path": lambda a: a.path,
    "replaced": lambda a: a.replaced,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_closed_handle_refuses(operation: str) -> None:
    with ndshare.create("closed", 3) as a:
        assert not a.closed
    assert a.closed
    a.close()
    with pytest.raises(ndshare.Closed, match="closed") as caught:
        OPERATIONS[operation](a)
    assert isinstance(caught.value, ValueError)
    assert caught.value.name == "closed"


def test_a_closed_handle_still_says_what_it_was() -> None:
    a = ndshare.create("closed", (3, 4), "f4")
    a.close()
    assert (a.name, a.shape, a.dtype, a.nbytes) == ("closed", (3, 4), np.dtype("f4"), 48)
    assert a.spec == ndshare.Spec((3, 4), "f4")
    assert repr(a) == "<closed ndshare.Array 'closed' (3, 4) float32>"


def test_processes_that_make_the_first_name_at_once_all_succeed(
    peer: PeerMaker, tmp_path: Path
) -> None:
    others = [peer() for _ in range(3)]
    for number in range(40):
        base = tmp_path / str(number)
        base.mkdir()
        for k, other in enumerate(others):
            other.start(
                f"os.environ['NDSHARE_DIR'] = {str(base)!r}; a = ndshare.create('own{k}', 3)"
            )
        for other in others:
            other.finish()
            other.do("a.close()")
