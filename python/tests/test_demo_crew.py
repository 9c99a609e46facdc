"""Cameras ask, workers answer, nothing is lost, whoever is killed in between."""

import os
import signal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ndshare
from ndshare.demo import inputs, statistics_program

if TYPE_CHECKING:
    from ndshare.demo.crew import Crew

PICTURES = 40


class Listening:
    """A display that only remembers what was said."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def start(self, total: int | None, description: str) -> None: ...
    def picture(self, result: object) -> None: ...
    def event(self, text: str) -> None:
        self.events.append(text)

    def stop(self) -> None: ...


@pytest.fixture
def display() -> Listening:
    """What the crew says."""
    return Listening()


@pytest.fixture
def small_video(tmp_path: Path) -> Path:
    """Gray pictures, smaller than those of the packaged video."""
    try:
        inputs.require_packages()
    except inputs.InputError as error:
        pytest.skip(str(error))
    from ndshare.demo.video import VideoFile

    path = tmp_path / "small.mp4"
    with VideoFile(path, 96, 64, Fraction(30)) as video:
        for number in range(PICTURES):
            video.add(np.full((64, 96, 3), number, np.uint8))
    return path


@pytest.fixture
def crew(display: Listening, small_video: Path) -> "Crew":
    """A camera with real faces and one with small gray pictures, as fast as two workers can."""
    try:
        video, model = inputs.default_files(video=True, model=True)
    except inputs.InputError as error:
        pytest.skip(str(error))
    from ndshare.demo.camera import Shot
    from ndshare.demo.crew import Crew, Task

    assert video is not None and model is not None
    shots = [
        Shot(1, str(video), frames=PICTURES, fast=True),
        Shot(2, str(small_video), fast=True),
    ]
    return Crew(
        Task(shots, height=144, width=176, model=model, workers=2, max_batch_size=4), display
    )


def require_all(crew: "Crew", kill_each: int = 0) -> None:
    """Each picture of both cameras comes once, in order, with its own pixels and faces."""
    crew.begin()
    count = 0
    for picture in crew.pictures():
        number = int(picture["number"])
        if picture["camera"] == 1:
            assert picture["image"].shape == (144, 176, 3)
            assert picture["boxes"].shape == (1, 4)
        else:
            assert picture["image"].shape == (64, 96, 3)
            assert abs(int(picture["image"].mean()) - (number - 1)) <= 3  # through a codec
            assert picture["boxes"].shape == (0, 4)
        del picture
        count += 1
        if kill_each and count % kill_each == 0:
            crew.kill_a_worker()
    assert count == 2 * PICTURES


def test_cameras_of_two_sizes_get_their_own_faces(crew: "Crew") -> None:
    with crew:
        require_all(crew)
        assert crew.restarts == 0
    assert ndshare.ls() == []
    counted = crew.statistics
    assert isinstance(counted, statistics_program.Statistics), counted
    assert (counted.results, counted.missing, counted.repeated) == (2 * PICTURES, 0, 0)
    assert counted.faces == PICTURES
    assert 1 <= counted.pictures <= 2 * PICTURES


def test_workers_are_killed_again_and_again_and_nothing_is_lost(
    crew: "Crew", display: Listening
) -> None:
    with crew:
        require_all(crew, kill_each=20)
        assert crew.restarts >= 1
    assert sum("died (signal SIGKILL)" in event for event in display.events) >= 2


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package that was built without the C++ program."""
    monkeypatch.setattr(statistics_program, "PROGRAM", tmp_path / "absent")
    return tmp_path / "absent"


def test_without_the_cpp_program_one_line_says_so(
    no_program: Path, crew: "Crew", display: Listening
) -> None:
    with crew:
        require_all(crew)
    assert display.events == [f'no C++ statistics: "{no_program}" is not installed']
    assert crew.statistics is None


def test_a_cpp_program_that_dies_is_missed_by_nobody(crew: "Crew") -> None:
    with crew:
        os.kill(crew._statistics.pid, signal.SIGKILL)
        require_all(crew)
    assert crew.statistics == "it ended (killed by SIGKILL): it said nothing"
