"""The documents are true where a machine can tell: code blocks run, links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OTHERS = ("*.md", "bench/*.md", "src/*.md", "src/*/*.md")
LINKED = sorted({*PAGES, *(page for pattern in OTHERS for page in ROOT.glob(pattern))})
WATCHDOG = 120  # seconds; far from what a page needs, so only a hang meets it

_MARK = re.compile(r"<!-- (run|not run: \S.*) -->")


@dataclass
class Block:
    """A fenced block; line: of its first line of text, counted from 1."""

    language: str
    line: int
    lines: list[str]
    mark: str  # what stands in a comment on the line before it


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    block: Block | None = None
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("```"):
            if block is not None:
                block.lines.append(line)
            elif line:
                before = line
            continue
        if block is None:
            mark = _MARK.fullmatch(before)
            block = Block(line.removeprefix("```"), number + 1, [], mark[1] if mark else "")
        else:
            yield block
            block, before = None, ""
    assert block is None, f"{page}: a block without an end"


def script_of(page: Path) -> str:
    """The Python blocks of a page at the lines where they stand, so that tracebacks are right.

    `$ ndshare ...` of console blocks runs in its place, while the page's arrays are there.
    """
    lines = [""] * len(page.read_text().splitlines())
    for block in blocks(page):
        if block.mark.startswith("not run"):
            continue
        for offset, text in enumerate(block.lines, block.line - 1):
            if block.language == "python":
                lines[offset] = text
            elif block.language == "console" and text.startswith("$ ndshare"):
                command = text.removeprefix("$ ")
                lines[offset] = f'__import__("subprocess").run({command!r}, shell=True, check=True)'
    if any(lines):
        # The functions of a page are known to its own process only: children are its forks.
        lines[0] = 'import multiprocessing; multiprocessing.set_start_method("fork")'
    return "\n".join(lines) + "\n"


def run(command: list[str | Path], folder: Path) -> None:
    """A command that has to end well, in time, with the commands of this Python at hand."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WATCHDOG,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def static_library() -> Path | None:
    """The C++ library, as some build has left it; one without a sanitizer."""
    built = [
        path
        for path in (ROOT / "build").glob("*/libndshare.a")
        if path.parent.name not in ("asan", "tsan")
    ]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pages_with(language: str, mark: str = "") -> list[Path]:
    return [
        page
        for page in PAGES
        if any(block.language == language and mark in block.mark for block in blocks(page))
    ]


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_python_and_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}.py"
    script.write_text(script_of(page))
    run([sys.executable, script], tmp_path)


@pytest.mark.parametrize("page", pages_with("cpp", "run"), ids=name_of)
def test_the_cpp_of_a_page_compiles_and_runs(page: Path, tmp_path: Path) -> None:
    library = static_library()
    compiler = shutil.which("g++")
    if library is None or compiler is None:
        pytest.skip("needs g++ and a built library (cmake --preset release, cmake --build ...)")
    for block in blocks(page):
        if block.language != "cpp" or block.mark != "run":
            continue
        source = tmp_path / f"line_{block.line}.cpp"
        source.write_text("\n".join(block.lines) + "\n")
        program = source.with_suffix("")
        include = f"-I{ROOT / 'include'}"
        flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", include]
        run([compiler, *flags, source, library, "-pthread", "-o", program], tmp_path)
        run([program], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_that_does_not_run_says_why(page: Path) -> None:
    for block in blocks(page):
        assert block.language in ("", "python", "console", "cpp"), f"{page}:{block.line}"
        if block.language == "cpp":
            assert block.mark, f"{page}:{block.line}: neither run nor a reason"


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_every_link_is_relative_and_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert "://" not in target, f"{target} is not relative"
        path, _, anchor = target.partition("#")
        assert not anchor, f"{target}: link to a page, not into it"
        assert (page.parent / path).exists(), f"{target} leads nowhere"


def test_every_memory_order_is_argued() -> None:
    called = re.compile(r"SYNC\(([a-z-]+)\)")
    source = {
        name
        for path in (ROOT / "src").rglob("*")
        if path.suffix in (".h", ".cpp")
        for name in called.findall(path.read_text())
    }
    page = (ROOT / "docs" / "ORDERING.md").read_text()
    argued = set(re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.MULTILINE))
    assert source == argued
