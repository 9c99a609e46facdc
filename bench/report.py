"""Tables for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from curve import Curve
from harness import Outcome, Verdict
from results import quantity
from rich.console import Console
from rich.table import Table
from row import Column, Row, Unit

# What was found at each point of a curve.
Points = Sequence[tuple[int, list[Outcome]]]


def print_row(console: Console, row: Row, outcomes: list[Outcome], verdicts: list[Verdict]) -> None:
    table = Table(title=f"{row.name}: {row.question}", title_justify="left", title_style="bold")
    table.add_column("")
    for column in row.columns:
        table.add_column(column.title, justify="right")
    spread_title = next(c.title for c in row.columns if c.field == row.field)
    table.add_column(f"spread of {spread_title}", justify="right")
    for outcome in outcomes:
        name = outcome.contestant.name
        if outcome.wrong:
            table.add_row(name, "[red]wrong[/red]")
        elif outcome.absent:
            table.add_row(name, f"[yellow]{outcome.absent}[/yellow]")
        else:
            table.add_row(
                name,
                *(
                    quantity(outcome.median(c.field), c.unit) if outcome.has(c.field) else "-"
                    for c in row.columns
                ),
                f"{100 * outcome.spread(row.field):.0f} %",
            )
    console.print(table)
    for verdict in verdicts:
        console.print(f"  {verdict_line(verdict)}")
    for outcome in outcomes:
        if outcome.wrong:
            console.print(f"  [red]{outcome.contestant.name} failed:[/red]")
            console.print(outcome.wrong, markup=False, highlight=False)
    console.print()


def print_curve(console: Console, curve: Curve, points: Points) -> None:
    """A table of its main figure: a row a point, a column a line."""
    title = next(c.title for c in curve.columns if c.field == curve.field)
    unit = next(c.unit for c in curve.columns if c.field == curve.field)
    table = Table(
        title=f"{curve.name}: {curve.question}; {title}", title_justify="left", title_style="bold"
    )
    table.add_column(curve.axis, justify="right")
    for line in curve.lines:
        table.add_column(line.name, justify="right")
    for x, outcomes in points:
        by_name = {outcome.contestant.name: outcome for outcome in outcomes}
        cells = [_cell(by_name.get(line.name), curve.field, unit) for line in curve.lines]
        table.add_row(quantity(x, curve.axis_unit), *cells)
    console.print(table)
    for x, outcomes in points:
        for outcome in outcomes:
            if outcome.wrong:
                console.print(f"  [red]{outcome.contestant.name} at {x:,} failed:[/red]")
                console.print(outcome.wrong, markup=False, highlight=False)
    console.print()


def _cell(outcome: Outcome | None, field: str, unit: Unit) -> str:
    if outcome is None:
        return "-"
    if outcome.wrong:
        return "[red]wrong[/red]"
    if outcome.absent:
        return f"[yellow]{outcome.absent}[/yellow]"
    return quantity(outcome.median(field), unit)


def verdict_line(verdict: Verdict) -> str:
    target = verdict.target
    if verdict.value is None:
        result = "[yellow]not measured[/yellow]"
    else:
        answer = "[green]reached[/green]" if verdict.reached else "[red]not reached[/red]"
        result = f"{verdict.value:,.4g}, {answer}"
    if isinstance(target.reference, tuple):
        of = f" of the best of {len(target.reference)}, {verdict.reference or 'all absent'}"
    else:
        of = f" of {target.reference}'s" if target.reference else ""
    return f"{target.contestant}: {target.field} at most {target.most:,.3g}{of}: {result}"


def curve_as_json(curve: Curve, points: Points) -> dict[str, Any]:
    return {
        "name": curve.name,
        "question": curve.question,
        "axis": curve.axis,
        "axis_unit": curve.axis_unit,
        "field": curve.field,
        "shown": list(curve.shown),
        "columns": [asdict(column) for column in curve.columns],
        "points": [
            {"x": x, "contestants": contestants_as_json(curve.columns, outcomes)}
            for x, outcomes in points
        ],
    }


def row_as_json(row: Row, outcomes: list[Outcome], verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "name": row.name,
        "question": row.question,
        "field": row.field,
        "columns": [asdict(column) for column in row.columns],
        "contestants": contestants_as_json(row.columns, outcomes),
        "targets": [
            {
                "contestant": verdict.target.contestant,
                "reference": verdict.reference or verdict.target.reference,
                "field": verdict.target.field,
                "most": verdict.target.most,
                "value": verdict.value,
                "reached": verdict.reached,
            }
            for verdict in verdicts
        ],
    }


def contestants_as_json(
    columns: Sequence[Column], outcomes: Sequence[Outcome]
) -> list[dict[str, Any]]:
    fields = [column.field for column in columns]
    return [
        {
            "name": outcome.contestant.name,
            "command": list(outcome.contestant.command),
            "absent": outcome.absent,
            "wrong": outcome.wrong,
            "median": {f: outcome.median(f) for f in fields if outcome.has(f)},
            "spread": {f: outcome.spread(f) for f in fields if outcome.has(f)},
            "rounds": outcome.rounds,
        }
        for outcome in outcomes
    ]
