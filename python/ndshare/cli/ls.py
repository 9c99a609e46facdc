"""`ndshare ls [PATTERN]`: what is shared."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

import ndshare
from ndshare.cli.output import format_bytes, one_line_errors, print_json


def _nothing(pattern: str) -> str:
    if pattern == "*":
        return "nothing is shared"
    hint = "" if "*" in pattern else f'; names that begin with it: ndshare ls "{pattern}*"'
    return f'nothing matches "{pattern}"{hint}'


def ls(
    pattern: str = typer.Argument("*", help='Shell pattern; "*" also matches "/".'),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List what is shared: name, dtype, shape, size, who holds it."""
    with one_line_errors():
        found = ndshare.ls(pattern)
        if json:
            print_json([one.asdict() for one in found])
            return
        if not found:
            typer.echo(_nothing(pattern))
            return
        table = Table(box=None, pad_edge=False)
        for title in ("name", "dtype", "shape"):
            table.add_column(title, overflow="fold")
        for title in ("size", "version"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("held by")
        for one in found:
            spec = one.spec
            assert isinstance(spec, ndshare.Spec)
            holders = " ".join(map(str, one.holders)) or "-"
            table.add_row(
                one.name,
                str(spec.dtype),
                "x".join(map(str, spec.shape)) or "scalar",
                format_bytes(one.nbytes),
                str(one.counters.get("version", 0)),
                holders + (" (file)" if one.persistent else ""),
            )
        Console().print(table)
