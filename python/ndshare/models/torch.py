"""Modules of PyTorch. What belongs here: the one place that knows torch, which you install."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ndshare._service import Batch
from ndshare._spec import SpecLike


class TorchModule:
    """A module that reads a batch's inputs where they lie, on the CPU or on its way to a device.

    module(*inputs) -> a tensor, a tuple of them in the order of outputs, or a mapping. inputs,
    outputs: name -> (shape of one call, dtype); a module does not tell. device: where inputs are
    moved, and where the module has to be.

    **The module must not write its inputs.** They are shared memory, read-only; torch has no
    read-only tensors, so it does not refuse: an in-place operation on one (`x.div_(255)`,
    `F.relu(x, inplace=True)`, `out=x`) ends the process with SIGSEGV. Outputs are copied once, into
    the answer; what `module` keeps of its inputs after it returned is other calls' by then.
    """

    def __init__(
        self,
        module: Callable[..., Any],
        inputs: Mapping[str, SpecLike],
        outputs: Mapping[str, SpecLike],
        *,
        max_batch_size: int = 1,
        device: str = "cpu",
    ) -> None:
        self._module, self._device = module, device
        self._inputs, self._outputs = dict(inputs), dict(outputs)
        self._max_batch_size = max_batch_size

    @property
    def inputs(self) -> dict[str, SpecLike]:
        """name -> (shape of one call, dtype)."""
        return self._inputs

    @property
    def outputs(self) -> dict[str, SpecLike]:
        """name -> (shape of one call, dtype)."""
        return self._outputs

    @property
    def max_batch_size(self) -> int:
        """Calls that it computes at once."""
        return self._max_batch_size

    def on_batch(self, batch: Batch) -> None:
        """Computes. An exception of the module goes to the callers."""
        tensors = [torch.from_dlpack(batch.inputs[name]) for name in self._inputs]
        if self._device != "cpu":
            tensors = [tensor.to(self._device) for tensor in tensors]
        with torch.inference_mode():
            found = self._named(self._module(*tensors))
            for name, array in batch.outputs.items():
                torch.from_dlpack(array).copy_(found[name])

    def _named(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        values = value if isinstance(value, (tuple, list)) else (value,)
        return dict(zip(self._outputs, values, strict=True))
