"""Streams: frames that are published, pinned and never torn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ndshare import _core, _objects
from ndshare._attrs import Attrs, Json, dump, load
from ndshare._bell import end_of, rung, until_look
from ndshare._dtype import as_dtype, text_of_dtype
from ndshare._errors import Closed, EndOfStream, require_name, require_permissions, said
from ndshare._handle import as_handle
from ndshare._spec import ShapeLike, Spec, SpecLike, as_shape, as_spec


class FrameRef(NamedTuple):
    """JSON-able address of one frame; does not pin it.

    seq never goes back under a name, so it alone orders frames.
    """

    name: str
    generation: int
    seq: int

    def get(self) -> Frame:
        """Exactly that frame, pinned. Errors: Overwritten, NotFound, with the reason."""
        frame: Frame = _core.frame_of(self.name, int(self.generation), int(self.seq))
        return frame


class Frame(_core.FrameHandle):
    """Immutable, and pinned until the last view of it is gone, or until close().

    Views (frame.array, slices, tensors) keep the pin of their own; close() gives back the frame's.
    Always true. Not picklable: send frame.ref.
    """

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The object of a stream of objects; arrays in it are read-only views of the slot."""
        if not self._is_object:
            raise TypeError(f'[value] "{self._name}": its frames are arrays; use frame.array')
        # Not kept: it pins the slot by itself, and a closed frame must not.
        return _objects.load(self.array, self._name)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        array = self.array
        if copy or (dtype is not None and dtype != array.dtype):
            if copy is False:
                raise ValueError(f'[array] "{self._name}": another dtype needs a copy')
            return array.astype(array.dtype if dtype is None else dtype)
        return array

    def __dlpack__(self, **kw: Any) -> Any:
        """Read-only; a consumer that cannot say so may hand out a writeable tensor over read-only
        pages: storing through it is SIGSEGV. Copy instead: torch.tensor(frame.array)."""
        return self.array.__dlpack__(**kw)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    @property
    def ref(self) -> FrameRef:
        """Its address: a tuple for queues and JSON, which leads back to exactly this frame."""
        return FrameRef(self._name, self.generation, self.seq)

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The frame's own attributes."""
        return load(self._attrs_json, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *e: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a frame cannot be pickled: send frame.ref, or a copy of frame.array")

    def __repr__(self) -> str:
        if self.closed:
            return f"<closed ndshare.Frame {self.seq}>"
        return f"<ndshare.Frame {self._name!r} {self.seq}>"


class Loan:
    """A slot to fill. Leaving the block publishes; an exception, discard() or death does not.

    Its arrays become read-only when it is published; slices of them do not: do not keep those.
    """

    __slots__ = ("_handle", "_name", "attrs", "time_ns")

    _handle: _core.LoanHandle
    _name: str
    attrs: dict[str, Json]
    time_ns: int | None

    @classmethod
    def _of(cls, handle: _core.LoanHandle, name: str) -> Loan:
        loan = cls.__new__(cls)
        loan._handle = handle
        loan._name = name
        loan.attrs = {}
        loan.time_ns = None
        return loan

    @property
    def array(self) -> NDArray[Any]:
        """The only field, to be filled; the same object each time."""
        array: NDArray[Any] = self._handle.array
        return array

    def __getitem__(self, field: str) -> NDArray[Any]:
        return self._handle[field]

    def __setitem__(self, field: str, value: ArrayLike) -> None:
        """Copies, and takes the value's shape where maxshape allows."""
        self._handle[field] = value

    def resize(self, shape: ShapeLike, field: str | None = None) -> NDArray[Any]:
        """Another shape for this frame, up to maxshape; the array to fill from now on."""
        return self._handle._resize(as_shape(shape), field or "")

    @property
    def seq(self) -> int | None:
        """After publication: the frame's number; None: dropped, or not published."""
        return self._handle.seq

    @property
    def closed(self) -> bool:
        """Published or discarded."""
        return self._handle.closed

    def discard(self) -> None:
        """Nothing is published. Afterwards the loan is closed; leaving the block is fine."""
        if not self._handle.closed:
            self._handle._finish(False)

    def publish(self) -> int | None:
        """What leaving the block does: the frame's number; None: it was dropped."""
        if self.attrs:
            self._handle._set_attrs(frame_attrs(self.attrs, self._name))
        if self.time_ns is not None:
            self._handle._set_time(int(self.time_ns))
        self._handle._finish(True)
        return self._handle.seq

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *e: object) -> None:
        if self._handle.closed:
            return
        if e and e[0] is not None:
            self._handle._finish(False)
            return
        try:
            self.publish()
        except BaseException:
            self.discard()
            raise

    def __reduce__(self) -> Any:
        raise TypeError("a loan cannot be pickled: it is filled where it was taken")


def frame_attrs(attrs: Mapping[str, Json], name: str) -> str:
    """JSON of a frame's attributes. Errors name the stream."""
    try:
        return dump(attrs)
    except (TypeError, ValueError) as error:
        raise said("attrs", name, error) from error


