"""Ways to ask another process about an image: its client, and its worker.

A way is made before the processes part. The worker computes model(image), which is picklable; the
client ends with an answer of its own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np
import payload
from numpy.typing import NDArray
from pair import Side

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Model = Callable[[Image], Boxes]
BOXES_NBYTES = int(np.prod(payload.BOXES_SHAPE)) * 4
PATIENCE = 20.0  # seconds a call may take

# A parent that hands its queues and locks to its children.
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Wish:
    """What is asked for. batch: how many calls the worker may take at once; 1: one by one."""

    nbytes: int
    clients: int
    batch: int
    model: Model
    batch_model: Model

    @property
    def shape(self) -> tuple[int, ...]:
        return payload.IMAGE_SHAPES[self.nbytes]


class Client(NamedTuple):
    """ask(image): the answer. in_worker(function, *arguments): where the client made its worker."""

    ask: Model
    in_worker: Callable[..., Any] | None = None


class Worker(NamedTuple):
    """serve() until stop() is called by another thread."""

    serve: Callable[[], object]
    stop: Callable[[], object]


class Way(NamedTuple):
    """client(side, number) in each client's process; worker(side) in the other one."""

    client: Callable[[Side, int], AbstractContextManager[Client]]
    worker: Callable[[Side], AbstractContextManager[Worker]]


@contextmanager
def _idle(side: Side) -> Iterator[Worker]:
    """The clients make their worker themselves."""
    over = threading.Event()
    yield Worker(over.wait, over.set)


# ---- ndshare -------------------------------------------------------------------------------------


def _ndshare(wish: Wish, spin: float | None) -> Way:
    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        import ndshare

        with ndshare.Client(side.name("service"), spin=spin) as service:
            yield Client(lambda image: service(image, timeout=PATIENCE))

    @contextmanager
    def worker(side: Side) -> Iterator[Worker]:
        import ndshare

        with ndshare.Worker(
            side.name("service"),
            {"image": (wish.shape, "u1")},
            {"boxes": (payload.BOXES_SHAPE, "f4")},
            slots=max(4, 2 * wish.clients),
            spin=spin,
        ) as service:
            if wish.batch == 1:
                yield Worker(lambda: service.run(wish.model), service.close)
            else:
                yield Worker(
                    lambda: service.run(wish.batch_model, max_batch_size=wish.batch),
                    service.close,
                )

    return Way(client, worker)


# ---- written by hand -----------------------------------------------------------------------------


class _Memory:
    """Each client's image and answer, in segments that the parent made."""

    def __init__(self, wish: Wish) -> None:
        prefix = f"bench-{os.getpid()}"
        self._segments: list[SharedMemory] = []
        self.images: list[Image] = []
        self.answers: list[Boxes] = []
        for number in range(wish.clients):
            image = SharedMemory(f"{prefix}-in-{number}", create=True, size=wish.nbytes)
            answer = SharedMemory(f"{prefix}-out-{number}", create=True, size=BOXES_NBYTES)
            self._segments += [image, answer]
            self.images.append(np.ndarray(wish.shape, np.uint8, image.buf))
            self.answers.append(np.ndarray(payload.BOXES_SHAPE, np.float32, answer.buf))

    def unlink(self) -> None:
        for segment in self._segments:
            segment.unlink()


def _by_hand(wish: Wish) -> Way:
    """SharedMemory for image and answer, one Queue of all for the requests, an Event for each
    client's replies."""
    memory = _Memory(wish)
    requests = _fork.Queue()
    replied = [_fork.Event() for _ in range(wish.clients)]

    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        own_image, own_answer = memory.images[number], memory.answers[number]
        event = replied[number]

        def ask(image: Image) -> Boxes:
            np.copyto(own_image, image)
            event.clear()
            requests.put(number)
            if not event.wait(PATIENCE):
                raise TimeoutError("no answer")
            return own_answer.copy()

        try:
            yield Client(ask)
        finally:
            if number == 0:
                memory.unlink()

    @contextmanager
    def worker(side: Side) -> Iterator[Worker]:
        def serve() -> None:
            while (number := requests.get()) is not None:
                np.copyto(memory.answers[number], wish.model(memory.images[number]))
                replied[number].set()

        yield Worker(serve, lambda: requests.put(None))

    return Way(client, worker)


def _by_hand_pipe(wish: Wish) -> Way:
    """The same with a socket pair for requests and replies: one client, bytes without pickles."""
    memory = _Memory(wish)
    here, there = _fork.Pipe()

    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        own_image, own_answer = memory.images[0], memory.answers[0]

        def ask(image: Image) -> Boxes:
            np.copyto(own_image, image)
            here.send_bytes(b"1")
            here.recv_bytes()
            return own_answer.copy()

        try:
            yield Client(ask)
            here.send_bytes(b"0")
        finally:
            memory.unlink()

    @contextmanager
    def worker(side: Side) -> Iterator[Worker]:
        def serve() -> None:
            while there.recv_bytes() == b"1":
                np.copyto(memory.answers[0], wish.model(memory.images[0]))
                there.send_bytes(b"1")

        yield Worker(serve, lambda: None)  # its client tells it

    return Way(client, worker)


# ---- pools and others that carry the image -------------------------------------------------------


def _pool(wish: Wish) -> Way:
    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        with _fork.Pool(1) as pool:
            apply = pool.apply
            yield Client(
                lambda image: apply(wish.model, (image,)),
                lambda function, *arguments: apply(function, arguments),
            )
            pool.close()
            pool.join()

    return Way(client, _idle)


def _executor(wish: Wish) -> Way:
    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(1, _fork) as executor:
            submit = executor.submit
            yield Client(
                lambda image: submit(wish.model, image).result(),
                lambda function, *arguments: submit(function, *arguments).result(),
            )

    return Way(client, _idle)


def _callserver(wish: Wish) -> Way:
    # Forked, its server would hold the client's end of their pipe too and never see it closed.
    multiprocessing.set_start_method("spawn")

    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        from callserver import CallServer

        with CallServer(side.name("callserver")) as server:
            call = server.call
            yield Client(lambda image: call(wish.model, image).copy(), call)

    return Way(client, _idle)


class _RayActor:
    def __init__(self, model: Model) -> None:
        self._model = model

    def detect(self, image: Image) -> Boxes:
        return self._model(image)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


def _ray(wish: Wish) -> Way:
    @contextmanager
    def client(side: Side, number: int) -> Iterator[Client]:
        os.environ["RAY_AUTH_MODE"] = "disabled"  # else it writes a token to the home folder
        import ray

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=256 << 20,
            _temp_dir=os.environ.get("TMPDIR"),
        )
        try:
            actor: Any = ray.remote(_RayActor).remote(wish.model)
            yield Client(
                lambda image: ray.get(actor.detect.remote(image)).copy(),
                lambda function, *arguments: ray.get(actor.run.remote(function, *arguments)),
            )
        finally:
            with contextlib.suppress(Exception):
                ray.shutdown()

    return Way(client, _idle)


WAYS: dict[str, Callable[[Wish], Way]] = {
    "ndshare": lambda wish: _ndshare(wish, None),
    "ndshare-sleeping": lambda wish: _ndshare(wish, 0),
    "by-hand": _by_hand,
    "by-hand-pipe": _by_hand_pipe,
    "pool": _pool,
    "executor": _executor,
    "callserver": _callserver,
    "ray": _ray,
}
