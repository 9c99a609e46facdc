"""What goes wrong. Every text reads `[operation] "name": what happened; what to do`.

TimeoutError, MemoryError, PermissionError, OSError and, for wrong arguments, ValueError stay
Python's own, with the same text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ndshare._spec import Spec


class Error(Exception):
    """Base of ndshare's own errors. `name` and `operation` say with what and at what."""

    name: str = ""
    operation: str = ""


class NotFound(Error, FileNotFoundError):
    """Nothing has this name (at the end of the timeout, where one was given)."""


class Exists(Error, FileExistsError):
    """The name is taken."""


class SpecMismatch(Error, TypeError):
    """dtype, shape or order differ; both specs are here."""

    expected: Spec
    found: Spec


class Corrupt(Error):
    """Another process's bytes make no sense: damaged, truncated, foreign, or another layout."""


class IncompleteWrite(Error):
    """The last write() was not finished: its process died or its block raised."""


class Replaced(Error):
    """The name has new memory; open it again."""


class Overwritten(Error, LookupError):
    """The frame is no longer there."""


class EndOfStream(Error, EOFError):
    """The publisher ended the stream."""


class NoWorker(Error):
    """No worker is attached to the service."""


class WorkerDied(Error):
    """The worker died, and so did those that tried again."""


class RemoteError(Error):
    """The worker raised; its traceback is in the text."""


class Closed(Error, ValueError):
    """The handle is closed."""


# The numbers are those of ndshare::Errc (include/ndshare/error.hpp).
_BY_CODE: dict[int, type[Exception]] = {
    1: NotFound,
    2: Exists,
    3: PermissionError,
    4: SpecMismatch,
    5: Corrupt,
    6: IncompleteWrite,
    7: Replaced,
    8: Overwritten,
    9: EndOfStream,
    10: TimeoutError,
    11: MemoryError,
    12: NoWorker,
    13: WorkerDied,
    14: RemoteError,
    15: Closed,
    16: ValueError,
}


def said(operation: str, name: object, error: Exception) -> Exception:
    """A TypeError or ValueError with the operation and the name before its text."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f'[{operation}] "{name}": {error}')


def require_name(name: str, operation: str) -> str:
    """A str that is UTF-8: lone surrogates (bytes that were no UTF-8) do not reach the core."""
    if not isinstance(name, str):
        raise TypeError(f"[{operation}] {name!r}: name must be a str, not {type(name).__name__}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"[{operation}] {name!a}: a name must be UTF-8") from None
    return name


def require_permissions(permissions: int) -> int:
    """A number; which ones are good the core says."""
    if not isinstance(permissions, int) or not 0 <= permissions <= 0o7777:
        raise TypeError(f"permissions is a number, 0o600 or 0o660, not {permissions!r}")
    return permissions


def make_error(
    code: int,
    errno: int,
    operation: str,
    name: str,
    text: str,
    expected: Spec | None,
    found: Spec | None,
) -> Exception:
    """The Python exception of a C++ error; errno is not 0 where a system call failed."""
    error: Exception = _BY_CODE[code](text) if code else OSError(errno, text)
    if isinstance(error, Error):
        error.operation, error.name = operation, name
    if isinstance(error, SpecMismatch) and expected is not None and found is not None:
        error.expected, error.found = expected, found
    return error
