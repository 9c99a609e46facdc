"""Takes every comparison, guard, order, sum and bare call of src/sync and src/layout away, one at
a time, and looks whether a test notices.

mutation.py plant FOLDER     writes mutated copies into FOLDER/mutated, mutants to mutants.json
mutation.py run FOLDER       tries every mutant with the tests that are built in FOLDER
    --jobs N                 so many at a time (2)
    --only TEXT              those whose file, function or text contains it
    --again                  only those that no former run saw noticed
    --stages N               1: unit and a part of the schedule tests, 2: and fuzz replays,
                             3: and processes, 4: and all of the schedule tests (4)
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from points import Mutant, rewrite
from programs import Bench, Program, Test, list_tests, noticed_by, record
from verdicts import Known, Verdict, judge, load_justified

ROOT = Path(__file__).resolve().parents[2]
JUSTIFIED = Path(__file__).with_name("justified.toml")
SHOW_SECONDS = 5
SHARE = 10  # one in so many of the schedule tests' seeds, at first


def plant(folder: Path) -> None:
    sources = sorted(
        path.relative_to(ROOT / "src").as_posix()
        for floor in ("sync", "layout")
        for path in (ROOT / "src" / floor).iterdir()
        if path.suffix in (".h", ".cpp")
    )
    mutants: list[Mutant] = []
    for source in sources:
        flags = [f"-I{ROOT / 'src'}", "-DNDSHARE_CHECKED"]
        text, found = rewrite(ROOT / "src", source, len(mutants) + 1, flags)
        mutants += found
        path = folder / "mutated" / source
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:  # what did not change is not built
            path.write_text(text)
    rows = [dataclasses.asdict(mutant) for mutant in mutants]
    (folder / "mutants.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(mutants)} mutants in {len(sources)} files")


def programs(folder: Path) -> list[list[Program]]:
    """In the order in which they are asked: what is soon done first."""
    tests, corpus = folder / "tests", ROOT / "tests" / "fuzz" / "corpus"
    schedule = (str(tests / "ndshare_schedule_tests"),)
    scripts = str(tests / "fuzz" / "ndshare_fuzz_scripts")
    replay = str(tests / "fuzz" / "ndshare_fuzz_replay")
    few = (("NDSHARE_FUZZ_RUNS", "2000"),)
    part = (("NDSHARE_SCHEDULE_RUNS", str(1 / SHARE)),)
    walks = (("NDSHARE_WALK_PASSES", "1"),)
    return [
        [
            Program("unit", (str(tests / "ndshare_unit_tests"),)),
            Program("schedule", schedule, environment=part),
        ],
        [
            Program("fuzz validate", (replay, str(corpus / "validate")), False),
            *(
                Program(f"fuzz {target}", (scripts, target, str(corpus / target)), False, few)
                for target in ("attach", "take", "serve")
            ),
        ],
        [Program("process", (str(tests / "process/ndshare_process_tests"),), environment=walks)],
        [Program("schedule, all seeds", schedule)],
    ]


def record_all(folder: Path, count: int) -> list[list[Test]]:
    """The tests of each stage; the last has the tests of the first, for longer."""
    found: list[list[Test]] = []
    bench = Bench(folder)
    stages = programs(folder)
    for stage in stages[: min(count, 3)]:
        tests = [test for program in stage for test in list_tests(program)]
        for number, test in enumerate(tests, 1):
            show(f"recording {number} of {len(tests)}: {test.name}", number == len(tests))
            record(bench, test, folder / "hits")
        found.append(tests)
    if count > 3:
        program = stages[3][0]
        found.append(
            [
                Test(program, test.name, test.seconds * SHARE, test.hits)
                for test in found[0]
                if test.program.name == "schedule"
            ]
        )
    return found


shown_at = 0.0


def show(text: str, now: bool = False) -> None:
    global shown_at
    is_terminal = sys.stdout.isatty()
    if not now and time.monotonic() - shown_at < (0.2 if is_terminal else SHOW_SECONDS):
        return
    shown_at = time.monotonic()
    print(f"\r{text[:99]:99}" if is_terminal else text, end="" if is_terminal else "\n", flush=True)


def try_all(
    folder: Path, mutants: list[Mutant], stages: list[list[Test]], jobs: int
) -> Iterator[Verdict]:
    benches: queue.SimpleQueue[Bench] = queue.SimpleQueue()
    for number in range(jobs):
        benches.put(Bench(folder, number))

    def try_one(mutant: Mutant) -> Verdict:
        bench = benches.get()
        try:
            covering = [[t for t in tests if mutant.number in t.hits] for tests in stages]
            for tests in covering:
                found = noticed_by(bench, mutant.number, tests)
                if found:
                    return Verdict(mutant, found)
            return Verdict(mutant, None, any(covering))
        finally:
            benches.put(bench)

    begin, done, survived = time.monotonic(), 0, 0
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        for verdict in pool.map(try_one, mutants):
            yield verdict
            done += 1
            survived += verdict.noticed_by is None
            left = (time.monotonic() - begin) / done * (len(mutants) - done)
            show(f"{done} of {len(mutants)}: {done - survived} noticed, {survived} not, "
                 f"{left / 60:.0f} min left", done == len(mutants))  # fmt: skip
            if verdict.noticed_by is None:
                print(f"\n{verdict.mutant.file}:{verdict.mutant.line}: {verdict.mutant.key}")
    except KeyboardInterrupt:
        print("\nstopped; the report is of what was tried")
        pool.shutdown(wait=False, cancel_futures=True)


def run(folder: Path, options: argparse.Namespace) -> int:
    mutants = [Mutant(**row) for row in json.loads((folder / "mutants.json").read_text())]
    known = Known(folder / "results.json", mutants)
    chosen = [m for m in mutants if all(text in m.key for text in options.only)]
    if not chosen:
        raise SystemExit(f"no mutant's key contains {' and '.join(options.only)}")
    if options.again:
        chosen = [m for m in chosen if not known.is_noticed(m)]
    for verdict in try_all(folder, chosen, record_all(folder, options.stages), options.jobs):
        known.add(verdict)
    known.save()
    report, good = judge(known.verdicts(), load_justified(JUSTIFIED), known.is_whole())
    print("\n" + report)
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("verb", choices=("plant", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--stages", type=int, choices=range(1, 5), default=4)
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.verb == "run":
        return run(folder, options)
    plant(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
