"""What any file may look like. Each rule makes complaints; its docstring is the rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tree import Complaint, File, Tree

COLUMNS_MAX = 100
LINES_MAX = 500
BLOB_BYTES_MAX = 100 << 10
CODE_SUFFIXES = {".cpp", ".h", ".hpp", ".py", ".pyi", ".sh", ".cmake"}
# Written in halves, so that this file does not break its own rule.
UNFINISHED = "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"])
# Traces of a particular machine or way of working: paths, private hosts, who did what when.
BANNED = [
    r"/wo" + r"rk/(main|shared|\.)",
    r"\bsub-?ag" + r"ents?\b",
    r"\bas an? (AI|language) mod" + r"el\b",
    r"\b(this|last|next|previous|earlier) ses" + r"sion\b",
    r"https?://[^\s/]*\b(artifact" + r"ory|nex" + r"us|mir" + r"ror)\b",
    r"https?://(10|127|172|192)\.\d+",
    r"\.inter" + r"nal\b(?=[/:])",
]


def is_code(file: File) -> bool:
    return file.suffix in CODE_SUFFIXES or file.path.endswith("CMakeLists.txt")


def lines_fit(tree: Tree) -> Iterator[Complaint]:
    """At most 100 columns, no trailing blanks, no tabs but in Makefiles, a newline at the end."""
    for file in filter(is_code, tree.files):
        for number, line in enumerate(file.lines, 1):
            if len(line) > COLUMNS_MAX:
                yield file.complain(number, f"{len(line)} columns, at most {COLUMNS_MAX}")
            if line != line.rstrip():
                yield file.complain(number, "blanks at the end")
            if "\t" in line:
                yield file.complain(number, "a tab")
        if file.data and not file.data.endswith(b"\n"):
            yield file.complain(len(file.lines), "no newline at the end")


def files_have_one_job(tree: Tree) -> Iterator[Complaint]:
    """At most 500 lines: a longer file has a second job."""
    for file in filter(is_code, tree.files):
        if len(file.lines) > LINES_MAX:
            yield file.complain(LINES_MAX + 1, f"{len(file.lines)} lines, at most {LINES_MAX}")


def nothing_is_left_unfinished(tree: Tree) -> Iterator[Complaint]:
    """Do it, or write down in docs/ that it is not done."""
    for file in tree.files:
        for number, match in file.find(rf"\b({UNFINISHED})\b", code_only=False):
            yield file.complain(number, match.group())


def links_lead_somewhere(tree: Tree) -> Iterator[Complaint]:
    """Relative links in Markdown exist, and so do the headings they name."""
    folders = {parent.as_posix() for f in tree.files for parent in PurePosixPath(f.path).parents}
    for file in tree.files:
        if file.suffix != ".md":
            continue
        for number, match in file.find(r"\]\(([^)\s]+)\)"):
            target, _, anchor = match.group(1).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = file.path if not target else _normal(PurePosixPath(file.path).parent / target)
            other = tree.get(path)
            if other is None and path.rstrip("/") not in folders:
                yield file.complain(number, f"{match.group(1)} leads nowhere")
            elif other is not None and anchor and anchor not in _anchors(other):
                yield file.complain(number, f"{match.group(1)}: there is no such heading")


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts[-1:] = []
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _anchors(file: File) -> set[str]:
    """As GitHub makes them of headings."""
    found = set()
    for _, match in file.find(r"^#+\s+(.*)$"):
        kept = re.sub(r"[^\w\- ]", "", match.group(1).replace("`", "").lower())
        found.add(kept.strip().replace(" ", "-"))
    return found


def blobs_are_small(tree: Tree) -> Iterator[Complaint]:
    """At most 100 KiB a file: data sets and pictures live in packages."""
    for file in tree.files:
        if len(file.data) > BLOB_BYTES_MAX:
            yield file.complain(1, f"{len(file.data)} bytes, at most {BLOB_BYTES_MAX}")


def it_speaks_of_itself_only(tree: Tree) -> Iterator[Complaint]:
    """No word about the machine it was written on, or the way it came to be."""
    for file in tree.files:
        for pattern in BANNED:
            for number, match in file.find(f"(?i){pattern}", code_only=False):
                yield file.complain(number, f"{match.group()!r} has no business here")


def named_tests_exist(tree: Tree) -> Iterator[Complaint]:
    """A page that names a test as evidence names one that there is."""
    there: set[str] = set()
    for file in tree.files:
        if file.path.startswith("tests/") and file.is_cpp:
            text = file.text or ""
            there |= {
                f"{suite}.{test}"
                for suite, test in re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", text)
            }
        elif file.path.startswith("python/tests/"):
            there |= set(re.findall(r"^(?:async )?def (test_\w+)", file.text or "", re.M))
    for file in tree.files:
        if file.suffix != ".md":
            continue
        for number, match in file.find(r"`(test_[a-z0-9_]+|[A-Z]\w+\.[a-z][a-z0-9_]+)`"):
            name = match.group(1)
            is_file = any(other.path.endswith(f"/{name}.py") for other in tree.files)
            if "." in name and not any(one.startswith(name.split(".")[0] + ".") for one in there):
                continue  # a class of Python's, not a suite of ours
            if name not in there and not is_file:
                yield file.complain(number, f"there is no test {name}")


RULES = [
    lines_fit,
    files_have_one_job,
    nothing_is_left_unfinished,
    links_lead_somewhere,
    blobs_are_small,
    it_speaks_of_itself_only,
    named_tests_exist,
]
