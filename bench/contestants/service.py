"""Clients ask a worker about images, one call at a time: time of a call, calls of all a second."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import crowd
import numpy as np
import payload
from numpy.typing import NDArray
from pair import Findings, Side, arguments, cpu_ns, findings, run_pair

from contestants.service_ways import WAYS, Boxes, Client, Image, Way, Wish, Worker

Report = NDArray[np.int64]
# In the memory of all: words of each client, then its samples.
_BEGIN, _END, _CPU, _CHECKSUM, _WRONG, _WORDS = range(6)


@dataclass(frozen=True)
class Slowly:
    """A model that takes so long, for several as for one: a network that is not busy with one."""

    model: Callable[[Image], Boxes]
    seconds: float

    def __call__(self, images: Image) -> Boxes:
        time.sleep(self.seconds)
        return self.model(images)


def of_each(count: int, clients: int) -> int:
    return -(-count // clients)


class Steps:
    """What the clients do together, and number 0 with the second side."""

    def __init__(
        self, side: Side, number: int, client: Client, meet: crowd.Meet, options: argparse.Namespace
    ) -> None:
        self._side = side
        self._leads = number == 0
        self._meet = meet
        self._options = options
        # None where the worker is the second side.
        self._in_worker = client.in_worker
        self.worker_cpu_ns = 0

    def pin(self) -> None:
        self._meet()  # all are warm
        if self._options.cpus:
            os.sched_setaffinity(0, clients_cpus(self._options))
            if self._in_worker is not None:
                self._in_worker(os.sched_setaffinity, 0, {worker_cpu(self._options)})
        if self._leads:
            self._side.meet()  # the worker pins itself
        self._meet()

    def begin(self) -> None:
        self._meet()
        if self._leads:
            self._side.meet()
            self._side.begin()
            if self._in_worker is not None:
                self.worker_cpu_ns = -self._in_worker(cpu_ns)
        self._meet()

    def end(self) -> None:
        self._meet()  # all have their answers
        if self._leads:
            if self._in_worker is not None:
                self.worker_cpu_ns += self._in_worker(cpu_ns)
            self._side.end()


def ask(side: Side, number: int, client: Client, wish: Wish, steps: Steps, report: Report) -> None:
    """One client: stamps the image, asks, keeps the answer; what came is compared at the end."""
    count, warm_up = of_each(side.count, wish.clients), of_each(side.warm_up, wish.clients)
    image = payload.image(wish.nbytes)
    flat, places = image.reshape(-1), payload.places(wish.nbytes)
    stamps = payload.stamps(number, count)
    stamp_rows = list(stamps)
    received = np.ones((count, *payload.BOXES_SHAPE), np.float32)  # touched now
    rows = list(received)
    ask = client.ask

    def warm() -> None:
        for k in range(warm_up):
            flat[places] = stamp_rows[k % count]
            ask(image)

    warm()
    steps.pin()
    warm()
    samples = [0] * count
    clock = time.perf_counter_ns
    steps.begin()
    cpu_begin_ns = cpu_ns()
    report[_BEGIN] = clock()
    for k in range(count):
        flat[places] = stamp_rows[k]
        asked_ns = clock()
        answer = ask(image)
        samples[k] = clock() - asked_ns
        rows[k][...] = answer
    report[_END] = clock()
    report[_CPU] = cpu_ns() - cpu_begin_ns
    steps.end()
    report[_CHECKSUM] = int(received.sum(dtype=np.float64))
    report[_WRONG] = np.count_nonzero((received != payload.boxes(stamps)).any(axis=(1, 2)))
    report[_WORDS:] = samples


def measure(side: Side, way: Way, wish: Wish, options: argparse.Namespace) -> Findings:
    """The first side: all clients."""
    words = _WORDS + of_each(side.count, wish.clients)
    reports = np.frombuffer(side.shared, np.int64, wish.clients * words).reshape(-1, words)
    worker_cpu_ns = 0

    def body(number: int, meet: crowd.Meet) -> None:
        nonlocal worker_cpu_ns
        with way.client(side, number) as client:
            steps = Steps(side, number, client, meet, options)
            ask(side, number, client, wish, steps, reports[number])
            worker_cpu_ns = steps.worker_cpu_ns

    crowd.run_clients(wish.clients, body)
    return judged(side, reports, worker_cpu_ns)


def judged(side: Side, reports: Report, worker_cpu_ns: int) -> Findings:
    samples = reports[:, _WORDS:].ravel().tolist()
    ops = len(samples)
    # All clients together: from the first question to the last answer.
    wall_ns = int(reports[:, _END].max() - reports[:, _BEGIN].min())
    others_cpu_ns = int(reports[1:, _CPU].sum())
    return findings(
        samples,
        side,
        clients=len(reports),
        checksum=int(reports[:, _CHECKSUM].sum()),
        wrong=int(reports[:, _WRONG].sum()),
    ) | {
        "interval_ns": wall_ns / ops,
        "per_second": ops * 1e9 / wall_ns,
        "cpu_ns_per_op": (side.cpu_of_both_ns + others_cpu_ns + worker_cpu_ns) / ops,
    }


def worker_cpu(options: argparse.Namespace) -> int:
    return int(options.cpus.split(",")[1])


def clients_cpus(options: argparse.Namespace) -> set[int]:
    """One: the first. Several: all but the worker's."""
    first, second = map(int, options.cpus.split(","))
    return {first} if options.clients == 1 else (os.sched_getaffinity(0) - {second}) or {first}


def answer(side: Side, worker: Worker) -> None:
    """The second side: this thread answers, another one meets the clients."""
    worker_thread = threading.get_native_id()
    failures: list[BaseException] = []

    def attend() -> None:
        try:
            side.meet()
            side.pin(worker_thread)
            side.meet()
            side.begin()
            side.end()
        except BaseException as error:
            failures.append(error)
        finally:
            worker.stop()

    helper = threading.Thread(target=attend, daemon=True)
    helper.start()
    worker.serve()
    helper.join()
    if failures:
        raise failures[0]


def main() -> None:
    options = arguments(
        "ask a worker about images", list(WAYS), bytes=307_200, clients=1, batch=1, sleep=0
    )
    models = [payload.detect, payload.detect_batch]
    if options.sleep:  # milliseconds
        models = [Slowly(model, options.sleep / 1000) for model in models]
    wish = Wish(options.bytes, options.clients, options.batch, *models)
    way = WAYS[options.way](wish)

    def second(side: Side) -> None:
        with way.worker(side) as worker:
            answer(side, worker)

    words = wish.clients * (_WORDS + of_each(options.count, wish.clients))
    run_pair(options, lambda side: measure(side, way, wish, options), second, 8 * words)


if __name__ == "__main__":
    main()
