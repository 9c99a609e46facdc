"""What bad input to a service gets: one clear error, and the service goes on."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from refusals import refused
from services import NUMBER, ROW, SECONDS, answered_in_thread, require_all_free, running, take

import ndshare

INPUTS = {"image": ((2, 3), "u1"), "scale": ((), "f4")}
OUTPUTS = {"boxes": ndshare.Spec(maxshape=(4, 6), dtype="f4"), "label": ((), "U5")}
GOOD = {"image": np.ones((2, 3), "u1"), "scale": 2.0}


def good_model(image: Any, scale: Any) -> Any:
    return {"boxes": np.full((2, 6), image.sum() * scale), "label": "ok"}


def require_sound(client: ndshare.Client) -> None:
    answer = client(GOOD, timeout=SECONDS)
    assert (answer["boxes"] == 12).all()
    assert answer["label"] == "ok"


@pytest.fixture
def client() -> Iterator[ndshare.Client]:
    """Of a service that is looked at after the test: it still works, and has all of its slots."""
    worker = ndshare.Worker("svc", INPUTS, OUTPUTS, slots=4)
    with running(worker, good_model):
        with ndshare.Client("svc") as one:
            yield one
        with ndshare.Client("svc") as other:
            require_sound(other)
        require_all_free("svc")


# ---- making a worker or a client ----------------------------------------------------------------

SPECS: dict[str, Any] = {"inputs": {"x": (3, "f4")}, "outputs": {"y": (3, "f4")}}


@pytest.mark.parametrize(
    ("more", "kind", "pattern"),
    [
        ({"inputs": {}}, ValueError, "empty"),
        ({"outputs": {}}, ValueError, "empty"),
        ({"outputs": None}, TypeError, "inputs= and outputs="),
        ({"inputs": None}, TypeError, "inputs= and outputs="),
        ({"inputs": ((3,), "f4")}, TypeError, "mapping"),
        ({"inputs": {"": (3, "f4")}}, ValueError, "name"),
        ({"inputs": {"a\tb": (3, "f4")}}, ValueError, "control"),
        ({"inputs": {1: (3, "f4")}}, TypeError, "str"),
        ({"inputs": {"a": 3}}, TypeError, "Spec or"),
        ({"inputs": {"x": (-1, "f4")}}, ValueError, "negative"),
        ({"inputs": {"x": (3, object)}}, TypeError, "fixed-size"),
        ({"outputs": {"y": (3, object)}}, TypeError, "fixed-size"),
        ({"outputs": {"y": (3, "U")}}, TypeError, "length"),
        ({"inputs": {"x": ndshare.Spec((2, 3), "f4", "F")}}, ValueError, "ortran"),
        ({"inputs": {f"f{k}": (1, "f4") for k in range(65)}}, ValueError, "64"),
        ({"slots": 0}, ValueError, "1 to 4096"),
        ({"slots": 5000}, ValueError, "1 to 4096"),
        ({"slots": 1 << 40}, ValueError, "1 to 4096"),
        ({"slots": True}, TypeError, "int"),
        ({"slots": 2.5}, TypeError, "int"),
        ({"slots": "3"}, TypeError, "int"),
        ({"retries": -1}, ValueError, "0 to 15"),
        ({"retries": 16}, ValueError, "0 to 15"),
        ({"retries": False}, TypeError, "int"),
        ({"retries": 1.5}, TypeError, "int"),
        ({"attrs": {"x": "y" * 17000}}, ValueError, "16384"),
        ({"attrs": {1: 2}}, TypeError, "str"),
        ({"permissions": 0o666}, ValueError, "permissions"),
        ({"spin": True}, TypeError, "spin"),
        ({"spin": float("nan")}, ValueError, "spin"),
    ],
    ids=str,
)
def test_a_wrong_worker_is_refused(more: dict[str, Any], kind: Any, pattern: str) -> None:
    with refused(kind, "work", "bad", pattern):
        ndshare.Worker("bad", **{**SPECS, **more})
    assert ndshare.ls() == []


@pytest.mark.parametrize("name", ["", "/x", "x/", "a/../b", "a\0b", "x" * 201, "\udcff"], ids=ascii)
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^\[work\] "):
        ndshare.Worker(name, **SPECS)
    with pytest.raises(ValueError, match=r"^\[connect\] "):
        ndshare.Client(name)


def test_more_memory_than_there_is() -> None:
    with refused(MemoryError, "work", "big", r"\d"):
        ndshare.Worker("big", {"x": ((1 << 40,), "u1")}, SPECS["outputs"])
    with pytest.raises((ValueError, MemoryError), match=r'^\[work\] "big": '):
        ndshare.Worker("big", {"x": ((1 << 60,), "f8")}, SPECS["outputs"])
    assert ndshare.ls() == []


def test_joining_what_is_not_there() -> None:
    with refused(ndshare.NotFound, "work", "nobody", "give inputs and outputs"):
        ndshare.Worker("nobody")
    with ndshare.Client("nobody") as client, refused(ndshare.NoWorker, "call", "nobody", "worker"):
        client(1, timeout=0)


def test_a_service_an_array_and_a_stream_are_no_two_of_them() -> None:
    array = ndshare.create("array", 3)
    pub = ndshare.Publisher("stream", 3, "f4")
    worker = ndshare.Worker("service", **SPECS)
    for name in ("array", "stream"):
        with refused(ndshare.Exists, "work", name, f"an? {name}"):
            ndshare.Worker(name, **SPECS)
        with refused(ndshare.Exists, "work", name, f"an? {name}"):
            ndshare.Worker(name)
        with ndshare.Client(name) as client:
            for ask in (client, client.submit):
                with refused(ValueError, "call", name, "not a service"):
                    ask([1, 2, 3], timeout=1)
            with refused(ValueError, "call", name, "not a service"):
                client.loan(timeout=1)
            assert client.worker_count == 0
    with refused(ValueError, "open", "service", "Client"):
        ndshare.open("service")
    with refused(ndshare.Exists, "create", "service", "a service"):
        ndshare.create("service", 3)
    with refused(ndshare.Exists, "publish", "service", "a service"):
        ndshare.Publisher("service", 3, "f4")
    with (
        ndshare.Subscriber("service") as sub,
        refused(ValueError, "get", "service", "not a stream"),
    ):
        sub.get(0)
    with running(worker, lambda x: x), ndshare.Client("service") as client:
        assert client([1, 2, 3], timeout=SECONDS).tolist() == [1, 2, 3]
    pub.close()
    array.close()


# ---- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "pattern"),
    [
        ({**GOOD, "image": np.ones((3, 2), "u1")}, ndshare.SpecMismatch, r"\(2, 3\).*\(3, 2\)"),
        ({**GOOD, "scale": [1.0]}, ndshare.SpecMismatch, r"\(1,\)"),
        (
            {**GOOD, "image": np.ones((2, 3), "f4")},
            TypeError,
            '"image": got dtype float32.*astype',
        ),
        ({**GOOD, "image": np.ones((2, 3), "i8")}, TypeError, '"image": got dtype int64.*astype'),
        ({**GOOD, "image": [[1, 2, 3], [4]]}, (TypeError, ValueError), "inhomogeneous"),
        ({**GOOD, "image": "text"}, (TypeError, ValueError), "."),
        ({**GOOD, "scale": object()}, (TypeError, ValueError), "."),
        ({"image": GOOD["image"]}, ValueError, '"scale" is missing'),
        ({}, ValueError, "is missing"),
        ({**GOOD, "more": 1}, ValueError, 'no input "more".*image, scale'),
        ({**GOOD, 5: 1}, (TypeError, ValueError), "5"),
        (GOOD["image"], ValueError, "several inputs"),
        (None, (TypeError, ValueError), "."),
    ],
    ids=lambda value: "" if isinstance(value, (dict, type, tuple)) else str(value)[:30],
)
def test_a_wrong_value_is_refused(
    client: ndshare.Client, value: Any, kind: Any, pattern: str
) -> None:
    for _ in range(6):  # more often than there are slots
        for ask in (client, client.submit):
            with pytest.raises(kind) as caught:
                ask(value, timeout=5)
            text = str(caught.value)
            assert text.startswith(('[call] "svc": ', '[input] "svc": '))
            assert re.search(pattern, text), text
    require_sound(client)


@pytest.mark.parametrize(
    ("timeout", "kind"),
    [(True, TypeError), ("1", TypeError), ([1], TypeError), (float("nan"), ValueError)],
    ids=str,
)
def test_timeouts_are_seconds(client: ndshare.Client, timeout: Any, kind: Any) -> None:
    call = client.submit(GOOD)
    for wait in (
        lambda: client(GOOD, timeout=timeout),
        lambda: client.submit(GOOD, timeout=timeout),
        lambda: client.loan(timeout=timeout),
        lambda: call.result(timeout),
        lambda: call.frame(timeout),
    ):
        with refused(kind, "call", "svc", "seconds|NaN"):
            wait()
    loan = client.loan()
    loan["image"], loan["scale"] = GOOD["image"], GOOD["scale"]
    with refused(kind, "call", "svc", "seconds|NaN"):
        loan.submit(timeout=timeout)
    loan.submit(timeout=SECONDS)  # it is still a loan
    assert loan.result()["label"] == "ok"
    assert call.result(SECONDS)["label"] == "ok"


def test_a_loan_is_submitted_once_and_filled_before(client: ndshare.Client) -> None:
    loan = client.loan()
    with refused(ndshare.Closed, "call", "svc", "submitted"):
        loan.result(1)
    for wrong in (lambda: loan["nothing"], lambda: loan.__setitem__("nothing", 1)):
        with refused(ValueError, "input", "svc", 'no input "nothing"'):
            wrong()
    with pytest.raises(ValueError, match=r'^\[input\] "svc": .*several'):
        _ = loan.array
    with pytest.raises(ValueError, match=r'^\[resize\] "svc": .*fixed'):
        loan.resize((2, 2), "image")
    with refused(ndshare.SpecMismatch, "call", "svc", r"\(3, 3\)"):
        loan["image"] = np.ones((3, 3), "u1")
    image = loan["image"]
    loan["image"], loan["scale"] = GOOD["image"], GOOD["scale"]
    loan.submit(timeout=SECONDS)
    with refused(ndshare.Closed, "call", "svc", "already"):
        loan.submit()
    for late in (
        lambda: loan["image"],
        lambda: loan.__setitem__("scale", 1),
        lambda: loan.resize((1, 1), "image"),
    ):
        with pytest.raises(ndshare.Closed, match=r'^\[(call|input|resize)\] "svc": .*already'):
            late()
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 1
    loan.discard()  # too late: nothing
    assert loan.result()["label"] == "ok"
    gone = client.loan()
    gone.discard()
    gone.discard()
    with pytest.raises(ndshare.Closed):
        gone.submit()
    with pytest.raises(ndshare.Closed):
        gone.result(1)


def test_a_frame_that_was_let_go_is_gone(client: ndshare.Client) -> None:
    call = client.submit(GOOD)
    frame = call.frame(SECONDS)
    assert call.frame(0)["label"] == frame["label"] == "ok"
    with pytest.raises(ValueError, match=r"several (fields|outputs)"):
        _ = frame.array
    with pytest.raises(ValueError, match="nothing"):
        _ = frame["nothing"]
    frame.close()
    with pytest.raises(ndshare.Closed):
        _ = frame["label"]
    del frame
    with refused(ndshare.Closed, "call", "svc", "let go"):
        call.frame(0)


# ---- answering ----------------------------------------------------------------------------------

BOXES = np.ones((2, 6), "f4")


@pytest.mark.parametrize("batched", [False, True], ids=["one", "batch"])
@pytest.mark.parametrize(
    ("wrong", "pattern"),
    [
        ({"boxes": np.ones((5, 6)), "label": "x"}, r"maxshape|\(5, 6\)|beyond"),
        ({"boxes": np.ones(6), "label": "x"}, "."),
        ({"boxes": np.ones((2, 6), "c8"), "label": "x"}, "complex64"),
        ({"boxes": BOXES}, '"label" is missing'),
        ({"boxes": BOXES, "label": "x", "more": 1}, 'no output "more"'),
        ({"boxes": BOXES, "label": ["a", "b"]}, "."),
        ((BOXES,), "outputs"),
        (BOXES, "outputs"),
        (None, "returned None"),
        (object(), "."),
    ],
    ids=lambda value: "" if isinstance(value, (dict, tuple, np.ndarray)) else str(value)[:20],
)
def test_a_wrong_result_is_the_calls_error_not_the_workers(
    wrong: Any, pattern: str, batched: bool
) -> None:
    def with_axis(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: np.asarray(one)[np.newaxis] for name, one in value.items()}
        if isinstance(value, tuple):
            return tuple(np.asarray(one)[np.newaxis] for one in value)
        return value

    def model(image: Any, scale: Any) -> Any:
        if batched:
            return with_axis(good_model(image[0], scale[0]) if scale[0] == 2 else wrong)
        return good_model(image, scale) if scale == 2 else wrong

    more: dict[str, Any] = {"max_batch_size": 1} if batched else {}
    worker = ndshare.Worker("wrong", INPUTS, OUTPUTS, slots=2)
    with running(worker, model, **more), ndshare.Client("wrong") as client:
        for _ in range(3):
            with refused(ndshare.RemoteError, "call", "wrong", f"(?s)Traceback.*({pattern})"):
                client({**GOOD, "scale": 1}, timeout=SECONDS)
        require_sound(client)
        require_all_free("wrong")


def test_an_answer_of_one_call_is_compared_without_the_axis_of_calls() -> None:
    worker = ndshare.Worker("one", **ROW)
    with (
        running(worker, lambda x: np.ones(len(x) + 1, "i8")),
        ndshare.Client("one") as client,
        pytest.raises(ndshare.RemoteError, match=r'"y": expected shape \(8,\).*\(9,\)'),
    ):
        client([1] * 8, timeout=SECONDS)


def test_a_reply_with_too_few_rows_answers_nothing() -> None:
    with ndshare.Worker("rows", **ROW) as worker, ndshare.Client("rows") as client:
        calls = [client.submit([k] * 8) for k in range(3)]
        batch = take(worker, 3)
        for wrong in (np.ones((2, 8), "i8"), np.ones((4, 8), "i8"), np.ones(8, "i8")):
            with refused(ndshare.SpecMismatch, "reply", "rows", r"\(3, 8\)"):
                batch.reply(wrong)
        with refused(TypeError, "reply", "rows", "astype"):
            batch.reply(np.ones((3, 8), "f8"))
        with refused(ValueError, "reply", "rows", 'no output "z"'):
            batch.reply({"y": np.ones((3, 8), "i8"), "z": 1})
        with refused(ValueError, "reply", "rows", "missing"):
            batch.reply({})
        with refused(ValueError, "resize", "rows", "fixed"):
            batch.resize((3,))
        assert not any(call.done() for call in calls)
        with pytest.raises(ValueError, match="step"):
            batch[::2]
        batch.reply(batch.inputs["x"])
        assert [int(call.result(SECONDS)[0]) for call in calls] == [0, 1, 2]


def test_a_batch_is_answered_once() -> None:
    with ndshare.Worker("once", **NUMBER) as worker, ndshare.Client("once") as client:
        call = client.submit(1)
        batch = take(worker)
        outputs = batch.outputs["y"]
        batch.reply([2])
        with refused(ndshare.Closed, "reply", "once", "already"):
            batch.reply([3])
        with refused(ndshare.Closed, "reply", "once", "already"):
            batch.reply()
        with refused(ndshare.Closed, "fail", "once", "already"):
            batch.fail(ValueError("late"))
        with pytest.raises(ValueError, match="read-only"):
            outputs[0] = 4
        assert call.result(SECONDS) == 2
        call = client.submit(2)
        batch = take(worker)
        with pytest.raises((TypeError, AttributeError)):
            batch.fail("not an exception")  # type: ignore[arg-type]
        batch.fail(KeyError("it"))
        with pytest.raises(ndshare.RemoteError, match="it"):
            call.result(SECONDS)


@pytest.mark.parametrize(
    ("more", "kind", "pattern"),
    [
        ({"max_batch_size": 0}, ValueError, "at least 1"),
        ({"max_batch_size": True}, TypeError, "int"),
        ({"max_batch_size": 1.5}, TypeError, "int"),
        ({"max_batch_size": "2"}, TypeError, "int"),
        ({"max_delay": -1}, ValueError, "max_delay"),
        ({"max_delay": float("nan")}, ValueError, "max_delay"),
        ({"max_delay": True}, TypeError, "max_delay"),
        ({"max_delay": "1"}, TypeError, "max_delay"),
        ({"max_delay": None}, TypeError, "max_delay"),
    ],
    ids=str,
)
def test_wrong_wishes_for_batches_are_refused(more: Any, kind: Any, pattern: str) -> None:
    with ndshare.Worker("wish", **NUMBER) as worker:
        with refused(kind, "get", "wish", pattern):
            worker.get(**more, timeout=0)
        with refused(kind, "batches", "wish", pattern):
            worker.batches(**more)
        with pytest.raises(kind, match=rf'^\[(run|batches)\] "wish": .*{pattern}'):
            worker.run(lambda x: x, **more)
        for timeout in (True, "1"):
            with refused(TypeError, "get", "wish", "seconds"):
                worker.get(timeout=timeout)  # type: ignore[arg-type]


def test_numbers_beyond_every_bound_are_refused_as_clearly() -> None:
    with ndshare.Worker("beyond", **NUMBER) as worker:
        with refused(ValueError, "get", "beyond", "max_batch_size"):
            worker.get(1 << 40, timeout=0)
        with refused(ValueError, "get", "beyond", "max_delay"):
            worker.get(1, 1e300, timeout=0)
        assert worker.get(timeout=0) is None


# ---- handles that are over ----------------------------------------------------------------------


def test_closed_handles_say_so() -> None:
    worker, client = ndshare.Worker("over", **NUMBER), ndshare.Client("over")
    call = client.submit(1)
    take(worker).reply([2])
    assert call.result(SECONDS) == 2
    loan, pending = client.loan(), client.submit(2)
    for handle in (client, worker):
        handle.close()
        handle.close()
        assert handle.closed
        assert "closed" in repr(handle)
    for action in (
        lambda: client(1),
        lambda: client.submit(1),
        lambda: client.loan(),
        lambda: dict(client.attrs),
        lambda: pending.result(5),
        lambda: (loan.submit(), loan.result(5)),
        lambda: worker.get(timeout=0),
        lambda: dict(worker.attrs),
        lambda: worker.attrs.update(x=1),
        lambda: worker.client_count,
    ):
        with pytest.raises(ndshare.Closed, match=r'^\[\w+\] "over": '):
            action()
    assert client.worker_count == 0
    assert list(worker.batches()) == []
    assert worker.run(lambda x: x) is None
    assert call.result() == 2
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(client)


@pytest.mark.parametrize("how", [((), {"x": 1}), ((1, 2), {}), ((), {})], ids=str)
def test_a_call_that_is_spelt_otherwise_says_how(how: tuple[Any, Any]) -> None:
    with (
        ndshare.Client("spelt") as client,
        pytest.raises(TypeError, match=r'^\[call\] "spelt": give one value, or a mapping'),
    ):
        client(*how[0], **how[1])


def test_a_worker_whose_name_got_other_memory_says_replaced(peer: PeerMaker) -> None:
    worker = ndshare.Worker("repl", **NUMBER)
    thread, found = answered_in_thread(lambda: worker.get(timeout=SECONDS))
    ndshare.unlink("repl")
    other = peer()
    other.do(f"worker = ndshare.Worker('repl', {SPECS['inputs']!r}, {SPECS['outputs']!r})")
    thread.join(10)
    assert [type(one) for one in found] == [ndshare.Replaced], found
    for action in (lambda: worker.get(timeout=0), lambda: worker.run(lambda x: x)):
        with pytest.raises(ndshare.Replaced, match=r'^\[get\] "repl": .*another worker'):
            action()
    worker.close()
