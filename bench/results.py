"""What a results.json says beyond its figures: whose a contestant is, and where a peer is ahead.

Both reports ask here, so that they agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LIMIT, OURS = "limit", "ndshare"
# The first that a name holds, small letters; the order matters: a Pipe beside SharedMemory is no
# Pipe, and ours are named before all others.
_FAMILIES = (
    (OURS, ("ndshare", "loaned", "copied, ", "subscriber")),
    (LIMIT, ("raw", "bare ring", "memcpy", "copyto", "nothing", "numpy")),
    ("Boost", ("boost",)),
    ("iceoryx2", ("iceoryx2",)),
    ("kickmsg", ("kickmsg",)),
    ("zenoh", ("zenoh",)),
    ("pyzmq", ("pyzmq",)),
    ("faster-fifo", ("faster-fifo",)),
    ("pyshmem", ("pyshmem",)),
    ("SharedArray", ("sharedarray",)),
    ("callserver", ("callserver",)),
    ("Ray", ("ray",)),
    ("torch", ("torch",)),
    ("SharedMemory", ("by hand", "sharedmemory")),
    ("Pool", ("multiprocessing.pool",)),
    ("ProcessPoolExecutor", ("processpoolexecutor",)),
    ("Queue", ("multiprocessing.queue",)),
    ("Pipe", ("multiprocessing.pipe",)),
)


def family(name: str) -> str:
    """Throws LookupError for a name that nobody claims: it has to be told whose it is."""
    small = name.lower()
    for title, words in _FAMILIES:
        if any(re.search(rf"(^|[^a-z]){re.escape(word)}", small) for word in words):
            return title
    raise LookupError(f"whose is {name!r}? bench/results.py does not say")


def families() -> list[str]:
    return [title for title, _ in _FAMILIES]


def is_cpp(contestant: Mapping[str, Any]) -> bool:
    return not contestant["command"][0].endswith(".py")


def group(name: str) -> str:
    """Contestants of the same load are compared: "4 clients: ...", "..., 48 B"."""
    found = re.match(r"\d+ clients?(?=:)", name) or re.search(
        r"\d+ [KMG]?B$|(one|many) (at a time|at once|on each)$", name
    )
    return found.group() if found else ""


@dataclass(frozen=True)
class Lead:
    """A peer that is faster than one of ours, of the same load and language; by so much."""

    peer: str
    ours: str
    factor: float


def leads(contestants: Sequence[Mapping[str, Any]], field: str) -> Iterator[Lead]:
    measured = [
        one
        for one in contestants
        if not one["wrong"] and not one["absent"] and field in one["median"]
    ]
    ours = [one for one in measured if family(one["name"]) == OURS]
    for peer in measured:
        if family(peer["name"]) in (OURS, LIMIT):
            continue
        for own in ours:
            same = group(own["name"]) == group(peer["name"]) and is_cpp(own) == is_cpp(peer)
            factor = own["median"][field] / max(peer["median"][field], 1e-9)
            if same and factor > 1.0:
                yield Lead(peer["name"], own["name"], factor)


def column(row: Mapping[str, Any], field: str) -> dict[str, str]:
    found: dict[str, str] = next(c for c in row["columns"] if c["field"] == field)
    return found


def quantity(value: float, unit: str) -> str:
    """Three figures and the unit."""
    if unit == "number":
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    steps = (
        ((1 << 30, "GiB"), (1 << 20, "MiB"), (1, "B"))
        if unit == "bytes"
        else ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns"))
    )
    for scale, name in steps:
        if value >= scale:
            scaled = value / scale
            if scale == 1:
                return f"{scaled:,.0f} {name}"
            return f"{scaled:.3g} {name}" if scaled < 1000 else f"{scaled:,.0f} {name}"
    return "-" if unit == "bytes" else f"{value:.0f} ns"


def reference_text(target: Mapping[str, Any]) -> str:
    reference = target["reference"]
    if isinstance(reference, list):
        return f" of the best of {len(reference)}"
    return f" of {reference}'s" if reference else ""


def machine_lines(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine = results["machine"]
    virtual = ", virtual" if machine["virtual"] else ""
    packages = ", ".join(
        f"{name} {version}" for name, version in machine["packages"].items() if version
    )
    load = " / ".join(
        " ".join(f"{value:g}" for value in results[when]) for when in ("load_before", "load_after")
    )
    return [
        ("machine", f"{machine['cpu']}, {machine['cpus']} CPUs{virtual}"),
        ("memory", f"{machine['memory_bytes'] / (1 << 30):.0f} GiB"),
        ("system", f"{machine['system']}, kernel {machine['kernel']}, {machine['libc']}"),
        ("compiler", machine["compiler"]),
        ("Python", machine["python"]),
        ("packages", packages),
        ("started", results["started"]),
        ("command", machine["command"]),
        ("rounds", f"{results['rounds']}, on CPUs {', '.join(map(str, results['cpus']))}"),
        ("load before / after", load),
    ]
