"""Models whose inputs and outputs are a service's memory: the same bits, and no copy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from batches import address, batch_of, run_beside
from children import PeerMaker
from numpy.typing import NDArray

import ndshare
from ndshare.models._tensors import Declared, batch_size, require_known, tensors_of

F4 = np.dtype("f4")


# ---- run(): what it does with an on_batch --------------------------------------------------------


class Doubles:
    """A model of NumPy, in place."""

    max_batch_size = 4

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def on_batch(self, batch: ndshare.Batch) -> None:
        self.sizes.append(len(batch))
        if (batch.inputs["x"] < 0).any():
            raise ValueError("negative")
        np.multiply(batch.inputs["x"], 2, out=batch.outputs["y"])


@pytest.fixture
def doubles() -> Iterator[tuple[ndshare.Worker, ndshare.Client]]:
    with (
        ndshare.Worker("doubles", {"x": ((3,), "f4")}, {"y": ((3,), "f4")}, slots=16) as worker,
        ndshare.Client("doubles") as client,
    ):
        yield worker, client


Pair = tuple[ndshare.Worker, ndshare.Client]


def test_run_gives_the_whole_batch_to_on_batch_and_answers_it(doubles: Pair) -> None:
    worker, client = doubles
    calls = [client.submit(np.full(3, k, "f4"), timeout=60) for k in range(8)]
    model = Doubles()
    thread = run_beside(worker, model)
    assert [call.result()[0] for call in calls] == [2 * k for k in range(8)]
    worker.close()
    thread.join(60)
    assert model.sizes == [4, 4], "its own max_batch_size"


def test_max_batch_size_of_run_goes_before_the_models(doubles: Pair) -> None:
    worker, client = doubles
    calls = [client.submit(np.zeros(3, "f4"), timeout=60) for _ in range(4)]
    model = Doubles()
    thread = run_beside(worker, model, max_batch_size=2)
    for call in calls:
        call.result()
    worker.close()
    thread.join(60)
    assert model.sizes == [2, 2]


def test_an_on_batch_without_a_size_gets_one_call_at_a_time(doubles: Pair) -> None:
    class Plain:
        sizes: list[int] = []  # noqa: RUF012

        def on_batch(self, batch: ndshare.Batch) -> None:
            self.sizes.append(len(batch))
            batch.reply(batch.inputs["x"] + 1)  # answers it itself

    worker, client = doubles
    calls = [client.submit(np.zeros(3, "f4"), timeout=60) for _ in range(3)]
    thread = run_beside(worker, Plain())
    assert [call.result()[0] for call in calls] == [1, 1, 1]
    worker.close()
    thread.join(60)
    assert Plain.sizes == [1, 1, 1]


def test_an_exception_of_on_batch_goes_to_its_callers_and_the_worker_goes_on(
    doubles: Pair,
) -> None:
    worker, client = doubles
    thread = run_beside(worker, Doubles())
    with pytest.raises(ndshare.RemoteError, match="negative"):
        client(np.full(3, -1, "f4"), timeout=60)
    assert client(np.ones(3, "f4"), timeout=60)[0] == 2
    worker.close()
    thread.join(60)


def test_run_refuses_what_it_cannot_call(doubles: Pair) -> None:
    with pytest.raises(TypeError, match=r'\[run\] "doubles": run takes a function'):
        doubles[0].run(object())  # type: ignore[arg-type]


def test_an_exception_after_the_answer_ends_run(doubles: Pair) -> None:
    class Late:
        def on_batch(self, batch: ndshare.Batch) -> None:
            batch.reply(batch.inputs["x"])
            raise RuntimeError("too late for its callers")

    worker, client = doubles
    call = client.submit(np.ones(3, "f4"), timeout=60)
    with pytest.raises(RuntimeError, match="too late"):
        worker.run(Late())
    assert call.result()[0] == 1


# ---- names and shapes ----------------------------------------------------------------------------


def test_a_field_is_called_as_its_tensor_where_it_can_be() -> None:
    names = ["serving_default_input:0", "a\nb", "a_b", "", "é" * 150]
    found = tensors_of([Declared(name, (1, 2), F4) for name in names], {}, "input")
    fields = [tensor.field for tensor in found]
    assert fields == ["serving_default_input:0", "a_b", "a_b_2", "input", "é" * 100]
    assert [tensor.name for tensor in found] == names
    spec = {tensor.field: (tensor.shape, tensor.dtype) for tensor in found}
    with ndshare.Worker("names", spec, {"y": ((), "f4")}) as worker:
        assert list(worker.inputs) == fields


def test_a_shape_is_one_calls_and_open_axes_have_to_be_given() -> None:
    tensors = tensors_of([Declared("x", (None, None, 3), F4)], {"x": (4, 3)}, "input")
    assert tensors[0].shape == (4, 3) and not tensors[0].fixed
    with pytest.raises(ValueError, match="dynamic axes"):
        tensors_of([Declared("x", (None, None, 3), F4)], {}, "input")
    for wrong in [(4, 2), (4,), (4, 3, 1)]:
        with pytest.raises(ValueError, match="shapes= has"):
            tensors_of([Declared("x", (None, None, 3), F4)], {"x": wrong}, "input")
    with pytest.raises(ValueError, match='names "z"; the model has x'):
        require_known({"z": (1,)}, tensors)


@pytest.mark.parametrize("shape", [(), (4, 3)])
def test_a_tensor_without_a_batch_axis_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="batch axis"):
        tensors_of([Declared("x", shape, F4)], {}, "input")


def test_one_fixed_tensor_makes_the_model_compute_one_call_at_a_time() -> None:
    fixed = tensors_of([Declared("x", (1, 2), F4), Declared("y", (None, 2), F4)], {}, "input")
    assert batch_size(fixed, 8) == 1
    assert batch_size(fixed[1:], 8) == 8
    with pytest.raises(ValueError, match="max_batch_size"):
        batch_size(fixed, 0)


# ---- ONNX Runtime --------------------------------------------------------------------------------


def affine(batch: int | str = "N", columns: int | str = 3) -> bytes:
    """out:0 = x @ W + b, and sums = the rows' sums of that."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make = onnx.helper
    kind = onnx.TensorProto.FLOAT
    weights = np.random.default_rng(20).normal(size=(64, 3)).astype("f4")
    graph = make.make_graph(
        [
            make.make_node("MatMul", ["x", "W"], ["product"]),
            make.make_node("Add", ["product", "b"], ["out:0"]),
            make.make_node("ReduceSum", ["out:0", "axes"], ["sums"], keepdims=0),
        ],
        "affine",
        [
            make.make_tensor_value_info("x", kind, [batch, 64]),
            make.make_tensor_value_info("b", kind, [batch, columns]),
        ],
        [
            make.make_tensor_value_info("out:0", kind, [batch, 3]),
            make.make_tensor_value_info("sums", kind, [batch]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "W"),
            onnx.numpy_helper.from_array(np.array([1], "i8"), "axes"),
        ],
    )
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def onnx_calls(count: int) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(21)
    return [
        {"x": rng.normal(size=64).astype("f4"), "b": rng.normal(size=3).astype("f4")}
        for _ in range(count)
    ]


