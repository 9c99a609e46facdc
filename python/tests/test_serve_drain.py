"""serve(): stuck workers are replaced, stop() drains, reload() drops no call."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from serving import WAIT_SECONDS, ask, require_right, under_load, until

import ndshare

# ---- stuck ---------------------------------------------------------------------------------


def test_a_stuck_worker_is_replaced_and_its_call_fails_or_is_answered(
    models: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ndshare.serve(f"{models}:Model", retries=0, stuck=0.3) as workers:
        first = workers.pids[0]
        with pytest.raises(ndshare.WorkerDied):
            ask(-2)
        assert ask(1)["pid"] != first
        assert workers.restarts == 1
    assert f"worker {first}: stuck, no progress for" in caplog.text


def test_an_idle_worker_is_not_stuck(models: str) -> None:
    with ndshare.serve(f"{models}:Model", stuck=0.05) as workers:
        first = ask(1)["pid"]
        until(lambda: ndshare.info("model").workers[0]["progress_s"] > 0.5)
        assert workers.pids == [first]


def test_stop_does_not_wait_for_a_stuck_worker(models: str, tmp_path: Path) -> None:
    workers = ndshare.serve(f"{models}:Model", retries=0, stuck=0.3)
    with ndshare.Client("model") as client:
        call = client.submit(-2)
        until(lambda: (tmp_path / "begun").exists())
        workers.stop()
        with pytest.raises(ndshare.WorkerDied):
            call.result(WAIT_SECONDS)


# ---- drain ---------------------------------------------------------------------------------


def test_stop_answers_what_was_taken(
    models: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ndshare.serve")
    workers = ndshare.serve(f"{models}:Model", retries=0)
    with ndshare.Client("model") as client:
        taken = client.submit(-2)
        until(lambda: (tmp_path / "begun").exists())
        waiting = client.submit(7)
        stopping = threading.Thread(target=workers.stop)
        stopping.start()
        until(lambda: "draining" in caplog.text)  # the signal was sent in the middle of its batch
        assert not taken.done()
        (tmp_path / "go").touch()
        assert taken.result(WAIT_SECONDS)["y"] == -1
        stopping.join()
        assert not waiting.done()
        assert waiting.cancel()


def test_stop_kills_those_that_do_not_end_in_time(models: str, tmp_path: Path) -> None:
    workers = ndshare.serve(f"{models}:Model", retries=0)
    with ndshare.Client("model") as client:
        call = client.submit(-2)
        until(lambda: (tmp_path / "begun").exists())
        workers.stop(0.2)
        assert workers.closed
        with pytest.raises(ndshare.WorkerDied):
            call.result(WAIT_SECONDS)


def test_an_answer_may_come_after_its_worker_was_closed() -> None:
    """What draining rests on: close() takes nothing away from a batch."""
    spec = {"x": ((), "i8")}
    worker = ndshare.Worker("late", spec, spec)
    with ndshare.Client("late") as client:
        call = client.submit(3)
        batch = worker.get()
        assert batch is not None
        worker.close()
        batch.reply(batch.inputs["x"] + 1)
        assert call.result(WAIT_SECONDS) == np.int64(4)


# ---- reload --------------------------------------------------------------------------------


def test_reload_takes_the_new_code_and_drops_no_call(models: str, tmp_path: Path) -> None:
    with ndshare.serve(f"{models}:Model", workers=2, retries=0) as workers:
        before = until(lambda: len(workers.pids) == 2 and workers.pids)
        with under_load() as done:
            for _ in range(2):
                seen = len(done)
                until(lambda seen=seen: len(done) > seen + 20)
                workers.reload()
                after = workers.pids
                assert len(after) == 2
                assert not set(before) & set(after)
                before = after
        require_right(done)
        assert workers.restarts == 0
        source = tmp_path / f"{models}.py"
        source.write_text(source.read_text().replace("x + 1", "x + 100"))
        workers.reload()
        assert ask(1)["y"] == 101


def test_code_that_cannot_be_loaded_leaves_the_old_workers(models: str, tmp_path: Path) -> None:
    with ndshare.serve(f"{models}:Model") as workers:
        before = workers.pids
        (tmp_path / f"{models}.py").write_text("import sys\n1 / 0\n")
        with pytest.raises(ndshare.RemoteError, match="ZeroDivisionError"):
            workers.reload()
        assert workers.pids == before
        assert ask(1)["y"] == 2
