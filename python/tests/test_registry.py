"""ls(), info(), unlink() and NDSHARE_NAMESPACE: what is there, and for whom."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from children import PeerMaker
from typer.testing import CliRunner

import ndshare
from ndshare.cli import app


def names(pattern: str = "*") -> list[str]:
    """As ls() lists them."""
    return [one.name for one in ndshare.ls(pattern)]


def test_ls_lists_what_matches_in_order() -> None:
    held = [ndshare.create(name, 2) for name in ("cam/b", "cam/a", "lidar", "cam/a/depth")]
    assert names() == ["cam/a", "cam/a/depth", "cam/b", "lidar"]
    assert names("cam/*") == ["cam/a", "cam/a/depth", "cam/b"]
    assert names("*a") == ["cam/a"]
    assert names("[cl]*r") == ["lidar"]
    assert names("absent") == []
    assert len(ndshare.ls(kind="array")) == len(held)
    assert ndshare.ls(kind="stream") == []


def test_info_says_what_it_is_and_who_holds_it(peer: PeerMaker) -> None:
    a = ndshare.create("info", (2, 3), "f4", order="F", attrs={"unit": "m"})
    other = peer()
    other.do("b = ndshare.open('info')")
    a[0, 0] = 1
    one = ndshare.info("info")
    assert (one.name, one.kind, one.spec) == ("info", "array", a.spec)
    assert (one.nbytes, one.generation, one.persistent) == (24, a.generation, False)
    assert one.attrs == {"unit": "m"}
    assert one.holders == sorted([os.getpid(), other.pid])
    assert one.counters == {"version": 1, "peers": 2, "writing": 0, "incomplete": 0}
    assert one.workers == []
    np.testing.assert_array_equal(np.load(one.path), a.array)
    other.kill()
    assert ndshare.info("info").holders == [os.getpid()]


def test_info_tells_a_running_write_from_one_that_was_left(peer: PeerMaker) -> None:
    a = ndshare.create("state", 3)
    other = peer()
    other.do("b = ndshare.open('state', writeable=True); w = b.write(); w.__enter__()")
    counters = ndshare.info("state").counters
    assert (counters["writing"], counters["incomplete"]) == (1, 0)
    other.kill()
    counters = ndshare.info("state").counters
    assert (counters["writing"], counters["incomplete"]) == (0, 1)
    a[...] = 0
    assert ndshare.info("state").counters["incomplete"] == 0


def test_info_as_a_dictionary_is_plain_json() -> None:
    a = ndshare.create("info", (2, 3), [("x", "f4"), ("y", "i2", (2,))], attrs={"k": [1]})
    values = json.loads(json.dumps(ndshare.info("info").asdict()))
    assert values["name"] == "info"
    assert values["spec"]["shape"] == [2, 3]
    assert values["attrs"] == {"k": [1]}
    assert values["generation"] == a.generation


def test_info_of_what_is_not_there_is_not_found() -> None:
    with pytest.raises(ndshare.NotFound, match=r'^\[info\] "absent": '):
        ndshare.info("absent")


def test_unlink_takes_the_name_and_leaves_the_memory() -> None:
    a = ndshare.create("gone", data=[1, 2])
    ndshare.unlink("gone")
    assert names() == []
    assert a[...].tolist() == [1, 2]
    a[0] = 5
    assert np.load(a.path).tolist() == [5, 2]
    assert not a.replaced
    b = ndshare.create("gone", 3)
    assert a.replaced
    a.unlink()
    assert names() == ["gone"], "a successor's name is not a's to take"
    b.unlink()
    assert names() == []
    b.unlink()


def test_unlink_of_what_is_not_there_is_an_error_unless_it_may_be_missing() -> None:
    ndshare.unlink("absent", missing_ok=True)
    with pytest.raises(ndshare.NotFound, match=r'^\[unlink\] "absent": ') as caught:
        ndshare.unlink("absent")
    assert (caught.value.operation, caught.value.name) == ("unlink", "absent")
    ndshare.create("there", 3, persistent=True).close()
    words = ["unlink", "absent", "there", "--missing-ok", "--json"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, json.loads(done.output)) == (0, {"unlinked": ["there"]})


def test_namespaces_keep_two_instances_apart(
    monkeypatch: pytest.MonkeyPatch, name_space: str
) -> None:
    a = ndshare.create("same", data=[1])
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space + "-two")
    assert names() == []
    b = ndshare.create("same", data=[2, 2])
    assert (a.name, b.name) == ("same", "same")
    assert ndshare.open("same").shape == (2,)
    ndshare.unlink("same")
    assert names() == []
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space)
    assert ndshare.open("same").shape == (1,)
    assert ndshare.info("same").name == "same"
    assert names() == ["same"]


def test_a_namespace_is_a_prefix_of_names(monkeypatch: pytest.MonkeyPatch, name_space: str) -> None:
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space + "/inner")
    a = ndshare.create("x", data=[1])
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space)
    assert names() == ["inner/x"]
    assert ndshare.open("inner/x").generation == a.generation


def test_the_namespace_of_a_handle_is_that_of_its_creation(
    monkeypatch: pytest.MonkeyPatch, name_space: str
) -> None:
    a = ndshare.create("same", data=[1])
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space + "-two")
    b = ndshare.create("same", data=[2])
    assert not a.replaced
    a.unlink()
    assert names() == ["same"]
    assert not b.replaced


def test_a_hundred_processes_may_ask_at_once_for_one_name(peer: PeerMaker) -> None:
    others = [peer() for _ in range(4)]
    code = """
    won = 0
    for k in range(100):
        try:
            a = ndshare.create(f"race/{k}", 4, "i8", attrs={"by": os.getpid()})
            won += 1
        except ndshare.Exists:
            a = ndshare.open(f"race/{k}")
        held = globals().setdefault("held", [])
        held.append(a)
    """
    for other in others:
        other.start(code)
    for other in others:
        other.finish(120)
    assert sum(other.get("won") for other in others) == 100
    for k, one in enumerate(sorted(ndshare.ls("race/*"), key=lambda i: int(i.name[5:]))):
        assert one.name == f"race/{k}"
        assert one.holders == sorted(other.pid for other in others)
