"""How long a new Python takes to import a package, to make its first array and to open it: each
time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from pair import Findings, Side, arguments, findings, run_pair

# Each says how to import, make and open "name"; opened holds what make wrote into it.
_NUMPY = "import numpy as np"
_WAYS: dict[str, tuple[str, str, str]] = {
    "python": ("pass", "", ""),
    "numpy": (_NUMPY, "", ""),
    "ndshare": (
        "import ndshare",
        "made = ndshare.create(name, 60, 'u8'); made[...] = 7",
        "opened = ndshare.open(name)[...]",
    ),
    "SharedArray": (
        f"{_NUMPY}, SharedArray",
        "made = SharedArray.create('shm://' + name, 60, dtype='u8'); made[...] = 7",
        "opened = SharedArray.attach('shm://' + name); SharedArray.delete(name)",
    ),
    "stdlib": (
        f"{_NUMPY}; from multiprocessing.shared_memory import SharedMemory",
        "memory = SharedMemory(name, create=True, size=480);"
        " made = np.ndarray(60, 'u8', memory.buf); made[...] = 7",
        "again = SharedMemory(name); opened = np.ndarray(60, 'u8', again.buf); memory.unlink()",
    ),
    "iceoryx2": ("import iceoryx2", "", ""),
    "zmq": ("import zmq", "", ""),
    "torch": (
        "import torch, torch.multiprocessing",
        "made = torch.full((60,), 7).share_memory_()",
        "opened = made",
    ),
}


def program(way: str) -> str:
    load, make, open_it = _WAYS[way]
    return "\n".join(
        [
            "import sys, time",
            "name, clock, opened = sys.argv[1], time.perf_counter_ns, [0]",
            "began = clock()",
            load,
            "loaded = clock()",
            make,
            "created = clock()",
            open_it,
            "ended = clock()",
            "times = loaded - began, created - loaded, ended - created",
            "print(*times, int(sum(opened)), flush=True)",
        ]
    )


def first(side: Side, way: str) -> Findings:
    text = program(way)
    side.pin()
    samples: list[int] = []
    rows: list[list[int]] = []
    for k in range(side.warm_up + side.count):
        begin_ns = time.perf_counter_ns()
        done = subprocess.run(
            [sys.executable, "-c", text, side.name(f"cold-{k}")],
            check=True,
            stdout=subprocess.PIPE,
        )
        if k >= side.warm_up:
            samples.append(time.perf_counter_ns() - begin_ns)
            rows.append([int(word) for word in done.stdout.split()])
    side.begin()
    side.end()
    columns = list(zip(*rows, strict=True))
    found = {"import_ns": median(columns[0])}
    if _WAYS[way][1]:
        found |= {"create_ns": median(columns[1]), "open_ns": median(columns[2])}
    return findings(
        samples,
        side,
        **found,
        checksum=sum(columns[3]),
    )


def second(side: Side) -> None:
    side.begin()
    side.end()


def main() -> None:
    options = arguments("start, import, make and open the first array", list(_WAYS))
    run_pair(options, lambda side: first(side, options.way), second)


if __name__ == "__main__":
    main()
