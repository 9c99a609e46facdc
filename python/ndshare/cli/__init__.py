"""The command line: one module a verb. It uses the public API only, as any user could.

Exit codes: 0 done, 1 the thing could not be done (one line on stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import typer

from ndshare import __version__
from ndshare.cli import bench, doctor, hz, info, ls, serve, tail, top, unlink
from ndshare.demo import app as demo

app = typer.Typer(
    name="ndshare",
    help="NumPy arrays that several processes hold at once, by name.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("ls")(ls.ls)
app.command("info")(info.info)
app.command("hz")(hz.hz)
app.command("tail")(tail.tail)
app.command("top")(top.top)
app.command("serve")(serve.serve)
app.command("unlink")(unlink.unlink)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("demo")(demo.demo)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"ndshare {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    """NumPy arrays that several processes hold at once, by name."""


def main() -> None:
    """Entry point of the `ndshare` command."""
    app()
