"""`ndshare tail NAME`: the frames of a stream as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import typer

import ndshare
from ndshare.cli.output import one_line_errors, print_json_line


def tail(
    name: str = typer.Argument(help="The stream; it need not be there yet."),
    count: int = typer.Option(0, "--count", min=0, help="So many frames; 0: until Ctrl-C."),
    latest: bool = typer.Option(
        True, help="Only the newest at each look; else every frame (a `block` publisher waits)."
    ),
    json: bool = typer.Option(False, "--json", help="One JSON object a line, for each frame."),
) -> None:
    """Follow a stream: number, age, shape and a summary of each frame."""
    with one_line_errors(), ndshare.Subscriber(name, latest=latest) as sub:
        shown = 0
        if sub.publisher_count == 0:
            typer.echo(f"nobody publishes {name} yet; waiting (Ctrl-C ends it)", err=True)
        for frame in sub:
            values = _describe(frame)
            if json:
                print_json_line(values)
            else:
                fields = "  ".join(f"{key}: {text}" for key, text in values["fields"].items())
                attrs = f"  {values['attrs']}" if values["attrs"] else ""
                typer.echo(f"{frame.seq}  {frame.age * 1e3:8.3f} ms old  {fields}{attrs}")
            del frame
            shown += 1
            if shown == count:
                break
        typer.echo(f"{shown} frames, {sub.lost} lost", err=True)


def _describe(frame: ndshare.Frame) -> dict[str, Any]:
    if frame._is_object:
        text = repr(frame.value)
        fields = {"value": text if len(text) < 200 else text[:197] + "..."}
    else:
        fields = {field or "array": _summary(frame[field]) for field in frame._fields}
    return {
        "seq": frame.seq,
        "generation": frame.generation,
        "time_ns": frame.time_ns,
        "fields": fields,
        "attrs": dict(frame.attrs),
    }


def _summary(array: np.ndarray[Any, Any]) -> str:
    shape = "x".join(map(str, array.shape)) or "scalar"
    text = f"{array.dtype} {shape}"
    if array.size == 0 or array.dtype.kind not in "biuf":
        return text
    if array.size == 1:
        return f"{text} {array.item()}"
    low, mean, high = array.min(), array.mean(dtype="f8"), array.max()
    return f"{text} min {low} mean {mean:.4g} max {high}"
