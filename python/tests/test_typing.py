"""What a type checker sees: the package, programs that use it, and programs that misuse it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ndshare

pytest.importorskip("mypy")

PACKAGE = Path(__file__).resolve().parents[1] / "ndshare"

USES = """
import asyncio
import pickle
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, assert_type

import numpy as np
from numpy.typing import NDArray

import ndshare

f32 = np.dtype(np.float32)
a = ndshare.create("a", (5, 5), np.float64)
assert_type(a, ndshare.Array[np.float64])
assert_type(ndshare.create("b", (5, 5), f32), ndshare.Array[np.float32])
assert_type(ndshare.create("c", 5), ndshare.Array[Any])
assert_type(ndshare.create(None, [1, 2], "f4", order="F", existing="adopt"), ndshare.Array[Any])
data: NDArray[np.int16] = np.zeros(3, np.int16)
assert_type(ndshare.create("d", data=data), ndshare.Array[np.int16])
assert_type(ndshare.create("e", data=[[1, 2]], dtype="f4"), ndshare.Array[Any])
ndshare.create("f", 3, attrs={"unit": "m", "k": [1, None, {"x": True}]}, persistent=True,
               permissions=0o660, group="users", spin=0)
assert_type(ndshare.open("a", dtype=np.float64), ndshare.Array[np.float64])
assert_type(ndshare.open("a"), ndshare.Array[Any])
b = ndshare.open("a", writeable=True, shape=(5, 5), dtype=f32, timeout=None)
assert_type(b, ndshare.Array[np.float32])

assert_type(a.array, NDArray[np.float64])
assert_type(a.read(), NDArray[np.float64])
a.read(np.zeros((5, 5)), timeout=1.0)
with a.write(timeout=1, recover=True) as w:
    assert_type(w, NDArray[np.float64])
    w[0] += 1
assert_type(a.write(), ndshare.Writing[np.float64])
assert_type(a.wait(), int)
assert_type(a.wait(None), int)
assert_type(a.wait(1.0), int | None)
assert_type(a.wait(since=3), int)
assert_type(a.wait(0, since=3), int | None)
a[0, 0] = 1
a[...] = [[1.0]]
a[1:, np.newaxis] = np.zeros(3)
plain = np.asarray(a)
assert_type(len(a), int)
assert_type(a.name, str)
assert_type(a.shape, tuple[int, ...])
assert_type(a.dtype, np.dtype[np.float64])
assert_type(a.spec, ndshare.Spec)
assert_type(a.nbytes, int)
assert_type(a.path, str)
assert_type((a.closed, a.writeable, a.replaced), tuple[bool, bool, bool])
assert_type((a.generation, a.version, a.fileno()), tuple[int, int, int])
assert_type(a.attrs, ndshare.Attrs)
assert_type(a.attrs["x"], Any)
a.attrs["unit"] = "m"
a.attrs.update({"x": 1}, y=[2])
del a.attrs["x"]
mapping: Mapping[str, Any] = a.attrs
assert_type(ndshare.Array.footprint((5, 5), "f4"), int)
with a as same:
    assert_type(same, ndshare.Array[np.float64])
handle: ndshare.Handle = a
handle.close()
a.unlink()
again: ndshare.Array[Any] = pickle.loads(pickle.dumps(a))


async def main() -> int | None:
    return await a.wait_async(1.0, since=0)


asyncio.run(main())

spec = ndshare.Spec((2, 3), "f4", "F")
assert_type(spec.shape, tuple[int, ...])
assert_type(spec.maxshape, tuple[int, ...] | None)
assert_type(spec.dtype, np.dtype[Any])
assert_type(spec.order, Literal["C", "F"])
assert_type(spec.nbytes, int)
ndshare.Spec(maxshape=(300, 6))

for one in ndshare.ls("cam/*", kind="array"):
    assert_type(one, ndshare.Info)
    assert_type(one.name, str)
    assert_type(one.holders, list[int])
    assert_type(one.counters, dict[str, int])
    assert_type(one.asdict(), dict[str, Any])
assert_type(ndshare.info("a"), ndshare.Info)
ndshare.unlink("a", missing_ok=True)
ready = ndshare.wait([a, b], timeout=1.0)

pub = ndshare.Publisher("s", (3, 4), "f4", slots=4, overflow="block", attrs={"x": [1]}, shared=True)
ndshare.Publisher("d", fields={"boxes": ndshare.Spec(maxshape=(300, 6)), "n": ((), "u8")})
ndshare.Publisher("o", dtype=object, max_nbytes=10 << 20)
assert_type(pub.put(np.zeros((3, 4)), attrs={"k": 1}, time_ns=5, timeout=1.0), int | None)
assert_type(pub.put({"boxes": [[1.0]]}), int | None)
assert_type(pub.put_many(np.zeros((5, 3, 4)), timeout=1), int)
with pub.loan(timeout=1.0) as loan:
    assert_type(loan.array, NDArray[Any])
    loan["boxes"] = [1, 2]
    loan.resize((2, 6), "boxes")
    loan.attrs["k"] = {"x": 1}
    loan.time_ns = 5
    loan.discard()
