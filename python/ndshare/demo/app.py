"""The command `ndshare demo`. What belongs here: options, exit codes, and nothing heavy at import.

Exit codes: 0 done, 1 the job could not be completed, 2 it could not begin, 130 ended by Ctrl-C.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ndshare.demo.inputs import InputError, default_files, existing_file, require_packages

DEFAULT_OUTPUT = Path("ndshare-demo-output")

CAMERA_FRAMES = 300
"""A device has no end of its own: so many pictures are taken unless --frames says otherwise."""

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    video: Annotated[
        list[Path] | None, typer.Option(help="A video file of your own; again for each camera.")
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="A V4L2 device, as /dev/video0; may be given again.")
    ] = None,
    cameras: Annotated[
        int | None, typer.Option(min=1, help="So many cameras play the videos (2).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that run the model.")] = 2,
    max_batch_size: Annotated[
        int, typer.Option(min=1, help="Calls that a worker takes together.")
    ] = 4,
    model: Annotated[Path | None, typer.Option(help="A BlazeFace .tflite file.")] = None,
    output: Annotated[Path, typer.Option(help="The folder for PNG and MP4.")] = DEFAULT_OUTPUT,
    frames: Annotated[
        int | None, typer.Option(min=1, help="At most so many pictures of each camera.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as the workers can, not at the video's pace.")
    ] = False,
    kill: Annotated[
        bool, typer.Option("--kill/--no-kill", help="kill -9 a worker in the middle.")
    ] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
) -> None:
    """Faces in real videos: cameras ask a model that runs in processes of its own, by its name."""
    try:
        require_packages()
        packaged_video, packaged_model = default_files(
            video=not video and not camera, model=model is None
        )
        files = [existing_file(path, "--video") for path in video or []]
        if packaged_video is not None:
            files = [packaged_video]
            cameras = 2 if cameras is None else cameras
        model = packaged_model if model is None else existing_file(model, "--model")
    except InputError as error:
        _fail(error, 2)
    assert model is not None

    # Only now: these need the packages of the extra.
    from rich.console import Console

    import ndshare
    from ndshare.demo import job, report
    from ndshare.demo.camera import CameraFailed, Shot
    from ndshare.demo.crew import PictureLost
    from ndshare.demo.detector import ModelRefused

    console = Console()
    live = console.is_terminal and not plain
    limit = CAMERA_FRAMES if camera and frames is None else frames
    sources = [(str(path), False) for path in files] + [(name, True) for name in camera or []]
    count = len(sources) if cameras is None else cameras
    settings = job.Settings(
        shots=[
            Shot(number + 1, *sources[number % len(sources)], limit, fast)
            for number in range(max(count, len(sources)))
        ],
        model=model,
        output=output,
        workers=workers,
        max_batch_size=max_batch_size,
        kill=kill,
    )
    try:
        display = report.LiveDisplay(console) if live else report.PlainDisplay(console)
        summary = job.run(settings, display)
    except KeyboardInterrupt:  # before the first picture or after the last: nothing to report
        _fail("interrupted", 130)
    except (
        InputError,
        ModelRefused,
        CameraFailed,
        PictureLost,
        ndshare.Error,
        OSError,
        MemoryError,
    ) as error:
        _fail(error, 2)
    report.print_summary(console, summary)
    if summary.problem is not None:
        _fail(summary.problem, 1)
    if summary.interrupted:
        raise typer.Exit(130)


def _fail(reason: object, code: int) -> NoReturn:
    typer.echo(f"ndshare demo: {reason}", err=True)
    raise typer.Exit(code)
