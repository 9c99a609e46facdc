"""What bad input gets: one clear error that names the operation, the array and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from refusals import refused
from typer.testing import CliRunner

import ndshare
from ndshare.cli import app

BAD_NAMES = {
    "empty": ("", "must not be empty"),
    "too long": ("x" * 201, "at most 200 bytes"),
    "too long in UTF-8": ("é" * 101, "at most 200 bytes"),
    "dots": ("a/../b", r'must not contain "\.\."'),
    "only dots": ("..", r'must not contain "\.\."'),
    "one dot": ("./a", r'must not contain "\."'),
    "NUL": ("a\0b", "must not contain NUL"),
    "control character": ("a\nb", "must not contain control"),
    "leading slash": ("/a", "must not begin with"),
    "trailing slash": ("a/", "must not end with"),
    "empty part": ("a//b", "must not contain"),
}


CREATE_AND_OPEN: list[Callable[[Any], object]] = [
    lambda name: ndshare.create(name, 3),
    ndshare.open,
]


@pytest.mark.parametrize("case", BAD_NAMES)
def test_a_name_that_cannot_be_is_refused_by_every_operation(case: str) -> None:
    name, remedy = BAD_NAMES[case]
    shown = name.replace("\0", r"\x00").replace("\n", r"\x0a")
    with refused(ValueError, "create", shown, remedy):
        ndshare.create(name, 3)
    with refused(ValueError, "open", shown, remedy):
        ndshare.open(name)
    with refused(ValueError, "info", shown, remedy):
        ndshare.info(name)
    with refused(ValueError, "unlink", shown, remedy):
        ndshare.unlink(name, missing_ok=True)
    assert ndshare.ls() == []


def test_a_name_that_is_not_utf8_is_refused() -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    for call in CREATE_AND_OPEN:
        with pytest.raises(ValueError, match=r"^\[(create|open)\] .*must be UTF-8"):
            call(name)
    for use in (ndshare.info, ndshare.unlink):
        with pytest.raises(ValueError, match="UTF-8"):
            use(name)


@pytest.mark.parametrize("name", [5, b"bytes", 1.5, ["x"]], ids=repr)
def test_a_name_that_is_no_text_is_a_type_error(name: Any) -> None:
    for call in CREATE_AND_OPEN:
        with pytest.raises(TypeError, match="name must be a str"):
            call(name)
    with pytest.raises(TypeError, match="name must be a str"):
        ndshare.open(None)  # type: ignore[call-overload]


def test_a_bad_namespace_is_named_as_such(monkeypatch: pytest.MonkeyPatch, name_space: str) -> None:
    for bad in ("/abs", "a/../b", "x" * 101, "a\nb"):
        monkeypatch.setenv("NDSHARE_NAMESPACE", bad)
        with refused(ValueError, "create", "x", "NDSHARE_NAMESPACE"):
            ndshare.create("x", 3)
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space)


def test_a_taken_name() -> None:
    keep = ndshare.create("taken", 3)
    with refused(ndshare.Exists, "create", "taken", r'existing="adopt".*existing="replace"'):
        ndshare.create("taken", 3)
    keep.close()


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_an_absent_name(timeout: float) -> None:
    with refused(
        ndshare.NotFound,
        "open",
        "absent",
        r"create it first.*timeout=.*ndshare ls|all that time.*ndshare ls",
    ):
        ndshare.open("absent", timeout=timeout)


@pytest.mark.parametrize("wrong", [{"dtype": "f4"}, {"shape": (3, 2)}, {"shape": 6}], ids=str)
def test_a_wrong_shape_or_dtype_on_open_names_both(wrong: Any) -> None:
    keep = ndshare.create("spec", (2, 3))
    with refused(ndshare.SpecMismatch, "open", "spec", r"expected .*found .*\(2, 3\).*<f8"):
        ndshare.open("spec", **wrong)
    keep.close()


@pytest.mark.parametrize("dtype", [str, bytes, "U", "S", "str"], ids=str)
def test_text_without_a_length_is_refused(dtype: Any) -> None:
    with refused(TypeError, "create", "text", r"no length.*16"):
        ndshare.create("text", 3, dtype)


def test_an_object_dtype_is_refused_with_a_hint() -> None:
    for dtype in (object, [("x", "f4"), ("o", object)]):
        with refused(TypeError, "create", "object", r"fixed-size.*dtype=object"):
            ndshare.create("object", 3, dtype)
    with refused(TypeError, "create", "object", r"fixed-size.*dtype=object"):
        ndshare.create("object", data=np.array([object()]))
    keep = ndshare.create("there", 3)
    with refused(TypeError, "open", "there", "fixed-size"):
        ndshare.open("there", dtype=object)
    keep.close()


def test_a_dtype_without_a_fixed_size_or_with_overlapping_fields_is_refused() -> None:
    if hasattr(np.dtypes, "StringDType"):  # NumPy 2
        with refused(TypeError, "create", "text", "fixed-size"):
            ndshare.create("text", 3, np.dtypes.StringDType())
    overlap = np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]})
    with refused(TypeError, "create", "overlap", "overlap"):
        ndshare.create("overlap", 3, overlap)
    disorder = np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [4, 0]})
    with refused(TypeError, "create", "order", "order"):
        ndshare.create("order", 3, disorder)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((-1,), "negative"),
        ((3, -2), "negative"),
        ((2**62,), "bytes|large|memory"),
        ((2**40, 2**40), r"bytes|large|2\^6"),
        ((2**70,), r"bytes|large|2\^6"),
        ((2**32, 0, 2**70), r"bytes|large|2\^6"),
        ((1,) * 65, "dimensions"),
    ],
    ids=str,
)
def test_a_shape_that_cannot_be(shape: Any, remedy: str) -> None:
    with refused(ValueError, "create", "shape", remedy):
        ndshare.create("shape", shape)


@pytest.mark.parametrize("shape", [True, 1.5, (2, 2.5), "23", None], ids=repr)
def test_a_shape_that_is_no_shape(shape: Any) -> None:
    with pytest.raises(TypeError, match="shape"):
        ndshare.create("shape", shape)


def test_more_memory_than_there_is() -> None:
    with refused(MemoryError, "create", "huge", r"1\.0 PiB are needed, .* are free: .*smaller"):
        ndshare.create("huge", 1 << 50, "u1")
    assert ndshare.ls() == []


def test_a_closed_handle() -> None:
    a = ndshare.create("closed", 3)
    a.close()
    with refused(ndshare.Closed, "read", "closed", "open it again"):
        a.read()
    with refused(ndshare.Closed, "write", "closed", "open it again"):
        a.write().__enter__()
    with refused(ndshare.Closed, "wait", "closed", "open it again"):
        a.wait(0)
    with refused(ndshare.Closed, "attrs", "closed", "open it again"):
        dict(a.attrs)


def test_a_write_through_a_read_only_handle() -> None:
    keep = ndshare.create("reader", 3)
    a = ndshare.open("reader")
    for store in (
        lambda: a.__setitem__(0, 1),
        lambda: a.__setitem__(..., 1),
        lambda: a.write().__enter__(),
        lambda: a.write(recover=True).__enter__(),
    ):
        with refused(PermissionError, "write", "reader", "writeable=True"):
            store()
    with refused(PermissionError, "attrs", "reader", "writeable=True"):
        a.attrs["x"] = 1
    keep.close()


def test_a_write_inside_a_write_of_the_same_thread() -> None:
    a = ndshare.create("nested", 3)
    with a.write():
        with refused(ValueError, "write", "nested", "end that one first"):
            a.write().__enter__()
        with refused(ValueError, "read", "nested", "end it first"):
            a.read()


def test_a_block_that_raises() -> None:
    a = ndshare.create("raises", 3)
    with pytest.raises(KeyError), a.write():
        raise KeyError
    for use in (a.read, lambda: a[0], lambda: a.read(np.zeros(3))):
        with refused(ndshare.IncompleteWrite, "read", "raises", r"recover=True"):
            use()
    with refused(ndshare.IncompleteWrite, "wait", "raises", r"recover=True"):
        a.wait()
    with refused(ndshare.IncompleteWrite, "write", "raises", r"recover=True"):
        a[0] = 1


def test_a_handle_whose_name_was_replaced() -> None:
    a = ndshare.create("replaced", 3)
    keep = ndshare.create("replaced", 4, existing="replace")
    with refused(ndshare.Replaced, "wait", "replaced", "open it again"):
        a.wait()
    with refused(ndshare.Replaced, "write", "replaced", "open it again"):
        a[0] = 1
    assert a[0] == 0
    keep.close()


def test_what_only_arrays_have_says_where_the_array_is() -> None:
    with ndshare.create("handle", 3) as a:
        for name in ("sum", "T", "astype"):
            with pytest.raises(AttributeError, match=rf"'{name}'.*a\.array.*a\.read\(\)"):
                getattr(a, name)
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            getattr(a, "nonsense")  # noqa: B009
        assert not hasattr(a, "__array_interface__")


def test_a_shape_in_the_place_of_the_dtype_is_told_so() -> None:
    wrong: Any = (3,)
    with refused(TypeError, "create", "swapped", r"\(3,\) is no dtype.*the shape comes first"):
        ndshare.create("swapped", wrong, wrong)
    with refused(TypeError, "publish", "swapped", r"\(3,\) is no dtype.*the shape comes first"):
        ndshare.Publisher("swapped", wrong, wrong)


@pytest.mark.parametrize("permissions", ["660", -1, 1 << 40], ids=repr)
def test_permissions_that_are_no_number_of_a_mode(permissions: Any) -> None:
    for make, operation in (
        (ndshare.create, "create"),
        (ndshare.Publisher, "publish"),
    ):
        with refused(TypeError, operation, "mode", "0o600 or 0o660"):
            make("mode", (3,), "f4", permissions=permissions)
    with refused(TypeError, "work", "mode", "0o600 or 0o660"):
        ndshare.Worker("mode", permissions=permissions)


def test_one_handle_where_a_list_belongs_is_told_so() -> None:
    """An array is a sequence, of its elements; that is never what is meant."""
    with ndshare.create("one", 3) as a, ndshare.Subscriber("none") as sub:
        one: Any
        for one in (a, sub, 3, None):
            with pytest.raises(TypeError, match=r"takes a list.*wait\(\[one, other\]\)"):
                ndshare.wait(one, timeout=0)
        with pytest.raises(TypeError, match="takes a list of arrays"):
            ndshare.wait([a, one], timeout=0)


def test_a_kind_that_is_none() -> None:
    kind: Any = "arrays"
    with pytest.raises(ValueError, match='"array", "stream" or "service", got \'arrays\''):
        ndshare.ls(kind=kind)


@pytest.mark.parametrize(
    ("root", "why"),
    [("here", "must be an absolute path"), ("/etc/passwd", "must name a folder")],
    ids=["relative", "file"],
)
@pytest.mark.parametrize("variable", ["NDSHARE_ROOT", "NDSHARE_DIR"])
def test_a_variable_that_names_no_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, root: str, why: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(variable, root)
        with refused(ValueError, "create", "where", f"{variable} {why}"):
            ndshare.create("where", 3, persistent=variable == "NDSHARE_ROOT")
        with pytest.raises(ValueError, match=f"{variable} {why}"):
            ndshare.ls()
        done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert f"{variable} {why}" in " ".join(done.output.split())


def test_doctor_tells_of_a_root_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("NDSHARE_ROOT", "/nowhere/at/all")
        found = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).output)
    persistent = next(one for one in found if one["subject"] == "persistent")
    assert (persistent["state"], "not there" in persistent["text"]) == ("problem", True)


@pytest.mark.parametrize("timeout", [True, False, "1"], ids=repr)
def test_a_timeout_that_is_no_number(timeout: Any) -> None:
    a = ndshare.create("timeout", 3)
    remedy = "seconds as a float, or None"
    with refused(TypeError, "wait", "timeout", remedy):
        a.wait(timeout)
    with refused(TypeError, "read", "timeout", remedy):
        a.read(timeout=timeout)
    with refused(TypeError, "write", "timeout", remedy):
        a.write(timeout=timeout)
    with refused(TypeError, "open", "timeout", remedy):
        ndshare.open("timeout", timeout=timeout)
    with refused(TypeError, "wait", "several", remedy):
        ndshare.wait([a], timeout)


async def test_a_timeout_that_is_no_number_in_asyncio() -> None:
    a = ndshare.create("timeout", 3)
    with refused(TypeError, "wait", "timeout", "seconds as a float, or None"):
        await a.wait_async(True)


@pytest.mark.parametrize("spin", [True, "x", 1.0, float("nan")], ids=repr)
def test_a_spin_that_is_no_short_time(spin: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r'^\[create\] "spin": spin '):
        ndshare.create("spin", 3, spin=spin)


def test_attributes_that_are_too_large() -> None:
    with refused(ValueError, "create", "attrs", "at most 16384 fit; .*array of their own"):
        ndshare.create("attrs", 3, attrs={"x": "y" * 16384})
    a = ndshare.create("attrs", 3, attrs={"x": "y" * 16000})
    with refused(ValueError, "attrs", "attrs", "at most 16384 fit; .*array of their own"):
        a.attrs["z"] = "y" * 400
    assert dict(a.attrs) == {"x": "y" * 16000}


@pytest.mark.parametrize(
    "value", [{1, 2}, object, float("nan"), float("inf"), b"bytes", 1j], ids=repr
)
def test_attributes_that_are_no_json(value: Any) -> None:
    a = ndshare.create("attrs", 3, attrs={"x": 1})
    bad = (TypeError, ValueError)
    with refused(bad, "attrs", "attrs", "JSON values"):  # type: ignore[arg-type]
        a.attrs["y"] = value
    with refused(bad, "create", "other", "JSON values"):  # type: ignore[arg-type]
        ndshare.create("other", 3, attrs={"y": value})
    assert dict(a.attrs) == {"x": 1}


def test_attribute_keys_that_are_no_text() -> None:
    a = ndshare.create("attrs", 3)
    with refused(TypeError, "attrs", "attrs", "keys are str"):
        a.attrs.update({1: 2})  # type: ignore[dict-item]
    with pytest.raises(KeyError):
        a.attrs["absent"]
    with pytest.raises(KeyError):
        del a.attrs["absent"]
    a.attrs["x"] = 1
    assert dict(a.attrs) == {"x": 1}


def test_options_that_there_are_not() -> None:
    with refused(ValueError, "create", "x", "adopt"):
        ndshare.create("x", 3, existing="append")  # type: ignore[call-overload]
    with refused(ValueError, "create", "x", "'C' or 'F'"):
        ndshare.create("x", 3, order="A")  # type: ignore[call-overload]
    with refused(ValueError, "create", "x", "persistent=True"):
        ndshare.create("x", 3, permissions=0o660)
    with refused(TypeError, "create", "x", "shape, or data="):
        ndshare.create("x")
    assert ndshare.ls() == []
