"""Measures ndshare beside its limits and its peers; see README.md here.

Exit status: 0, also when a target is not reached (time depends on the machine); 1 when a contestant
failed or its results were wrong; 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

import machine
import report
import rows
from harness import BENCH, Settings, judge, private_folder, run_row
from rich.console import Console
from row import Row


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="tiny counts, one round: does everything run and give right results?",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="of each row, interleaved; medians are shown (default: 5)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="rows whose names begin so; may be given again",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="all figures, with the machine's")
    parser.add_argument("--list", action="store_true", help="names and questions of the rows")
    parser.add_argument(
        "--programs",
        type=Path,
        metavar="FOLDER",
        default=BENCH.parent / "build" / "bench" / "bench",
        help="the C++ programs (default: what the preset `bench` builds)",
    )
    parser.add_argument(
        "--cpus", metavar="A,B", help="where the two processes run (default: the first two allowed)"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds takes a number of at least 1")
    return options


def choose_rows(beginnings: list[str]) -> list[Row]:
    """Throws ValueError for a beginning that no row has."""
    for beginning in beginnings:
        if not any(row.name.startswith(beginning) for row in rows.ALL):
            known = ", ".join(row.name for row in rows.ALL)
            raise ValueError(f"--only {beginning}: no row begins so; there are {known}")
    return [
        row
        for row in rows.ALL
        if not beginnings or any(row.name.startswith(beginning) for beginning in beginnings)
    ]


def choose_cpus(text: str | None) -> tuple[int, int]:
    """Two of those this process may use; the same one twice where there is no other."""
    allowed = sorted(os.sched_getaffinity(0))
    if text is None:
        return allowed[0], allowed[min(1, len(allowed) - 1)]
    first, _, second = text.partition(",")
    chosen = int(first), int(second)
    if not set(chosen) <= set(allowed):
        raise ValueError(f"--cpus {text}: allowed are {', '.join(map(str, allowed))}")
    return chosen


def main() -> int:
    options = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    if options.list:
        for row in rows.ALL:
            console.print(f"{row.name:28}{row.question}", highlight=False)
        return 0
    try:
        chosen = choose_rows(options.only)
        cpus = choose_cpus(options.cpus)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    # Told to end, it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load_before = machine.load()
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    failed = False
    results = []
    interrupted = False
    with private_folder() as folder, console.status("") as status:
        settings = Settings(
            options.programs.resolve(),
            folder,
            cpus,
            1 if options.smoke else options.rounds,
            options.smoke,
        )
        try:
            for row in chosen:
                outcomes = run_row(row, settings, lambda text: status.update(text))
                verdicts = judge(row, outcomes)
                report.print_row(console, row, outcomes, verdicts)
                results.append(report.row_as_json(row, outcomes, verdicts))
                failed |= any(outcome.wrong for outcome in outcomes)
        except KeyboardInterrupt:
            interrupted = True
    if options.smoke:
        console.print("Smoke size: the results were checked, the times mean nothing.")
    if options.json and results:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps(
                {
                    "machine": machine.describe(),
                    "started": started,
                    "load_before": load_before,
                    "load_after": machine.load(),
                    "cpus": cpus,
                    "rounds": settings.rounds,
                    "smoke": options.smoke,
                    "rows": results,
                },
                indent=1,
            )
            + "\n"
        )
    return 130 if interrupted else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
