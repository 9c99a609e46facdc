"""Runs Python tests under valgrind's memcheck and says what it found that has a frame of the
extension module in any of its stacks: invalid reads and writes, uninitialised values, memory that
is definitely lost. What Python and NumPy do among themselves is not ours to judge.

First two canaries, which must be found. Usage: run.py FOLDER [pytest's arguments]
Processes: the tests' own children run without valgrind. Exit code 1: something was found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

OURS = "/ndshare/_core."
FRAMES_SHOWN = 12

# What touches reference counts and memory of others: views, frames, loans, pickles, calls, batches.
TESTS = Path(__file__).parents[2] / "python" / "tests"
SELECTION = [
    "test_as_array.py",
    "test_bad_input.py",
    "test_lifetime.py",
    "test_pickle.py",
    "test_poll.py",
    "test_service_bad_input.py",
    "test_service_batches.py",
    "test_service_values.py",
    "test_stream_bad_input.py",
    "test_stream_values.py",
]

# A frame is filled from memory that was given back; a view that the extension made is never let go.
CANARIES = {
    "InvalidRead": """
        import ctypes, numpy as np, ndshare
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]
        at = libc.malloc(4096)
        gone = np.frombuffer((ctypes.c_uint8 * 4096).from_address(at), "u1")
        libc.free(at)
        with ndshare.Publisher("canary", 4096, "u1") as publisher:
            publisher.put(gone)
    """,
    "Leak_DefinitelyLost": """
        import ctypes, ndshare
        with ndshare.Publisher("canary", 3) as publisher, ndshare.Subscriber("canary") as s:
            publisher.put([1, 2, 3])
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(s.get().array))
    """,
}


class Finding:
    """One error of memcheck."""

    def __init__(self, error: ElementTree.Element) -> None:
        self.kind = error.findtext("kind", "")
        self.text = error.findtext("what") or error.findtext("xwhat/text") or ""
        self.frames = [
            (frame.findtext("fn") or "?", frame.findtext("obj") or "")
            for frame in error.iter("frame")
        ]
        self.is_ours = any(OURS in file for _, file in self.frames)

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.text}"]
        lines += [f"    {name}  ({Path(file).name})" for name, file in self.frames[:FRAMES_SHOWN]]
        return "\n".join(lines)


def findings(file: Path) -> Iterator[Finding]:
    for error in ElementTree.parse(file).getroot().iter("error"):
        yield Finding(error)


def run(folder: Path, words: list[str]) -> tuple[int, list[Finding]]:
    """Runs Python with these words; its exit code and all that memcheck said."""
    report = folder / "memcheck.xml"
    valgrind = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite"]
    valgrind += ["--num-callers=30", "--xml=yes", f"--xml-file={report}"]
    # Each object has memory of its own, that is given back when the object goes.
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "NDSHARE_NAMESPACE": f"vg{os.getpid()}"}
    code = subprocess.run([*valgrind, sys.executable, *words], env=environment).returncode
    return code, list(findings(report))


def catches_canaries(folder: Path) -> bool:
    good = True
    for kind, source in CANARIES.items():
        script = folder / "canary.py"
        script.write_text("if True:" + source)
        _, found = run(folder, [str(script)])
        seen = [one for one in found if one.is_ours and one.kind == kind]
        good = good and bool(seen)
        print(f"canary {kind}: {'caught' if seen else 'NOT CAUGHT'}", flush=True)
    return good


def main(folder: Path, arguments: list[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        if not catches_canaries(Path(own)):
            return 1
        # memcheck does not raise the processor's floating-point flags, which NumPy's warnings need.
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--watchdog-seconds=1200"]
        tests = arguments or [str(TESTS / name) for name in SELECTION]
        code, found = run(Path(own), [*words, *tests])
    ours = [one for one in found if one.is_ours]
    for one in ours:
        print(one)
    others = Counter(one.kind for one in found if not one.is_ours)
    print(f"{len(ours)} with a frame of the extension; without one: {dict(others)}")
    return 1 if ours or code else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
