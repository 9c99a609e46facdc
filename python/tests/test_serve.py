"""serve(): what may be served, and worker processes that are kept alive."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from children import PeerMaker
from serving import WAIT_SECONDS, ask, require_right, under_load, until

import ndshare
from ndshare._serve_target import Plan, resolve

# ---- targets -------------------------------------------------------------------------------


def test_a_class_answers_in_processes_of_its_own(models: str) -> None:
    with ndshare.serve(f"{models}:Model", workers=2) as workers:
        assert workers.name == "model"
        assert not workers.closed
        pids = until(lambda: len(workers.pids) == 2 and workers.pids)
        answer = ask(4)
        assert answer["y"] == 5
        assert answer["pid"] in pids
        assert {row["pid"] for row in ndshare.info("model").workers} == set(pids)
        workers.attrs["version"] = 3
        assert dict(workers.attrs) == {"version": 3}
        assert "2 at work" in repr(workers)
    assert workers.closed
    assert workers.pids == []
    assert "closed" in repr(workers)
    workers.close()
    with pytest.raises(ndshare.Closed, match=r'\[reload\] "model"'):
        workers.reload()
    with pytest.raises(ndshare.Closed, match=r'\[attrs\] "model"'):
        dict(workers.attrs)


def test_batches_and_their_delay_are_the_targets_own(models: str) -> None:
    with ndshare.serve(f"{models}:Sum"), ndshare.Client("sum") as client:
        calls = [client.submit(x, timeout=WAIT_SECONDS) for x in range(32)]
        answers = [call.result() for call in calls]
        assert [one["y"] for one in answers] == list(range(1, 33))
        assert max(one["size"] for one in answers) == 8


def test_attributes_may_be_given_and_reached_through_others(models: str) -> None:
    with ndshare.serve(f"{models}:Outer.Inner", "given/name") as workers:
        assert workers.name == "given/name"
        assert ask(1, "given/name")["y"] == 2


def test_an_exception_of_the_model_goes_to_its_caller_only(models: str) -> None:
    with ndshare.serve(f"{models}:Model") as workers:
        with pytest.raises(ndshare.RemoteError, match="minus one"):
            ask(-1)
        assert ask(1)["pid"] == workers.pids[0]
        assert workers.restarts == 0


def test_processes_that_a_model_forks_end_at_sigterm_as_any_other(models: str) -> None:
    with ndshare.serve(f"{models}:Model"):
        assert ask(-4)["y"] == -signal.SIGTERM


def test_functions_of_the_main_program_are_found_by_spawns_rules(
    script: Callable[..., str],
) -> None:
    out = script("""
        import numpy as np, ndshare

        def triple(x):
            return 3 * x

        class Half:
            name = "half"
            inputs = outputs = {"x": ((2,), "f8")}
            def __init__(self, by=2): self.by = by
            def __call__(self, x): return x / self.by

        if __name__ == "__main__":
            spec = {"x": ((2,), "f8")}
            with ndshare.serve(triple, "triple", inputs=spec, outputs=spec):
                print(ndshare.Client("triple")(np.ones(2), timeout=60))
            for target in (Half, Half(4)):
                with ndshare.serve(target):
                    print(ndshare.Client("half")(np.ones(2), timeout=60))
    """)
    assert out.split("\n") == ["[3. 3.]", "[0.5 0.5]", "[0.25 0.25]", ""]


def test_a_main_program_without_its_guard_is_told_so(
    failing_script: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = failing_script("""
        import ndshare

        def same(x):
            return x

        spec = {"x": ((2,), "f8")}
        ndshare.serve(same, "same", inputs=spec, outputs=spec)
    """)
    assert done.returncode == 1
    assert 'write it under `if __name__ == "__main__":`' in done.stderr


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        ("no_such_module:Model", ValueError, "there is no module 'no_such_module'"),
        ("Model", ValueError, 'a target reads "package.module:Model"'),
        ("{}:Absent", ValueError, "has no attribute 'Absent'"),
        ("{}:Outer.Absent", ValueError, "Outer has no attribute 'Absent'"),
        ("{}:number", TypeError, "is not callable"),
        ("{}:NoCall", TypeError, "NoCall has neither __call__"),
        ("{}:Nameless", ValueError, "has no attribute 'name', and no name= was given"),
        ("{}:BadSpecs", TypeError, r"a field is a Spec or \(shape, dtype\)"),
        ("{}:Broken", ndshare.RemoteError, r"Broken\(\) raised\n(.*\n)*OSError: no such weights"),
        ("{}:Segfault", ndshare.RemoteError, r"died before it was ready \(signal SIGSEGV\)"),
    ],
)
def test_a_bad_target_is_one_clear_error(
    models: str, target: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        ndshare.serve(target.format(models), workers=2)
    assert str(caught.value).startswith("[serve] ")


def test_bad_arguments_are_refused_before_a_process_is_started(models: str) -> None:
    spec = {"x": ((), "i8")}
    for bad in (
        {"workers": 0},
        {"workers": True},
        {"stuck": 0.0},
        {"max_batch_size": 0},
        {"max_delay": -1.0},
        {"inputs": spec},
    ):
        with pytest.raises((TypeError, ValueError), match=r"^\[serve\] "):
            ndshare.serve(f"{models}:Model", **bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot be pickled"):
        ndshare.serve(lambda x: x, "f", inputs=spec, outputs=spec)
    with pytest.raises(TypeError, match="3 is not callable"):
        ndshare.serve(3, "f", inputs=spec, outputs=spec)  # type: ignore[arg-type]


def test_a_delay_of_nothing_is_a_delay_that_was_given() -> None:
    class Patient:
        name, max_batch_size, max_delay = "patient", 8, 0.5
        inputs = outputs = {"x": ((), "i8")}  # noqa: RUF012

        def on_batch(self, batch: ndshare.Batch) -> None: ...

    assert [resolve(Plan(Patient(), max_delay=d)).max_delay for d in (None, 0.0, 0.1)] == [
        0.5,
        0.0,
        0.1,
    ]


def test_living_workers_with_other_specs_are_named(models: str) -> None:
    with ndshare.serve(f"{models}:Model") as workers:
        with pytest.raises(ndshare.SpecMismatch, match=r"^\[serve\] ") as caught:
            ndshare.serve(f"{models}:Other")
        assert str(workers.pids[0]) in str(caught.value)
        assert ask(1)["y"] == 2


# ---- death ---------------------------------------------------------------------------------


def test_kill_9_under_load_loses_no_call_and_the_worker_comes_back(models: str) -> None:
    with ndshare.serve(f"{models}:Model", workers=2, retries=3) as workers:
        until(lambda: len(workers.pids) == 2)
        with under_load() as done:
            for killed in range(1, 4):
                seen = len(done)
                until(lambda seen=seen: len(done) > seen + 20)
                os.kill(workers.pids[0], signal.SIGKILL)
                until(lambda killed=killed: workers.restarts == killed and len(workers.pids) == 2)
            seen = len(done)
            until(lambda: len(done) > seen + 20)
        require_right(done)


def test_a_worker_that_ends_by_itself_is_started_again(models: str) -> None:
    with ndshare.serve(f"{models}:Model", retries=0) as workers:
        first = workers.pids[0]
        with pytest.raises(ndshare.WorkerDied):
            ask(-3)  # sys.exit() in the model
        assert ask(1)["pid"] != first
        os.kill(
            until(lambda: workers.pids)[0], signal.SIGTERM
        )  # drains, but nobody asked the supervisor
        until(lambda: workers.restarts == 2 and workers.pids)
        assert ask(1)["y"] == 2


def test_a_model_that_cannot_begin_again_is_tried_less_and_less_often(
    models: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ndshare.serve")
    with ndshare.serve(f"{models}:Once") as workers:
        os.kill(workers.pids[0], signal.SIGKILL)
        until(lambda: workers.restarts == 3)
        assert not workers.closed
    texts = [record.getMessage() for record in caplog.records]
    seconds = [
        float(found[1]) for text in texts if (found := re.search(r"restart in (\S+) s", text))
    ]
    assert seconds[:3] == [0.1, 0.2, 0.4]
    assert any("FileExistsError" in text for text in texts)


def test_workers_end_when_their_supervisor_is_killed(models: str, peer: PeerMaker) -> None:
    other = peer()
    other.do(f"workers = ndshare.serve('{models}:Model', workers=2)")
    pids = until(lambda: len(found := other.get("workers.pids")) == 2 and found)
    # A forked child keeps the supervisor's ends of everything open.
    other.do("import time; child = os.fork() or time.sleep(600)")
    child = other.get("child")
    other.kill()
    for pid in pids:
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    os.kill(child, signal.SIGKILL)


def test_workers_end_with_a_program_that_did_not_stop_them(
    script: Callable[..., str], models: str, tmp_path: Path
) -> None:
    pid = int(
        script(f"""
        import ndshare, sys
        sys.path.insert(0, {str(tmp_path)!r})
        if __name__ == "__main__":
            print(ndshare.serve("{models}:Model").pids[0])
        """)
    )
    assert not Path(f"/proc/{pid}").exists()


def test_a_forked_child_does_not_own_the_workers(models: str, peer: PeerMaker) -> None:
    other = peer()
    other.do(f"""
        workers = ndshare.serve('{models}:Model')
        child = os.fork()
        if child == 0:
            workers.close()
            os._exit(0 if workers.closed and workers.pids == [] else 1)
        status = os.waitpid(child, 0)[1]
    """)
    assert other.get("status") == 0
    assert ask(1)["y"] == 2
    other.do("workers.close()")
