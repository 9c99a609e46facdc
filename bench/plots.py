"""Pictures of the figures: a row's bars, a curve's panels. PNG, in memory; no window, no file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import results
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

_PALETTE = [matplotlib.colormaps["tab20"](k) for k in (*range(0, 20, 2), *range(1, 20, 2))]
_OTHERS = [title for title in results.families() if title not in (results.OURS, results.LIMIT)]
# The same everywhere: ours red, limits black, each peer one of the others.
_COLOURS: dict[str, Any] = {results.OURS: "#c1121f", results.LIMIT: "#222222"} | dict(
    zip(_OTHERS, _PALETTE, strict=False)
)
_MARKERS = "osD^v<>P"
_INCHES = (8.0, 4.6)


def row_picture(row: Mapping[str, Any]) -> bytes:
    """p50 (or the row's main figure) of each contestant, its spread as whiskers, p99 as a mark."""
    field = row["field"]
    unit = results.column(row, field)["unit"]
    measured = [one for one in row["contestants"] if field in one["median"] and not one["wrong"]]
    figure = Figure(figsize=(_INCHES[0], 1.2 + 0.34 * len(measured)), layout="constrained")
    axes = figure.subplots()
    labelled = set()
    for at, one in enumerate(measured):
        value = one["median"][field]
        rounds = [found[field] for found in one["rounds"] if field in found]
        colour = _COLOURS[results.family(one["name"])]
        axes.barh(at, value, color=colour, height=0.7)
        axes.plot([min(rounds), max(rounds)], [at, at], color="#888888", linewidth=2.5)
        for tail, mark in (("p99_ns", "|"), ("p999_ns", "x")):
            if field in ("p50_ns", "mean_ns") and one["median"].get(tail):
                label = {"p99_ns": "p99", "p999_ns": "p99.9"}[tail]
                axes.plot(
                    one["median"][tail],
                    at,
                    mark,
                    color=colour,
                    markersize=9,
                    label="" if label in labelled else label,
                )
                labelled.add(label)
    axes.set_yticks(range(len(measured)), [one["name"] for one in measured], fontsize=8)
    axes.invert_yaxis()
    positive = [one["median"][field] for one in measured if one["median"][field] > 0]
    if positive and max(positive) > 20 * min(positive):
        axes.set_xscale("log")
    _units(axes.xaxis, unit)
    axes.set_xlabel(
        f"{results.column(row, field)['title']} (grey: from least to most of the rounds)"
    )
    if labelled:
        axes.legend(fontsize=8)
    return _png(figure)


def curve_picture(curve: Mapping[str, Any], field: str) -> bytes:
    """One panel: both axes logarithmic, a line a contestant."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    names = list(
        dict.fromkeys(one["name"] for point in curve["points"] for one in point["contestants"])
    )
    seen: dict[str, int] = {}
    for name in names:
        xs, ys = [], []
        for point in curve["points"]:
            for one in point["contestants"]:
                if one["name"] == name and not one["wrong"] and one["median"].get(field):
                    xs.append(point["x"])
                    ys.append(one["median"][field])
        title = results.family(name)
        nth = seen[title] = seen.get(title, -1) + 1
        axes.plot(
            xs,
            ys,
            marker=_MARKERS[nth % len(_MARKERS)],
            linestyle=("-", "--", ":", "-.")[nth % 4],
            color=_COLOURS[title],
            linewidth=2 if title == results.OURS else 1.3,
            markersize=5,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _units(axes.xaxis, curve["axis_unit"])
    _units(axes.yaxis, results.column(curve, field)["unit"])
    axes.set_xlabel(curve["axis"])
    axes.set_ylabel(results.column(curve, field)["title"])
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=7, ncols=2)
    return _png(figure)


def _units(axis: Any, unit: str) -> None:
    def text(value: float, _: int) -> str:
        return results.quantity(value, unit) if value > 0 else "0"

    axis.set_major_formatter(FuncFormatter(text))
    axis.set_minor_formatter(FuncFormatter(lambda value, place: ""))
    axis.set_tick_params(labelsize=8)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
