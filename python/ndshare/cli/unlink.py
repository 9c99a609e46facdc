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
        done: list[str] = []
        first: Exception | None = None
        for name in names:  # all of them, as rm does; the first refusal is the exit code's
            try:
                ndshare.unlink(name)
                done.append(name)
            except Exception as error:
                if missing_ok and isinstance(error, ndshare.NotFound):
                    continue
                if first is not None:
                    typer.echo(f"ndshare: {first}", err=True)
                first = error
        if json:
            print_json({"unlinked": done})
        if first is not None:
            raise first
