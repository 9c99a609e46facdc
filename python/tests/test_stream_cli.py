"""The command line on streams: ls, info, hz, tail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import ndshare
from ndshare.cli import app


def run(*words: str) -> Any:
    """Its result; it has to end well."""
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def busy() -> Any:
    """A stream that goes on during the test."""
    stop = threading.Event()
    fields = {"boxes": ndshare.Spec(maxshape=(30, 6), dtype="f4"), "n": ((), "u8")}
    with ndshare.Publisher("det", fields=fields) as pub, ndshare.Subscriber("det") as sub:

        def publish() -> None:
            count = 0
            while not stop.is_set():
                count += 1
                pub.put({"boxes": np.full((count % 31, 6), count), "n": count}, attrs={"k": 1})
                time.sleep(0.002)

        thread = threading.Thread(target=publish)
        thread.start()
        yield sub
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", ["cam[/0]", "[red]mark[/red]"])
def test_names_and_values_with_brackets_are_shown_as_they_are(name: str) -> None:
    with ndshare.create(name, 3, attrs={"unit": "[m]"}):
        assert name in run("ls").output
        assert name in run("top", "--count", "1", "--interval", "0.05").output
        assert name in run("info", name).output
        assert "'[m]'" in run("info", name).output


def test_ls_and_info_show_streams(busy: ndshare.Subscriber) -> None:
    ndshare.create("array", 3).close()
    time.sleep(0.1)
    text = run("ls").output
    assert "det" in text
    assert "stream" in text
    assert "boxes: <=30x6" in text
    text = run("info", "det").output
    for part in (
        "field boxes",
        "<=30x6 of float32",
        "in order",
        "publisher",
        "published",
        "behind",
    ):
        assert part in text, part
    one = json.loads(run("info", "det", "--json").output)
    assert one["kind"] == "stream"
    assert one["spec"]["boxes"]["variable"]
    assert one["counters"]["publishers"] == 1
    assert {end["kind"] for end in one["ends"]} == {"publisher", "in order"}


def test_hz_shows_the_rate(busy: ndshare.Subscriber) -> None:
    done = run("hz", "det", "--interval", "0.2", "--count", "2")
    lines = done.output.splitlines()
    assert len(lines) == 2
    assert all("frames/s" in line and "publishers 1" in line for line in lines)
    lines = run("hz", "det", "--interval", "0.2", "--count", "2", "--json").output.splitlines()
    _, values = map(json.loads, lines)
    assert 10 < values["frames_per_second"] < 600
    assert values["bytes_per_second"] > values["frames_per_second"]


def test_tail_follows(busy: ndshare.Subscriber) -> None:
    done = run("tail", "det", "--count", "3")
    assert done.output.count("boxes: float32") == 3
    assert "'k': 1" in done.output
    done = run("tail", "det", "--count", "2", "--no-latest", "--json")
    first, second = (json.loads(line)["seq"] for line in done.stdout.splitlines())
    assert second == first + 1


def test_top_prints_one_list_a_line(busy: ndshare.Subscriber) -> None:
    done = run("top", "det", "--interval", "0.2", "--count", "2", "--json")
    _, look = map(json.loads, done.output.splitlines())
    assert [one["name"] for one in look] == ["det"]
    assert 10 < look[0]["per_second"] < 600


def test_into_a_pipe_no_name_is_folded() -> None:
    """grep and copying find it whole, whatever COLUMNS says."""
    name = "/".join(["a-long-name-of-a-camera"] * 8)
    with ndshare.create(name, (1, 2, 3, 4, 5, 6)):
        for words in (("ls",), ("top", "--count", "1", "--interval", "0.05")):
            command = [sys.executable, "-m", "ndshare", *words]
            environment = os.environ | {"COLUMNS": "40"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr
            assert any(line.startswith(name + " ") for line in done.stdout.splitlines())


def test_what_is_no_stream_gets_one_line() -> None:
    keep = ndshare.create("array", 3)
    for words in (("hz", "array"), ("hz", "absent")):
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == 1
        assert "ndshare: [" in done.output
        assert "Traceback" not in done.output
    keep.close()
