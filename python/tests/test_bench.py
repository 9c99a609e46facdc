"""`ndshare bench` at a tiny size: it measures, judges results, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ndshare
from ndshare.bench import questions, rounds, services, streams
from ndshare.bench.pair import WARM_UP, Side, Way, Wrong, measure

TINY = ("--rounds", "1", "--scale", "0.002")
START = "from ndshare.cli import main\nif __name__ == '__main__': main()\n"


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    path = tmp_path / "ndshare_command.py"  # a file: the new processes load it again
    path.write_text(START)
    return [sys.executable, str(path), "bench"]


def leftovers() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("bench-*")}


def test_every_question_is_answered_in_json_and_nothing_is_left(program: list[str]) -> None:
    before = leftovers()
    done = subprocess.run(
        [*program, *TINY, "--json"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["questions"]] == [one.name for one in questions.ALL]
    for question, asked in zip(found["questions"], questions.ALL, strict=True):
        assert [way["way"] for way in question["ways"]] == list(asked.ways)
        assert question["ways"][0]["ratio"] == 1
        assert all(0 < way["p50_ns"] <= way["p99_ns"] for way in question["ways"])
    assert found["machine"]["ndshare"] == ndshare.__version__
    assert not leftovers() - before
    assert not ndshare.ls("bench-*")


def test_a_table_of_what_was_wanted_only(program: list[str]) -> None:
    done = subprocess.run(
        [*program, *TINY, "--only", "attach"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SharedMemory" in done.stdout
    assert "ratio" in done.stdout
    assert "image of 300 KB" not in done.stdout
    refused = subprocess.run(
        [*program, "--only", "nonsense"], capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert "round-trip, attach" in refused.stderr


def test_ctrl_c_ends_it_and_nothing_is_left(program: list[str]) -> None:
    before = leftovers()
    running = subprocess.Popen(
        [*program, "--only", "frames", "--scale", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        prefix = f"bench-{running.pid}-"
        until = time.monotonic() + 60
        while not any(name.name.startswith(prefix) for name in ndshare.ls("bench-*")):
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: all of the group get it
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 130
    assert b"Traceback" not in errors
    assert not leftovers() - before
    assert not ndshare.ls(f"{prefix}*")


def forget_the_number(side: Side) -> None:
    """A worker whose answers are those of call 0."""
    with ndshare.Worker(
        side.name("service"),
        {"image": (services.IMAGE_SHAPE, "u1")},
        {"boxes": (services.BOXES_SHAPE, "f4")},
    ) as worker:
        side.meet()
        for _ in range(side.total):
            batch = worker.get(timeout=20)
            if batch is None:
                return
            image = services.image()
            services.stamp(image, 0)
            batch.reply(services.detect(image)[None])


def fail(side: Side) -> None:
    raise SystemExit(3)


def give_old_frames(side: Side) -> None:
    with ndshare.Publisher(
        side.name("small"), streams.WORDS, np.uint64, overflow="block"
    ) as publisher:
        side.meet()
        publisher.wait_subscribers(1, 20)
        for _ in range(WARM_UP):
            publisher.put(np.zeros(streams.WORDS, np.uint64), timeout=20)


@pytest.mark.parametrize(
    "way", [Way(services.ask, forget_the_number), Way(streams.take_small, give_old_frames)]
)
def test_a_wrong_result_is_noticed(way: Way) -> None:
    with pytest.raises(Wrong, match="was sent"):
        measure(way, 2)


def test_a_failure_of_the_other_process_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="the other process failed"):
        measure(Way(services.ask, fail), 2)


def test_a_p999_takes_a_thousand_samples() -> None:
    few, many = [1.0] * 999, [1.0] * 998 + [2.0] * 2
    assert rounds.figures("few", [few], 1.0, 1.0).p999_ns is None
    assert rounds.figures("many", [many], 1.0, 1.0).p999_ns == 2.0
