"""Services: calls by name, answered by workers, in batches."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, SupportsIndex, overload

from numpy.typing import ArrayLike, NDArray

from ndshare import _core
from ndshare._attrs import Attrs, Json, dump
from ndshare._bell import end_of, rung, until_look
from ndshare._errors import Closed, require_name, require_permissions, said
from ndshare._handle import as_handle
from ndshare._spec import ShapeLike, SpecLike, as_shape, as_spec
from ndshare._stream import field_plan

Value = ArrayLike | Mapping[str, ArrayLike]


class Batch(_core.BatchHandle):
    """n calls of equal shapes, side by side.

    inputs and outputs map each name to an array with a leading axis of len(batch). Answered by
    reply() or fail(), or when the loop that made it asks for the next one; batch[i] is a batch of
    one, to be answered by itself, in any order. From then on its arrays are other calls'.
    """

    __slots__ = ()

    @overload
    def __getitem__(self, i: int) -> Batch: ...
    @overload
    def __getitem__(self, i: slice) -> Batch: ...
    def __getitem__(self, i: int | slice) -> Batch:
        count = len(self)
        if isinstance(i, slice):
            begin, end, step = i.indices(count)
            if step != 1:
                raise ValueError("a part of a batch is a run of neighbours: step must be 1")
            part: Batch = self._slice(begin, max(0, end - begin))
            return part
        index = i + count if i < 0 else i
        if not 0 <= index < count:
            raise IndexError(f"batch index {i} is out of range for {count} calls")
        one: Batch = self._slice(index, 1)
        return one

    def resize(self, shape: ShapeLike, field: str | None = None) -> NDArray[Any]:
        """Outputs declared with maxshape: each call's shape; the array (n, *shape) to fill."""
        return self._resize(as_shape(shape), field or "")

    def reply(self, value: Any = None, /) -> None:
        """Answers: with what is in outputs, or with value: an array (n, ...), a mapping, or a
        sequence of outputs in their order. Errors: SpecMismatch, TypeError, ValueError: nothing is
        answered then; Closed: it was answered already."""
        if value is not None:
            self._store(value, False)
        self._reply()

    def _store(self, value: Any, of_one: bool) -> None:
        """of_one: without the batch axis."""
        names = self._output_names
        if isinstance(value, Mapping):
            missing = [name for name in names if name not in value]
            if missing:
                raise ValueError(f'[reply] "{self._name}": the output "{missing[0]}" is missing')
            for name, one in value.items():
                self._assign(name, one, of_one)
        elif len(names) == 1:
            self._assign(names[0], value, of_one)
        else:
            if not isinstance(value, (tuple, list)) or len(value) != len(names):
                raise ValueError(
                    f'[reply] "{self._name}": it has the outputs {", ".join(names)}; '
                    "give a mapping, or a tuple of all of them"
                )
            for name, one in zip(names, value, strict=True):
                self._assign(name, one, of_one)

    def fail(self, error: BaseException, /) -> None:
        """RemoteError at the callers, with the error's traceback; the worker goes on."""
        self._fail("".join(traceback.format_exception(error)).rstrip())

    def __reduce__(self) -> Any:
        raise TypeError("a batch cannot be pickled: it is answered where it was taken")

    def __repr__(self) -> str:
        state = "" if self._open else "answered "
        return f"<{state}ndshare.Batch of {len(self)} calls of {self._name!r}>"


class OnBatch(Protocol):
    """What computes a whole batch in place, and may say how many calls it takes: max_batch_size."""

    def on_batch(self, batch: Batch, /) -> object:
        """Fills batch.outputs from batch.inputs."""
        ...


def _plan(fields: Mapping[str, SpecLike], what: str) -> list[tuple[str, tuple[Any, ...]]]:
    if not isinstance(fields, Mapping):
        raise TypeError(f'{what} must be a mapping, {{"name": (shape, dtype)}}')
    if not fields:
        raise ValueError(f"{what} must not be empty")
    for name in fields:
        if not isinstance(name, str):
            raise TypeError(f"names of {what} are str, got {name!r}")
        if name == "":
            raise ValueError(f"{what} need names")
    return [field_plan(name, as_spec(spec)) for name, spec in fields.items()]