assert_type(pub.wait_subscribers(3, timeout=None), bool)
assert_type((pub.subscriber_count, pub.dropped, pub.nbytes), tuple[int, int, int])
assert_type(pub.spec, ndshare.Spec | Mapping[str, ndshare.Spec])
assert_type(ndshare.Publisher.footprint((3, 4), "f4", slots=4), int)
sub = ndshare.Subscriber("s", latest=True, shape=(3, 4), dtype="f4", spin=0)
assert_type(sub.get(), ndshare.Frame)
assert_type(sub.get(1.0), ndshare.Frame | None)
assert_type(sub.get_many(5, 1.0), NDArray[Any])
frame = sub.get()
assert_type((frame.seq, frame.generation, frame.time_ns, frame.age), tuple[int, int, int, float])
assert_type(frame.attrs, Mapping[str, Any])
assert_type(frame["boxes"], NDArray[Any])
assert_type(frame.ref, ndshare.FrameRef)
assert_type(frame.ref.get(), ndshare.Frame)
assert_type(frame.ref.seq, int)
for one_frame in sub:
    assert_type(one_frame, ndshare.Frame)
assert_type((sub.lost, sub.lag, sub.publisher_count, sub.fileno()), tuple[int, int, int, int])
mixed = ndshare.wait([sub, a], timeout=1.0)
handles: list[ndshare.Handle] = [pub, sub]


async def follow() -> None:
    assert_type(await sub.get_async(1.0), ndshare.Frame | None)
    async for each in sub:
        assert_type(each, ndshare.Frame)


try:
    ndshare.open("x")
except ndshare.SpecMismatch as mismatch:
    assert_type(mismatch.expected, ndshare.Spec)
    assert_type(mismatch.found, ndshare.Spec)
except ndshare.Error as error:
    assert_type((error.name, error.operation), tuple[str, str])
except (FileNotFoundError, TimeoutError):
    pass
not_found: type[FileNotFoundError] = ndshare.NotFound
exists: type[FileExistsError] = ndshare.Exists
mismatched: type[TypeError] = ndshare.SpecMismatch
overwritten: type[LookupError] = ndshare.Overwritten
ended: type[EOFError] = ndshare.EndOfStream
closed: type[ValueError] = ndshare.Closed
others: list[type[ndshare.Error]] = [
    ndshare.Corrupt, ndshare.IncompleteWrite, ndshare.Replaced, ndshare.NoWorker,
    ndshare.WorkerDied, ndshare.RemoteError,
]
"""

MISUSES = [
    'ndshare.create("a", 3, existing="append")',
    'ndshare.create("a", 3, order="A")',
    "ndshare.create(5, 3)",
    'ndshare.create("a", (2.5,))',
    'ndshare.create("a", 3, attrs={"x": object()})',
    'ndshare.create("a", 3, mode=0o600)',
    "ndshare.open(None)",
    'ndshare.open("a", wait=5.0)',
    'ndshare.open("a", True)',
    'ndshare.open("a", timeout="1")',
    'x: int = ndshare.create("a", 3).wait(1.0)',
    'ndshare.create("a", 3).version = 5',
    'ndshare.create("a", 3).read(timeout="1")',
    'ndshare.create("a", 3).write(1.0)',
    'ndshare.create("a", 3).attrs["x"] = object()',
    'ndshare.create("a", 3).attrs[5]',
    "ndshare.wait([5])",
    'ndshare.ls(kind="frame")',
    'ndshare.unlink("a", True)',
    "ndshare.list()",
    "x: str = ndshare.create('a', 3, np.float32).array",
]


def mypy(*arguments: str, cache: Path) -> tuple[int, str]:
    """Exit code and output of mypy --strict."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    done = subprocess.run(
        [*command, f"--cache-dir={cache}", *arguments], capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all calls: NumPy's stubs take most of the time."""
    return tmp_path_factory.mktemp("mypy")


def test_the_package_is_strictly_typed(cache: Path) -> None:
    config = PACKAGE.parents[1] / "pyproject.toml"
    assert mypy(f"--config-file={config}", str(PACKAGE), cache=cache) == (0, "")


def test_the_installed_package_says_that_it_is_typed() -> None:
    assert (Path(ndshare.__file__).parent / "py.typed").exists()
    assert (Path(ndshare.__file__).parent / "_core.pyi").exists()


def test_a_program_that_uses_all_of_it_type_checks(tmp_path: Path, cache: Path) -> None:
    program = tmp_path / "uses.py"
    program.write_text(USES)
    assert mypy("--config-file=", str(program), cache=cache) == (0, "")


def test_every_misuse_is_an_error_of_its_own(tmp_path: Path, cache: Path) -> None:
    program = tmp_path / "misuses.py"
    head = ["import numpy as np", "import ndshare"]
    program.write_text("\n".join([*head, *MISUSES, ""]))
    code, output = mypy("--config-file=", str(program), cache=cache)
    assert code == 1
    wrong = {int(line.split(":")[1]) for line in output.split("\n") if ": error: " in line}
    accepted = [text for number, text in enumerate(MISUSES, len(head) + 1) if number not in wrong]
    assert accepted == []
