"""dtype <-> the text that travels with the memory (NumPy's own descr, plus ml_dtypes' names)."""

from __future__ import annotations

import ast
import importlib
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_ML_NAMES = frozenset(
    {
        "bfloat16",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
        "int1",
        "int2",
        "int4",
        "uint1",
        "uint2",
        "uint4",
    }
)


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """numpy.dtype(dtype), and the names of ml_dtypes' types, which NumPy alone does not know."""
    if isinstance(dtype, str) and dtype in _ML_NAMES:
        return _ml_dtype(dtype)
    try:
        return np.dtype(dtype)
    except (TypeError, ValueError) as error:
        is_shape = isinstance(dtype, tuple) and all(isinstance(one, int) for one in dtype)
        hint = "; the shape comes first, then the dtype" if is_shape else ""
        raise TypeError(f"{dtype!r} is no dtype ({error}){hint}") from None


def require_length(dtype: DTypeLike) -> None:
    """str and bytes alone say no length: NumPy makes elements of no bytes of them."""
    if dtype is str or dtype is bytes or dtype in ("U", "S", "str", "bytes"):
        kind = "S" if dtype in (bytes, "S", "bytes") else "U"
        raise TypeError(f"dtype {dtype!r} has no length; say how long, such as '{kind}16'")


def _ml_dtype(name: str) -> np.dtype[Any]:
    try:
        module = importlib.import_module("ml_dtypes")
    except ImportError:
        raise TypeError(
            f"dtype {name} needs the package ml_dtypes: pip install ml_dtypes"
        ) from None
    made: np.dtype[Any] = np.dtype(getattr(module, name))
    return made


def _refuse(dtype: np.dtype[Any], why: str) -> TypeError:
    return TypeError(f"dtype {dtype} {why}")


def _descr(dtype: np.dtype[Any]) -> Any:
    """The descr of a dtype without subarray, refusing what cannot be shared."""
    if dtype.kind == "T":
        raise _refuse(dtype, "has elements of variable width; choose a fixed-size dtype ('S', 'U')")
    if dtype.hasobject:
        raise _refuse(
            dtype,
            "holds Python objects, which live in one process only; choose a fixed-size dtype, or"
            " a stream of objects: Publisher(name, dtype=object, max_nbytes=...)",
        )
    if dtype.names is None:
        if dtype.type.__name__ in _ML_NAMES:
            return dtype.type.__name__
        if dtype.type.__module__ != "numpy":
            raise _refuse(dtype, "is a type that ndshare does not know; share its bytes as uint8")
        if dtype.kind not in "biufcmMSUV":
            raise _refuse(dtype, "has no fixed size; choose a fixed-size dtype ('S' or 'U')")
        return dtype.str
    items: list[Any] = []
    at = 0
    assert dtype.fields is not None
    for name in dtype.names:
        field = dtype.fields[name]
        part, offset = field[0], field[1]
        title = field[2] if len(field) == 3 else None
        if offset < at:
            raise _refuse(dtype, "has fields that overlap or are out of order")
        if offset > at:
            items.append(("", f"|V{offset - at}"))
        label: Any = (title, name) if title is not None else name
        base, shape = part.base, part.shape
        items.append((label, _descr(base), shape) if shape else (label, _descr(base)))
        at = offset + part.itemsize
    if dtype.itemsize > at:
        items.append(("", f"|V{dtype.itemsize - at}"))
    return items


def text_of_dtype(dtype: np.dtype[Any]) -> tuple[str, bool]:
    """(text, aligned) of a dtype. TypeError for what other processes could not read."""
    if dtype.subdtype is not None:
        raise _refuse(dtype, "is a subarray; put its shape into shape=")
    descr = _descr(dtype)
    text = descr if isinstance(descr, str) else repr(descr)
    return text, bool(dtype.isalignedstruct)


def _from_descr(descr: Any, aligned: bool) -> np.dtype[Any]:
    """aligned: as align=True says it, which NumPy applies to the nested structs as well."""
    if isinstance(descr, str):
        return _ml_dtype(descr) if descr in _ML_NAMES else np.dtype(descr)
    if not aligned:
        return _struct(descr, False, False)
    # A nested struct that was made without align=True cannot lie where an aligned one has to.
    for nested_aligned in (True, False):
        try:
            return _struct(descr, nested_aligned, True)
        except ValueError:
            continue
    return _struct(descr, False, False)


def _struct(descr: Any, nested_aligned: bool, aligned: bool) -> np.dtype[Any]:
    names: list[Any] = []
    formats: list[Any] = []
    offsets: list[int] = []
    titles: list[Any] = []
    at = 0
    for item in descr:
        label, part = item[0], _from_descr(item[1], nested_aligned)
        if len(item) == 3:
            part = np.dtype((part, item[2]))
        if label != "":
            title, name = label if isinstance(label, tuple) else (None, label)
            names.append(name)
            formats.append(part)
            offsets.append(at)
            titles.append(title)
        at += part.itemsize
    spec: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": at}
    if any(title is not None for title in titles):
        spec["titles"] = titles
    made: np.dtype[Any] = np.dtype(spec, align=aligned)
    return made


def dtype_of_text(text: str, aligned: bool) -> np.dtype[Any]:
    """The dtype that text_of_dtype() described, on the other side."""
    return _from_descr(ast.literal_eval(text) if text.startswith("[") else text, aligned)
