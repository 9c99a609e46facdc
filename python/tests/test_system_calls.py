"""What is there is read and written without the kernel: counted by strace, between two marks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The allocator of Python asks for memory now and then; nothing of ours may.
ALLOCATION = {"brk", "mmap", "munmap", "madvise", "mremap"}

PROGRAM = """
import os, sys
import numpy as np
import ndshare

value = np.zeros(60, "u8")
out = np.empty(60, "u8")
array = ndshare.create("calls/array", (60,), "u8")
reader = ndshare.open("calls/array")
streams = []
for overflow in ("drop_oldest", "block"):
    publisher = ndshare.Publisher(f"calls/{overflow}", (60,), "u8", overflow=overflow)
    streams.append((publisher, ndshare.Subscriber(publisher.name)))
newest = ndshare.Subscriber(streams[0][0].name, latest=True)


def work(count):
    for k in range(count):
        array[...] = value
        array[3] = k
        assert reader.wait(1.0) is not None
        reader.read(out=out)
        reader[3]
        for publisher, subscriber in streams:
            publisher.put(value)
            with publisher.loan() as loan:
                loan.array[0] = k
            assert subscriber.get(1.0).array[0] == 0
            assert subscriber.get().array[0] == k
        assert newest.get(1.0).array[0] == k


work(300)
os.getppid()
work(int(sys.argv[1]))
os.getppid()
"""

# So many bytes that the way of copying them is tried out now and then: 2 MiB frames in a ring of
# 20, an array of 8 MiB.
LARGE = """
import os, sys
import numpy as np
import ndshare

frame = np.zeros((2, 1024, 1024), "u1")
values = np.zeros((8, 1024, 1024), "u1")
out = np.empty_like(values)
publisher = ndshare.Publisher("calls/large", frame.shape, "u1", slots=20)
subscriber = ndshare.Subscriber("calls/large")
array = ndshare.create("calls/large-array", values.shape, "u1")


def work(count):
    for k in range(count):
        publisher.put(frame)
        assert subscriber.get(1.0).array[0, 0, 0] == 0
        array[...] = values
        array.read(out=out)


work(30)
os.getppid()
work(int(sys.argv[1]))
os.getppid()
"""


def kernel_calls(tmp_path: Path, program: str, *arguments: object) -> list[str]:
    """The names of the main thread's system calls between its two getppid()."""
    strace = shutil.which("strace")
    assert strace, "strace is missing: apt-get install strace"
    script, trace = tmp_path / "program.py", tmp_path / "trace"
    script.write_text(program)
    command = [strace, "-o", str(trace), sys.executable, str(script), *map(str, arguments)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=120, env=environment)
    names = [line.split("(", 1)[0] for line in trace.read_text().splitlines()]
    begin, end = (k for k, name in enumerate(names) if name == "getppid")
    return names[begin + 1 : end]


def test_operations_on_what_is_there_make_no_system_call(tmp_path: Path) -> None:
    calls = kernel_calls(tmp_path, PROGRAM, 2000)
    assert set(calls) <= ALLOCATION, sorted(set(calls) - ALLOCATION)
    assert len(calls) < 100


def test_copies_of_large_values_make_none_either(tmp_path: Path) -> None:
    calls = kernel_calls(tmp_path, LARGE, 200)
    assert set(calls) <= ALLOCATION, sorted(set(calls) - ALLOCATION)


def test_a_system_call_would_be_noticed(tmp_path: Path) -> None:
    program = PROGRAM.replace("== k\n\n", "== k\n        newest.get(0.0001)\n\n", 1)
    assert program != PROGRAM
    with pytest.raises(AssertionError):
        assert set(kernel_calls(tmp_path, program, 20)) <= ALLOCATION
