"""Handle: what every object that holds something by name has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ndshare._attrs import Attrs


class Handle(ABC):
    """name, closed, attrs, close(), and `with`. Handles may be used by several threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As given, without NDSHARE_NAMESPACE."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """True after close()."""

    @property
    @abstractmethod
    def attrs(self) -> Attrs:
        """Small JSON values shared by all who hold it."""

    @abstractmethod
    def close(self) -> None:
        """Lets go; idempotent, from any thread, wakes this handle's waiters."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        t: type[BaseException] | None,
        e: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def as_handle(core_class: type) -> None:
    """Makes a class over the C++ core a Handle, with what Handle has a body for.

    It cannot be derived: a class that is bound in C++ has no further bases.
    """
    Handle.register(core_class)
    for name in ("__enter__", "__exit__"):
        setattr(core_class, name, getattr(Handle, name))
