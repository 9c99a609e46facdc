"""What bad input to a stream gets: one clear error, and the stream goes on."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from refusals import refused

import ndshare


@pytest.fixture
def pub() -> Any:
    """A stream of one field, looked at after the test: it still works."""
    with ndshare.Publisher("cam", (4, 5), "f4", slots=4) as publisher:
        yield publisher
        with ndshare.Subscriber("cam") as sub:
            while sub.get(0) is not None:
                pass
            assert publisher.put(np.ones((4, 5), "f4")) is not None
            assert (sub.get(5).array == 1).all()


@pytest.mark.parametrize(
    ("more", "kind", "pattern"),
    [
        ({"shape": (-1, 2)}, ValueError, "negative"),
        ({"shape": 3, "maxshape": 3}, TypeError, "exactly one"),
        ({"shape": 3, "fields": {"a": (3, "f4")}}, TypeError, "not both"),
        ({"fields": {}}, ValueError, "empty"),
        ({"fields": {"": (3, "f4")}}, ValueError, "name"),
        ({"fields": {"a\tb": (3, "f4")}}, ValueError, "control"),
        ({"fields": {1: (3, "f4")}}, TypeError, "str"),
        ({"fields": {"a": 3}}, TypeError, "Spec or"),
        ({"fields": {f"f{k}": (1, "f4") for k in range(65)}}, ValueError, "64"),
        ({"dtype": "f4"}, TypeError, "shape"),
        ({"shape": 3, "dtype": object}, TypeError, "max_nbytes"),
        ({"dtype": object}, TypeError, "max_nbytes"),
        ({"dtype": object, "max_nbytes": 0}, ValueError, "max_nbytes"),
        ({"shape": 3, "max_nbytes": 5}, TypeError, "object"),
        ({"shape": 3, "slots": 1}, ValueError, "2 to 4096"),
        ({"shape": 3, "slots": 5000}, ValueError, "2 to 4096"),
        ({"shape": 3, "slots": True}, TypeError, "int"),
        ({"shape": 3, "overflow": "drop"}, ValueError, "drop_oldest"),
        ({"shape": 3, "dtype": "U"}, TypeError, "length"),
        ({"shape": 3, "attrs": {"x": "y" * 17000}}, ValueError, "16384"),
        ({"shape": 3, "attrs": {1: 2}}, TypeError, "str"),
        ({"shape": 3, "permissions": 0o666}, ValueError, "permissions"),
        ({"shape": 3, "spin": True}, TypeError, "spin"),
    ],
    ids=str,
)
def test_a_wrong_publisher_is_refused(more: dict[str, Any], kind: Any, pattern: str) -> None:
    with refused(kind, "publish", "bad", pattern):
        ndshare.Publisher("bad", **more)
    assert ndshare.ls() == []


@pytest.mark.parametrize("name", ["", "/x", "x/", "a/../b", "a\0b", "x" * 201, "\udcff"], ids=ascii)
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^\[publish\] "):
        ndshare.Publisher(name, 3)
    with pytest.raises(ValueError, match=r"^\[subscribe\] "):
        ndshare.Subscriber(name)


def test_more_memory_than_there_is() -> None:
    with refused(MemoryError, "publish", "big", r"\d"):
        ndshare.Publisher("big", (1 << 40,), "u1", slots=64)
    with pytest.raises((ValueError, MemoryError)):
        ndshare.Publisher("big", (1 << 60,), "f8", slots=64)
    assert ndshare.ls() == []


@pytest.mark.parametrize(
    ("value", "kind", "pattern"),
    [
        (np.zeros((4, 6), "f4"), ndshare.SpecMismatch, r"\(4, 5\).*\(4, 6\)"),
        (np.zeros(4, "f4"), ndshare.SpecMismatch, r"\(4,\)"),
        (np.zeros((4, 5), "c16"), TypeError, "complex128.*astype"),
        (np.zeros((4, 5), "U3"), TypeError, "astype"),
        ({"boxes": np.zeros((4, 5))}, ValueError, "boxes"),
        ("text", (TypeError, ValueError), r"^\[put\] .cam."),
        (None, (TypeError, ValueError), r"^\[put\] .cam."),
        ([[1, 2], [3]], (TypeError, ValueError), r"^\[put\] .cam."),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(pub: Any, value: Any, kind: Any, pattern: str) -> None:
    with pytest.raises(kind, match=pattern):
        pub.put(value)
    with ndshare.Subscriber("cam") as sub:
        assert sub.get(0) is None


def test_wrong_fields_are_refused() -> None:
    fields = {"boxes": ndshare.Spec(maxshape=(30, 6), dtype="f4"), "n": ((), "u8")}
    with ndshare.Publisher("det", fields=fields) as pub, ndshare.Subscriber("det") as sub:
        for value, pattern in (
            ({"boxes": np.ones((3, 6))}, '"n" is missing'),
            ({"boxes": np.ones((3, 6)), "n": 1, "z": 2}, 'no field "z".*boxes, n'),
            ({"boxes": np.ones((31, 6)), "n": 1}, r"beyond maxshape \(30, 6\)"),
            ({"boxes": np.ones((3, 7)), "n": 1}, "beyond"),
            ({"boxes": np.ones(6), "n": 1}, "beyond"),
            (np.ones((3, 6)), "several fields"),
        ):
            with pytest.raises(ValueError, match=pattern):
                pub.put(value)
        with pub.loan() as loan:
            with pytest.raises(ValueError, match="beyond"):
                loan.resize((31, 6), "boxes")
            with pytest.raises(ValueError, match="fixed"):
                loan.resize((3,), "n")
            with pytest.raises(ValueError, match="several fields"):
                _ = loan.array
            with pytest.raises(ValueError, match="no field"):
                _ = loan["nothing"]
            loan["boxes"] = np.ones((2, 6))
            loan["n"] = 5
        frame = sub.get(1)
        assert (frame["boxes"].shape, int(frame["n"])) == ((2, 6), 5)
        with pytest.raises(ValueError, match=r'no field "z"'):
            _ = frame["z"]
        assert sub.get(0) is None


def test_frame_attrs_that_are_too_large_or_no_json(pub: Any) -> None:
    values = np.ones((4, 5), "f4")
    with pytest.raises(ValueError, match=r"1024"):
        pub.put(values, attrs={"x": "y" * 2000})
    with pytest.raises(TypeError, match=r"attrs"):
        pub.put(values, attrs={"x": object()})
    with pytest.raises(ValueError, match=r"1024"), pub.loan() as loan:
        loan.attrs["x"] = "y" * 2000
    with ndshare.Subscriber("cam") as sub:
        assert sub.get(0) is None


def test_a_loan_is_published_once(pub: Any) -> None:
    with ndshare.Subscriber("cam") as sub:
        loan = pub.loan()
        loan.array[:] = 2
        assert loan.publish() is not None
        with pytest.raises(ndshare.Closed, match="already"):
            loan.publish()
        loan.discard()
        assert sub.get(0) is not None
        assert sub.get(0) is None


def test_timeouts_are_seconds(pub: Any) -> None:
    with ndshare.Subscriber("cam") as sub:
        for wrong in (True, "1", [1]):
            with pytest.raises(TypeError, match="seconds"):
                sub.get(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="seconds"):
                pub.put(np.ones((4, 5), "f4"), timeout=wrong)
        with pytest.raises(ValueError, match="NaN"):
            sub.get(float("nan"))


def test_closed_handles_say_so() -> None:
    pub = ndshare.Publisher("cam", 3, "f4")
    sub = ndshare.Subscriber("cam")
    pub.put([1, 2, 3])
    frame = sub.get(1)
    for handle in (pub, sub):
        handle.close()
        handle.close()
        assert handle.closed
        assert "closed" in repr(handle)
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(handle)
    for call in (
        lambda: pub.put([1, 2, 3]),
        lambda: pub.loan(),
        lambda: pub.end(),
        lambda: sub.get(0),
        lambda: sub.get_many(1, 0),
        lambda: sub.fileno(),
        lambda: dict(pub.attrs),
    ):
        with pytest.raises(ndshare.Closed):
            call()
    assert list(sub) == []
    assert frame.array.tolist() == [1, 2, 3]
    frame.close()
    with pytest.raises(ndshare.Closed):
        _ = frame.array


def test_an_array_is_no_stream_and_a_stream_no_array() -> None:
    array = ndshare.create("array", 3)
    pub = ndshare.Publisher("stream", 3, "f4")
    with refused(ndshare.Exists, "publish", "array", "array"):
        ndshare.Publisher("array", 3, "f4")
    with ndshare.Subscriber("array") as sub, refused(ValueError, "get", "array", "not a stream"):
        sub.get(0)
    with refused(ValueError, "open", "stream", "Subscriber"):
        ndshare.open("stream")
    with refused(ndshare.Exists, "create", "stream", "a stream"):
        ndshare.create("stream", 3)
    pub.close()
    array.close()


def test_a_subscriber_that_expects_something_else(pub: Any) -> None:
    for wrong in ({"dtype": "f8"}, {"shape": (5, 4)}):
        sub = ndshare.Subscriber("cam", **wrong)
        with refused(ndshare.SpecMismatch, "open", "cam", r"expected .*found"):
            sub.get(0)
        sub.close()
    with ndshare.Subscriber("cam", shape=(4, 5), dtype="f4") as sub:
        assert sub.get(0) is None


def test_refs_of_other_streams(pub: Any) -> None:
    seq = pub.put(np.ones((4, 5), "f4"))
    with ndshare.Publisher("other", 3, "f4") as other:
        other.put([1, 2, 3])
        with pytest.raises((ndshare.Overwritten, ndshare.NotFound)):
            ndshare.FrameRef("other", pub.generation, seq).get()
    with pytest.raises(ndshare.NotFound, match="gone"):
        ndshare.FrameRef("nobody", 1, 1).get()


def test_flipped_bits_in_the_control_words_are_an_error_or_nothing_but_never_a_crash(
    peer: PeerMaker, request: pytest.FixtureRequest
) -> None:
    rounds = max(15, request.config.getoption("--kill-rounds") // 10)
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(rounds):
        other = peer()
        name = f"flip{number}"
        other.do(f"""
            import threading
            pub = ndshare.Publisher({name!r}, (8,), 'f8', slots=4)
            subs = [ndshare.Subscriber({name!r}, latest=k == 1) for k in range(2)]
            for k in range(6):
                pub.put(np.full(8, k))
            held = [s.get(0) for s in subs]
        """)
        info = ndshare.info(name)
        with Path(info.path).open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            control = 4096 + 4096 * ((4 * 1152 + 4095) // 4096)
            for _ in range(chance.choice((1, 3, 20))):
                # The words of the stream: the common line, the ring, the slots, the ends.
                at = chance.choice(
                    (
                        control + chance.randrange(32, 64),
                        control + chance.randrange(192, 256),
                        control + 53248 + chance.randrange(0, 128 + 4 * 64 + 4 * 64),
                    )
                )
                assert at < size
                file.seek(at)
                old = file.read(1)[0]
                file.seek(at)
                file.write(bytes([old ^ (1 << chance.randrange(8))]))
        other.do("""
            said = []
            for k in range(30):
                for what in (lambda: pub.put(np.full(8, k)), lambda: subs[0].get(0.001),
                             lambda: subs[1].get(0), lambda: held[0].ref.get(),
                             lambda: ndshare.Subscriber(pub.name).get(0), lambda: ndshare.ls()):
                    try:
                        what()
                    except Exception as error:
                        said.append(type(error).__name__)
        """)
        allowed = {
            "Corrupt",
            "EndOfStream",
            "Overwritten",
            "NotFound",
            "ValueError",
            "Replaced",
            "Closed",
        }
        assert set(other.get("said")) <= allowed
        assert other.end() == 0
