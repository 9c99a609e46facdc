"""serve() and Workers: a service's worker processes, started and kept alive."""

from __future__ import annotations

import multiprocessing.process
from collections.abc import Callable, Mapping
from typing import Any

from ndshare import _core
from ndshare._attrs import Attrs
from ndshare._errors import require_name, said
from ndshare._handle import Handle
from ndshare._serve_process import Launch
from ndshare._serve_supervisor import StuckAction, Supervisor
from ndshare._serve_target import Plan, require_path, resolve
from ndshare._service import OnBatch, Worker, _batch_wish, _count
from ndshare._spec import SpecLike


class Workers(Handle):
    """Supervised worker processes (what `ndshare serve` runs). The dead are restarted, with a
    backoff of 0.1 to 5 seconds. They end with this program, however it ends.

    Threads: any. In a child after fork() it is closed: the workers are the parent's.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def name(self) -> str:
        """Of the service, without NDSHARE_NAMESPACE."""
        return self._supervisor.label

    @property
    def closed(self) -> bool:
        """True when all workers have ended and none will come."""
        return self._supervisor.has_ended

    @property
    def attrs(self) -> Attrs:
        """Small JSON values of the service (labels, model version); 16 KiB."""
        return Attrs(self.name, self._read_attrs, self._change_attrs)

    def _read_attrs(self) -> str:
        self._require_open("attrs")
        return str(_core.info(self.name)["attrs_json"])

    def _change_attrs(self, change: Callable[[str], str]) -> None:
        self._require_open("attrs")
        with Worker(self.name) as worker:  # joins for the moment and takes no call
            worker._update_attrs(change)

    def _require_open(self, operation: str) -> None:
        if self.closed:
            raise self._supervisor.closed_error(operation)

    @property
    def pids(self) -> list[int]:
        """Of the workers that take calls now: neither those that begin nor those that drain."""
        return self._supervisor.pids

    @property
    def restarts(self) -> int:
        """How many workers were started in the place of dead ones."""
        return self._supervisor.restarts

    def stop(self, timeout: float | None = None) -> None:
        """They finish the batches they have, answer them, take no more and end.

        timeout: those that did not end so many seconds later are killed; their calls go to other
        workers of the service, or fail with WorkerDied. None: waits for them.
        """
        if self.closed:
            return
        if timeout is not None and not timeout >= 0:
            raise ValueError(f'[stop] "{self.name}": timeout must not be negative, got {timeout}')
        self._supervisor.request_stop(timeout)
        self._supervisor.wait_ended()

    def close(self) -> None:
        """stop() without a timeout."""
        self.stop()

    def reload(self) -> None:
        """Fresh processes import the code again, one after the other; each old one drains when
        the new one is ready, so no call is dropped.

        Errors: what the new one said, when it cannot begin: the old ones stay then. Closed.
        """
        self._supervisor.request_reload().result()

    def __reduce__(self) -> Any:
        raise TypeError("workers cannot be pickled: they belong to the process that serves")

    def __repr__(self) -> str:
        if self.closed:
            return f"<closed ndshare.Workers {self.name!r}>"
        return f"<ndshare.Workers {self.name!r}: {len(self.pids)} at work>"


def supervise(
    plan: Plan, workers: int, stuck: float | None, stuck_action: StuckAction = "replace"
) -> Supervisor:
    """A supervisor that is not started yet. Errors: what can be known to be wrong before."""
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        raise RuntimeError(
            f'[serve] "{plan.label}": a worker imports the main program, which serves again; '
            'write it under `if __name__ == "__main__":`'
        )
    if plan.name is not None:
        require_name(plan.name, "serve")
    try:
        count = _count(workers, "workers")
        if count < 1:
            raise ValueError(f"workers must be at least 1, got {count}")
        _count(plan.slots, "slots")
        _count(plan.retries, "retries")
        _batch_wish(
            1 if plan.max_batch_size is None else plan.max_batch_size,
            0.0 if plan.max_delay is None else plan.max_delay,
        )
        if stuck is not None and not stuck > 0:
            raise ValueError(f"stuck must be more than 0 seconds, got {stuck}")
        if (plan.inputs is None) != (plan.outputs is None):
            raise TypeError("give inputs= and outputs=, or neither where the target has them")
    except (TypeError, ValueError) as error:
        raise said("serve", plan.label, error) from None
    if isinstance(plan.target, str):
        require_path(plan.target)
    else:
        resolve(plan)
    return Supervisor(Launch(plan), count, stuck, stuck_action)


def serve(
    target: str | Callable[..., Any] | OnBatch,
    name: str | None = None,
    *,
    inputs: Mapping[str, SpecLike] | None = None,
    outputs: Mapping[str, SpecLike] | None = None,
    workers: int = 1,
    max_batch_size: int | None = None,
    max_delay: float | None = None,
    slots: int = 64,
    retries: int = 1,
    stuck: float | None = None,
) -> Workers:
    """Starts processes that answer the service's calls with target; returns when the first works.

    target: "package.module:Model", or a callable, or an object with on_batch, that pickle takes. A
    class is instantiated once in each worker process: load heavy things there. It is called as
    Worker.run() calls: with one call's arrays, or with max_batch_size with arrays that have a
    leading batch axis; or its on_batch(batch).

    name, inputs, outputs, max_batch_size, max_delay: the target's attributes unless given.
    stuck: a worker that has had calls without progress for so many seconds is replaced.
    Errors: ValueError, TypeError (the target, or what it says of itself), RemoteError (its code
    raised; the traceback is in the text), SpecMismatch (living workers have other specs), Exists.

    Log lines go to the logger "ndshare.serve". In a program's own file call it under
    `if __name__ == "__main__":`, as with multiprocessing.
    """
    plan = Plan(
        target, name, inputs, outputs, max_batch_size, max_delay, slots=slots, retries=retries
    )
    supervisor = supervise(plan, workers, stuck)
    supervisor.start()
    try:
        supervisor.wait_ready()
    except BaseException:
        supervisor.request_stop(0.0)
        supervisor.wait_ended()
        raise
    return Workers(supervisor)
