"""Models of LiteRT (TensorFlow Lite). What belongs here: the one place that knows CompiledModel.

`pip install 'ndshare[litert]'`. Logs of LiteRT go to stderr.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.options import CpuOptions, HardwareAccelerator, Options
from ai_edge_litert.tensor_buffer import TensorBuffer
from numpy.typing import NDArray

from ndshare._service import Batch
from ndshare.models._tensors import (
    Declared,
    Fields,
    Tensor,
    address,
    fields,
    require_fit,
    tensors_of,
)

ALIGNMENT_BYTES = 64
"""LITERT_HOST_MEMORY_BUFFER_ALIGNMENT: where memory lies that LiteRT uses in place."""

_KNOWN_MAJOR = "2"
_TENSOR_TYPE_BYTES = 1024  # far more than LiteRtRankedTensorType has: carried, never read
_CAPSULE_NAME = b"LiteRtTensorBuffer"  # kept here: a capsule does not own its name


class LiteRtModel:
    """A LiteRT model that reads a batch's inputs and writes its outputs where they lie.

    model: a .tflite file's path or its bytes. Its shapes are fixed and its batch axis is 1, so the
    calls of a batch run one by one, each over its part of the batch.

    LiteRT takes memory in place that starts at a multiple of 64 bytes, which every call of a batch
    does where the bytes of one call of that tensor are a multiple of 64 (a float32 image of
    128 x 128 is). Where it does not there is a copy, counted in `copies`. Errors: ValueError for a
    model that cannot be a service.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        threads: int = 1,
        signature: str | None = None,
        options: Options | None = None,
    ) -> None:
        if options is None:
            options = Options(
                hardware_accelerators=HardwareAccelerator.CPU,
                cpu_options=CpuOptions(num_threads=threads),
            )
        if isinstance(model, bytes):
            self._compiled = CompiledModel.from_buffer(model, options=options)
        else:
            self._compiled = CompiledModel.from_file(os.fspath(model), options=options)
        known = list(self._compiled.get_signature_list())
        self._signature = known[0] if signature is None else signature
        if self._signature not in known:
            raise ValueError(f'no signature "{signature}"; the model has {", ".join(known)}')
        taken = self._compiled.get_input_tensor_details(self._signature)
        given = self._compiled.get_output_tensor_details(self._signature)
        self._inputs = tensors_of(_declared(taken), {}, "input")
        self._outputs = tensors_of(_declared(given), {}, "output")
        self._copies = 0
        # Buffers of LiteRT's own: they know their tensor's type, and take what cannot be in place.
        self._own_inputs = {
            tensor.name: self._compiled.create_input_buffer_by_name(self._signature, tensor.name)
            for tensor in self._inputs
        }
        self._own_outputs = {
            tensor.name: self._compiled.create_output_buffer_by_name(self._signature, tensor.name)
            for tensor in self._outputs
        }
        memory = _HostMemory.of_this_version()
        self._memory = memory
        self._types = {} if memory is None else _types(memory, self._own_inputs, self._own_outputs)

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
        """1: see the class."""
        return 1

    @property
    def copies(self) -> int:
        """Inputs and outputs that were copied so far: not aligned, or a LiteRT not known here."""
        return self._copies

    @property
    def in_place(self) -> bool:
        """Aligned memory is used where it lies: the installed LiteRT is of a known version."""
        return self._memory is not None

    def on_batch(self, batch: Batch) -> None:
        """Computes in place. An exception of LiteRT goes to the callers."""
        inputs, outputs = batch.inputs, batch.outputs
        for i in range(len(batch)):
            self._run(
                {tensor.name: _row(tensor, inputs, i) for tensor in self._inputs},
                {tensor.name: _row(tensor, outputs, i) for tensor in self._outputs},
            )

    def _run(self, inputs: dict[str, NDArray[Any]], outputs: dict[str, NDArray[Any]]) -> None:
        with ExitStack() as bound:
            given: dict[str, TensorBuffer] = {}
            for name, array in inputs.items():
                if self._fits(array):
                    given[name] = bound.enter_context(self._bound("in", name, array))
                else:
                    self._copies += 1
                    given[name] = self._own_inputs[name]
                    given[name].write(array)
            wanted: dict[str, TensorBuffer] = {}
            late = []
            for name, array in outputs.items():
                if self._fits(array):
                    wanted[name] = bound.enter_context(self._bound("out", name, array))
                else:
                    self._copies += 1
                    wanted[name] = self._own_outputs[name]
                    late.append((array, wanted[name]))
            self._compiled.run_by_name(self._signature, given, wanted)
            for array, buffer in late:
                array[...] = buffer.read(array.size, array.dtype).reshape(array.shape)

    def _fits(self, array: NDArray[Any]) -> bool:
        return self._memory is not None and address(array) % ALIGNMENT_BYTES == 0

    @contextmanager
    def _bound(self, side: str, name: str, array: NDArray[Any]) -> Iterator[TensorBuffer]:
        """A buffer that is the array's memory, for one run: later it is other calls'."""
        memory = self._memory
        assert memory is not None
        handle = memory.create(self._types[side, name], address(array), array.nbytes)
        try:
            yield TensorBuffer(memory.capsule(handle))
        finally:
            memory.destroy(handle)


