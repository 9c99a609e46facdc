"""What a person sees: the live table or plain lines while it runs, then the final summary.

What belongs here: words, columns and number formats.
"""

from collections import deque
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ndshare.demo.summary import FrameResult, Summary, percentiles_ms

ROWS = 10
"""Frames in the live table."""

PLAIN_LINES = 10
"""About this many progress lines are printed where there is no live table."""


class Display(Protocol):
    """What the job tells while it runs."""

    def start(self, total: int | None, description: str) -> None:
        """The job begins; `total` frames, None if nobody knows."""

    def frame(self, result: FrameResult) -> None:
        """One frame was answered."""

    def event(self, text: str) -> None:
        """Something worth a line of its own."""

    def stop(self) -> None:
        """No more will come. May be called without start()."""


class PlainDisplay:
    """Lines only: for logs, pipes and --plain."""

    def __init__(self, console: Console) -> None:
        """Prints to `console`."""
        self._console = console
        self._every = 50
        self._total = "?"

    def start(self, total: int | None, description: str) -> None:
        """Prints who works on what."""
        self.event(description)
        if total:
            self._every = max(1, total // PLAIN_LINES)
            self._total = str(total)

    def frame(self, result: FrameResult) -> None:
        """Prints some of the frames."""
        if result.number % self._every == 0 or result.taken_over:
            self.event(f"frame {result.number}/{self._total}: {', '.join(_cells(result)[1:])}")

    def event(self, text: str) -> None:
        """Prints the line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Nothing was begun that would have to end."""


class LiveDisplay:
    """A progress bar over a table of the latest frames, redrawn in place."""

    def __init__(self, console: Console) -> None:
        """Draws on `console`, which must be a terminal."""
        self._console = console
        self._latest: deque[FrameResult] = deque(maxlen=ROWS)
        self._progress = Progress(
            TextColumn("[bold]frames"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("frames", total=None)
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=10)

    def start(self, total: int | None, description: str) -> None:
        """Prints who works on what, and begins to draw below."""
        self._console.print(description, markup=False, highlight=False)
        self._progress.update(self._task, total=total)
        self._live.start()

    def frame(self, result: FrameResult) -> None:
        """Counts, and shows the frame with the next drawing."""
        self._latest.append(result)
        self._progress.advance(self._task)

    def event(self, text: str) -> None:
        """Prints the line above the table."""
        self._console.print(f"[yellow]{escape(text)}")

    def stop(self) -> None:
        """Draws once more and leaves it there."""
        self._live.stop()

    def _picture(self) -> Group:
        table = Table("frame", "faces", "score", "latency", "model", "process", expand=False)
        for column in table.columns:
            column.justify = "right"
        for result in list(self._latest):
            cells = _cells(result, labels=False)
            table.add_row(*cells, style="yellow" if result.taken_over else None)
        return Group(self._progress, table)


def print_summary(console: Console, summary: Summary) -> None:
    """The figures of the whole job, one line each."""
    table = Table(title=escape(summary.title), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, value in summary_lines(summary):
        table.add_row(label, escape(value))
    console.print(table)
    for path in summary.paths:
        # Outside the table and never wrapped: paths are there to be copied.
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def summary_lines(summary: Summary) -> list[tuple[str, str]]:
    """Label and value of each line of the summary."""
    lines = [
        ("frames", f"{summary.frames} in {summary.wall_ns / 1e9:.1f} s"),
        ("faces found", f"{summary.faces}, in {summary.frames_with_faces} frames"),
        ("latency per frame", f"{_percentiles(summary.latencies_ns)}, from picture to boxes"),
        (
            "of it the model",
            f"{_percentiles(summary.model_times_ns)}; {summary.model_share:.0%} of all",
        ),
        ("copied", f"{summary.copied_nbytes:,} bytes into the streams, none out of them"),
        ("", f"{summary.frame_nbytes:,} a frame, once, for all readers"),
    ]
    if summary.complete:
        lines.append(("lost", "nothing: every frame was answered, once and in order"))
    if summary.deaths:
        plural = "s" * (summary.taken_over != 1)
        lines += [
            ("model process", f"died {summary.deaths}x, started again each time"),
            ("taken over", f"{summary.taken_over} frame{plural} by the next one, not in the times"),
        ]
    if isinstance(summary.statistics, str):
        lines.append(("C++ program", summary.statistics))
    elif summary.statistics is not None:
        counted = summary.statistics
        lines += [
            (
                "C++ program",
                f"{counted.results} results ({counted.missing} missing, {counted.repeated} "
                f"repeated), mean score {counted.mean_score:.3f}",
            ),
            (
                "",
                f"looked at {counted.pictures} pictures, always the newest, "
                f"mean value {counted.mean_brightness:.0f}",
            ),
        ]
    if summary.interrupted:
        lines.append(("interrupted", f"after {summary.frames} frames"))
    return lines


def _percentiles(times_ns: list[int]) -> str:
    if not times_ns:
        return "not measured"
    p50, p99 = percentiles_ms(times_ns)
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def _cells(result: FrameResult, *, labels: bool = True) -> tuple[str, ...]:
    latency, model = f"{result.latency_ns / 1e6:.2f} ms", f"{result.model_ns / 1e6:.2f} ms"
    score = f"{result.best_score:.2f}" if result.faces else "-"
    if not labels:
        return str(result.number), str(result.faces), score, latency, model, str(result.pid)
    plural = "s" * (result.faces != 1)
    return (
        str(result.number),
        f"{result.faces} face{plural} ({score})",
        f"latency {latency}",
        f"model {model}",
        f"process {result.pid}",
    )