def _count(value: SupportsIndex, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{what} must be an int, got {value!r}")
    # The core says what is too large; it takes 32 bits.
    return max(-(1 << 31), min(operator.index(value), (1 << 31) - 1))


class Worker(_core.WorkerHandle):
    """One end of a service, as Client is the other. Several workers are the normal case: joins.

    Other specs than the service has: new generation when no worker is alive, else SpecMismatch,
    which names the pid of one. No specs at all: joins, or NotFound.

    slots: calls that may be under way at once, over all clients. retries: how often a call goes to
    another worker when its worker dies. spin: seconds a wait looks before it sleeps (None:
    adaptive, 0: sleeps at once). Threads: any. After fork() the child's copy is a worker of its
    own; batches stay the parent's.
    """

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, SpecLike] | None = None,
        outputs: Mapping[str, SpecLike] | None = None,
        *,
        slots: int = 64,
        retries: int = 1,
        attrs: Mapping[str, Json] | None = None,
        persistent: bool = False,
        permissions: int = 0o600,
        group: str | int | None = None,
        spin: float | None = None,
        _full_name: str = "",
    ) -> None:
        require_name(name, "work")
        try:
            if (inputs is None) != (outputs is None):
                raise TypeError("give inputs= and outputs=, or neither to join")
            plan_in = None if inputs is None else _plan(inputs, "inputs")
            plan_out = None if outputs is None else _plan(outputs, "outputs")
            slot_count, retry_count = _count(slots, "slots"), _count(retries, "retries")
            attrs_json = "" if attrs is None else dump(attrs)
            require_permissions(permissions)
        except (TypeError, ValueError) as error:
            raise said("work", name, error) from error
        super().__init__(
            name,
            plan_in,
            plan_out,
            slot_count,
            retry_count,
            attrs_json,
            bool(persistent),
            permissions,
            "" if group is None else str(group),
            spin,
            _full_name,
        )

    @staticmethod
    def footprint(
        inputs: Mapping[str, SpecLike], outputs: Mapping[str, SpecLike], *, slots: int = 64
    ) -> int:
        """Bytes of memory that such a service takes."""
        return _core.service_footprint(
            _plan(inputs, "inputs"), _plan(outputs, "outputs"), _count(slots, "slots")
        )

    @property
    def attrs(self) -> Attrs:
        """Small JSON values of the service (labels, model version); 16 KiB."""
        return Attrs(self.name, self._attrs_json, self._update_attrs)

    def get(
        self, max_batch_size: int = 1, max_delay: float = 0.0, *, timeout: float | None = None
    ) -> Batch | None:
        """Calls that are this worker's from now on; None: none within timeout seconds.

        Errors: Closed, Replaced (workers with other specs came).
        """
        try:
            size, delay = _batch_wish(max_batch_size, max_delay)
        except (TypeError, ValueError) as error:
            raise said("get", self.name, error) from error
        batch: Batch | None = self._get(size, delay, timeout)
        return batch

    def batches(self, max_batch_size: int = 1, max_delay: float = 0.0) -> Iterator[Batch]:
        """Batches until close(). Each is answered when the next is asked for, unless reply() or
        fail() was called; one that the loop leaves by an exception goes to another worker.

        max_delay: seconds that the oldest call may wait for company.
        """
        try:
            size, delay = _batch_wish(max_batch_size, max_delay)
        except (TypeError, ValueError) as error:
            raise said("batches", self.name, error) from error
        return self._batches(size, delay)

    def _batches(self, size: int, delay: float) -> Iterator[Batch]:
        while True:
            try:
                batch: Batch | None = self._get(size, delay, None)
            except Closed:
                if self.closed:
                    return
                raise
            if batch is None:
                continue
            yield batch
            if batch._open:
                batch._reply()
            del batch

    def run(
        self,
        fn: Callable[..., Any] | OnBatch,
        *,
        max_batch_size: int | None = None,
        max_delay: float = 0.0,
    ) -> None:
        """fn(*inputs) -> output(s), until close(). An exception of fn goes to its callers.

        With max_batch_size the arrays have a leading batch axis, without it fn gets one call's. A
        result that does not fit the outputs is an error of the call, not of the worker.

        An fn with a method on_batch gets fn.on_batch(batch) instead: it fills batch.outputs in
        place, and the batch is answered when it returns, unless it did so itself. Without
        max_batch_size it is fn.max_batch_size then, where fn has one, else 1.
        """
        on_batch = getattr(fn, "on_batch", None)
        if on_batch is not None:
            size = getattr(fn, "max_batch_size", 1) if max_batch_size is None else max_batch_size
            self._run_batches(on_batch, size, max_delay)
            return
        if not callable(fn):
            text = f"run takes a function, or an object with on_batch, got {fn!r}"
            raise said("run", self.name, TypeError(text))
        one = max_batch_size is None
        for batch in self.batches(1 if max_batch_size is None else max_batch_size, max_delay):
            try:
                arrays = [array[0] if one else array for array in batch.inputs.values()]
                value = fn(*arrays)
                if value is None:
                    raise TypeError(f"{_name_of(fn)} returned None, not its outputs")
                batch._store(value, one)
                batch._reply()
            except Exception as error:
                batch.fail(error)

    def _run_batches(
        self, on_batch: Callable[[Batch], object], max_batch_size: int, max_delay: float
    ) -> None:
        for batch in self.batches(max_batch_size, max_delay):
            try:
                on_batch(batch)
                if batch._open:
                    batch.reply()
            except Exception as error:
                if not batch._open:  # nobody is left who could be told
                    raise
                batch.fail(error)

    def __reduce__(self) -> Any:
        raise TypeError("a worker cannot be pickled: make one where it works, by name")

    def __repr__(self) -> str:
        if not _core.is_made(self):
            return "<ndshare.Worker that was never made>"
        state = "closed " if self.closed else ""
        return f"<{state}ndshare.Worker {self.name!r}>"


