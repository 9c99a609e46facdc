"""What a refusal has to say: the operation, the name, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from children import PeerError


def require_text(text: str, operation: str, name: str, remedy: str) -> None:
    """`[operation] "name": …`, with a remedy (a regular expression) in it."""
    start = f'[{operation}] "{name}": '
    assert text.startswith(start)
    assert re.search(remedy, text[len(start) :]), text


def refusal(
    failure: pytest.ExceptionInfo[PeerError], kind: str, operation: str, name: str, remedy: str
) -> None:
    """The exception of another process: its class and its text."""
    assert failure.value.kind == kind
    require_text(failure.value.text, operation, name, remedy)


@contextmanager
def refused(
    kind: type[Exception], operation: str, name: str, remedy: str
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """The block raises that kind of exception, and it says all that it has to."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    require_text(said, operation, name, remedy)
