"""A tree that keeps every rule, and for each rule changes that break it: tidy's own canaries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tree import Complaint, Tree

Check = Callable[[Tree], list[tuple[str, Complaint]]]

GOOD = {
    "CMakeLists.txt": "add_library(x src/api/array.cpp src/sync/lock.cpp unit/lock_test.cpp)\n",
    "README.md": "# It\n\nSee [orders](docs/ORDERING.md#the-pairs) and [docs](docs).\n",
    "docs/ORDERING.md": "# Orders\n\n`Lock.holds`\n\n## The `pairs`\n\n| `lock` | one | other |\n",
    "include/ndshare/array.hpp": "// ndshare/array.hpp: an array.\n#include <vector>\n",
    "src/api/array.cpp": '#include "ndshare/array.hpp"\n#include "sync/lock.h"\n// SYNC(lock)\n',
    "src/sync/lock.h": '// sync/lock.h: a lock.\n#include <atomic>\n#include "base/check.h"\n',
    "src/sync/lock.cpp": '#include "sync/lock.h"\n// SYNC(lock)\n#include "platform/os.h"\n',
    "src/base/check.h": "// base/check.h: who is wrong.\n#include <string>\n",
    "tests/unit/lock_test.cpp": "TEST(Lock, holds) {}\n",
    "src/platform/os.h": "// platform/os.h: the system.\n#include <unistd.h>\n",
}
# Rule, file, text that is put behind its own.
BREAKS = [
    ("includes_go_down", "src/base/check.h", '#include "sync/lock.h"'),
    ("includes_go_down", "src/platform/os.h", '#include "layout/word.h"'),
    ("includes_go_down", "include/ndshare/array.hpp", '#include "base/check.h"'),
    ("includes_go_down", "src/cellar/wine.cpp", ""),
    ("users_include_the_public_headers_only", "bench/speed.cpp", '#include "sync/lock.h"'),
    ("the_system_is_behind_platform", "src/sync/lock.h", "#include <sys/mman.h>"),
    ("the_system_is_behind_platform", "src/api/array.cpp", "auto x = pthread_self();"),
    ("orders_live_in_sync", "src/api/array.cpp", "x.load(std::memory_order_acquire);"),
    ("orders_live_in_sync", "src/base/check.h", "x.load(std::memory_order_relaxed);"),
    ("atomics_never_wait", "src/sync/lock.h", "word.notify_all();"),
    ("atomics_never_wait", "src/sync/lock.h", "std::atomic_wait(&word, 1);"),
    ("volatile_is_no_order", "src/sync/lock.h", "volatile int x;"),
    ("orders_come_in_pairs", "src/sync/lock.h", "// SYNC(alone)"),
    ("orders_come_in_pairs", "src/sync/lock.h", "// SYNC(silent)\n// SYNC(silent)"),
    ("orders_come_in_pairs", "docs/ORDERING.md", "SYNC(gone)"),
    ("orders_come_in_pairs", "docs/ORDERING.md", "| `gone` | one | other |"),
    ("orders_come_in_pairs", "docs/ORDERING.md", "| `lock` | again | other |"),
    ("fault_points_have_one_place", "src/api/array.cpp", 'NDSHARE_FAULT_POINT("a.b");\n' * 2),
    ("fault_points_have_one_place", "src/api/array.cpp", 'NDSHARE_FAULT_POINT("Here");'),
    ("headers_say_what_they_are", "src/sync/other.h", "#pragma once"),
    ("every_source_is_built", "src/api/dead.cpp", ""),
    ("every_source_is_built", "src/sync/dead.h", "// sync/dead.h: nobody wants it."),
    ("lines_fit", "src/sync/lock.h", "// " + "x" * 98),
    ("lines_fit", "src/sync/lock.h", "int x; "),
    ("lines_fit", "src/sync/lock.h", "\tint x;"),
    ("files_have_one_job", "src/sync/lock.cpp", "int x;\n" * 500),
    ("nothing_is_left_unfinished", "src/sync/lock.h", "// TO" + "DO: more"),
    ("links_lead_somewhere", "README.md", "[gone](docs/GONE.md)"),
    ("links_lead_somewhere", "README.md", "[gone](docs/ORDERING.md#gone)"),
    ("named_tests_exist", "README.md", "proved by `test_that_it_holds`"),
    ("named_tests_exist", "README.md", "proved by `Lock.holds_for_ever`"),
    ("blobs_are_small", "docs/picture.png", "x" * (101 << 10)),
    ("it_speaks_of_itself_only", "README.md", "see /wo" + "rk/shared/NOTES.md"),
    ("it_speaks_of_itself_only", "README.md", "as decided in the last ses" + "sion"),
]


def _write(root: Path, files: dict[str, str]) -> Tree:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Tree.of(root)


def self_test(complaints_about: Check, rules: list[str]) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for rule, complaint in complaints_about(_write(Path(folder), GOOD)):
            print(f"a good tree is refused: {complaint}  [{rule}]")
            failed += 1
    for rule, path, text in BREAKS:
        with tempfile.TemporaryDirectory() as folder:
            files = {**GOOD, path: GOOD.get(path, "") + text + "\n"}
            names = [name for name, _ in complaints_about(_write(Path(folder), files))]
        if rule not in names:
            print(f"{rule} does not notice {text[:60]!r} in {path}")
            failed += 1
    for rule in sorted(set(rules) - {rule for rule, _, _ in BREAKS}):
        print(f"{rule} was never broken here")
        failed += 1
    print(f"{len(BREAKS)} broken trees, {failed} complaints")
    return 1 if failed else 0
