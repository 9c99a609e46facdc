"""The parent's job: decode a frame, publish, collect, count; then end everything in order.

What belongs here: the order of things, and what happens when it is cut short.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ndshare.demo.collector import Collector
from ndshare.demo.exchange import Exchange, WrongAnswer
from ndshare.demo.inputs import InputError
from ndshare.demo.report import Display
from ndshare.demo.summary import Summary
from ndshare.demo.supervisor import ModelFailed
from ndshare.demo.video import VideoSource


@dataclass(frozen=True)
class Settings:
    """What a job is told. `video` is a file or, with `camera`, a device; `frames` is a limit."""

    video: str
    model: Path
    output: Path
    camera: bool = False
    frames: int | None = None
    kill: bool = False


def run(settings: Settings, display: Display) -> Summary:
    """The whole job; returns what was counted, also after Ctrl-C or a failure in the middle.

    InputError if it cannot begin; OSError if the output folder cannot be written.
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    with VideoSource(settings.video, camera=settings.camera, limit=settings.frames) as source:
        summary = Summary(title=Path(settings.video).name)
        with ExitStack() as stack:
            collector = Collector(settings.output, source)
            # First in, last out: the files are completed when processes and names are gone.
            stack.callback(collector.finish, summary)
            exchange = Exchange(source.height, source.width, settings.model, display)

            def collect() -> None:
                answer = exchange.next_answer()
                summary.add(answer.result)
                collector.add(answer)
                display.frame(answer.result)

            started_ns = time.perf_counter_ns()
            try:
                stack.enter_context(exchange)
                summary.frame_nbytes = exchange.frame_nbytes
                display.start(source.total, exchange.description)
                kill_at = _middle(source.total) if settings.kill else 0
                for frame in source:
                    exchange.publish(frame, kill=frame.number == kill_at)
                    if exchange.is_full:
                        collect()
                while exchange.is_waiting:
                    collect()
                exchange.finish()
                summary.complete = True
                if kill_at and not exchange.deaths:
                    summary.problem = "--kill: the job ended before the model process did"
            except KeyboardInterrupt:
                summary.interrupted = True
            except (InputError, ModelFailed, WrongAnswer) as error:
                if not summary.frames:
                    raise
                summary.problem = str(error)
            finally:
                summary.wall_ns = time.perf_counter_ns() - started_ns
                display.stop()
            summary.deaths = exchange.deaths
        summary.statistics = exchange.statistics
    return summary


def _middle(total: int | None) -> int:
    """The frame at which --kill strikes; early where nobody knows how many there will be."""
    return max(1, total // 2) if total else 10
