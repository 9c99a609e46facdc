"""`ndshare hz NAME`: how fast a stream goes, and who cannot follow."""

from __future__ import annotations

import time

import typer

import ndshare
from ndshare.cli.output import format_bytes, one_line_errors, print_json_line


def hz(
    name: str = typer.Argument(help="The stream."),
    interval: float = typer.Option(1.0, "--interval", min=0.05, help="Seconds between two looks."),
    count: int = typer.Option(0, "--count", min=0, help="So many lines; 0: until Ctrl-C."),
    json: bool = typer.Option(False, "--json", help="One JSON object a line, for each look."),
) -> None:
    """Show frames and bytes a second, losses, lag and peers of a stream, again and again.

    It only looks: no place in the stream, nobody waits for it.
    """
    with one_line_errors():
        before, then = _look(name), time.monotonic()
        lines = 0
        while count == 0 or lines < count:
            time.sleep(interval)
            now, here = _look(name), time.monotonic()
            seconds = here - then
            frames = now.counters["published"] - before.counters["published"]
            frame_nbytes = now.nbytes // max(1, now.counters["slots"])
            again = now.generation == before.generation
            rate = frames / seconds if again else 0.0
            values = {
                "name": name,
                "frames_per_second": round(rate, 3),
                "bytes_per_second": round(rate * frame_nbytes),
                "new_generation": not again,
                **{key: now.counters[key] for key in _SHOWN},
            }
            if json:
                print_json_line(values)
            else:
                typer.echo(
                    f"{rate:10.1f} frames/s  {format_bytes(int(rate * frame_nbytes)):>10}/s  "
                    + "  ".join(f"{key} {now.counters[key]}" for key in _SHOWN)
                    + ("" if again else "  (new generation)")
                )
            before, then = now, here
            lines += 1


_SHOWN = ("publishers", "subscribers", "lag", "dropped", "lost", "pinned")


def _look(name: str) -> ndshare.Info:
    found = ndshare.info(name)
    if found.kind != "stream":
        raise ValueError(f'[hz] "{name}": it is an {found.kind}; hz is for streams')
    return found
