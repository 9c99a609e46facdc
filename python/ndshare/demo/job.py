"""The parent's job: begin everything, look at what was seen, count; then end everything in order.

What belongs here: the order of things, and what happens when it is cut short.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ndshare
from ndshare.demo.camera import CameraFailed, Shot
from ndshare.demo.collector import Collector
from ndshare.demo.crew import Crew, PictureLost, Task
from ndshare.demo.report import Display
from ndshare.demo.summary import PictureResult, Summary
from ndshare.demo.video import VideoSource


@dataclass(frozen=True)
class Settings:
    """What a job is told."""

    shots: list[Shot]
    model: Path
    output: Path
    workers: int = 2
    max_batch_size: int = 4
    kill: bool = False


def run(settings: Settings, display: Display) -> Summary:
    """The whole job; returns what was counted, also after Ctrl-C or a failure in the middle.

    InputError, ModelRefused if it cannot begin; OSError if the output folder cannot be written.
    """
    sources = {shot.video: _look_at(shot) for shot in settings.shots}
    videos = [sources[shot.video] for shot in settings.shots]
    task = Task(
        settings.shots,
        height=max(video.height for video in videos),
        width=max(video.width for video in videos),
        model=settings.model,
        workers=settings.workers,
        max_batch_size=settings.max_batch_size,
    )
    crew = Crew(task, display)
    settings.output.mkdir(parents=True, exist_ok=True)
    totals = [video.total for video in videos]
    total = None if None in totals else sum(count or 0 for count in totals)
    summary = Summary(title=", ".join(Path(name).name for name in sources))
    summary.cameras, summary.workers = len(videos), settings.workers
    with ExitStack() as stack:
        rates = {
            shot.number: video.rate for shot, video in zip(settings.shots, videos, strict=True)
        }
        collector = Collector(settings.output, rates)
        # First in, last out: the files are completed when processes and names are gone.
        stack.callback(collector.finish, summary)
        killed = 0
        started_ns = time.perf_counter_ns()
        try:
            stack.enter_context(crew)
            display.start(total, crew.description)
            kill_at = _middle(total) if settings.kill else 0
            started_ns = time.perf_counter_ns()
            crew.begin()
            for picture in crew.pictures():
                result = PictureResult.of(picture)
                summary.add(result)
                collector.add(picture, result)
                display.picture(result)
                del picture
                if summary.pictures == kill_at:
                    killed = crew.kill_a_worker()
                    display.event(f"kill -9 {killed}, a worker")
            summary.complete = True
            if kill_at and not killed:
                summary.problem = "--kill: the job ended before a worker was killed"
        except KeyboardInterrupt:
            summary.interrupted = True
        except (CameraFailed, PictureLost, ndshare.Error) as error:
            if not summary.pictures:
                raise
            summary.problem = str(error)
        finally:
            summary.wall_ns = time.perf_counter_ns() - started_ns
            display.stop()
        summary.killed = int(killed != 0)
        summary.restarts = crew.restarts
        summary.redelivered = crew.redelivered
    summary.statistics = crew.statistics
    return summary


@dataclass(frozen=True)
class _Video:
    """What is known of a video before it is played."""

    height: int
    width: int
    rate: Fraction
    total: int | None


def _look_at(shot: Shot) -> _Video:
    """Opens it once: a file that holds no picture is refused before anything is started."""
    with VideoSource(shot.video, camera=shot.device, limit=shot.frames) as source:
        return _Video(source.height, source.width, source.rate, source.total)


def _middle(total: int | None) -> int:
    """The picture at which --kill strikes; early where nobody knows how many there will be."""
    return max(1, total // 2) if total else 10
