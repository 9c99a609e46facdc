"""What the tests of serve() share: models to serve, calls, load, and the command as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from children import end_group

import ndshare

WAIT_SECONDS = 60.0  # far from what anything here needs: only a hang meets it

MODELS = '''
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np

SPEC = ((), "i8")
HERE = Path(__file__).parent


class Model:
    """Answers x + 1, and who it was; negative numbers are orders."""

    name = "model"
    inputs = {"x": SPEC}
    outputs = {"y": SPEC, "pid": SPEC}

    def __call__(self, x):
        if x == -1:
            raise ValueError("minus one")
        if x == -2:
            (HERE / "begun").touch()
            while not (HERE / "go").exists():
                time.sleep(0.01)
        if x == -3:
            sys.exit(3)
        if x == -4:
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            child.terminate()
            child.join()
            return {"y": child.exitcode, "pid": child.pid}
        return {"y": x + 1, "pid": os.getpid()}


class Sum(Model):
    """Knows its batches; they are large because they are slow."""

    name = "sum"
    outputs = {"y": SPEC, "size": SPEC}
    max_batch_size = 8
    max_delay = 0.01

    def __call__(self, x):
        time.sleep(0.05)
        return {"y": x + 1, "size": np.full(len(x), len(x))}


class Once(Model):
    """Only the first process of all can make it."""

    def __init__(self):
        os.close(os.open(HERE / "made", os.O_CREAT | os.O_EXCL))


class Broken(Model):
    def __init__(self):
        raise OSError("no such weights")


class Segfault(Model):
    def __init__(self):
        os.kill(os.getpid(), 11)


class Other(Model):
    inputs = {"x": ((3,), "f4")}


class Nameless(Model):
    name = None


class BadSpecs(Model):
    inputs = {"x": "f4"}


class NoCall:
    name, inputs, outputs = "model", Model.inputs, Model.outputs


class Outer:
    Inner = Model


number = 3
'''


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module of the test's own that new processes can import; its folder is the
    current one. Whatever the test leaves running is an error."""
    name = f"models_{os.getpid()}_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a changed file is read, not a cached one
    yield name
    left = processes_of(name)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes that the test left behind"


def processes_of(module: str) -> list[int]:
    """Living processes whose command line has the module's name in it."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and module.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def until(is_true: Callable[[], Any]) -> Any:
    """Waits for it; the watchdog ends what never comes."""
    end = time.monotonic() + WAIT_SECONDS
    while not (value := is_true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return value


def ask(x: int, name: str = "model") -> Any:
    """One call by a client of its own."""
    with ndshare.Client(name) as client:
        return client(x, timeout=WAIT_SECONDS)


@contextmanager
def under_load(threads: int = 3) -> Iterator[list[tuple[int, Any]]]:
    """Clients that ask all the time; (x, answer or exception) of every call there was."""
    done: list[tuple[int, Any]] = []
    stop = threading.Event()

    def load(first: int) -> None:
        with ndshare.Client("model") as client:
            x = first
            while not stop.is_set():
                try:
                    answer: Any = client(x, timeout=WAIT_SECONDS)
                except Exception as error:
                    answer = error
                done.append((x, answer))
                x += threads

    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(load, first) for first in range(threads)]
        try:
            yield done
        finally:
            stop.set()
        for one in asking:
            one.result()


def require_right(done: list[tuple[int, Any]]) -> None:
    assert done
    wrong = [(x, one) for x, one in done if isinstance(one, Exception) or one["y"] != x + 1]
    assert not wrong


class Command:
    """`ndshare serve ...` as a process of its own."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from ndshare.cli import main; main()", "serve", *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def until(self, pattern: str, count: int = 1) -> list[str]:
        """What the pattern's group found, when it was there so often."""
        return until(lambda: len(found := re.findall(pattern, self.text)) >= count and found)

    def ended(self) -> int:
        code = self.process.wait(WAIT_SECONDS)
        self._reader.join()
        return code

    def close(self) -> None:
        end_group(self.process.pid)
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    made: list[Command] = []

    def make(*words: str) -> Command:
        made.append(Command(*words))
        return made[-1]

    yield make
    for one in made:
        one.close()
