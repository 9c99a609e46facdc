"""Services: an image is asked about, a worker in another process answers."""

from __future__ import annotations

import payload
from row import TIMES, Column, Contestant, Findings, Row, Target

_SIZES = {"480b": 480, "300kb": 320 * 320 * 3, "6mb": payload.FRAME_NBYTES}
_QUESTIONS = {"480b": "480 bytes", "300kb": "an image of 300 KB", "6mb": "an image of 6 MB"}
# Of those that share memory, and of those that carry the image through a pipe.
_SHARING = {"480b": (5_000, 64), "300kb": (5_000, 64), "6mb": (300, 16)}
_CARRYING = {"480b": (3_000, 64), "300kb": (1_500, 64), "6mb": (50, 8)}
# Of the rates, by the model's milliseconds; of one client by hand, a quarter.
_RATE_COUNTS = {0: (8_000, 160), 1: (1_200, 48), 10: (192, 32)}
_FOUR_BY_HAND = "4 clients: by hand"
_HAND = "by hand: SharedMemory, Queue, Event"
_PIPE = "by hand: SharedMemory, Pipe"
_PEERS = (_HAND, _PIPE, "multiprocessing.Pool", "ProcessPoolExecutor", "callserver")

_RATE = (
    Column("calls a second", "per_second", "number"),
    Column("a call", "interval_ns"),
    Column("CPU of all", "cpu_ns_per_op"),
    Column("a client's p50", "p50_ns"),
    Column("p99", "p99_ns"),
    Column("p99.9", "p999_ns"),
)
_BATCH = (
    Column("p50", "p50_ns"),
    Column("p99", "p99_ns"),
    Column("model alone", "model_ns"),
    Column("overhead", "overhead_ns"),
    Column("gathered", "gathered", "number"),
)


def check(contestant: Contestant, findings: Findings) -> str:
    if findings["wrong"]:
        return f"{findings['wrong']:g} answers are not those of what was asked"
    clients = int(findings["clients"])
    expected = payload.boxes_checksum(clients, int(findings["ops"]) // clients)
    return "" if findings["checksum"] == expected else "the answers are not those of what was asked"


def _check_batch(contestant: Contestant, findings: Findings) -> str:
    return check(contestant, {**findings, "clients": 1, "ops": findings["calls"]})


def _python(
    name: str, way: str, nbytes: int, counts: tuple[int, int], *more: str, requires: str | None
) -> Contestant:
    command = ("service.py", way, "--bytes", str(nbytes), *more)
    return Contestant(name, command, *counts, requires=requires)


def _call_row(size: str, targets: tuple[Target, ...]) -> Row:
    nbytes, sharing, carrying = _SIZES[size], _SHARING[size], _CARRYING[size]

    def python(
        name: str, way: str, counts: tuple[int, int], requires: str | None = None
    ) -> Contestant:
        return _python(name, way, nbytes, counts, requires=requires)

    ray = (python("Ray", "ray", (500, 64), "ray"),) if size == "300kb" else ()
    return Row(
        name=f"service-call-{size}",
        question=f"A worker is asked about {_QUESTIONS[size]}: from the call to the answer in hand",
        contestants=(
            Contestant("ndshare, C++", ("ndshare_service", "--bytes", str(nbytes)), *sharing),
            python("ndshare", "ndshare", sharing, "ndshare"),
            python("ndshare, spin=0", "ndshare-sleeping", sharing, "ndshare"),
            python(_HAND, "by-hand", sharing),
            python(_PIPE, "by-hand-pipe", sharing),
            python("multiprocessing.Pool", "pool", carrying),
            python("ProcessPoolExecutor", "executor", carrying),
            python("callserver", "callserver", carrying, "callserver"),
            *ray,
        ),
        columns=TIMES,
        targets=targets,
        check=check,
        needs_two_cpus=True,
    )


def _rate_row(size: str, milliseconds: int, targets: tuple[Target, ...] = ()) -> Row:
    nbytes = _SIZES[size]
    counts = _RATE_COUNTS[milliseconds]
    if size == "6mb":
        counts = (counts[0] // 16, counts[1])
    sleep = ("--sleep", str(milliseconds)) if milliseconds else ()

    def python(
        clients: int, name: str, way: str, requires: str | None, *more: str, part: int = 1
    ) -> Contestant:
        return _python(
            f"{clients} client{'s' if clients > 1 else ''}: {name}",
            way,
            nbytes,
            (max(counts[0] // part, 16), counts[1]),
            "--clients",
            str(clients),
            *sleep,
            *more,
            requires=requires,
        )

    batches = ("ndshare, 8 at a time", "ndshare", "ndshare", "--batch", "8")
    return Row(
        name=f"service-rate-{size}-{milliseconds}ms",
        question=f"Clients ask one worker about {_QUESTIONS[size]}; a model of {milliseconds} ms",
        contestants=(
            *(python(clients, "ndshare", "ndshare", "ndshare") for clients in (1, 4, 16)),
            *(python(clients, *batches) for clients in (4, 16)),
            python(1, "by hand", "by-hand", None, part=4),
            *(python(clients, "by hand", "by-hand", None) for clients in (4, 16)),
            python(1, "multiprocessing.Pool", "pool", None, part=4),
            python(1, "ProcessPoolExecutor", "executor", None, part=4),
        ),
        columns=_RATE,
        targets=targets,
        check=check,
        field="interval_ns",
        needs_two_cpus=True,
        rounds_max=3,
        in_smoke=(size, milliseconds) == ("300kb", 0),
    )


ROWS = (
    _call_row("480b", (Target("ndshare", 1.0, _PEERS),)),
    _call_row(
        "300kb",
        (
            Target("ndshare", 1 / 5, _HAND),
            # Aims.
            Target("ndshare", 1 / 10, _HAND),
            Target("ndshare, C++", 1 / 20, _HAND),
            Target("ndshare", 1.0, _PEERS),
        ),
    ),
    _call_row("6mb", (Target("ndshare", 1.0, _PEERS),)),
    _rate_row("480b", 0),
    # Four times the rate: a quarter of the time between two calls.
    _rate_row("300kb", 0, (Target("4 clients: ndshare", 1 / 4, _FOUR_BY_HAND, "interval_ns"),)),
    _rate_row("300kb", 1, (Target("4 clients: ndshare", 1.0, _FOUR_BY_HAND, "interval_ns"),)),
    _rate_row("300kb", 10, (Target("4 clients: ndshare", 1.0, _FOUR_BY_HAND, "interval_ns"),)),
    _rate_row("6mb", 0),
    Row(
        name="service-batch",
        question="8 calls of 300 KB that wait: from asking for them until they are answered",
        contestants=(
            Contestant("ndshare, C++", ("ndshare_service_batch",), 2_000, 16),
            Contestant("ndshare", ("service_batch.py", "ndshare"), 1_000, 16, requires="ndshare"),
        ),
        columns=_BATCH,
        targets=(
            Target("ndshare", 10_000, field="overhead_ns"),
            Target("ndshare, C++", 10_000, field="overhead_ns"),
            Target("ndshare", 0, field="gathered"),
            Target("ndshare, C++", 0, field="gathered"),
        ),
        check=_check_batch,
        needs_two_cpus=True,
    ),
)
