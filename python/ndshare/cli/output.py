"""How the verbs print: bytes for people, JSON for programs, errors in one line on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

from ndshare import Spec

_NO_TERMINAL_COLUMNS = 10_000


def format_bytes(count: int) -> str:
    """58.1 MiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def spec_texts(spec: Spec | Mapping[str, Spec]) -> tuple[str, str]:
    """(dtype, shape) for people; several fields side by side."""
    if isinstance(spec, Mapping):
        dtypes = ", ".join(f"{name}: {one.dtype}" for name, one in spec.items())
        return dtypes, ", ".join(f"{name}: {_shape(one)}" for name, one in spec.items())
    return str(spec.dtype), "any" if spec.dtype == object else _shape(spec)


def _shape(spec: Spec) -> str:
    if spec.maxshape is not None:
        return "<=" + "x".join(map(str, spec.maxshape))
    return "x".join(map(str, spec.shape)) or "scalar"


def print_json(value: Any) -> None:
    """Indented, keys as they come."""
    typer.echo(json.dumps(value, indent=2, default=str))


def print_json_line(value: Any) -> None:
    """One of many, for who reads line by line."""
    typer.echo(json.dumps(value, default=str))
    sys.stdout.flush()


def make_console() -> Console:
    """For tables. Into a file or pipe, where somebody may look for a name, no line is folded."""
    width = None if sys.stdout.isatty() else _NO_TERMINAL_COLUMNS
    return Console(markup=False, width=width)  # names may have brackets


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What goes wrong is one line on stderr and exit code 1, not a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, (typer.Exit, typer.Abort)):
            raise
        typer.echo(f"ndshare: {error}", err=True)
        raise typer.Exit(1) from None
