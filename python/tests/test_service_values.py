"""What a call can carry: every dtype, several inputs and outputs, shapes that vary; whose memory
an answer is."""

from __future__ import annotations

import pickle
import signal
import types
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from children import PeerMaker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from services import NUMBER, ROW, SECONDS, running, take
from test_dtypes import DType, bytes_of, dtypes, fill, same

import ndshare

# ---- dtypes -------------------------------------------------------------------------------------


def require_round_trip(values: np.ndarray[Any, Any], dtype: DType) -> None:
    """Through a batch of one, as a pinned frame and as an array of the caller's own."""
    spec = (values.shape, dtype)
    with (
        ndshare.Worker("any", {"x": spec}, {"y": spec}, slots=4) as worker,
        ndshare.Client("any") as client,
    ):
        assert client.inputs == worker.inputs == {"x": ndshare.Spec(*spec)}
        assert client.outputs == worker.outputs == {"y": ndshare.Spec(*spec)}
        framed, owned = client.submit(values), client.submit(values)
        for _ in range(2):
            batch = take(worker)
            got = batch.inputs["x"]
            same(got.dtype, values.dtype)
            assert got.shape == (1, *values.shape)
            assert bytes_of(got) == bytes_of(values)
            assert not got.flags.writeable
            assert batch.outputs["y"].shape == (1, *values.shape)
            batch.reply(got)
        frame = framed.frame(SECONDS)
        for answer in (frame.array, owned.result(SECONDS)):
            same(answer.dtype, values.dtype)
            assert answer.shape == values.shape
            assert bytes_of(answer) == bytes_of(values)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    dtypes,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    st.integers(0, 1000),
)
def test_a_dtype_and_a_shape_go_there_and_back(
    dtype: DType, shape: tuple[int, ...], seed: int
) -> None:
    require_round_trip(fill(dtype, shape, "C", seed), dtype)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_a_dtype_of_ml_dtypes_goes_there_and_back(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    require_round_trip(np.array([[-1, 1], [1, 0]], dtype=dtype), dtype)


def test_values_that_need_a_cast_of_the_same_kind_or_another_layout_are_copied_right() -> None:
    given = np.arange(24, dtype="f8").reshape(4, 6)
    spec = ((6, 4), ">f4")
    with (
        ndshare.Worker("cast", {"x": spec}, {"y": spec}) as worker,
        ndshare.Client("cast") as client,
        running(worker, lambda x: np.asfortranarray(x.astype("f8"))),
    ):
        for value in (given.T, given.T[::-1, ::-1], given.T.tolist()):
            got = client(value, timeout=SECONDS)
            assert got.dtype == np.dtype(">f4")
            np.testing.assert_array_equal(got, np.asarray(value))


# ---- several inputs and outputs -----------------------------------------------------------------

INPUTS = {"image": ((2, 3), "u1"), "scale": ((), "f4"), "tag": ((), "U5")}
OUTPUTS = {"boxes": ((2, 3), "f4"), "label": ((), "U9"), "count": ((), "i8")}


@pytest.mark.parametrize("way", ["tuple", "list", "mapping", "in place", "batch"])
def test_several_inputs_and_outputs_keep_their_names(way: str) -> None:
    def model(image: Any, scale: Any, tag: Any) -> Any:
        made = {"boxes": image * scale, "label": f"{tag}-out", "count": int(image.sum())}
        if way == "mapping":
            return dict(reversed(made.items()))
        return list(made.values()) if way == "list" else tuple(made.values())

    def batch_model(images: Any, scales: Any, tags: Any) -> Any:
        rows = [model(*row) for row in zip(images, scales, tags, strict=True)]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    worker = ndshare.Worker("several", INPUTS, OUTPUTS)
    with ndshare.Client("several") as client:
        calls = [
            client.submit({"tag": f"t{k}", "image": np.full((2, 3), k, "u1"), "scale": 0.5})
            for k in range(5)
        ]
        if way == "in place":
            batch = take(worker, 8)
            images = batch.inputs["image"]
            batch.outputs["boxes"][:] = images * batch.inputs["scale"][:, None, None]
            batch.outputs["label"][:] = [f"{tag}-out" for tag in batch.inputs["tag"]]
            batch.outputs["count"][:] = images.sum((1, 2))
            batch.reply()
        more: dict[str, Any] = {"max_batch_size": 3} if way == "batch" else {}
        with running(worker, batch_model if way == "batch" else model, **more):
            for k, call in enumerate(calls):
                answer = call.result(SECONDS)
                assert list(answer) == list(OUTPUTS)
                assert (answer["boxes"] == k * 0.5).all()
                assert answer["label"] == f"t{k}-out"
                assert answer["count"] == 6 * k
                assert all(isinstance(one, np.ndarray) for one in answer.values())


def test_any_mapping_is_a_mapping() -> None:
    inputs = {"a": ((2,), "f4"), "b": ((), "i4")}
    with (
        ndshare.Worker("map", inputs, {"y": ((2,), "f4")}) as worker,
        ndshare.Client("map") as client,
        running(worker, lambda a, b: a + b),
    ):
        for value in ({"a": [1, 2], "b": 1}, types.MappingProxyType({"a": [1, 2], "b": 1})):
            assert client(value, timeout=SECONDS).tolist() == [2, 3]


@pytest.mark.parametrize("value", [7, [7, 7], np.array([7, 7])], ids=["scalar", "list", "i8"])
@pytest.mark.parametrize("batched", [False, True], ids=["one", "batch"])
def test_a_model_may_return_what_a_call_may_be_given(value: Any, batched: bool) -> None:
    # The same dtypes and values as an input takes: a list of small ints fits u1 and f4.
    shape = () if np.ndim(value) == 0 else (2,)
    dtype = "i4" if isinstance(value, np.ndarray) else "u1"
    spec = {"x": (shape, dtype)}
    worker = ndshare.Worker("list", spec, spec)
    more: dict[str, Any] = {"max_batch_size": 4} if batched else {}
    model = (lambda x: [value] * len(x)) if batched else (lambda x: value)
    with ndshare.Client("list") as client, running(worker, model, **more):
        assert client(value, timeout=SECONDS).tolist() == np.asarray(value).tolist()


# ---- shapes that vary ---------------------------------------------------------------------------

VARIABLE = {
    "inputs": {"x": ndshare.Spec(maxshape=(5, 4), dtype="i4")},
    "outputs": {"y": ndshare.Spec(maxshape=(20,), dtype="i4"), "n": ((), "i8")},
}


def test_calls_of_different_shapes_never_share_a_batch() -> None:
    shapes = [(5, 4), (1, 4), (5, 4), (0, 4), (4, 1), (1, 4), (2, 2), (5, 4), (0, 4), (4, 1)]
    with (
        ndshare.Worker("shapes", **VARIABLE, slots=32) as worker,
        ndshare.Client("shapes") as client,
    ):
        for _ in range(3):
            calls = [client.submit(np.full(shape, k, "i4")) for k, shape in enumerate(shapes)]
            seen = []
            while len(seen) < len(shapes):
                batch = take(worker, 16)
                images = batch.inputs["x"]
                assert images.shape[0] == len(batch)
                assert images.flags.c_contiguous
                batch.reply({"y": images.reshape(len(batch), -1), "n": images.sum((1, 2))})
                seen += [images.shape[1:]] * len(batch)
            assert sorted(seen) == sorted(shapes)
            for k, (call, shape) in enumerate(zip(calls, shapes, strict=True)):
                answer = call.result(SECONDS)
                assert answer["y"].tolist() == [k] * (shape[0] * shape[1])
                assert answer["n"] == k * shape[0] * shape[1]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
@pytest.mark.parametrize("first_all", [True, False], ids=["resized first", "one after another"])
def test_the_calls_of_a_batch_may_have_answers_of_different_shapes(
    order: tuple[int, ...], first_all: bool
) -> None:
    with ndshare.Worker("own", **VARIABLE) as worker, ndshare.Client("own") as client:
        calls = [client.submit(np.full((1, 4), k + 1, "i4")) for k in range(3)]
        batch = take(worker, 3)
        assert len(batch) == 3
        parts = {k: batch[k] for k in order}

        def fill_part(k: int) -> None:
            parts[k].resize((k + 1,), "y")[:] = k + 1
            parts[k].outputs["n"][:] = k + 1

        if first_all:
            for k in order:
                fill_part(k)
        for k in order:
            if not first_all:
                fill_part(k)
            parts[k].reply()
        for k, call in enumerate(calls):
            answer = call.result(SECONDS)
            assert answer["y"].tolist() == [k + 1] * (k + 1)
            assert answer["n"] == k + 1


def test_an_output_array_of_before_a_resize_stays_memory_of_its_own(peer: PeerMaker) -> None:
    # In another process: what is freed here may be anything.
    other = peer()
    other.do("""
        y = ndshare.Spec(maxshape=(40,), dtype="i8")
        worker = ndshare.Worker("before", {"x": ((), "i8")}, {"y": y})
        client = ndshare.Client("before")
        calls = [client.submit(k) for k in range(2)]
        batch = worker.get(2, timeout=30)
        old = batch.resize((39,))
        old[:] = 7
        new = batch.resize((3,))
        others = [np.full(n, 9, "i8") for n in range(1, 120) for _ in range(20)]
    """)
    assert other.get("len(batch)") == 2
    assert other.get("set(old.reshape(-1).tolist())") == {7}


def test_an_output_with_maxshape_has_no_shape_before_resize() -> None:
    with ndshare.Worker("none", **VARIABLE) as worker, ndshare.Client("none") as client:
        call = client.submit(np.zeros((1, 4), "i4"))
        batch = take(worker)
        with pytest.raises(ValueError, match=r'^\[reply\] "none": .*"?y"?'):
            batch.reply()
        batch.resize((2,), "y")[:] = 5
        batch.reply()
        assert call.result(SECONDS)["y"].tolist() == [5, 5]


# ---- whose memory an answer is ------------------------------------------------------------------


def test_results_are_the_callers_own_and_never_change() -> None:
    worker = ndshare.Worker("own", **ROW, slots=2)
    with ndshare.Client("own") as client, running(worker, lambda x: x * 2):
        kept = [client([k] * 8, timeout=SECONDS) for k in range(20)]
        call = client.submit([30] * 8)
        kept.append(call.result(SECONDS))
        assert call.result(0) is kept[-1]
        assert call.done()
        for k, answer in enumerate(kept):
            assert answer.flags.writeable
            assert answer.tolist() == [2 * k if k < 20 else 60] * 8
            answer[:] = -1
        assert client([4] * 8, timeout=SECONDS).tolist() == [8] * 8


def test_a_frame_is_read_only_and_stays_while_other_calls_run(peer: PeerMaker) -> None:
    other = peer()
    other.do(f"""
        import threading
        worker = ndshare.Worker("pin", slots=8, **{ROW!r})
        thread = threading.Thread(target=lambda: worker.run(lambda x: x * 2), daemon=True)
        thread.start()
    """)
    with ndshare.Client("pin") as client:
        frames, views = [], []
        for k in range(40):  # five times what there are slots
            frame = client.submit([k] * 8, timeout=SECONDS).frame()
            assert not frame.array.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                frame.array[0] = 1
            with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
                frame.array.flags.writeable = True
            views.append(frame.array[2:4])
            frames.append(frame)
            if k % 3 == 0:
                frames.pop(0).close()  # leaves views valid
            assert client([k] * 8, timeout=SECONDS).tolist() == [2 * k] * 8
        assert [view.tolist() for view in views] == [[2 * k] * 2 for k in range(40)]


def test_inputs_and_answers_are_read_only_by_page_as_well(peer: PeerMaker) -> None:
    """Whoever gets past the flag (a pointer, torch, an extension) ends itself, no more."""
    with ndshare.Worker("pages", **ROW) as worker, ndshare.Client("pages") as mine:
        asks = peer()
        asks.do("""
            import ctypes
            client = ndshare.Client("pages")
            call = client.submit([1] * 8)
        """)
        batch = take(worker)
        batch.reply(batch.inputs["x"] * 2)
        asks.do("frame = call.frame()")
        asks.start("ctypes.memset(frame.array.ctypes.data, 0xff, 8)")
        assert asks.ended() == -signal.SIGSEGV

        works = peer()
        works.do(f"""
            import ctypes
            worker = ndshare.Worker("pages", **{ROW!r})
        """)
        call = mine.submit([3] * 8, timeout=SECONDS)
        works.do("batch = worker.get()")
        works.start("ctypes.memset(batch.inputs['x'].ctypes.data, 0xff, 8)")
        assert works.ended() == -signal.SIGSEGV
        batch = take(worker)  # the same call again, as it was asked
        assert batch.inputs["x"].tolist() == [[3] * 8]
        batch.reply(batch.inputs["x"])
        assert call.result().tolist() == [3] * 8


@pytest.mark.parametrize(
    ("slots", "clients"), [(8, 1), (8, 3), (2, 1), (1, 1), (2, 2), (4, 6)], ids=str
)
def test_kept_answers_never_stop_a_service(slots: int, clients: int) -> None:
    worker = ndshare.Worker("kept", **NUMBER, slots=slots)
    with running(worker, lambda x: x * 2):
        handles = [ndshare.Client("kept") for _ in range(clients)]
        frames = [
            (k, client.submit(k, timeout=5).frame()) for k in range(3 * slots) for client in handles
        ]
        with ndshare.Client("kept") as newcomer:
            assert newcomer(21, timeout=5) == 42
        assert all(frame.array == 2 * k for k, frame in frames)
        for client in handles:
            client.close()


def test_a_frame_outlives_its_client_and_the_service() -> None:
    worker = ndshare.Worker("gone", **ROW)
    with running(worker, lambda x: x * 2):
        client = ndshare.Client("gone")
        call = client.submit([3] * 8)
        array = call.frame(SECONDS).array
        client.close()
    assert array.tolist() == [6] * 8


# ---- loans --------------------------------------------------------------------------------------


def test_a_loan_is_filled_in_place_and_submitted_on_leaving() -> None:
    worker = ndshare.Worker("loan", **VARIABLE, slots=1)  # one slot: what is not given back is seen
    with ndshare.Client("loan") as client, running(worker, lambda x: (x.reshape(-1), x.sum())):
        with client.loan(timeout=SECONDS) as call:
            call.resize((2, 3))[:] = 4
            array = call.array
            array[1, 2] = 5
            assert call["x"] is array
        assert not array.flags.writeable
        assert call.result(SECONDS)["y"].tolist() == [4, 4, 4, 4, 4, 5]
        with client.loan(timeout=SECONDS) as call:
            call["x"] = [[1, 2]]
        assert call.result(SECONDS)["n"] == 3
        for way in ("discard", "error", "drop"):
            loan = client.loan(timeout=SECONDS)
            if way == "discard":
                with loan as call:
                    call.discard()
                assert not loan.cancel()
            elif way == "error":
                with pytest.raises(KeyError), loan as call:
                    raise KeyError
            del loan, call
            call = client.submit([[3]], timeout=SECONDS)
            assert call.result(SECONDS)["n"] == 3


# ---- the handles --------------------------------------------------------------------------------


def test_attrs_belong_to_the_service_and_workers_change_them(peer: PeerMaker) -> None:
    with ndshare.Client("attrs") as client:
        assert dict(client.attrs) == {}
        with ndshare.Worker("attrs", **ROW, attrs={"labels": ["cat"]}) as worker:
            assert dict(client.attrs) == {"labels": ["cat"]}
            other = peer()
            other.do("w = ndshare.Worker('attrs'); w.attrs['model'] = 'v2'; w.attrs.update(n=3)")
            assert dict(worker.attrs) == dict(client.attrs)
            assert client.attrs["model"] == "v2"
            assert (worker.worker_count, client.worker_count) == (2, 2)
            assert worker.client_count == 1
            with pytest.raises(PermissionError, match=r'^\[attrs\] "attrs": '):
                client.attrs["x"] = 1


def test_footprint_is_known_before() -> None:
    specs = {"inputs": {"x": ((320, 320, 3), "u1")}, "outputs": {"y": ((20, 6), "f4")}}
    sizes = []
    for slots in (1, 2, 64):
        with ndshare.Worker("size", **specs, slots=slots) as worker:
            assert worker.slots == slots
            assert worker.nbytes == ndshare.Worker.footprint(**specs, slots=slots)
            assert worker.nbytes >= slots * (320 * 320 * 3 + 480)
            sizes.append(worker.nbytes)
    assert sizes == sorted(set(sizes))


def test_a_pickled_client_is_another_client_and_the_rest_is_refused(peer: PeerMaker) -> None:
    worker = ndshare.Worker("pickle", **ROW)
    with running(worker, lambda x: x * 2), ndshare.Client("pickle") as client:
        again = pickle.loads(pickle.dumps(client))
        assert again([2] * 8, timeout=SECONDS).tolist() == [4] * 8
        other = peer(env={"NDSHARE_NAMESPACE": "elsewhere"})
        other.do(f"import pickle; client = pickle.loads({pickle.dumps(client)!r})")
        assert other.get("client([3] * 8, timeout=30).tolist()") == [6] * 8
        assert worker.client_count == 3
        call = client.submit([0] * 8)
        for refused in (worker, call):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(refused)
        call.result(SECONDS)
        again.close()
    with ndshare.Worker("batch", **ROW) as worker, ndshare.Client("batch") as client:
        call = client.submit([0] * 8)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(take(worker))
