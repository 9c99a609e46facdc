"""`ndshare unlink NAME…`: removes names."""

from __future__ import annotations

import typer

import ndshare
from ndshare.cli.output import one_line_errors, print_json


def unlink(
    names: list[str] = typer.Argument(help="The names to remove.", metavar="NAME..."),
    missing_ok: bool = typer.Option(False, "--missing-ok", help="An absent name is no error."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Remove names. Whoever holds the memory keeps it; files of persistent arrays are deleted."""
    with one_line_errors():
        for name in names:
            ndshare.unlink(name, missing_ok=missing_ok)
        if json:
            print_json({"unlinked": names})
