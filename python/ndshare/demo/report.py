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

from ndshare.demo.summary import PictureResult, Summary, percentiles_ms

ROWS = 10
"""Pictures in the live table."""

PLAIN_LINES = 10
"""About this many progress lines are printed where there is no live table."""


class Display(Protocol):
    """What the job tells while it runs."""

    def start(self, total: int | None, description: str) -> None:
        """The job begins; `total` pictures, None if nobody knows."""

    def picture(self, result: PictureResult) -> None:
        """One picture came with its faces."""

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
        self._count = 0

    def start(self, total: int | None, description: str) -> None:
        """Prints who works on what."""
        self.event(description)
        if total:
            self._every = max(1, total // PLAIN_LINES)
            self._total = str(total)

    def picture(self, result: PictureResult) -> None:
        """Prints some of them."""
        self._count += 1
        if self._count % self._every == 0:
            self.event(f"{self._count}/{self._total}: {', '.join(_cells(result))}")

    def event(self, text: str) -> None:
        """Prints the line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Nothing was begun that would have to end."""


class LiveDisplay:
    """A progress bar over a table of the latest pictures, redrawn in place."""

    def __init__(self, console: Console) -> None:
        """Draws on `console`, which must be a terminal."""
        self._console = console
        self._latest: deque[PictureResult] = deque(maxlen=ROWS)
        self._progress = Progress(
            TextColumn("[bold]pictures"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("pictures", total=None)
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=10)

    def start(self, total: int | None, description: str) -> None:
        """Prints who works on what, and begins to draw below."""
        self._console.print(description, markup=False, highlight=False)
        self._progress.update(self._task, total=total)
        self._live.start()

    def picture(self, result: PictureResult) -> None:
        """Counts, and shows it with the next drawing."""
        self._latest.append(result)
        self._progress.advance(self._task)

    def event(self, text: str) -> None:
        """Prints the line above the table."""
        self._console.print(f"[yellow]{escape(text)}")

    def stop(self) -> None:
        """Draws once more and leaves it there."""
        self._live.stop()

    def _picture(self) -> Group:
        names = ("camera", "picture", "faces", "score", "latency", "model", "batch", "worker")
        table = Table(*names, expand=False)
        for column in table.columns:
            column.justify = "right"
        for result in list(self._latest):
            table.add_row(*_values(result))
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
    sizes = ", ".join(f"{size}: {count}" for size, count in sorted(summary.batch_sizes.items()))
    lines = [
        (
            "pictures",
            f"{summary.pictures} of {_count(summary.cameras, 'camera')} in "
            f"{summary.wall_ns / 1e9:.1f} s, {summary.rate_hz:.0f} a second",
        ),
        ("faces found", f"{summary.faces}, in {summary.pictures_with_faces} pictures"),
        ("latency", f"{_percentiles(summary.latencies_ns)}, from picture to faces"),
        ("of it the model", _percentiles(summary.model_times_ns)),
        (
            "beyond the model",
            f"{_percentiles(summary.beyond_ns)}: two copies, waits, two processes",
        ),
        ("batch sizes", f"{sizes} (calls taken together: pictures)"),
        ("pixels", f"{summary.pixels_nbytes:,} bytes, each where it is read"),
    ]
    workers = _count(summary.workers, "worker")
    if summary.killed or summary.restarts:
        lines.append(
            (
                "workers",
                f"{workers}; {summary.killed} killed with kill -9, {summary.restarts} started in "
                f"its place, {_count(summary.redelivered, 'call')} went to another worker",
            )
        )
    else:
        lines.append(("workers", workers))
    if summary.complete:
        lines.append(("lost", "nothing: every picture came with its faces, once and in order"))
    if isinstance(summary.statistics, str):
        lines.append(("C++ program", summary.statistics))
    elif summary.statistics is not None:
        counted = summary.statistics
        lines += [
            (
                "C++ program",
                f"{counted.results} pictures ({counted.missing} missing, {counted.repeated} "
                f"repeated), mean score {counted.mean_score:.3f}",
            ),
            (
                "",
                f"looked at the pixels of {counted.pictures}, always the newest, "
                f"mean value {counted.mean_brightness:.0f}",
            ),
        ]
    if summary.interrupted:
        lines.append(("interrupted", f"after {summary.pictures} pictures"))
    return lines


def _percentiles(times_ns: list[int]) -> str:
    if not times_ns:
        return "not measured"
    p50, p99 = percentiles_ms(times_ns)
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _values(result: PictureResult) -> tuple[str, ...]:
    return (
        str(result.camera),
        str(result.number),
        str(result.faces),
        f"{result.best_score:.2f}" if result.faces else "-",
        f"{result.latency_ns / 1e6:.2f} ms",
        f"{result.model_ns / 1e6:.2f} ms",
        str(result.batch_size),
        str(result.pid),
    )


def _cells(result: PictureResult) -> tuple[str, ...]:
    camera, number, _, score, latency, model, size, pid = _values(result)
    return (
        f"camera {camera} picture {number}",
        f"{_count(result.faces, 'face')} ({score})",
        f"latency {latency}",
        f"model {model}",
        f"batch of {size}",
        f"worker {pid}",
    )
