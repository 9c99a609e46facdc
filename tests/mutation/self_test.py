"""Mutates a small program and asks its one test: what is tested must be noticed, what no test looks
at must survive, and every kind of mutant must be found, once each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from points import Mutant, rewrite
from programs import Bench, Program, Test, noticed_by, record
from verdicts import Known, Reason, Verdict, judge

SOURCE = """\
#include <atomic>
inline int calls = 0;
inline void call() { ++calls; }
struct Ground {
    int load_acquire(const int& word) const { return word; }
    int load_relaxed(const int&) const { return -1; }
};
constexpr bool tested(int a, int b) { return a < b; }
inline bool untested(int a, int b) { return a < b; }
inline int all_kinds(int a, const int& word) {
    Ground ground;
    if (a > 3 && !(a == 7)) call();
    while (a > 100) a = a - 1;
    const bool odd = !tested(a, 2);
    constexpr int fixed = 3 + 4;
    static_assert(fixed < 8);
    return odd ? ground.load_acquire(word) + fixed : 0;
}
"""
PROGRAM = """\
#include "sample.h"
int main() {
    const int word = 5;
    if (!tested(1, 2) || tested(2, 2) || tested(3, 2)) return 1;
    (void)untested(1, 2);
    return all_kinds(5, word) != 12 || calls != 1;
}
"""
EXPECTED = {
    "tested: a < b => a <= b", "tested: a < b => a >= b",
    "untested: a < b => a <= b", "untested: a < b => a >= b",
    "all_kinds: a > 3 && !(a == 7) => true", "all_kinds: a > 3 && !(a == 7) => false",
    "all_kinds: a > 3 && !(a == 7) => a > 3 || !(a == 7)",
    "all_kinds: a > 3 => true", "all_kinds: a > 3 => a >= 3", "all_kinds: !(a == 7) => true",
    "all_kinds: a == 7 => a != 7", "all_kinds: call() => removed",
    "all_kinds: a > 100 => true", "all_kinds: a > 100 => false", "all_kinds: a > 100 => a >= 100",
    "all_kinds: a - 1 => a + 1", "all_kinds: !tested(a, 2) => tested(a, 2)",
    "all_kinds: odd => true", "all_kinds: odd => false",
    "all_kinds: ground.load_acquire(word) => load_relaxed",
    "all_kinds: ground.load_acquire(word) + fixed => ground.load_acquire(word) - fixed",
}  # fmt: skip
TRIED = ("tested: ", "untested: ", "all_kinds: call()", "all_kinds: ground.load_acquire(word) =>")


def built(folder: Path) -> tuple[Program, list[Mutant]]:
    (folder / "plain").mkdir()
    (folder / "plain/sample.h").write_text(SOURCE)
    text, mutants = rewrite(folder / "plain", "sample.h", 1, [])
    (folder / "sample.h").write_text(text)
    (folder / "program.cpp").write_text(PROGRAM)
    here = Path(__file__).resolve().parent
    subprocess.run(
        [os.environ.get("CXX", "c++"), "-std=c++20", "-w", f"-I{here.parent}", f"-I{folder}",
         str(folder / "program.cpp"), str(here / "choice.cpp"), "-o", str(folder / "program")],
        check=True,
    )  # fmt: skip
    return Program("program", (str(folder / "program"),), has_tests=False), mutants


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program, mutants = built(folder)
        found = sorted(m.key.removeprefix("sample.h ") for m in mutants)
        assert found == sorted(EXPECTED), sorted(set(found) ^ EXPECTED)
        test = Test(program, "program")
        record(Bench(folder), test, folder / "hits")
        known = Known(folder / "results.json", mutants)
        for mutant in mutants:
            assert (mutant.number in test.hits) == ("a - 1" not in mutant.key), mutant.key
            if mutant.key.startswith(tuple(f"sample.h {begin}" for begin in TRIED)):
                known.add(Verdict(mutant, noticed_by(Bench(folder), mutant.number, [test])))
        for verdict in known.verdicts():
            survives = "untested" in verdict.mutant.key
            assert (verdict.noticed_by is None) == survives, verdict.mutant.key
        known.save()
        again = Known(folder / "results.json", mutants).verdicts()
        assert [v.noticed_by for v in again] == [v.noticed_by for v in known.verdicts()]
        survivors = [v.mutant.key for v in again if v.noticed_by is None]
        reasons = {key: Reason("equivalent", "as planted") for key in survivors}
        assert not judge(again, {}, True)[1], "survivors were overlooked"
        assert judge(again, reasons, True)[1], "justified ones are not believed"
        stale = {**reasons, "sample.h nobody: a => b": Reason("equivalent", "of nothing")}
        assert not judge(again, stale, True)[1], "a stale reason was overlooked"
    print(f"{len(mutants)} mutants, as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
