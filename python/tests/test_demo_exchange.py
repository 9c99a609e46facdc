"""Pictures out, faces in, once each, whatever happens to the model process in between."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ndshare
from ndshare.demo import inputs, statistics_program

if TYPE_CHECKING:
    from ndshare.demo.exchange import Exchange

HEIGHT, WIDTH = 40, 60


class Listening:
    """A display that only remembers what was said."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def start(self, total: int | None, description: str) -> None: ...
    def frame(self, result: object) -> None: ...
    def event(self, text: str) -> None:
        self.events.append(text)

    def stop(self) -> None: ...


@pytest.fixture
def display() -> Listening:
    """What the exchange says."""
    return Listening()


@pytest.fixture
def exchange(display: Listening) -> Iterator["Exchange"]:
    """Both streams, a model process and the C++ program; after it, nothing of them."""
    try:
        inputs.require_packages()
        _, model = inputs.default_files(video=False, model=True)
    except inputs.InputError as error:
        pytest.skip(str(error))
    from ndshare.demo.exchange import Exchange

    assert model is not None
    with Exchange(HEIGHT, WIDTH, model, display) as exchange:
        yield exchange
    assert ndshare.ls() == []


def publish(exchange: "Exchange", number: int, *, kill: bool = False) -> None:
    """A picture that is gray in its own way."""
    from ndshare.demo.video import Frame

    image = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
    exchange.publish(Frame(number, 1000 + number, image), kill=kill)


def require_answer(exchange: "Exchange", number: int) -> None:
    """The next answer is the one to this picture, and comes with it."""
    result, picture, faces = exchange.next_answer()
    assert result.number == picture["number"] == faces["number"] == number
    assert picture.time_ns == faces.time_ns == 1000 + number
    assert (picture["image"] == number).all()
    assert result.faces == 0
    assert faces["boxes"].shape == (0, 4)


def wait_until_answered(number: int) -> None:
    """Until the answer is in its stream, whoever reads it when."""
    with ndshare.Subscriber(f"demo-{os.getpid()}/faces", latest=True) as faces:
        while True:
            newest = faces.get(timeout=60)
            assert newest is not None
            if newest["number"] == number:
                return


def test_each_picture_gets_its_own_answer_however_often_the_model_is_killed(
    exchange: "Exchange",
) -> None:
    for number in range(1, 9):
        publish(exchange, number, kill=number % 2 == 0)
        require_answer(exchange, number)
    assert exchange.deaths >= 3  # the last one would be noticed only with a next picture
    exchange.finish()


def test_pictures_without_an_answer_are_found_by_the_next_model(exchange: "Exchange") -> None:
    for number in range(1, 31):
        publish(exchange, number, kill=number in (7, 20))
        if exchange.is_full:
            require_answer(exchange, number - 3)
    for number in range(28, 31):
        require_answer(exchange, number)
    exchange.finish()
    assert exchange.deaths == 2


def test_what_was_answered_before_the_death_is_not_answered_again(exchange: "Exchange") -> None:
    for number in range(1, 4):
        publish(exchange, number)
    wait_until_answered(3)
    exchange.kill_model()
    for number in range(1, 4):
        require_answer(exchange, number)
    assert exchange.deaths == 0
    publish(exchange, 4)
    require_answer(exchange, 4)
    assert exchange.deaths == 1
    exchange.finish()  # no further answer


def test_a_model_killed_after_the_last_picture_is_started_again_to_end_the_answers(
    exchange: "Exchange",
) -> None:
    publish(exchange, 1)
    require_answer(exchange, 1)
    exchange.kill_model()
    exchange.finish()
    assert exchange.deaths == 1


def test_the_cpp_program_has_seen_every_answer_when_all_is_over(exchange: "Exchange") -> None:
    for number in range(1, 21):
        publish(exchange, number, kill=number == 10)
        require_answer(exchange, number)
    exchange.finish()
    exchange.__exit__(None, None, None)
    counted = exchange.statistics
    assert isinstance(counted, statistics_program.Statistics), counted
    assert (counted.results, counted.missing, counted.repeated, counted.faces) == (20, 0, 0, 0)
    assert 1 <= counted.pictures <= 20
    assert 1 <= counted.mean_brightness <= 20


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package that was built without the C++ program."""
    monkeypatch.setattr(statistics_program, "PROGRAM", tmp_path / "absent")
    return tmp_path / "absent"


def test_without_the_cpp_program_one_line_says_so(
    no_program: Path, exchange: "Exchange", display: Listening
) -> None:
    assert display.events == [f'no C++ statistics: "{no_program}" is not installed']
    publish(exchange, 1)
    require_answer(exchange, 1)
    exchange.finish()
    assert exchange.statistics is None


def test_a_cpp_program_that_dies_is_missed_by_nobody(exchange: "Exchange") -> None:
    publish(exchange, 1)
    require_answer(exchange, 1)
    os.kill(exchange._statistics.pid, signal.SIGKILL)
    for number in range(2, 100):  # more than the stream of answers has slots
        publish(exchange, number)
        require_answer(exchange, number)
    exchange.finish()
    exchange.__exit__(None, None, None)
    assert exchange.statistics == "it ended (killed by SIGKILL): it said nothing"
