"""Tables for people, JSON for machines."""

from __future__ import annotations

from typing import Any

from harness import Outcome, Verdict
from rich.console import Console
from rich.table import Table
from row import Row, Unit


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
                *(quantity(outcome.median(c.field), c.unit) for c in row.columns),
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


def quantity(value: float, unit: Unit) -> str:
    """Three figures and the unit."""
    if unit == "number":
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    if unit == "bytes":
        return f"{value:,.0f} B" if value else "-"
    for scale, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if value >= scale:
            return (
                f"{value / scale:.3g} {name}"
                if value < 1000 * scale
                else (f"{value / scale:,.0f} {name}")
            )
    return f"{value:.0f} ns"


def row_as_json(row: Row, outcomes: list[Outcome], verdicts: list[Verdict]) -> dict[str, Any]:
    fields = [column.field for column in row.columns]
    return {
        "name": row.name,
        "question": row.question,
        "contestants": [
            {
                "name": outcome.contestant.name,
                "command": list(outcome.contestant.command),
                "absent": outcome.absent,
                "wrong": outcome.wrong,
                "median": {f: outcome.median(f) for f in fields} if outcome.rounds else {},
                "spread": {f: outcome.spread(f) for f in fields} if outcome.rounds else {},
                "rounds": outcome.rounds,
            }
            for outcome in outcomes
        ],
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