class _HostMemory:
    """LiteRT's C functions that bind memory, of the library that its Python package loads.

    TensorBuffer.create_from_host_memory() does the same but calls every array one of one axis,
    which CompiledModel refuses for inputs of several. The tensor's type is taken from a buffer of
    LiteRT's own and carried as bytes, so that no struct is known here.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, python = ctypes.c_void_p, ctypes.pythonapi
        self._type = library.LiteRtGetTensorBufferTensorType
        self._type.argtypes = [pointer, pointer]
        self._create = library.LiteRtCreateTensorBufferFromHostMemory
        self._create.argtypes = [
            pointer,
            pointer,
            ctypes.c_size_t,
            pointer,
            ctypes.POINTER(pointer),
        ]
        self._destroy = library.LiteRtDestroyTensorBuffer
        self._destroy.argtypes, self._destroy.restype = [pointer], None
        self._new = ctypes.PYFUNCTYPE(ctypes.py_object, pointer, ctypes.c_char_p, pointer)(
            ("PyCapsule_New", python)
        )
        self._pointer = ctypes.PYFUNCTYPE(pointer, ctypes.py_object, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", python)
        )

    @classmethod
    def of_this_version(cls) -> _HostMemory | None:
        """None: another LiteRT than those whose functions are known, so everything is copied."""
        if importlib.metadata.version("ai-edge-litert").partition(".")[0] != _KNOWN_MAJOR:
            return None
        try:
            return cls(ctypes.CDLL(str(Path(ai_edge_litert.__file__).parent / "libLiteRt.so")))
        except (OSError, AttributeError):
            return None

    def type_of(self, buffer: TensorBuffer) -> bytes:
        """The type of a buffer's tensor: LiteRT's struct, as bytes."""
        found = ctypes.create_string_buffer(_TENSOR_TYPE_BYTES)
        status = self._type(self._pointer(buffer.capsule, _CAPSULE_NAME), found)
        if status != 0:
            raise RuntimeError(f"LiteRtGetTensorBufferTensorType: status {status}")
        return found.raw

    def create(self, tensor_type: bytes, at: int, nbytes: int) -> int:
        """A buffer over memory that stays its owner's."""
        handle = ctypes.c_void_p()
        status = self._create(tensor_type, at, nbytes, None, ctypes.byref(handle))
        if status != 0 or handle.value is None:
            raise RuntimeError(f"LiteRtCreateTensorBufferFromHostMemory: status {status}")
        return handle.value

    def capsule(self, handle: int) -> Any:
        """As LiteRT's Python classes pass it about."""
        return self._new(handle, _CAPSULE_NAME, None)

    def destroy(self, handle: int) -> None:
        """Ends a buffer; its memory stays."""
        self._destroy(handle)


def _types(
    memory: _HostMemory, inputs: Mapping[str, TensorBuffer], outputs: Mapping[str, TensorBuffer]
) -> dict[tuple[str, str], bytes]:
    # A model may call an input and an output the same.
    sides = (("in", inputs), ("out", outputs))
    return {
        (side, name): memory.type_of(buffer)
        for side, buffers in sides
        for name, buffer in buffers.items()
    }


def _declared(details: Mapping[str, Mapping[str, Any]]) -> list[Declared]:
    found = []
    for name, one in details.items():
        shape = tuple(int(extent) for extent in one["shape"])
        if any(extent < 1 for extent in shape):
            raise ValueError(f'"{name}" has dynamic axes {shape}: LiteRT models need fixed shapes')
        found.append(Declared(name, shape, np.dtype(one["dtype"])))
    return found


def _row(tensor: Tensor, arrays: Mapping[str, NDArray[Any]], i: int) -> NDArray[Any]:
    array = arrays[tensor.field]
    require_fit(tensor, array)
    return array[i : i + 1]
