"""`ndshare ls [PATTERN]`: what is shared."""

from __future__ import annotations

import typer
from rich.table import Table

import ndshare
from ndshare.cli.output import (
    format_bytes,
    make_console,
    one_line_errors,
    print_json,
    spec_texts,
)


def _nothing(pattern: str) -> str:
    if pattern == "*":
        return "nothing is shared"
    hint = "" if "*" in pattern else f'; names that begin with it: ndshare ls "{pattern}*"'
    return f'nothing matches "{pattern}"{hint}'


def ls(
    pattern: str = typer.Argument("*", help='Shell pattern; "*" also matches "/".'),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List what is shared: arrays with their writes, streams with their frames, services with
    the calls that their living workers answered."""
    with one_line_errors():
        found = ndshare.ls(pattern)
        if json:
            print_json([one.asdict() for one in found])
            return
        if not found:
            typer.echo(_nothing(pattern))
            return
        table = Table(box=None, pad_edge=False)
        for title in ("name", "kind", "dtype", "shape"):
            table.add_column(title, overflow="fold")
        for title in ("size", "count"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("losses")
        table.add_column("held by")
        for one in found:
            holders = " ".join(map(str, one.holders)) or "-"
            table.add_row(
                one.name,
                one.kind,
                *spec_texts(one.spec),
                format_bytes(one.nbytes),
                str(_count(one)),
                _losses(one),
                holders + (" (file)" if one.persistent else ""),
            )
        make_console().print(table)


def _count(one: ndshare.Info) -> int:
    """What happened so far: completed writes, frames, answered calls."""
    counted = {"array": "version", "stream": "published", "service": "answered"}[one.kind]
    return one.counters[counted]


def _losses(one: ndshare.Info) -> str:
    """What publishers dropped and subscribers lost; calls that nobody answered."""
    if one.kind == "service":
        lost = one.counters["died"] + one.counters["expired"]
        return f"{lost} unanswered" if lost else "none"
    if one.kind != "stream":
        return ""
    dropped, lost = one.counters["dropped"], one.counters["lost"]
    return f"{dropped} dropped, {lost} lost" if dropped or lost else "none"
