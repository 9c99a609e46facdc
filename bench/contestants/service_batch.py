"""A worker takes calls that wait, 8 at a time: what a batch costs it beyond the model itself.

Many calls wait when the clock starts, so that no batch waits for its clients. Afterwards the same
model runs on as many images side by side, an array of this process.
"""

from __future__ import annotations

import time

import numpy as np
import payload
from pair import Findings, Side, arguments, findings, run_pair

BATCH = 8
CALLS = 64  # that wait at once
BATCHES = CALLS // BATCH
PATIENCE = 20.0
SHARED_WORDS = 2  # checksum and wrong answers


def rounds(batches: int) -> int:
    return -(-batches // BATCHES)


def work(side: Side, nbytes: int) -> Findings:
    """The first side: the worker, which measures."""
    import ndshare

    warm_up, counted = rounds(side.warm_up), rounds(side.count)
    samples: list[int] = []
    gathered = 0
    clock = time.perf_counter_ns
    with ndshare.Worker(
        side.name("service"),
        {"image": (payload.IMAGE_SHAPES[nbytes], "u1")},
        {"boxes": (payload.BOXES_SHAPE, "f4")},
        slots=CALLS,
    ) as worker:
        side.meet()
        for k in range(warm_up + counted):
            if k == warm_up:
                side.pin()
                side.begin()
                samples.clear()
                gathered = 0
            side.meet()
            for _ in range(BATCHES):
                begin_ns = clock()
                batch = worker.get(BATCH, timeout=PATIENCE)
                assert batch is not None
                batch.reply(payload.detect_batch(batch.inputs["image"]))
                samples.append(clock() - begin_ns)
                if len(batch) != BATCH:
                    raise ValueError(f"a batch of {len(batch)} calls")
                gathered += batch.gathered
            side.meet()
        side.end()
    model_ns = time_of_model(nbytes, side.count)
    found = np.frombuffer(side.shared, np.int64, SHARED_WORDS)
    result = findings(samples, side, checksum=int(found[0]), wrong=int(found[1]), model_ns=model_ns)
    return result | {
        "overhead_ns": max(0.0, result["p50_ns"] - model_ns),
        "gathered": gathered,
        "calls": len(samples) * BATCH,
    }


def time_of_model(nbytes: int, count: int) -> float:
    """The median of as many batches, side by side in this process."""
    image = payload.image(nbytes)
    images = np.stack([image] * BATCH)
    samples = []
    for _ in range(count):
        begin_ns = time.perf_counter_ns()
        payload.detect_batch(images)
        samples.append(time.perf_counter_ns() - begin_ns)
    return float(np.median(samples))


def ask(side: Side, nbytes: int) -> None:
    """The second side: many calls at once; the answers are compared with what was asked."""
    import ndshare

    warm_up, counted = rounds(side.warm_up), rounds(side.count)
    image = payload.image(nbytes)
    flat, places = image.reshape(-1), payload.places(nbytes)
    stamps = payload.stamps(0, max(warm_up, counted) * CALLS)
    found = np.frombuffer(side.shared, np.int64, SHARED_WORDS)
    side.meet()  # the worker is there
    with ndshare.Client(side.name("service")) as client:
        for k in range(warm_up + counted):
            if k == warm_up:
                side.pin()
                found[0] = 0
            first = (k if k < warm_up else k - warm_up) * CALLS
            asked = stamps[first : first + CALLS]
            calls = []
            for stamp in asked:
                flat[places] = stamp
                calls.append(client.submit(image, timeout=PATIENCE))
            side.meet()  # all of them wait
            side.meet()  # all of them are answered
            answers = np.stack([call.result() for call in calls])
            found[0] += int(answers.sum(dtype=np.float64))
            found[1] += np.count_nonzero((answers != payload.boxes(asked)).any(axis=(1, 2)))
        side.end()


def main() -> None:
    options = arguments("answer calls in batches of 8", ["ndshare"], bytes=307_200)
    run_pair(options, lambda side: work(side, options.bytes), lambda side: ask(side, options.bytes))


if __name__ == "__main__":
    main()
