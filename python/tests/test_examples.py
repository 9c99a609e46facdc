"""Every example runs as a person would run it, in its own processes, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ndshare

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALONE = (
    "five_by_five.py",
    "asyncio_reader.py",
    "asyncio_streams.py",
    "control_loop.py",
    "detections.py",
    "fill_in_place.py",
)
WITH_CPP = (
    "camera_cpp.py",
    "distances.py",
    "five_by_five_cpp.py",
    "mean_service.py",
    "scan_cpp.py",
)
CPP = (
    "camera_cpp",
    "demo_statistics",
    "distances_worker",
    "five_by_five_child",
    "mean_client",
    "scan_mean",
)
TOGETHER = ("two_programs_writer.py", "two_programs_reader.py")
WATCHDOG = 120  # seconds; far from what an example needs, so only a hang meets it


@pytest.fixture(autouse=True)
def own_namespace(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Names of a test of its own: so ls() shows what this test left behind, and nothing else."""
    monkeypatch.setenv("NDSHARE_NAMESPACE", f"test-{os.getpid()}-{abs(hash(request.node.name))}")


def start(example: str, *arguments: str) -> subprocess.Popen[str]:
    """An example in a process of its own."""
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    """Standard output of a process that must end well."""
    try:
        output, errors = process.communicate(timeout=WATCHDOG)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors == ""
    return output


def test_no_python_example_is_left_out() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(
        ALONE + WITH_CPP + TOGETHER
    )


def test_five_by_five_shows_zeros_and_then_the_ones_of_the_child() -> None:
    lines = finish(start("five_by_five.py")).splitlines()
    zeros = [
        "[[0. 0. 0. 0. 0.]",
        *[" [0. 0. 0. 0. 0.]"] * 3,
        " [0. 0. 0. 0. 0.]]",
    ]
    assert lines == [*zeros, "[[1. 0. 0. 0. 0.]", *zeros[1:]]
    assert ndshare.ls() == []


def test_no_cpp_example_is_left_out() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.cpp")) == sorted(CPP)


@pytest.fixture(scope="session")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the C++ programs, built as their CMakeLists.txt says."""
    build = EXAMPLES.parent / "build" / "examples"
    for command in (
        ["cmake", "-S", str(EXAMPLES.parent), "-B", str(build), "-DNDSHARE_EXAMPLES=ON"],
        ["cmake", "--build", str(build), "-j2", "--target", *CPP],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "examples"


def test_five_by_five_works_with_a_cpp_program_as_the_child(cpp: Path) -> None:
    lines = finish(start("five_by_five_cpp.py", str(cpp / "five_by_five_child"))).splitlines()
    assert lines[0] == "[[0. 0. 0. 0. 0.]"
    assert lines[5] == "[[1. 0. 0. 0. 0.]"
    assert ndshare.ls() == []


def test_python_viewers_see_every_picture_of_a_cpp_camera(cpp: Path) -> None:
    lines = finish(start("camera_cpp.py", str(cpp / "camera_cpp"))).splitlines()
    assert sorted(lines) == [f"viewer {k}: gray {list(range(10))}" for k in (0, 1)]
    assert ndshare.ls() == []


def test_a_cpp_program_reads_scans_of_any_length(cpp: Path) -> None:
    lines = finish(start("scan_cpp.py", str(cpp / "scan_mean"))).splitlines()
    assert lines == [f"{10 * k} points, mean {(10 * k - 1) / 2:g}" for k in range(1, 6)]
    assert ndshare.ls() == []


def test_python_asks_a_worker_in_cpp(cpp: Path) -> None:
    lines = finish(start("distances.py", str(cpp / "distances_worker"))).splitlines()
    assert lines == ["(3.0, 4.0, 0.0) 5.0", "(1.0, 2.0, 2.0) 3.0", "[0.0, 1.0, 2.0, 3.0, 4.0]"]
    assert ndshare.ls() == []


def test_cpp_asks_a_worker_in_python(cpp: Path) -> None:
    lines = finish(start("mean_service.py", str(cpp / "mean_client"))).splitlines()
    assert lines == [*(f"{gray}: {gray}" for gray in range(5)), "refused"]
    assert ndshare.ls() == []


@pytest.mark.parametrize("first", TOGETHER)
def test_two_programs_find_each_other_whichever_is_first(first: str) -> None:
    (second,) = set(TOGETHER) - {first}
    processes = {example: start(example, "pair") for example in (first, second)}
    outputs = {example: finish(process) for example, process in processes.items()}
    assert outputs["two_programs_writer.py"].splitlines() == [
        "the root of 2.0 is 1.4142135623730951",
        "the root of 9.0 is 3.0",
        "the root of 10.0 is 3.1622776601683795",
    ]
    assert outputs["two_programs_reader.py"].splitlines() == [
        "opened pair: float64 (2,)",
        "answered 2.0",
        "answered 9.0",
        "answered 10.0",
    ]
    assert ndshare.ls() == []


def test_asyncio_reader_sees_the_last_value_of_both_arrays() -> None:
    lines = finish(start("asyncio_reader.py", "both")).splitlines()
    for name in ("both/left", "both/right"):
        values = [int(line.split(": ")[1]) for line in lines if line.startswith(f"{name}: ")]
        assert values == sorted(set(values))
        assert values[-1] == 5
    assert ndshare.ls() == []


def test_asyncio_streams_reads_both_streams_to_their_end() -> None:
    lines = finish(start("asyncio_streams.py", "both")).splitlines()
    assert sorted(lines) == [
        "both/left: [1, 2, 3, 4, 5]",
        "both/nobody: None",
        "both/right: [1, 2, 3, 4, 5]",
    ]
    assert ndshare.ls() == []


def test_control_loop_takes_the_newest_command_and_stops_when_they_stay_away() -> None:
    lines = finish(start("control_loop.py")).splitlines()
    assert lines == ["commanded: 1000", "stopped: True"]
    assert ndshare.ls() == []


def test_detections_lead_back_to_their_pictures() -> None:
    lines = finish(start("detections.py")).splitlines()
    assert lines == [f"brightness {k}: boxes ({k}, 4)" for k in range(4)]
    assert ndshare.ls() == []


def test_pictures_are_filled_in_place() -> None:
    lines = finish(start("fill_in_place.py")).splitlines()
    assert lines == [f"(120, 160) mean {brightness}" for brightness in (10, 20, 30)]
    assert ndshare.ls() == []
