"""Attrs: small JSON values shared by all who hold a thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Union

from ndshare._errors import Corrupt, said

Json = Union[  # noqa: UP007  ("X | Y" does not take the quoted names of a recursive type)
    None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]
]


def dump(values: Mapping[str, Any]) -> str:
    """JSON of a mapping. TypeError or ValueError for what JSON cannot say."""
    for key in values:
        if not isinstance(key, str):
            raise TypeError(f"attrs keys are str, got {key!r}")
    try:
        return json.dumps(dict(values), separators=(",", ":"), allow_nan=False, default=_plain)
    except ValueError as error:
        raise ValueError(f"attrs take JSON values: {error}") from None
    except TypeError as error:
        raise TypeError(f"attrs take JSON values: {error}") from None


def _plain(value: Any) -> Any:
    """Mappings other than dict, and NumPy's numbers and small arrays."""
    if isinstance(value, Mapping):
        return dict(value)
    for method in ("tolist", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def load(text: str, name: str) -> dict[str, Any]:
    """The mapping behind a text that another process wrote."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise Corrupt(f'[attrs] "{name}": the attributes are no JSON: {error}') from None
    if not isinstance(values, dict):
        raise Corrupt(f'[attrs] "{name}": the attributes are no JSON object')
    return values


class _Key(str):
    """A key that remembers the snapshot it came from.

    dict(attrs) asks for all keys and then for each value; so does every loop. Values looked up by
    such a key come from the snapshot that the key was in, not from a later one.
    """

    snapshot: dict[str, Any]

    @classmethod
    def of(cls, key: str, snapshot: dict[str, Any]) -> _Key:
        made = cls(key)
        made.snapshot = snapshot
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


class Attrs(Mapping[str, Any]):
    """Small JSON values shared by all who hold the thing; 16 KiB in all.

    dict(attrs) is one consistent snapshot; update() is one change, whole or not at all, whoever is
    killed. Changing needs a writeable handle.
    """

    __slots__ = ("_change", "_name", "_read")

    def __init__(
        self,
        name: str,
        read: Callable[[], str],
        change: Callable[[Callable[[str], str]], None],
    ) -> None:
        self._name = name
        self._read = read
        self._change = change

    def _snapshot(self) -> dict[str, Any]:
        return load(self._read(), self._name)

    def _apply(self, edit: Callable[[dict[str, Any]], None]) -> None:
        def change(text: str) -> str:
            values = load(text, self._name)
            edit(values)
            return dump(values)

        self._change(change)

    def __getitem__(self, key: str) -> Any:
        return (key.snapshot if isinstance(key, _Key) else self._snapshot())[key]

    def __setitem__(self, key: str, value: Json) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self._apply(lambda values: values.__delitem__(key))

    def __iter__(self) -> Iterator[str]:
        snapshot = self._snapshot()
        return iter([_Key.of(key, snapshot) for key in snapshot])

    def __len__(self) -> int:
        return len(self._snapshot())

    def update(self, other: Mapping[str, Json] = {}, /, **more: Json) -> None:
        """Adds and overwrites, as dict.update; one change for all who look."""
        fresh = {**other, **more}
        try:
            dump(fresh)  # refused before anything is locked
        except (TypeError, ValueError) as error:
            raise said("attrs", self._name, error) from None
        self._apply(lambda values: values.update(fresh))

    def __repr__(self) -> str:
        return f"Attrs({self._snapshot()!r})"
