"""What every test gets: names of its own, a watchdog, and processes that end with it."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from children import PeerMaker, peers, run_file, write_script
from serving import command, models  # noqa: F401  (fixtures)

import ndshare
from ndshare import _core

_failed = pytest.StashKey[bool]()
_real_stderr = pytest.StashKey[int]()

Script = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kill-rounds", type=int, default=150, help="kills under load, of test_kill (150)"
    )

    parser.addoption(
        "--watchdog-seconds", type=float, default=150.0, help="a test that lasts longer hangs (150)"
    )

    parser.addoption(
        "--stop-seconds",
        type=float,
        default=0.0,
        help="how long a subscriber is stopped while its stream goes on (0: for 50 frames)",
    )


@pytest.fixture
def stop_seconds(request: pytest.FixtureRequest) -> float:
    """How long SIGSTOP lasts."""
    return float(request.config.getoption("--stop-seconds"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_real_stderr] = os.dup(2)  # the captured one dies with the process
    # Started in the background by a shell, a process ignores Ctrl-C, and so do those it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_real_stderr])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    report = yield
    if call.excinfo is not None and call.when == "call":
        item.stash[_failed] = True
    return report


def places() -> tuple[Path, Path]:
    """The folder of names, and that of persistent files."""
    found = _core.places()
    return Path(found["names"]), Path(found["files"])


def entries(name_space: str) -> list[str]:
    """What both folders hold of a name space, living or stale."""
    return sorted(
        entry.name
        for folder in places()
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.name.startswith(name_space + "%2F")
    )


@pytest.fixture(autouse=True)
def name_space(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Names of the test's own; none of them may be left behind it."""
    mine = f"test-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("NDSHARE_NAMESPACE", mine)
    yield mine
    gc.collect()
    monkeypatch.setenv("NDSHARE_NAMESPACE", mine)
    living: list[str] = []
    with suppress(OSError):  # a place that the test made unusable
        living = [one.name for one in ndshare.ls()]  # and sweeps the names of killed processes
    left = entries(mine)
    for folder in places():
        for entry in left:
            (folder / entry).unlink(missing_ok=True)
    if not request.node.stash.get(_failed, False):
        assert (living, left) == ([], []), "names that the test left behind"


@pytest.fixture(autouse=True)
def watchdog(request: pytest.FixtureRequest) -> Iterator[None]:
    """A hang ends the run, with every thread's stack."""
    faulthandler.dump_traceback_later(
        request.config.getoption("--watchdog-seconds"),
        exit=True,
        file=request.config.stash[_real_stderr],
    )
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def peer() -> Iterator[PeerMaker]:
    """Makes other processes that do what they are told, one statement at a time."""
    with peers() as make:
        yield make


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Runs a Python file to its end; it has to end well and quietly. Its output."""

    def run(source: str, *arguments: object, **more: Any) -> str:
        done = run_file(write_script(tmp_path, source), *arguments, **more)
        if done.returncode != 0 or done.stderr:
            pytest.fail(f"exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    return run


@pytest.fixture
def failing_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As script, for one that need not end well."""

    def run(source: str, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
        return run_file(write_script(tmp_path, source), *arguments, **more)

    return run


@pytest.fixture
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A book and a root of the test's own, which it may damage."""
    base = tmp_path / "place"
    base.mkdir()
    monkeypatch.setenv("NDSHARE_DIR", str(base))
    monkeypatch.delenv("NDSHARE_ROOT", raising=False)
    return base
