"""What is shared, by whom: ls(), info(), unlink()."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ndshare import _core
from ndshare._attrs import load
from ndshare._errors import NotFound, require_name
from ndshare._spec import Spec

Kind = Literal["array", "stream", "service"]


@dataclass
class Info:
    """A look at one shared thing; taken without locks, so it also answers when all are stuck."""

    name: str
    kind: Kind
    spec: Spec | Mapping[str, Spec]
    nbytes: int
    generation: int
    persistent: bool
    attrs: dict[str, Any]
    holders: list[int]
    """Pids of the living processes that hold it (of this pid namespace)."""
    counters: dict[str, int]
    """Arrays: version, peers, writing (1 while a writer is inside), incomplete (1: needs healing).
    Streams: published, dropped, lost, lag (the largest), pinned, publishers, subscribers, peers,
    waiting (1: a publisher waits for room), ended, slots.
    Services: waiting, running, kept (being filled, or answers to be collected), free, slots,
    workers, clients; answered, failed, batches, gathered of the living workers; redelivered, died,
    expired, late, abandoned, retries. Their spec names inputs in.NAME, outputs out.NAME."""
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Services: pid, state ("idle", "busy"), slot, busy_s (for how long by now), progress_s (since
    it last took or answered something), taken, answered, failed (calls), batches, gathered, mean_s
    and p99_s (of a batch, from take to answer; p99 to a factor of 2) of each living worker."""
    path: str = ""
    """numpy.load(path, mmap_mode="r+") opens it."""
    ends: list[dict[str, Any]] = field(default_factory=list)
    """Streams: kind, pid, count (dropped or lost), lag and pinned of each living end."""
    footprint_bytes: int = 0
    """Memory actually taken, header and control pages included."""

    def asdict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = dict(vars(self))
        specs = self.spec if isinstance(self.spec, Mapping) else {"": self.spec}
        plain = {
            name: {
                "shape": list(spec.shape if spec.maxshape is None else spec.maxshape),
                "variable": spec.maxshape is not None,
                "dtype": str(spec.dtype),
                "order": spec.order,
                "nbytes": spec.nbytes,
            }
            for name, spec in specs.items()
        }
        values["spec"] = plain if isinstance(self.spec, Mapping) else plain[""]
        return values


def _info(values: dict[str, Any]) -> Info:
    text = values.pop("attrs_json")
    return Info(attrs=load(text, values["name"]), **values)


def ls(pattern: str = "*", *, kind: Kind | None = None) -> list[Info]:
    """What is shared and matches a shell pattern ("*" also matches "/"), sorted by name."""
    if kind not in (None, *get_args(Kind)):
        raise ValueError(f'[ls] kind must be "array", "stream" or "service", got {kind!r}')
    found = [_info(values) for values in _core.ls(pattern)]
    return [one for one in found if kind is None or one.kind == kind]


def info(name: str) -> Info:
    """One of them. Errors: NotFound, Corrupt, PermissionError."""
    return _info(_core.info(require_name(name, "info")))


def unlink(name: str, *, missing_ok: bool = False) -> None:
    """Removes the name; whoever holds the memory keeps it. Errors: NotFound."""
    if not _core.unlink(require_name(name, "unlink")) and not missing_ok:
        error = NotFound(f'[unlink] "{name}": nothing has this name; see `ndshare ls`')
        error.operation, error.name = "unlink", name
        raise error
