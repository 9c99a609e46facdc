"""Array: typed N-d memory at a name, changed in place; create(), open() and wait()."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ndshare import _core
from ndshare._attrs import Attrs, Json, dump
from ndshare._bell import end_of, rung, until_look
from ndshare._core import Writing
from ndshare._dtype import as_dtype, text_of_dtype
from ndshare._errors import Replaced, require_name, require_permissions, said
from ndshare._handle import as_handle
from ndshare._spec import ShapeLike, Spec, as_shape

if TYPE_CHECKING:
    from ndshare._service import Call
    from ndshare._stream import Subscriber

S = TypeVar("S", bound=np.generic, covariant=True)
S_ = TypeVar("S_", bound=np.generic)
Existing = Literal["error", "adopt", "replace"]


class Array(_core.ArrayHandle[S]):
    """Typed N-d memory at a name. Made by create() and open().

    a[i] = x is one complete write (exclusive, counted, announced), a[i] a consistent copy;
    `with a.write() as w` is the same over several statements; a.array and np.asarray(a) are the
    live memory, a plain ndarray, yours to synchronise.

    Threads: any, at once; what was read last belongs to the handle: open a second one for a second
    reader. fork, spawn, pickle: yes. Errors: Closed after close(), and those each method names.
    """

    @staticmethod
    def footprint(shape: ShapeLike, dtype: DTypeLike = float) -> int:
        """Bytes of memory that such an array takes, header and control pages included."""
        spec = Spec(shape, dtype)
        return _core.footprint(spec.shape, text_of_dtype(spec.dtype)[0])

    @property
    def attrs(self) -> Attrs:
        """Small JSON values shared by all who hold the array; 16 KiB."""
        return Attrs(self.name, self._attrs_json, self._update_attrs)

    if not TYPE_CHECKING:  # a type checker says it earlier

        def __getattr__(self, name: str) -> Any:
            """Of what is not there: where it is."""
            if not name.startswith("_") and hasattr(np.ndarray, name):
                raise AttributeError(
                    f"a handle has no {name!r}: a.array is the live ndarray, a.read() a "
                    "consistent copy"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """np.asarray(a) is a.array; copy=True (NumPy 2's np.array(a)) is a.read()."""
        if copy:
            values = self.read()
            return values if dtype is None else values.astype(dtype, copy=False)
        if dtype is None or dtype == self.dtype:
            return self.array
        if copy is False:
            raise ValueError(f'[array] "{self.name}": another dtype needs a copy')
        return self.read().astype(dtype)

    def __dlpack__(self, **kw: Any) -> Any:
        """The live memory (read-only handles: where the consumer's protocol can say so)."""
        live: NDArray[Any] = self.array
        return live.__dlpack__(**kw)

    def __dlpack_device__(self) -> tuple[int, int]:
        device = self.array.__dlpack_device__()
        return int(device[0]), int(device[1])

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    async def wait_async(
        self, timeout: float | None = None, *, since: int | None = None
    ) -> int | None:
        """wait() for asyncio: the loop sleeps on a descriptor; cancelling loses nothing."""
        _core.require_timeout(self.name, timeout)
        end = end_of(timeout)
        known = self._seen if since is None else since
        while True:
            version = self.wait(0, since=known)
            if version is not None:
                return version
            left = until_look(end)
            if left <= 0:
                return None
            self._saw(min(self.version, known))
            await rung(self, left)

    def __reduce__(self) -> tuple[Any, ...]:
        """Attaches again where it is unpickled."""
        if self.closed:
            raise ValueError(f'[pickle] "{self.name}": this handle is closed')
        return _reopen, (self.name, self._full_name, self.writeable, self.generation)

    def __repr__(self) -> str:
        state = "closed " if self.closed else ("" if self.writeable else "read-only ")
        return f"<{state}ndshare.Array {self.name!r} {self.shape} {self.dtype}>"


as_handle(Array)


def _reopen(name: str, full_name: str, writeable: bool, generation: int) -> Array[Any]:
    array: Array[Any] = Array(name, writeable, None, None, False, 0, None, full_name)
    if array.generation != generation:
        array.close()
        raise Replaced(f'[unpickle] "{name}": the name has new memory; send the new handle')
    return array


def _as_given(data: ArrayLike, order: Literal["C", "F"]) -> NDArray[Any]:
    """data as a contiguous ndarray of a dtype that can be shared."""
    values = np.asarray(data)
    text_of_dtype(values.dtype)
    return np.require(values, requirements=["C" if order == "C" else "F"])


@overload
def create(
    name: str | None,
    *,
    data: NDArray[S_],
    existing: Existing = "error",
    attrs: Mapping[str, Json] | None = None,
    persistent: bool = False,
    permissions: int = 0o600,
    group: str | int | None = None,
    spin: float | None = None,
) -> Array[S_]: ...
@overload
def create(
    name: str | None,
    shape: ShapeLike,
    dtype: type[S_] | np.dtype[S_],
    *,
    order: Literal["C", "F"] = "C",
    existing: Existing = "error",
    attrs: Mapping[str, Json] | None = None,
    persistent: bool = False,
    permissions: int = 0o600,
    group: str | int | None = None,
    spin: float | None = None,
) -> Array[S_]: ...
@overload
def create(
    name: str | None,
    shape: ShapeLike | None = None,
    dtype: DTypeLike = float,
    *,
    data: ArrayLike | None = None,
    order: Literal["C", "F"] = "C",
    existing: Existing = "error",
    attrs: Mapping[str, Json] | None = None,
    persistent: bool = False,
    permissions: int = 0o600,
    group: str | int | None = None,
    spin: float | None = None,
) -> Array[Any]: ...
def create(
    name: str | None,
    shape: ShapeLike | None = None,
    dtype: DTypeLike | None = None,
    *,
    data: ArrayLike | None = None,
    order: Literal["C", "F"] = "C",
    existing: Existing = "error",
    attrs: Mapping[str, Json] | None = None,
    persistent: bool = False,
    permissions: int = 0o600,
    group: str | int | None = None,
    spin: float | None = None,
) -> Array[Any]:
    """New memory at a name: zeros of shape and dtype (default float64), or a copy of data.

    name: UTF-8, 1 to 200 bytes, "/" inside; None: a unique one, which travels by pickle: keep this
    handle until the other side has opened it, as the memory ends with its last user.
    existing, when the name is taken: "error"; "adopt" joins it if the spec is equal (and writes
    data, if given); "replace" gives the name to the new memory, whoever holds the old one keeps it.
    persistent: a file under NDSHARE_ROOT that survives its users; permissions (0o600 or 0o660) and
    group say who may open it.
    spin: seconds a wait looks before it sleeps (None: adaptive; 0: it sleeps at once).

    Errors: Exists, SpecMismatch (adopt), MemoryError with the numbers, PermissionError, ValueError
    and TypeError for names, shapes and dtypes that cannot be.
    """
    if name is not None:
        require_name(name, "create")
    try:
        if name == "":
            raise ValueError("a name must not be empty")
        spec, values = _spec_and_values(shape, dtype, data, order)
        text, aligned = text_of_dtype(spec.dtype)
        if existing not in ("error", "adopt", "replace"):
            raise ValueError(f'existing must be "error", "adopt" or "replace", got {existing!r}')
        attrs_json = "" if attrs is None else dump(attrs)
        require_permissions(permissions)
    except (TypeError, ValueError) as error:
        raise said("create", name, error) from error
    return Array(
        name or "",
        spec.shape,
        text,
        aligned,
        order == "F",
        values,
        existing,
        attrs_json,
        bool(persistent),
        permissions,
        _group_name(group),
        spin,
    )


@overload
def open(
    name: str,
    *,
    writeable: bool = False,
    shape: ShapeLike | None = None,
    dtype: type[S_] | np.dtype[S_],
    timeout: float | None = 0,
    spin: float | None = None,
) -> Array[S_]: ...
@overload
def open(
    name: str,
    *,
    writeable: bool = False,
    shape: ShapeLike | None = None,
    dtype: DTypeLike | None = None,
    timeout: float | None = 0,
    spin: float | None = None,
) -> Array[Any]: ...
def open(
    name: str,
    *,
    writeable: bool = False,
    shape: ShapeLike | None = None,
    dtype: DTypeLike | None = None,
    timeout: float | None = 0,
    spin: float | None = None,
) -> Array[Any]:
    """The array at a name, read-only (by NumPy's flag and by page) unless writeable.

    shape, dtype: checked where given; SpecMismatch names both sides. timeout: seconds to wait for
    the name to appear (None: for ever). Opening never changes or destroys anything.

    Errors: NotFound, SpecMismatch, Corrupt, PermissionError.
    """
    require_name(name, "open")
    if dtype is None and shape is None:  # the fast way
        return Array(name, writeable, None, None, False, timeout, spin, "")
    text: str | None = None
    aligned = False
    try:
        extents = None if shape is None else _in_range(as_shape(shape))
        if dtype is not None:
            full = as_dtype(dtype)
            text, aligned = text_of_dtype(full.base)
            if extents is not None:
                extents += full.shape
    except (TypeError, ValueError) as error:
        raise said("open", name, error) from error
    return Array(name, writeable, extents, text, aligned, timeout, spin, "")


def _spec_and_values(
    shape: ShapeLike | None,
    dtype: DTypeLike | None,
    data: ArrayLike | None,
    order: Literal["C", "F"],
) -> tuple[Spec, NDArray[Any] | None]:
    """What create() is to make, and what it is to put there."""
    if data is None:
        if shape is None:
            raise TypeError("create() takes a shape, or data=")
        spec = Spec(shape, float if dtype is None else dtype, order)
        _in_range(spec.shape)
        return spec, None
    if dtype is not None:
        data = np.asarray(data, dtype=as_dtype(dtype))
    values = _as_given(data, order)
    if shape is not None and as_shape(shape) != values.shape:
        raise ValueError(
            f"shape {as_shape(shape)} is not the shape of data, {values.shape}; leave shape out"
        )
    return Spec(values.shape, values.dtype, order), values


def _in_range(shape: tuple[int, ...]) -> tuple[int, ...]:
    for extent in shape:
        if extent > 2**62:
            raise ValueError(f"shape {shape} needs more than 2^62 bytes")
    return shape


def _group_name(group: str | int | None) -> str:
    if group is None:
        return ""
    return str(group)


# A union, not a type variable: mypy joins [sub, a] to their base class, and a bound one fails.
Waitable = Union[Array[Any], "Subscriber", "Call"]


def wait(objects: Sequence[Waitable], timeout: float | None = None) -> list[Waitable]:
    """Those of objects that have news, as soon as one has; [] when none has in time.

    One system call for all (at most 128). A thing is also ready when its own wait() would raise.
    """
    return _core.wait(objects, timeout)


__all__ = ["Array", "Writing", "create", "open", "wait"]
