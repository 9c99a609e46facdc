"""`ndshare info NAME`: one shared thing, whole."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

import ndshare
from ndshare.cli.output import format_bytes, one_line_errors, print_json, spec_texts


def info(
    name: str = typer.Argument(help="Its name."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show one shared thing: spec, memory, holders, counters, attributes, path."""
    with one_line_errors():
        found = ndshare.info(name)
        if json:
            print_json(found.asdict())
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("name", found.name)
        table.add_row("kind", found.kind)
        if isinstance(found.spec, ndshare.Spec) and found.spec.dtype != object:
            dtype, shape = spec_texts(found.spec)
            table.add_row("dtype", dtype)
            table.add_row("shape", f"{shape}, order {found.spec.order}")
        elif isinstance(found.spec, ndshare.Spec):
            table.add_row("values", "any picklable object")
        else:
            for field, spec in found.spec.items():
                table.add_row(f"field {field}", " of ".join(reversed(spec_texts(spec))))
        table.add_row(
            "memory",
            f"{format_bytes(found.nbytes)} of values, {format_bytes(found.footprint_bytes)} taken",
        )
        where = "a file that survives its users" if found.persistent else "held by the kernel"
        table.add_row("lives", f"{where}: {found.path}")
        table.add_row("held by", " ".join(map(str, found.holders)) or "nobody")
        table.add_row("generation", str(found.generation))
        for counter, value in found.counters.items():
            table.add_row(counter, str(value))
        for worker in found.workers:
            state = f"busy for {worker['busy_s']:.3g} s" if worker["state"] == "busy" else "idle"
            table.add_row(
                f"worker {worker['pid']}",
                f"{state}, {worker['answered']} answered, {worker['failed']} failed, "
                f"{worker['batches']} batches, mean {worker['mean_s'] * 1e3:.3g} ms",
            )
        for end in found.ends:
            if end["kind"] == "client":
                table.add_row(f"client {end['pid']}", "")
                continue
            counted = "dropped" if end["kind"] == "publisher" else "lost"
            table.add_row(
                f"{end['kind']} {end['pid']}",
                f"{end['count']} {counted}, {end['lag']} behind, {end['pinned']} pinned",
            )
        for key, value in found.attrs.items():
            table.add_row(f"attrs.{key}", repr(value))
        # What others were promised never to change, or is being asked and answered, is for looking.
        mode = "r+" if found.kind == "array" else "r"
        table.add_row("plain NumPy", f'numpy.load("{found.path}", mmap_mode="{mode}")')
        Console(markup=False).print(table)  # names may have brackets
