"""What C++ may say where. Each rule makes complaints; its docstring is the rule."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tree import Complaint, File, Tree

# A floor may include itself and those named here.
FLOORS = {
    "base": set(),
    "layout": {"base"},
    "platform": {"base"},
    "sync": {"layout", "platform", "base"},
    "api": {"sync", "layout", "platform", "base", "ndshare"},
}
ROOMS_OF_FLOORS = ("api/", "sync/", "layout/", "platform/", "base/")
_STANDARD = """
    algorithm array atomic bit cassert cerrno charconv chrono cinttypes climits cmath compare
    concepts condition_variable cstddef cstdint cstdio cstdlib cstring csignal ctime cwchar deque
    exception filesystem fstream functional initializer_list iomanip iostream istream iterator
    limits list map memory mutex new numeric optional ostream queue random set span sstream
    stdexcept string string_view system_error thread tuple type_traits typeinfo unordered_map
    unordered_set utility variant vector version"""
STANDARD_HEADERS = set(_STANDARD.split())
# A function longer than this is shown, not refused.
FUNCTION_LINES_SHOWN = 70


def floor_of(file: File) -> str:
    return file.path.split("/")[1]


def included(file: File) -> Iterator[tuple[int, str, bool]]:
    for number, match in file.find(r'^\s*#\s*include\s+(["<])([^">]+)[">]'):
        yield number, match.group(2), match.group(1) == "<"


def includes_go_down(tree: Tree) -> Iterator[Complaint]:
    """api -> sync -> layout, platform -> base; the public headers know none of them."""
    for file in tree.cpp_under("src"):
        floor = floor_of(file)
        if floor not in FLOORS:
            yield file.complain(1, f"src/{floor} is no floor of the house")
            continue
        allowed = FLOORS[floor] | {floor}
        for number, name, angle in included(file):
            if not angle and name.split("/")[0] not in allowed:
                yield file.complain(number, f"{floor} must not include {name}")
    for file in tree.cpp_under("include"):
        for number, name, angle in included(file):
            if not angle and not name.startswith("ndshare/"):
                yield file.complain(number, f"a public header must not include {name}")


def users_include_the_public_headers_only(tree: Tree) -> Iterator[Complaint]:
    """python/, bench/ and examples/ use include/ndshare, as everybody else has to."""
    for file in tree.cpp_under("python", "bench", "examples"):
        for number, name, _ in included(file):
            if name.startswith(ROOMS_OF_FLOORS):
                yield file.complain(number, f"{name} is no public header")


def the_system_is_behind_platform(tree: Tree) -> Iterator[Complaint]:
    """Headers of the operating system, and pthread, are src/platform's alone."""
    for file in tree.cpp_under("src", "include"):
        if file.path.startswith("src/platform/"):
            continue
        for number, name, angle in included(file):
            if angle and name not in STANDARD_HEADERS and not name.startswith("ndshare/"):
                yield file.complain(number, f"<{name}> belongs into src/platform")
        for number, match in file.find(r"\b(pthread_\w+|syscall)\s*\("):
            yield file.complain(number, f"{match.group(1)} belongs into src/platform")


def orders_live_in_sync(tree: Tree) -> Iterator[Complaint]:
    """src/sync orders what processes share. src/api may order its own, private atomics: relaxed
    where a stale value does no harm, seq_cst for everything else. Nobody else names an order."""
    for file in tree.cpp_under("src", "include"):
        if file.path.startswith("src/sync/"):
            continue
        for number, match in file.find(r"\bmemory_order_(\w+)"):
            if file.path.startswith("src/api/") and match.group(1) in ("relaxed", "seq_cst"):
                continue
            yield file.complain(number, f"memory_order_{match.group(1)} belongs into src/sync")


def atomics_never_wait(tree: Tree) -> Iterator[Complaint]:
    """std::atomic::wait sleeps on a private futex and never wakes another process."""
    waits = (
        r"(\.\s*notify_(one|all)\s*\(|\batomic_(wait|notify)\w*|\.\s*wait\s*\([^)]*memory_order)"
    )
    for file in tree.cpp_under("src", "include", "python"):
        for number, _ in file.find(waits):
            yield file.complain(number, "use platform/futex.h")


def volatile_is_no_order(tree: Tree) -> Iterator[Complaint]:
    """volatile: in fork_hooks.cpp and racy_copy.h, where it is argued."""
    allowed = ("src/platform/fork_hooks.cpp", "src/sync/racy_copy.h")
    for file in tree.cpp_under("src", "include", "python"):
        if file.path in allowed:
            continue
        for number, _ in file.find(r"(?<!asm )\bvolatile\b"):
            yield file.complain(number, "volatile orders nothing between processes")


