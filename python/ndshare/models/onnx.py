"""Models of ONNX Runtime. What belongs here: the one place that knows it.

`pip install 'ndshare[onnx]'`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ndshare._service import Batch
from ndshare._spec import ShapeLike
from ndshare.models._tensors import (
    Declared,
    Extent,
    Fields,
    Tensor,
    address,
    batch_size,
    fields,
    require_fit,
    require_known,
    tensors_of,
)

# ONNX's word for an element type -> NumPy's. No strings: they have no size.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


class OnnxModel:
    """An ONNX model that reads a batch's inputs and writes its outputs where they lie.

    model: a file's path, its bytes, or an InferenceSession. max_batch_size: calls of one run, where
    the model's first axis is dynamic; where it is fixed at 1, calls run one by one. shapes: of one
    call, without the batch axis, for tensors with other dynamic axes.

    With a provider that has memory of its own (CUDA) ONNX Runtime carries inputs there and outputs
    back; nothing else is copied. Errors: ValueError for a model that cannot be a service.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | onnxruntime.InferenceSession,
        *,
        max_batch_size: int = 1,
        shapes: Mapping[str, ShapeLike] | None = None,
        providers: Sequence[Any] = ("CPUExecutionProvider",),
        options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        if not isinstance(model, onnxruntime.InferenceSession):
            source = model if isinstance(model, bytes) else os.fspath(model)
            model = onnxruntime.InferenceSession(source, options, providers=list(providers))
        self._session = model
        given = shapes or {}
        self._inputs = tensors_of([_declared(one) for one in model.get_inputs()], given, "input")
        self._outputs = tensors_of([_declared(one) for one in model.get_outputs()], given, "output")
        both = [*self._inputs, *self._outputs]
        require_known(given, both)
        self._max_batch_size = batch_size(both, max_batch_size)
        self._one_by_one = any(tensor.fixed for tensor in both)

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """ONNX Runtime's own object."""
        return self._session

    @property
    def inputs(self) -> Fields:
        """name -> (shape of one call, dtype)."""
        return fields(self._inputs)

    @property
    def outputs(self) -> Fields:
        """name -> (shape of one call, dtype)."""
        return fields(self._outputs)

    @property
    def max_batch_size(self) -> int:
        """Calls of one run; 1 where the model's batch axis is fixed."""
        return self._max_batch_size

    def on_batch(self, batch: Batch) -> None:
        """Computes in place. An exception of ONNX Runtime goes to the callers."""
        inputs, outputs = batch.inputs, batch.outputs
        if not self._one_by_one:
            self._run(inputs, outputs)
            return
        for i in range(len(batch)):
            self._run(
                {name: array[i : i + 1] for name, array in inputs.items()},
                {name: array[i : i + 1] for name, array in outputs.items()},
            )

    def _run(self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]) -> None:
        binding = self._session.io_binding()
        for tensor in self._inputs:
            _bind(binding.bind_input, tensor, inputs[tensor.field])
        for tensor in self._outputs:
            _bind(binding.bind_output, tensor, outputs[tensor.field])
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()  # another device may still be on its way here


def _bind(bind: Any, tensor: Tensor, array: NDArray[Any]) -> None:
    require_fit(tensor, array)
    bind(tensor.name, "cpu", 0, tensor.dtype.type, array.shape, address(array))


def _declared(one: Any) -> Declared:
    name, kind = str(one.name), str(one.type)
    if kind not in _DTYPES:
        raise ValueError(f'"{name}" is a {kind}: its values have no NumPy dtype of fixed size')
    shape: tuple[Extent, ...] = tuple(
        extent if isinstance(extent, int) and extent >= 0 else None for extent in one.shape
    )
    return Declared(name, shape, np.dtype(_DTYPES[kind]))
