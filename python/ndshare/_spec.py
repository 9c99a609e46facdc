"""Spec: dtype + shape + order, a value."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike

from ndshare._dtype import as_dtype, require_length

ShapeLike = SupportsIndex | Sequence[SupportsIndex]


def as_shape(shape: ShapeLike) -> tuple[int, ...]:
    """A tuple of ints; a single number is one axis, as in NumPy."""
    if isinstance(shape, bool):
        raise TypeError("shape must be an int or a sequence of ints, not a bool")
    try:
        if isinstance(shape, SupportsIndex) and not isinstance(shape, Sequence):
            return (operator.index(shape),)
        return tuple(operator.index(extent) for extent in shape)
    except TypeError:
        raise TypeError(f"shape must be an int or a sequence of ints, got {shape!r}") from None


class Spec:
    """dtype + shape + order.

    With maxshape= instead of shape=, every frame of a stream has its own shape, up to this on each
    axis (h5py's word). Compares and hashes by value.
    """

    __slots__ = ("_dtype", "_maxshape", "_order", "_shape")

    def __init__(
        self,
        shape: ShapeLike | None = None,
        dtype: DTypeLike = float,
        order: Literal["C", "F"] = "C",
        *,
        maxshape: ShapeLike | None = None,
    ) -> None:
        if (shape is None) == (maxshape is None):
            raise TypeError("Spec takes exactly one of shape= and maxshape=")
        if order not in ("C", "F"):
            raise ValueError(f"order must be 'C' or 'F', got {order!r}")
        require_length(dtype)
        full = as_dtype(dtype)
        # numpy.zeros does the same: the extents of a subarray dtype become the last axes.
        inner = full.shape
        self._dtype: np.dtype[Any] = full.base
        self._shape = () if shape is None else as_shape(shape) + inner
        self._maxshape = None if maxshape is None else as_shape(maxshape) + inner
        self._order: Literal["C", "F"] = order
        extents = self._shape if self._maxshape is None else self._maxshape
        for extent in extents:
            if extent < 0:
                raise ValueError(f"shape must not be negative, got {extents}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents; () with maxshape."""
        return self._shape

    @property
    def maxshape(self) -> tuple[int, ...] | None:
        """The largest extents, or None where the shape is fixed."""
        return self._maxshape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self._dtype

    @property
    def order(self) -> Literal["C", "F"]:
        """C: the last axis is the fastest; F: the first."""
        return self._order

    @property
    def nbytes(self) -> int:
        """Bytes of the (largest) values."""
        extents = self._shape if self._maxshape is None else self._maxshape
        return math.prod(extents) * self._dtype.itemsize

    def _key(self) -> tuple[Any, ...]:
        return self._shape, self._maxshape, self._dtype, self._order

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Spec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._shape, self._dtype, self._order, self._maxshape)

    def __repr__(self) -> str:
        shape = f"{self._shape}" if self._maxshape is None else f"maxshape={self._maxshape}"
        order = "" if self._order == "C" else ", order='F'"
        dtype = str(self._dtype) if self._dtype.names is None else self._dtype
        return f"Spec({shape}, {dtype!r}{order})"


def _restore(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    order: Literal["C", "F"],
    maxshape: tuple[int, ...] | None,
) -> Spec:
    if maxshape is not None:
        return Spec(dtype=dtype, order=order, maxshape=maxshape)
    return Spec(shape, dtype, order)


SpecLike = Spec | tuple[ShapeLike, DTypeLike]


def as_spec(spec: SpecLike) -> Spec:
    """A Spec, or (shape, dtype) as its short form."""
    if isinstance(spec, Spec):
        return spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise TypeError(f"a field is a Spec or (shape, dtype), got {spec!r}")
    return Spec(spec[0], spec[1])


OBJECT_SPEC = Spec((), object)
"""Of a stream of Python objects."""
