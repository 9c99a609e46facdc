"""Writes docs/BENCHMARKS.md from the results.json of a full run; needs no package.

Exit status: 0; 2 for results that are no full run's, or a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import results

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "BENCHMARKS.md"


# ---- what both reports show of a row -------------------------------------------------------------


def titles(row: Mapping[str, Any]) -> list[str]:
    main = results.column(row, row["field"])["title"]
    return [*(column["title"] for column in row["columns"]), f"spread of {main}"]


def cells(row: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    """None where it was not measured, or wrong."""
    if not one["median"] or one["wrong"]:
        return []
    values = [
        results.quantity(one["median"][column["field"]], column["unit"])
        if column["field"] in one["median"]
        else "-"
        for column in row["columns"]
    ]
    return [*values, f"{100 * one['spread'][row['field']]:.0f} %"]


def target_text(target: Mapping[str, Any]) -> str:
    most = f"{target['most']:,.3g}"
    of = results.reference_text(target)
    return f"{target['contestant']}: {target['field']} at most {most}{of}"


def answer(target: Mapping[str, Any]) -> str:
    if target["value"] is None:
        return "not measured"
    return f"{target['value']:,.3g}, {'reached' if target['reached'] else 'NOT reached'}"


# ---- and of a curve ------------------------------------------------------------------------------


def line_names(curve: Mapping[str, Any]) -> list[str]:
    return list(
        dict.fromkeys(one["name"] for point in curve["points"] for one in point["contestants"])
    )


def point_cells(
    curve: Mapping[str, Any], point: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    unit = results.column(curve, curve["field"])["unit"]
    by_name = {one["name"]: one for one in point["contestants"]}
    found = []
    for name in names:
        one = by_name.get(name)
        if one is None:
            found.append("-")
        elif one["wrong"]:
            found.append("WRONG")
        else:
            value = one["median"].get(curve["field"])
            found.append(one["absent"] if value is None else results.quantity(value, unit))
    return found


def curve_leads(curve: Mapping[str, Any]) -> list[str]:
    """A line for each peer and each of ours: at which points it is ahead."""
    where: dict[tuple[str, str], list[str]] = {}
    for point in curve["points"]:
        for lead in results.leads(point["contestants"], curve["field"]):
            at = results.quantity(point["x"], curve["axis_unit"])
            where.setdefault((lead.peer, lead.ours), []).append(f"{at} ({lead.factor:.2f} times)")
    return [
        f"{peer} is ahead of {ours} at {', '.join(points)}."
        for (peer, ours), points in where.items()
    ]


# ---- the page ------------------------------------------------------------------------------------


def page(found: Mapping[str, Any]) -> str:
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield "# Measured"
    yield ""
    yield "Made by `python bench/report_pages.py results.json` of one run of `make bench`; not"
    yield "edited by hand. [bench/README.md](../bench/README.md) says how it is measured and what"
    yield "each row asks. Medians of the rounds; the spread is from the least to the most of them,"
    yield "as a share of the median. Where a peer is ahead of ndshare under the same load, in the"
    yield "same language, a line says so."
    yield ""
    yield from _table(["", ""], ([word, text] for word, text in results.machine_lines(found)))
    targets = [target for row in found["rows"] for target in row["targets"]]
    reached = sum(target["reached"] is True for target in targets)
    missed = sum(target["reached"] is False for target in targets)
    yield f"Targets: {reached} reached, {missed} not reached, of {len(targets)}."
    yield ""
    for row in found["rows"]:
        yield from _row(row)
    for curve in found["curves"]:
        yield from _curve(curve)


def _row(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {row['name']}"
    yield ""
    yield f"{row['question']}."
    yield ""
    lines = []
    for one in row["contestants"]:
        shown = cells(row, one)
        name = f"**{one['name']}**" if results.family(one["name"]) == results.OURS else one["name"]
        instead = "WRONG" if one["wrong"] else one["absent"]
        lines.append([name, *(shown or [instead, *[""] * (len(titles(row)) - 1)])])
    yield from _table(["", *titles(row)], lines)
    notes = [
        f"- {one['name']} is left out, since one round of it failed: "
        f"`{one['wrong'].strip().splitlines()[-1]}`."
        for one in row["contestants"]
        if one["wrong"].strip()
    ]
    notes += [
        f"- {lead.peer} is ahead of {lead.ours}, {lead.factor:.2f} times."
        for lead in results.leads(row["contestants"], row["field"])
    ]
    notes += [f"- {target_text(target)}: {answer(target)}." for target in row["targets"]]
    if notes:
        yield from notes
        yield ""


def _curve(curve: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {curve['name']}"
    yield ""
    yield f"{curve['question']}. {results.column(curve, curve['field'])['title']}:"
    yield ""
    names = line_names(curve)
    yield from _table(
        [curve["axis"], *names],
        (
            [results.quantity(point["x"], curve["axis_unit"]), *point_cells(curve, point, names)]
            for point in curve["points"]
        ),
    )
    notes = [f"- {line}" for line in curve_leads(curve)]
    if notes:
        yield from notes
        yield ""


def _table(heads: Sequence[str], lines: Any) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|---" + "|---:" * (len(heads) - 1) + "|"
    for line in lines:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
    yield ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("results", type=Path, help="of `bench/run.py --report` or `--json`")
    parser.add_argument("--output", type=Path, default=_PAGE, help="(default: docs/BENCHMARKS.md)")
    options = parser.parse_args()
    found = json.loads(options.results.read_text())
    if found["smoke"]:
        print(f"{options.results}: of a smoke run, whose times mean nothing", file=sys.stderr)
        return 2
    options.output.write_text(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