def field_plan(name: str, spec: Spec) -> tuple[str, tuple[Any, ...]]:
    text, aligned = text_of_dtype(spec.dtype)
    shape = spec.shape if spec.maxshape is None else None
    return name, (shape, spec.maxshape, text, aligned, spec.order == "F")


def _plan(
    shape: ShapeLike | None,
    dtype: DTypeLike | None,
    maxshape: ShapeLike | None,
    fields: Mapping[str, SpecLike] | None,
    max_nbytes: int | None,
) -> tuple[list[tuple[str, tuple[Any, ...]]] | None, int]:
    """(fields or None, bytes of an object or 0) for the core."""
    if dtype is object or (isinstance(dtype, np.dtype) and dtype == np.dtype(object)):
        if shape is not None or maxshape is not None or fields is not None:
            raise TypeError("dtype=object takes max_nbytes= only")
        if max_nbytes is None:
            raise TypeError("dtype=object needs max_nbytes=, the largest pickled size")
        if isinstance(max_nbytes, bool) or int(max_nbytes) < 1:
            raise ValueError(f"max_nbytes must be at least 1, got {max_nbytes}")
        return None, _objects.capacity(int(max_nbytes))
    if max_nbytes is not None:
        raise TypeError("max_nbytes= is for dtype=object")
    if fields is not None:
        if shape is not None or maxshape is not None or dtype is not None:
            raise TypeError("give fields=, or shape= and dtype=, not both")
        if not fields:
            raise ValueError("fields must not be empty")
        for name in fields:
            if not isinstance(name, str):
                raise TypeError(f"names of fields are str, got {name!r}")
            if name == "":
                raise ValueError("a field needs a name")
        return [field_plan(name, as_spec(spec)) for name, spec in fields.items()], 0
    if shape is None and maxshape is None:
        if dtype is not None:
            raise TypeError("dtype= needs shape= or maxshape=")
        return None, 0
    spec = Spec(shape, float if dtype is None else dtype, maxshape=maxshape)
    return [field_plan("", spec)], 0


