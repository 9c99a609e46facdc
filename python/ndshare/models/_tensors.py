"""A model's tensors as a service's fields: names, shapes of one call. No runtime is known here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ndshare._spec import ShapeLike, as_shape

Extent = int | None
"""Of an axis; None: dynamic."""

NAME_BYTES_MAX = 200
"""Of a field: kFieldNameBytesMax of the core."""


class Declared(NamedTuple):
    """A tensor as its model declares it, with the batch axis."""

    name: str
    shape: tuple[Extent, ...]
    dtype: np.dtype[Any]


class Tensor(NamedTuple):
    """A tensor and its field. shape: of one call; fixed: its batch axis is 1 and stays so."""

    name: str
    field: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fixed: bool


Fields = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]


def tensors_of(
    declared: Iterable[Declared], shapes: Mapping[str, ShapeLike], what: str
) -> list[Tensor]:
    """The fields of declared tensors; shapes: of one call, where the model leaves axes open."""
    taken: set[str] = set()
    found = []
    for one in declared:
        if not one.shape:
            raise ValueError(f'the {what} "{one.name}" is a single number: it has no batch axis')
        batch, *rest = one.shape
        if batch not in (None, 1):
            raise ValueError(
                f'the {what} "{one.name}" has the fixed shape {one.shape}: its first axis is the '
                "batch axis, which has to be 1 or dynamic"
            )
        field = _field_name(one.name, what, taken)
        given = shapes.get(one.name, shapes.get(field))
        shape = _shape(one, tuple(rest), None if given is None else as_shape(given), what)
        found.append(Tensor(one.name, field, shape, one.dtype, batch == 1))
    return found


def require_known(shapes: Mapping[str, ShapeLike], tensors: Iterable[Tensor]) -> None:
    """ValueError for a shape that is of no tensor: a typing error would be silent otherwise."""
    known = {name for tensor in tensors for name in (tensor.name, tensor.field)}
    for name in shapes:
        if name not in known:
            raise ValueError(f'shapes= names "{name}"; the model has {", ".join(sorted(known))}')


def fields(tensors: Iterable[Tensor]) -> Fields:
    """As Worker takes them."""
    return {tensor.field: (tensor.shape, tensor.dtype) for tensor in tensors}


def batch_size(tensors: Iterable[Tensor], wanted: int) -> int:
    """What one run of the model takes: 1 as soon as one tensor is fixed at it."""
    if isinstance(wanted, bool) or int(wanted) < 1:
        raise ValueError(f"max_batch_size must be at least 1, got {wanted}")
    return 1 if any(tensor.fixed for tensor in tensors) else int(wanted)


def require_fit(tensor: Tensor, array: NDArray[Any]) -> None:
    """Of the batch axis and what the model declares: runtimes believe an address they are given."""
    if array.dtype != tensor.dtype or array.shape[1:] != tensor.shape:
        raise ValueError(
            f'"{tensor.field}" is {array.dtype} of {array.shape[1:]}, the model has '
            f"{tensor.dtype} of {tensor.shape}: make the worker with model.inputs, model.outputs"
        )
    if not array.flags.c_contiguous:
        raise ValueError(f'"{tensor.field}" is not contiguous')


def address(array: NDArray[Any]) -> int:
    """Where it lies."""
    return int(array.__array_interface__["data"][0])


def _shape(
    one: Declared, rest: tuple[Extent, ...], given: tuple[int, ...] | None, what: str
) -> tuple[int, ...]:
    if given is None:
        fixed = tuple(extent for extent in rest if extent is not None)
        if len(fixed) == len(rest):
            return fixed
        raise ValueError(
            f'the {what} "{one.name}" has dynamic axes {rest}; give its shape without the batch '
            f'axis: shapes={{"{one.name}": ...}}'
        )
    fits = len(given) == len(rest) and all(
        extent in (None, mine) for extent, mine in zip(rest, given, strict=True)
    )
    if not fits:
        raise ValueError(f'the {what} "{one.name}" has the shape {rest}, shapes= has {given}')
    return given


def _field_name(name: str, what: str, taken: set[str]) -> str:
    """The tensor's own name, where a field can have it: no control characters, 200 bytes."""
    clean = "".join("_" if ord(c) < 0x20 or ord(c) == 0x7F else c for c in name)
    base = _cut(clean, NAME_BYTES_MAX) or what
    field, count = base, 1
    while field in taken:
        count += 1
        end = f"_{count}"
        field = _cut(base, NAME_BYTES_MAX - len(end)) + end
    taken.add(field)
    return field


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[:bytes_max].decode(errors="ignore")
