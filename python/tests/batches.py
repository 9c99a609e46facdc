"""Batches for tests, worker and client in one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

import ndshare


def address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)


@contextmanager
def batch_of(
    model: Any, asked: list[dict[str, NDArray[Any]]]
) -> Iterator[tuple[ndshare.Batch, list[ndshare.Call]]]:
    """That many calls as one batch, in this process; answered when the block is left."""
    with (
        ndshare.Worker("model", model.inputs, model.outputs, slots=8 * len(asked)) as worker,
        ndshare.Client("model") as client,
    ):
        calls = [client.submit(one, timeout=60) for one in asked]
        batch = worker.get(len(asked), timeout=60)
        assert batch is not None and len(batch) == len(asked)
        yield batch, calls
        if batch._open:
            batch.reply()
        del batch, calls


def run_beside(worker: ndshare.Worker, model: Any, **more: Any) -> threading.Thread:
    thread = threading.Thread(target=worker.run, args=(model,), kwargs=more)
    thread.start()
    return thread
