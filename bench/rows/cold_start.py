"""Cold start: a new Python, its imports, its first array."""

from __future__ import annotations

from row import Column, Contestant, Findings, Row, Target

_COUNTS = (10, 1)
_MAKES_NONE = ("nothing", "numpy", "iceoryx2", "pyzmq")


def _check(contestant: Contestant, findings: Findings) -> str:
    one = 0 if contestant.name in _MAKES_NONE else 60 * 7
    expected = one * findings["ops"]
    return "" if findings["checksum"] == expected else "the contents are not what was written"


def _start(name: str, way: str, requires: str | None = None) -> Contestant:
    return Contestant(name, ("cold_start.py", way), *_COUNTS, requires=requires, warm_up=1)


ROWS = (
    Row(
        name="cold-start",
        question="A new Python: the whole process, its import, the first array made and opened",
        contestants=(
            _start("nothing", "python"),
            _start("numpy", "numpy"),
            _start("ndshare", "ndshare", "ndshare"),
            _start("SharedArray", "SharedArray", "SharedArray"),
            _start("stdlib SharedMemory", "stdlib"),
            _start("iceoryx2", "iceoryx2", "iceoryx2"),
            _start("pyzmq", "zmq", "zmq"),
            _start("torch", "torch", "torch"),
        ),
        columns=(
            Column("whole process", "p50_ns"),
            Column("import", "import_ns"),
            Column("first create", "create_ns"),
            Column("first open", "open_ns"),
        ),
        targets=(Target("ndshare", 1.25, "numpy"),),
        check=_check,
        rounds_max=3,
    ),
)
