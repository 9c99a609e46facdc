"""One page of all figures that needs nothing beside it, and the pictures of it as files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import plots
import report_pages
import results

_FOLDER = Path(__file__).resolve().parent


def write(found: Mapping[str, Any], folder: Path) -> Path:
    """report.html and *.png; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html.jinja").render(
        smoke=found["smoke"],
        machine=results.machine_lines(found),
        rows=[_row(row, folder) for row in found["rows"]],
        curves=[_curve(curve, folder) for curve in found["curves"]],
    )
    path = folder / "report.html"
    path.write_text(page)
    return path


def _row(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "name": row["name"],
        "question": row["question"],
        "titles": report_pages.titles(row),
        "lines": [
            {
                "name": one["name"],
                "kind": {results.OURS: "ours", results.LIMIT: "limit"}.get(
                    results.family(one["name"]), "peer"
                ),
                "instead": "WRONG: " + one["wrong"] if one["wrong"] else one["absent"],
                "cells": report_pages.cells(row, one),
            }
            for one in row["contestants"]
        ],
        "leads": list(results.leads(row["contestants"], row["field"])),
        "verdicts": [
            {
                "text": report_pages.target_text(target),
                "answer": report_pages.answer(target),
                "kind": {True: "yes", False: "no", None: ""}[target["reached"]],
            }
            for target in row["targets"]
        ],
        "picture": _picture(plots.row_picture(row), folder / f"{row['name']}.png"),
    }


def _curve(curve: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    names = report_pages.line_names(curve)
    return {
        "name": curve["name"],
        "question": curve["question"],
        "axis": curve["axis"],
        "names": names,
        "points": [
            {
                "x": results.quantity(point["x"], curve["axis_unit"]),
                "cells": report_pages.point_cells(curve, point, names),
            }
            for point in curve["points"]
        ],
        "leads": report_pages.curve_leads(curve),
        "pictures": [
            _picture(plots.curve_picture(curve, field), folder / f"{curve['name']}-{field}.png")
            for field in curve["shown"]
        ],
    }


def _picture(png: bytes, path: Path) -> str:
    path.write_bytes(png)
    return base64.b64encode(png).decode()
