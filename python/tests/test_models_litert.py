"""LiteRT models whose inputs and outputs are a service's memory: the same bits, and no copy."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import address, batch_of
from children import PeerMaker
from numpy.typing import NDArray

import ndshare
from ndshare.demo import inputs

F4 = np.dtype("f4")


@pytest.fixture
def face_model() -> str:
    """The demo's face detection network: one float32 image in, two outputs."""
    pytest.importorskip("ai_edge_litert")
    try:
        _, model = inputs.default_files(video=False, model=True)
    except inputs.InputError as missing:
        pytest.skip(str(missing))
    return str(model)


def images(count: int) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(22)
    return [{"input": rng.uniform(-1, 1, size=(128, 128, 3)).astype("f4")} for _ in range(count)]


def by_interpreter(path: str, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Without ndshare and without CompiledModel: copied in and out by LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    return {str(one["name"]): interpreter.get_tensor(one["index"])[0] for one in outputs}


def test_a_litert_model_tells_its_fields(face_model: str) -> None:
    from ndshare.models.litert import LiteRtModel

    for model in (LiteRtModel(face_model), LiteRtModel(Path(face_model).read_bytes())):
        assert model.inputs == {"input": ((128, 128, 3), F4)}
        assert model.outputs == {
            "regressors": ((896, 16), F4),
            "classificators": ((896, 1), F4),
        }
        assert model.max_batch_size == 1
    with pytest.raises(ValueError, match='no signature "none"'):
        LiteRtModel(face_model, signature="none")


def test_litert_works_in_the_batch_itself_with_the_same_bits(
    face_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ai_edge_litert

    from ndshare.models.litert import LiteRtModel

    model = LiteRtModel(face_model)
    if not model.in_place:
        pytest.skip("this LiteRT is of a version that is not known")
    library = ctypes.CDLL(str(Path(ai_edge_litert.__file__).parent / "libLiteRt.so"))
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

    def memory_of(buffer: Any) -> int | None:
        """Where LiteRT says that a buffer's memory is."""
        handle = ctypes.c_void_p(get(buffer.capsule, b"LiteRtTensorBuffer"))
        at = ctypes.c_void_p()
        assert library.LiteRtGetTensorBufferHostMemory(handle, ctypes.byref(at)) == 0
        return at.value

    bound: list[dict[str, int | None]] = []
    real = model._compiled.run_by_name

    def run_by_name(signature: str, given: Any, wanted: Any) -> None:
        bound.append({name: memory_of(one) for name, one in {**given, **wanted}.items()})
        real(signature, given, wanted)

    monkeypatch.setattr(model._compiled, "run_by_name", run_by_name)
    asked = images(3)
    with batch_of(model, asked) as (batch, calls):
        assert not batch.gathered
        for array in batch.outputs.values():
            array[...] = np.nan
        model.on_batch(batch)
        arrays = {**batch.inputs, **batch.outputs}
        assert bound == [
            {name: address(array[i : i + 1]) for name, array in arrays.items()} for i in range(3)
        ], "addresses that LiteRT was given"
        assert model.copies == 0
        for i, one in enumerate(batch.inputs["input"]):
            for name, right in by_interpreter(face_model, one.copy()).items():
                assert batch.outputs[name][i].tobytes() == right.tobytes(), (i, name)
        batch.reply()
        assert all(np.isfinite(call.result()["regressors"]).all() for call in calls)
        del arrays, array, one, batch, calls


@pytest.mark.parametrize("known", [True, False])
def test_litert_copies_what_is_not_aligned_and_counts_it(
    face_model: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ndshare.models import litert

    if not known:
        monkeypatch.setattr(litert, "_KNOWN_MAJOR", "none")
    model = litert.LiteRtModel(face_model)
    assert known is False or model.in_place
    image = images(1)[0]["input"]
    shapes = {"input": (1, 128, 128, 3), "regressors": (1, 896, 16), "classificators": (1, 896, 1)}
    arrays = {}
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        room = np.zeros(count + 32, "f4")
        begin = (-address(room) // 4) % 16 + 1  # four bytes behind a multiple of 64
        arrays[name] = room[begin : begin + count].reshape(shape)
        assert address(arrays[name]) % 64 == 4
    arrays["input"][0] = image

    class OneCall:
        inputs = {"input": arrays["input"]}  # noqa: RUF012
        outputs = {name: arrays[name] for name in ("regressors", "classificators")}  # noqa: RUF012

        def __len__(self) -> int:
            return 1

    model.on_batch(OneCall())  # type: ignore[arg-type]
    assert model.copies == 3
    for name, right in by_interpreter(face_model, image).items():
        assert arrays[name][0].tobytes() == right.tobytes()


def test_a_litert_model_answers_another_process(face_model: str, peer: PeerMaker) -> None:
    other = peer()
    other.do(
        f"""
        from ndshare.models.litert import LiteRtModel
        model = LiteRtModel({face_model!r})
        worker = ndshare.Worker("faces", model.inputs, model.outputs, slots=8)
        """
    )
    with ndshare.Client("faces") as client:
        asked = images(6)
        calls = [client.submit(one, timeout=60) for one in asked]
        other.start("worker.run(model)")
        for one, call in zip(asked, calls, strict=True):
            answer = call.result()
            for name, right in by_interpreter(face_model, one["input"]).items():
                assert answer[name].tobytes() == right.tobytes()
        del calls, call
        other.kill()
