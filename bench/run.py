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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import report
import rows
from curve import Curve
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
        help="rows and curves whose names begin so; may be given again",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="all figures, with the machine's")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="results.json, plots and one HTML page of them, here",
    )
    parser.add_argument("--no-curves", action="store_true", help="rows only")
    parser.add_argument(
        "--list", action="store_true", help="names and questions of the rows and curves"
    )
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


def choose(beginnings: list[str]) -> tuple[list[Row], list[Curve]]:
    """Throws ValueError for a beginning that nothing has."""
    names = [one.name for one in (*rows.ALL, *rows.CURVES)]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            known = ", ".join(names)
            raise ValueError(f"--only {beginning}: no row begins so; there are {known}")

    def is_wanted(name: str) -> bool:
        return not beginnings or any(name.startswith(beginning) for beginning in beginnings)

    return (
        [row for row in rows.ALL if is_wanted(row.name)],
        [curve for curve in rows.CURVES if is_wanted(curve.name)],
    )


class Run:
    """What has been found so far; it is there too when a run is ended early."""

    def __init__(self, console: Console, settings: Settings, show: Callable[[str], None]) -> None:
        self._console = console
        self._settings = settings
        self._show = show
        self.rows: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self.failed = False

    def measure_row(self, row: Row) -> None:
        outcomes = run_row(row, self._settings, self._show)
        verdicts = judge(row, outcomes)
        report.print_row(self._console, row, outcomes, verdicts)
        self.rows.append(report.row_as_json(row, outcomes, verdicts))
        self.failed |= any(outcome.wrong for outcome in outcomes)

    def measure_curve(self, curve: Curve) -> None:
        xs = curve.smoke_points if self._settings.smoke else curve.points
        points = [(x, run_row(curve.row(x), self._settings, self._show)) for x in xs]
        report.print_curve(self._console, curve, points)
        self.curves.append(report.curve_as_json(curve, points))
        self.failed |= any(outcome.wrong for _, outcomes in points for outcome in outcomes)


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
        for one in (*rows.ALL, *rows.CURVES):
            console.print(f"{one.name:28}{one.question}", highlight=False)
        return 0
    try:
        chosen_rows, chosen_curves = choose(options.only)
        if options.smoke and not options.only:
            chosen_rows = [row for row in chosen_rows if row.in_smoke]
        cpus = choose_cpus(options.cpus)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    # Told to end, it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load_before = machine.load()
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    interrupted = False
    with private_folder() as folder, console.status("") as status:
        settings = Settings(
            options.programs.resolve(),
            folder,
            cpus,
            1 if options.smoke else options.rounds,
            options.smoke,
        )
        run = Run(console, settings, lambda text: status.update(text))
        try:
            for row in chosen_rows:
                run.measure_row(row)
            for curve in chosen_curves if not options.no_curves else ():
                run.measure_curve(curve)
        except KeyboardInterrupt:
            interrupted = True
    if options.smoke:
        console.print("Smoke size: the results were checked, the times mean nothing.")
    results = {
        "machine": machine.describe(),
        "started": started,
        "load_before": load_before,
        "load_after": machine.load(),
        "cpus": cpus,
        "rounds": settings.rounds,
        "smoke": options.smoke,
        "rows": run.rows,
        "curves": run.curves,
    }
    for path in (options.json, options.report and options.report / "results.json"):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1) + "\n")
    if options.report is not None:
        # Matplotlib takes a second to load, and only who wants a page needs it.
        import report_html

        console.print(f"The report: {report_html.write(results, options.report)}")
    return 130 if interrupted else 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
