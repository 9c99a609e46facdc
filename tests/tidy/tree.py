"""The files of the tree as the rules see them: read once, C++ comments told from code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CPP_SUFFIXES = {".cpp", ".h", ".hpp"}
_COMMENT_OR_STRING = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", re.S
)


@dataclass(frozen=True)
class Complaint:
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass
class File:
    root: Path
    path: str  # relative, with "/"

    @property
    def suffix(self) -> str:
        return Path(self.path).suffix

    @property
    def is_cpp(self) -> bool:
        return self.suffix in CPP_SUFFIXES

    @cached_property
    def data(self) -> bytes:
        return (self.root / self.path).read_bytes()

    @cached_property
    def text(self) -> str | None:
        """None: it is no text."""
        if b"\0" in self.data:
            return None
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return None

    @cached_property
    def lines(self) -> list[str]:
        return [] if self.text is None else self.text.splitlines()

    @cached_property
    def code_lines(self) -> list[str]:
        """C++ without comments; strings stay. As many lines as there are."""

        def blank(match: re.Match[str]) -> str:
            found = match.group()
            return re.sub(r"[^\n]", " ", found) if found.startswith(("//", "/*")) else found

        return _COMMENT_OR_STRING.sub(blank, self.text or "").splitlines()

    def find(self, pattern: str, *, code_only: bool = True) -> Iterator[tuple[int, re.Match[str]]]:
        lines = self.code_lines if code_only and self.is_cpp else self.lines
        for number, line in enumerate(lines, 1):
            for match in re.finditer(pattern, line):
                yield number, match

    def complain(self, line: int, text: str) -> Complaint:
        return Complaint(self.path, line, text)


@dataclass
class Tree:
    root: Path
    files: list[File] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path) -> Tree:
        """What git knows or would take; without git, everything but hidden and build folders."""
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        try:
            listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
            paths = [p for p in listed.decode().split("\0") if p]
        except (OSError, subprocess.CalledProcessError):
            paths = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
            paths = [p for p in paths if not re.match(r"(\.|build/)", p)]
        return cls(root, [File(root, p) for p in sorted(paths) if (root / p).is_file()])

    def under(self, *folders: str) -> Iterator[File]:
        for file in self.files:
            if file.path.startswith(tuple(f + "/" for f in folders)):
                yield file

    def cpp_under(self, *folders: str) -> Iterator[File]:
        return (file for file in self.under(*folders) if file.is_cpp)

    def get(self, path: str) -> File | None:
        return next((file for file in self.files if file.path == path), None)