def _rows_of_pairs(document: File) -> Iterator[tuple[int, str]]:
    """The names in the first cells of the tables that are headed as pairs."""
    under_pairs = False
    for number, line in enumerate(document.lines, 1):
        if line.startswith("#"):
            under_pairs = "pairs" in line.lower()
        elif under_pairs and (match := re.match(r"\| `([a-z-]+)` \|", line)):
            yield number, match.group(1)


def orders_come_in_pairs(tree: Tree) -> Iterator[Complaint]:
    """Every SYNC(name) has two ends and one row of docs/ORDERING.md's pairs; and the reverse."""
    places: dict[str, list[tuple[File, int]]] = {}
    for file in tree.cpp_under("src"):
        for number, match in file.find(r"SYNC\(([a-z-]+)\)", code_only=False):
            places.setdefault(match.group(1), []).append((file, number))
    document = tree.get("docs/ORDERING.md")
    rows = list(_rows_of_pairs(document)) if document else []
    argued = Counter(name for _, name in rows)
    for name, found in places.items():
        file, number = found[0]
        if len(found) < 2:
            yield file.complain(number, f"SYNC({name}) has no other end")
        if document and argued[name] != 1:
            yield file.complain(number, f"SYNC({name}) has {argued[name]} rows in ORDERING.md")
    if document:
        for number, name in rows:
            if name not in places:
                yield document.complain(number, f"SYNC({name}) is nowhere in src/")
        for number, match in document.find(r"SYNC\(([a-z-]+)\)"):
            if match.group(1) not in places and match.group(1) != "name":
                yield document.complain(number, f"SYNC({match.group(1)}) is nowhere in src/")


def fault_points_have_one_place(tree: Tree) -> Iterator[Complaint]:
    """The name of a fault point says where it is, so there is one such place."""
    places: dict[str, list[tuple[File, int]]] = {}
    for file in tree.cpp_under("src"):
        if file.path == "src/base/fault.h":
            continue
        for number, match in file.find(r'NDSHARE_FAULT_POINT(?:_QUIET)?\("([^"]*)"\)'):
            places.setdefault(match.group(1), []).append((file, number))
    for name, found in places.items():
        if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name):
            file, number = found[0]
            yield file.complain(number, f"fault point {name!r} is not room.moment")
        for file, number in found[1:]:
            yield file.complain(number, f"fault point {name!r} is also in {found[0][0].path}")


def headers_say_what_they_are(tree: Tree) -> Iterator[Complaint]:
    """A header opens with a comment: its own path, a colon, and what it is."""
    for file in tree.cpp_under("src", "include", "tests"):
        if file.suffix == ".cpp":
            continue
        name = file.path.split("/", 1)[1]
        first = file.lines[0] if file.lines else ""
        if not first.startswith(f"// {name}: "):
            yield file.complain(1, f"opens with '// {name}: what it is'")


def every_source_is_built(tree: Tree) -> Iterator[Complaint]:
    """No dead files: sources are in a CMakeLists.txt, headers are included by somebody."""
    cmake = "\n".join(f.text or "" for f in tree.files if f.path.endswith("CMakeLists.txt"))
    names = Counter(
        name.rsplit("/", 1)[-1]
        for file in tree.files
        if file.is_cpp
        for _, name, _ in included(file)
    )
    for file in tree.cpp_under("src", "tests", "python", "bench", "examples", "include"):
        name = file.path.rsplit("/", 1)[-1]
        # bench/ and examples/ list their programs by stem.
        stem = name.rsplit(".", 1)[0]
        if file.suffix == ".cpp":
            if not re.search(rf"\b{re.escape(stem)}\b", cmake):
                yield file.complain(1, "is in no CMakeLists.txt")
        elif names[name] == 0 and file.path != "include/ndshare/ndshare.hpp":
            yield file.complain(1, "is included by nobody")


def long_functions(tree: Tree) -> Iterator[Complaint]:
    """Shown, not refused."""
    for file in tree.cpp_under("src"):
        begin = 0
        for number, line in enumerate(file.code_lines, 1):
            opens = re.match(r"\S.*\)[^;]*\{\s*$", line)
            if opens and not re.match(r"(namespace|struct|class|enum|#)", line):
                begin = number
            elif line.startswith("}") and begin:
                if number - begin > FUNCTION_LINES_SHOWN:
                    yield file.complain(begin, f"a function of {number - begin + 1} lines")
                begin = 0


RULES = [
    includes_go_down,
    users_include_the_public_headers_only,
    the_system_is_behind_platform,
    orders_live_in_sync,
    atomics_never_wait,
    volatile_is_no_order,
    orders_come_in_pairs,
    fault_points_have_one_place,
    headers_say_what_they_are,
    every_source_is_built,
]
