"""Other processes for tests: peers that do one thing after another, and scripts that run to an end.

Every one of them is ended with its test, by its pid, whatever the test did with it.
"""

from __future__ import annotations

import ast
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 60.0  # far from what an answer needs: only a hang meets it

_SERVE = r"""
import ctypes, json, os, sys
ctypes.CDLL(None).prctl(1, 9)  # ends with the tests, however these end
import numpy as np
import ndshare
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
scope = {"__name__": "peer", "np": np, "ndshare": ndshare, "os": os, "sys": sys}
for line in sys.stdin:
    kind, text = json.loads(line)
    try:
        answer = ["ok", None]
        if kind == "get":
            value = eval(text, scope)
            answer[1] = repr(value.item() if isinstance(value, np.generic) else value)
        else:
            exec(compile(text, "<peer>", "exec"), scope)
    except BaseException as error:
        answer = [type(error).__name__, str(error)]
        del error
    answers.write(json.dumps(answer) + "\n")
"""


class PeerError(Exception):
    """A statement in the other process raised; kind is the exception's class name."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


class Peer:
    """Another Python process, with np, ndshare, os and sys imported; one statement at a time."""

    def __init__(
        self,
        *options: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        user: int | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, *options, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            bufsize=0,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def start(self, code: str) -> None:
        """Sends statements; their end is awaited with finish()."""
        self._send("do", textwrap.dedent(code))

    def finish(self, timeout: float = ANSWER_SECONDS) -> str | None:
        """The answer to what start() or ask() sent."""
        kind, text = json.loads(self._line(timeout))
        if kind != "ok":
            raise PeerError(kind, text)
        return text if text is None else str(text)

    def do(self, code: str) -> None:
        """Runs statements there."""
        self.start(code)
        self.finish()

    def get(self, expression: str) -> Any:
        """The value of an expression there, which has to be plain (numbers, text, tuples …)."""
        self._send("get", expression)
        return ast.literal_eval(self.finish() or "None")

    def is_busy(self, seconds: float = 0.2) -> bool:
        """No answer came within that time."""
        return not self._rest and not self._readable(seconds)

    def stop(self) -> None:
        """SIGSTOP, and waits until it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Any other signal."""
        os.kill(self.pid, number)

    def kill(self) -> int:
        """kill -9, and waits until the kernel has finished the exit."""
        self._process.kill()
        return self.ended()

    def end(self) -> int:
        """A clean exit: its input ends. The exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.ended()

    def ended(self) -> int:
        """Waits for its exit; the exit code (negative: the signal)."""
        return self._process.wait(ANSWER_SECONDS)

    def close(self) -> None:
        """Ends it if it lives still."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, kind: str, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, text]).encode() + b"\n")

    def _readable(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _line(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            if not self._readable(max(0.0, end - time.monotonic())):
                raise TimeoutError(f"no answer in {timeout} s")
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                raise PeerError("Ended", f"exit code {self.ended()}")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line


PeerMaker = Callable[..., Peer]


def write_script(folder: Path, source: str) -> Path:
    """A Python file of its own: what spawn and forkserver can import as their main module."""
    path = folder / f"script_{len(list(folder.iterdir()))}.py"
    path.write_text(textwrap.dedent(source))
    return path


def run_file(
    path: Path,
    *arguments: object,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    seconds: float = ANSWER_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, in a process group that is ended with it."""
    process = subprocess.Popen(
        [*prefix, sys.executable, *options, str(path), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            end_group(process.pid)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def end_group(leader: int) -> None:
    """Ends whatever a script left running: the processes of its session, which is its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def peers() -> Iterator[PeerMaker]:
    """A maker of peers, all of which end with the block."""
    made: list[Peer] = []

    def make(*options: str, **more: Any) -> Peer:
        made.append(Peer(*options, **more))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()