def by_onnxruntime(model: bytes, fed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Without ndshare: arrays of its own in and out."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return dict(zip(["out:0", "sums"], session.run(["out:0", "sums"], fed), strict=True))


def test_an_onnx_model_tells_its_fields() -> None:
    model_bytes = affine()
    from ndshare.models.onnx import OnnxModel

    model = OnnxModel(model_bytes, max_batch_size=8)
    assert model.inputs == {"x": ((64,), F4), "b": ((3,), F4)}
    assert model.outputs == {"out:0": ((3,), F4), "sums": ((), F4)}
    assert model.max_batch_size == 8
    assert OnnxModel(affine(batch=1), max_batch_size=8).max_batch_size == 1
    with pytest.raises(ValueError, match="dynamic axes"):
        OnnxModel(affine(columns="k"))
    assert OnnxModel(affine(columns="k"), shapes={"b": (3,)}).inputs == model.inputs


@pytest.mark.parametrize("fixed", [False, True])
def test_onnxruntime_works_in_the_batch_itself_with_the_same_bits(
    fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_bytes = affine(batch=1 if fixed else "N")
    import onnxruntime

    from ndshare.models.onnx import OnnxModel

    bound: dict[str, list[int]] = {}
    left: list[int] = []

    class Spy(onnxruntime.IOBinding):  # type: ignore[misc]
        def bind_input(self, name: str, *more: Any) -> None:
            bound.setdefault(name, []).append(more[-1])
            super().bind_input(name, *more)

        def bind_output(self, name: str, *more: Any) -> None:
            bound.setdefault(name, []).append(more[-1])
            super().bind_output(name, *more)

        def synchronize_outputs(self) -> None:
            super().synchronize_outputs()
            left.extend(value.data_ptr() for value in self.get_outputs())

    model = OnnxModel(model_bytes, max_batch_size=5)
    monkeypatch.setattr(model.session, "io_binding", lambda: Spy(model.session))
    asked = onnx_calls(5)
    with batch_of(model, asked) as (batch, calls):
        assert not batch.gathered
        arrays = {**batch.inputs, **batch.outputs}
        model.on_batch(batch)
        expected = {
            name: [address(array[i : i + 1]) for i in range(5)] if fixed else [address(array)]
            for name, array in arrays.items()
        }
        assert bound == expected, "addresses that ONNX Runtime was given"
        outputs = [expected[name] for name in model.outputs]
        assert left == [at for run in zip(*outputs, strict=True) for at in run]
        copy = {name: np.array(array) for name, array in batch.inputs.items()}
        runs = [{k: v[i : i + 1] for k, v in copy.items()} for i in range(5)] if fixed else [copy]
        wanted = [by_onnxruntime(model_bytes, run) for run in runs]
        for name, array in batch.outputs.items():
            right = np.concatenate([one[name] for one in wanted])
            assert array.tobytes() == right.tobytes(), name
        batch.reply()
        answers = [call.result() for call in calls]
        assert answers[3]["out:0"].shape == (3,)
        del arrays, array, batch, calls


def test_an_onnx_model_answers_another_process(peer: PeerMaker, tmp_path: Path) -> None:
    model_bytes = affine()
    path = tmp_path / "affine.onnx"
    path.write_bytes(model_bytes)
    other = peer()
    other.do(
        f"""
        from ndshare.models.onnx import OnnxModel
        model = OnnxModel({str(path)!r}, max_batch_size=4)
        worker = ndshare.Worker("affine", model.inputs, model.outputs, slots=16)
        """
    )
    with ndshare.Client("affine") as client:
        asked = onnx_calls(8)
        calls = [client.submit(one, timeout=60) for one in asked]
        other.start("worker.run(model)")
        answers = [call.result() for call in calls]
        # Bits depend on the size of a matrix product: the same four calls at once, as it was asked.
        for begin in (0, 4):
            part = asked[begin : begin + 4]
            fed = {name: np.stack([one[name] for one in part]) for name in ("x", "b")}
            right = by_onnxruntime(model_bytes, fed)
            for i, answer in enumerate(answers[begin : begin + 4]):
                for name in ("out:0", "sums"):
                    assert answer[name].tobytes() == right[name][i].tobytes()
        del calls
        other.kill()


def test_a_model_does_not_run_over_fields_of_other_shapes() -> None:
    model_bytes = affine()
    from ndshare.models.onnx import OnnxModel

    model = OnnxModel(model_bytes)
    other = {"x": ((32,), "f4"), "b": ((3,), "f4")}
    with (
        ndshare.Worker("wrong", other, model.outputs) as worker,
        ndshare.Client("wrong") as client,
    ):
        thread = run_beside(worker, model)
        with pytest.raises(ndshare.RemoteError, match="make the worker with model"):
            client({"x": np.zeros(32, "f4"), "b": np.zeros(3, "f4")}, timeout=60)
        worker.close()
        thread.join(60)


# ---- PyTorch, with a stand-in: the calls that are made of it -------------------------------------


class Standing(np.ndarray[Any, Any]):
    """An array with the one method of a tensor that is used."""

    def copy_(self, other: NDArray[Any]) -> None:
        self[...] = other


def test_a_torch_module_gets_the_batch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("torch")
    monkeypatch.setattr(
        stand_in, "from_dlpack", lambda a: np.from_dlpack(a).view(Standing), raising=False
    )
    monkeypatch.setattr(stand_in, "inference_mode", nullcontext, raising=False)
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.delitem(sys.modules, "ndshare.models.torch", raising=False)
    from ndshare.models.torch import TorchModule

    seen: list[int] = []

    def module(x: Any, y: Any) -> tuple[Any, Any]:
        seen.extend([address(x), address(y)])
        return x + y, x.sum(axis=1)

    model = TorchModule(
        module,
        {"x": ((4,), "f4"), "y": ((4,), "f4")},
        {"both": ((4,), "f4"), "sum": ((), "f4")},
        max_batch_size=2,
    )
    asked = [{"x": np.full(4, k, "f4"), "y": np.ones(4, "f4")} for k in (1, 2)]
    with batch_of(model, asked) as (batch, calls):
        model.on_batch(batch)
        assert seen == [address(batch.inputs["x"]), address(batch.inputs["y"])]
        batch.reply()
        assert [call.result()["both"][0] for call in calls] == [2, 3]
        assert [call.result()["sum"] for call in calls] == [4, 8]
        del batch, calls
    sys.modules.pop("ndshare.models.torch")  # not by monkeypatch, which would put it back
