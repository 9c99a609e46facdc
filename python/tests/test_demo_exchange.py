"""One frame in, its faces out, whatever happens to the model process in between."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ndshare
from ndshare.demo import inputs

if TYPE_CHECKING:
    from ndshare.demo.exchange import Exchange

HEIGHT, WIDTH = 40, 60


class Silent:
    """A display that shows nothing."""

    def start(self, total: int | None, description: str) -> None: ...
    def frame(self, result: object) -> None: ...
    def event(self, text: str) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def exchange(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator["Exchange"]:
    """Both arrays and a model process; after it, nothing of them."""
    monkeypatch.setenv("NDSHARE_NAMESPACE", f"test-{os.getpid()}-{abs(hash(request.node.name))}")
    try:
        inputs.require_packages()
        _, model = inputs.default_files(video=False, model=True)
    except inputs.InputError as error:
        pytest.skip(str(error))
    from ndshare.demo.exchange import Exchange

    assert model is not None
    with Exchange(HEIGHT, WIDTH, model, Silent()) as exchange:
        yield exchange
    assert ndshare.ls() == []


def ask(exchange: "Exchange", number: int, *, kill: bool = False) -> None:
    """Asks for a gray frame and checks that the answer is this frame's."""
    from ndshare.demo.video import Frame

    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    result, record = exchange.ask(Frame(number, 1000 + number, image), kill=kill)
    assert result.number == record["number"] == number
    assert record["time_ns"] == 1000 + number
    assert result.faces == 0


def test_each_frame_gets_its_own_answer_however_often_the_model_is_killed(
    exchange: "Exchange",
) -> None:
    for number in range(1, 9):
        ask(exchange, number, kill=number % 2 == 0)
    assert exchange.deaths >= 3  # the last one would be noticed only with a next frame


def test_a_model_killed_while_nothing_is_asked_is_noticed_with_the_next_frame(
    exchange: "Exchange",
) -> None:
    ask(exchange, 1)
    exchange.kill_model()
    ask(exchange, 2)
    assert exchange.deaths == 1


@pytest.mark.parametrize("kill", [False, True])
def test_half_an_answer_is_healed_by_the_next_complete_one(
    exchange: "Exchange", kill: bool
) -> None:
    ask(exchange, 1)
    (name,) = (info.name for info in ndshare.ls("*/faces"))
    with ndshare.open(name, writeable=True) as faces:
        with pytest.raises(RuntimeError), faces.write() as record:
            record["number"] = 2
            raise RuntimeError("a writer that fails in the middle")
        with pytest.raises(ndshare.IncompleteWrite):
            faces.read()
    ask(exchange, 2, kill=kill)
    ask(exchange, 3)
