"""Real torch tensors over frames, loans and batches; skipped where torch is not installed (hundreds
of megabytes: `pip install torch`)."""

from __future__ import annotations

import gc
import signal
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from batches import run_beside

import ndshare

torch = pytest.importorskip("torch")

Failing = Callable[..., subprocess.CompletedProcess[str]]


def pinned(name: str) -> int:
    gc.collect()
    return ndshare.info(name).counters["pinned"]


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("make", ["from_dlpack", "from_numpy", "as_tensor"])
def test_a_tensor_shares_the_frame_and_keeps_its_pin(make: str) -> None:
    with (
        ndshare.Publisher("tensors", (4, 3), "f4", slots=4) as publisher,
        ndshare.Subscriber("tensors") as subscriber,
    ):
        publisher.put(np.full((4, 3), 7, "f4"))
        frame = subscriber.get()
        address = frame.array.__array_interface__["data"][0]
        tensor = getattr(torch, make)(frame.array)
        assert tensor.data_ptr() == address
        del frame
        assert pinned("tensors") == 1
        for k in range(20):
            publisher.put(np.full((4, 3), k, "f4"))
        assert bool((tensor == 7).all()), "a pinned frame never changes"
        part = tensor[1:, 0]
        del tensor
        assert pinned("tensors") == 1
        del part
        assert pinned("tensors") == 0


def test_a_copy_is_ones_own() -> None:
    with (
        ndshare.Publisher("copied", (5,), "f4") as publisher,
        ndshare.Subscriber("copied") as subscriber,
    ):
        publisher.put(np.arange(5, dtype="f4"))
        tensor = torch.tensor(subscriber.get().array)
        assert pinned("copied") == 0
        tensor.mul_(2)
        assert tensor.tolist() == [0, 2, 4, 6, 8]


def test_a_loan_is_filled_by_torch_in_place() -> None:
    with (
        ndshare.Publisher("filled", (2, 3), "f4") as publisher,
        ndshare.Subscriber("filled") as subscriber,
    ):
        with publisher.loan() as loan:
            torch.arange(6, out=torch.from_numpy(loan.array).view(-1))
        assert subscriber.get().array.tolist() == [[0, 1, 2], [3, 4, 5]]


DANGER = """
import sys
import numpy as np
import torch
import ndshare

with ndshare.Publisher("danger", (1000,), "f4") as publisher:
    with ndshare.Subscriber("danger") as subscriber:
        publisher.put(np.ones(1000, "f4"))
        tensor = torch.from_dlpack(subscriber.get().array)
        print("before", flush=True)
        tensor.div_(255)
        print("after", flush=True)
"""


def test_the_documented_danger_an_operation_in_place_ends_the_process(
    failing_script: Failing,
) -> None:
    done = failing_script(DANGER)
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, "before\n")


def test_a_module_answers_with_the_same_bits_as_torch_alone() -> None:
    from ndshare.models.torch import TorchModule

    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(5)
    ).eval()
    images = np.random.default_rng(1).random((6, 3, 12, 10), "f4")
    with torch.inference_mode():
        wanted = module(torch.from_numpy(images)).numpy()
    model = TorchModule(
        module, {"image": ((3, 12, 10), "f4")}, {"scores": ((5,), "f4")}, max_batch_size=6
    )
    with (
        ndshare.Worker("torch", model.inputs, model.outputs, slots=16) as worker,
        ndshare.Client("torch") as client,
    ):
        calls = [client.submit(image, timeout=60) for image in images]
        thread = run_beside(worker, model)
        answers = np.stack([call.result() for call in calls])
        worker.close()
        thread.join(60)
    assert answers.tobytes() == wanted.tobytes()


def test_what_a_module_raises_reaches_its_callers() -> None:
    from ndshare.models.torch import TorchModule

    def broken(x: object) -> object:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model = TorchModule(broken, {"x": ((2,), "f4")}, {"y": ((2,), "f4")})
    with (
        ndshare.Worker("broken", model.inputs, model.outputs) as worker,
        ndshare.Client("broken") as client,
    ):
        thread = run_beside(worker, model)
        with pytest.raises(ndshare.RemoteError, match="mat1 and mat2"):
            client(np.zeros(2, "f4"), timeout=60)
        worker.close()
        thread.join(60)
