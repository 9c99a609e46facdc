"""NumPy arrays that several processes hold at once, by name.

Nothing is copied, leaked or torn; anyone may be killed at any instruction. This module only
re-exports; what belongs where: `_array`, `_stream` and `_service` the handles, `_serve` worker
processes kept alive, `_bell` asyncio's sleep on a handle, `_objects` pickled values, `_spec`
dtype + shape + order, `_attrs` the shared attributes, `_registry` what is there, `_errors` what
goes wrong, `_core` the C++ core, `cli` the command line, `bench` what it measures, `models`
adapters for runtimes, `demo` a real model on a real video.
"""

from typing import TYPE_CHECKING, Any

from ndshare._array import Array, Writing, create, open, wait
from ndshare._attrs import Attrs
from ndshare._core import __version__
from ndshare._errors import (
    Closed,
    Corrupt,
    EndOfStream,
    Error,
    Exists,
    IncompleteWrite,
    NotFound,
    NoWorker,
    Overwritten,
    RemoteError,
    Replaced,
    SpecMismatch,
    WorkerDied,
)
from ndshare._handle import Handle
from ndshare._registry import Info, info, ls, unlink
from ndshare._service import Batch, Call, Client, Worker
from ndshare._spec import Spec
from ndshare._stream import Frame, FrameRef, Loan, Publisher, Subscriber

if TYPE_CHECKING:
    from ndshare._serve import Workers, serve

__all__ = [
    "Array",
    "Attrs",
    "Batch",
    "Call",
    "Client",
    "Closed",
    "Corrupt",
    "EndOfStream",
    "Error",
    "Exists",
    "Frame",
    "FrameRef",
    "Handle",
    "IncompleteWrite",
    "Info",
    "Loan",
    "NoWorker",
    "NotFound",
    "Overwritten",
    "Publisher",
    "RemoteError",
    "Replaced",
    "Spec",
    "SpecMismatch",
    "Subscriber",
    "Worker",
    "WorkerDied",
    "Workers",
    "Writing",
    "__version__",
    "create",
    "info",
    "ls",
    "open",
    "serve",
    "unlink",
    "wait",
]

if not TYPE_CHECKING:  # else any name would pass for one of ours

    def __getattr__(name: str) -> Any:
        """What keeps worker processes needs half of the standard library: loaded at first use."""
        if name not in ("Workers", "serve"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ndshare import _serve

        value = globals()[name] = getattr(_serve, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