class Publisher(_core.PublisherHandle):
    """One publisher at a time, unless shared=True.

    Nobody is publishing (restart, crash): the same spec goes on where it was, another spec starts
    a new generation; no flag, no error. Somebody alive is: Exists, which names its pid; with
    shared=True the spec must be the same (SpecMismatch). No spec at all: the stream's own, or
    NotFound.

    shape and dtype: every frame the same; maxshape: each frame its own shape up to it; fields:
    several arrays in one frame, {"boxes": Spec(maxshape=(300, 6), dtype="f4"), "id": ((), "u8")};
    dtype=object, max_nbytes=n: any picklable value.
    slots: frames that are there at once, 2 to 4096; two for each subscriber and two more is a good
    number. overflow: "drop_oldest" never waits and never fails, a slow subscriber loses the oldest;
    "block" waits until every in-order subscriber has read what would be overwritten.
    spin: seconds a wait looks before it sleeps (None: adaptive, 0: sleeps at once).

    Threads: any. After fork() the child's copy publishes beside the parent.
    """

    def __init__(
        self,
        name: str,
        shape: ShapeLike | None = None,
        dtype: DTypeLike | None = None,
        *,
        maxshape: ShapeLike | None = None,
        fields: Mapping[str, SpecLike] | None = None,
        max_nbytes: int | None = None,
        slots: int = 8,
        overflow: Literal["drop_oldest", "block"] = "drop_oldest",
        shared: bool = False,
        attrs: Mapping[str, Json] | None = None,
        persistent: bool = False,
        permissions: int = 0o600,
        group: str | int | None = None,
        spin: float | None = None,
        _full_name: str = "",
    ) -> None:
        require_name(name, "publish")
        try:
            plan, object_nbytes = _plan(shape, dtype, maxshape, fields, max_nbytes)
            if overflow not in ("drop_oldest", "block"):
                raise ValueError(f'overflow must be "drop_oldest" or "block", got {overflow!r}')
            count = _slot_count(slots)
            attrs_json = "" if attrs is None else dump(attrs)
            require_permissions(permissions)
        except (TypeError, ValueError) as error:
            raise said("publish", name, error) from error
        super().__init__(
            name,
            plan,
            object_nbytes,
            count,
            overflow == "block",
            bool(shared),
            attrs_json,
            bool(persistent),
            permissions,
            "" if group is None else str(group),
            spin,
            _full_name,
        )
        self.overflow = overflow

    @staticmethod
    def footprint(
        shape: ShapeLike | None = None,
        dtype: DTypeLike | None = None,
        *,
        maxshape: ShapeLike | None = None,
        fields: Mapping[str, SpecLike] | None = None,
        max_nbytes: int | None = None,
        slots: int = 8,
    ) -> int:
        """Bytes of memory that such a stream takes."""
        plan, object_nbytes = _plan(shape, dtype, maxshape, fields, max_nbytes)
        return _core.stream_footprint(plan, object_nbytes, _slot_count(slots))

    @property
    def attrs(self) -> Attrs:
        """Small JSON values of the stream (pixel format, intrinsics); 16 KiB."""
        return Attrs(self.name, self._attrs_json, self._update_attrs)

    def loan(self, *, timeout: float | None = None) -> Loan:
        """A slot to fill in place: `with pub.loan() as loan: camera.readinto(loan.array)`.

        drop_oldest: never waits, never fails. block: waits for room. Errors: TimeoutError, Closed,
        Replaced, EndOfStream.
        """
        return Loan._of(self._loan(timeout), self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Attaches again where it is unpickled, beside this one."""
        if self.closed:
            raise ValueError(f'[pickle] "{self.name}": this publisher is closed')
        return _publish_again, (self.name, self._full_name, self.overflow)

    def __repr__(self) -> str:
        if not _core.is_made(self):
            return "<ndshare.Publisher that was never made>"
        state = "closed " if self.closed else ""
        return f"<{state}ndshare.Publisher {self.name!r}>"


def _slot_count(slots: int) -> int:
    if isinstance(slots, bool) or not isinstance(slots, (int, np.integer)):
        raise TypeError(f"slots must be an int, got {slots!r}")
    if not 2 <= slots <= 4096:
        raise ValueError(f"slots must be 2 to 4096, got {slots}")
    return int(slots)


def _publish_again(
    name: str, full_name: str, overflow: Literal["drop_oldest", "block"]
) -> Publisher:
    return Publisher(name, overflow=overflow, shared=True, _full_name=full_name)


class Subscriber(_core.SubscriberHandle):
    """Never fails because nobody publishes yet; follows restarts by itself.

    In order from the oldest frame still there, or latest=True: always the newest. A latest
    subscriber never holds a "block" publisher back. shape, dtype: checked for each stream it meets
    (SpecMismatch at get()).

    It pins at most half of the slots; frames beyond that are copies. What was read last belongs to
    the handle: open a second one for a second reader. fork, spawn, pickle: yes.
    """

    def __init__(
        self,
        name: str,
        *,
        latest: bool = False,
        shape: ShapeLike | None = None,
        dtype: DTypeLike | None = None,
        spin: float | None = None,
        _full_name: str = "",
    ) -> None:
        require_name(name, "subscribe")
        text: str | None = None
        aligned = False
        try:
            extents = None if shape is None else as_shape(shape)
            if dtype is not None:
                full = as_dtype(dtype)
                text, aligned = text_of_dtype(full.base)
                if extents is not None:
                    extents += full.shape
        except (TypeError, ValueError) as error:
            raise said("subscribe", name, error) from error
        self._expected = (shape, dtype)
        super().__init__(name, bool(latest), extents, text, aligned, spin, _full_name)

    @property
    def attrs(self) -> Attrs:
        """The stream's attributes; {} while there is no stream. Publishers change them."""
        return Attrs(self.name, self._attrs_json, self._refuse_attrs)

    def _refuse_attrs(self, change: Any) -> None:
        raise PermissionError(f'[attrs] "{self.name}": publishers change a stream\'s attrs')

    async def get_async(self, timeout: float | None = None) -> Frame | None:
        """get() for asyncio: the loop sleeps on a descriptor; cancelling loses nothing."""
        _core.require_timeout(self.name, timeout)
        end = end_of(timeout)
        while True:
            frame: Frame | None = self.get(0)
            if frame is not None:
                return frame
            left = until_look(end)
            if left <= 0:
                return None
            await rung(self, left)

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the stream ends or close(); a frame that is not kept is given back before
        the wait for the next."""
        while True:
            try:
                yield self.get()
            except EndOfStream:
                return
            except Closed:
                if self.closed:
                    return
                raise

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while True:
            try:
                frame = await self.get_async()
            except EndOfStream:
                return
            except Closed:
                if self.closed:
                    return
                raise
            assert frame is not None
            yield frame
            del frame

    def __reduce__(self) -> tuple[Any, ...]:
        """Attaches again where it is unpickled, with a cursor of its own."""
        if self.closed:
            raise ValueError(f'[pickle] "{self.name}": this subscriber is closed')
        return _subscribe_again, (self.name, self._full_name, self.latest, *self._expected)

    def __repr__(self) -> str:
        if not _core.is_made(self):
            return "<ndshare.Subscriber that was never made>"
        state = "closed " if self.closed else ""
        mode = " latest" if self.latest else ""
        return f"<{state}ndshare.Subscriber {self.name!r}{mode}>"


def _subscribe_again(
    name: str, full_name: str, latest: bool, shape: ShapeLike | None, dtype: DTypeLike | None
) -> Subscriber:
    return Subscriber(name, latest=latest, shape=shape, dtype=dtype, _full_name=full_name)


_core.set_frame_type(Frame)
as_handle(Publisher)
as_handle(Subscriber)

__all__ = ["Frame", "FrameRef", "Loan", "Publisher", "Subscriber"]