def _batch_wish(max_batch_size: int, max_delay: float) -> tuple[int, float]:
    size = _count(max_batch_size, "max_batch_size")
    if not 1 <= size < 1 << 30:
        raise ValueError(f"max_batch_size must be at least 1, got {max_batch_size}")
    if isinstance(max_delay, bool) or not isinstance(max_delay, (int, float)):
        raise TypeError(f"max_delay must be a number of seconds, got {max_delay!r}")
    if not 0 <= max_delay <= 3600:
        raise ValueError(f"max_delay must be 0 to 3600 seconds, got {max_delay}")
    return size, float(max_delay)


def _name_of(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", type(fn).__qualname__)


class Call(_core.CallHandle):
    """One request on its way. Not a concurrent.futures.Future: no thread stands behind it; await
    it, ask it, or give it to wait(). Dropping it abandons it.

    Made by Client.submit(), or by Client.loan(): then its inputs are filled in place and it is
    submitted on leaving the `with` block.
    """

    def resize(self, shape: ShapeLike, field: str | None = None) -> NDArray[Any]:
        """Inputs declared with maxshape: this call's shape; the array to fill from now on."""
        return self._resize(as_shape(shape), field or "")

    def submit(self, *, timeout: float | None = None) -> None:
        """What leaving the block does. The deadline travels with it."""
        self._submit(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """The answer as arrays of the caller's own: one output: the array; several: a dict.

        timeout: of this wait; TimeoutError leaves the call under way, unless its own deadline has
        passed. Errors: TimeoutError, NoWorker, WorkerDied, RemoteError, Closed, SpecMismatch.
        """
        return self._result(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *e: object) -> None:
        if not self._loaned:
            return
        if e and e[0] is not None:
            self.discard()
            return
        self._submit(self._timeout)

    _timeout: float | None = None

    async def _answer(self) -> Any:
        import asyncio  # who awaits has loaded it already

        try:
            end = end_of(None)
            while not self.done():
                await rung(self, until_look(end))
            return self.result(0)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, Any]:
        """result() for asyncio; cancelling the task cancels the call."""
        return self._answer().__await__()

    def __reduce__(self) -> Any:
        raise TypeError("a call cannot be pickled: its answer comes to where it was made")

    def __repr__(self) -> str:
        state = "loaned " if self._loaned else "done " if self.done() else ""
        return f"<{state}ndshare.Call of {self._name!r}>"


class Client(_core.ClientHandle):
    """Never fails because no worker is there yet; calls wait for one as long as their timeout
    allows (then NoWorker).

    Each client may have its share of the service's slots under way. Threads: any. Picklable: the
    copy is a client of its own.

    priority: calls of a client go before those of clients with a lesser one, -100 to 100; among
    equals each gets its fair part. A busy client of a greater one can starve the others: give
    their calls a timeout.
    """

    def __init__(
        self, name: str, *, priority: int = 0, spin: float | None = None, _full_name: str = ""
    ) -> None:
        require_name(name, "connect")
        try:
            number = _count(priority, "priority")
        except TypeError as error:
            raise said("connect", name, error) from error
        super().__init__(name, number, spin, _full_name)
        self._made_with = (number, spin)

    def submit(self, value: Any, /, *, timeout: float | None = None) -> Call:
        """Asks: an array, or a mapping of all inputs, is copied in. timeout: the call's deadline,
        which includes the wait for a free slot."""
        call: Call = self._begin(value, timeout)
        return call

    def loan(self, *, timeout: float | None = None) -> Call:
        """A call to fill in place: `with det.loan() as call: call.array[...] = image`.

        timeout: for the wait for a free slot, and then the call's deadline from its submission.
        """
        call: Call = self._loan(timeout)
        call._timeout = timeout
        return call

    @property
    def attrs(self) -> Attrs:
        """The service's attributes; {} while there is no service. Workers change them."""
        return Attrs(self.name, self._attrs_json, self._refuse_attrs)

    def _refuse_attrs(self, change: Any) -> None:
        raise PermissionError(f'[attrs] "{self.name}": workers change a service\'s attrs')

    def __reduce__(self) -> Any:
        if self.closed:
            raise said("pickle", self.name, ValueError("this client is closed"))
        return _connect, (self.name, *self._made_with, self._full_name)

    def __repr__(self) -> str:
        if not _core.is_made(self):
            return "<ndshare.Client that was never made>"
        state = "closed " if self.closed else ""
        return f"<{state}ndshare.Client {self.name!r}>"


def _connect(name: str, priority: int, spin: float | None, full_name: str) -> Client:
    return Client(name, priority=priority, spin=spin, _full_name=full_name)


Sequence.register(Batch)
as_handle(Worker)
as_handle(Client)
_core.set_batch_type(Batch)
_core.set_call_type(Call)

__all__ = ["Batch", "Call", "Client", "Value", "Worker"]
