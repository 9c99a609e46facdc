"""docs/BENCHMARKS.md is made from a results.json, and tells the bad news too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parents[2] / "bench"


def contestant(name: str, p50_ns: float | None, **more: str) -> dict[str, Any]:
    figures = {} if p50_ns is None else {"p50_ns": p50_ns}
    return {
        "name": name,
        "command": ["way.py"],
        "absent": "",
        "wrong": "",
        "median": figures,
        "spread": {"p50_ns": 0.25} if figures else {},
        "rounds": [figures] if figures else [],
    } | more


def results(**more: Any) -> dict[str, Any]:
    columns = [
        {"title": "p50", "field": "p50_ns", "unit": "ns"},
        {"title": "p99.9", "field": "p999_ns", "unit": "ns"},
    ]
    row = {
        "name": "a-row",
        "question": "How fast?",
        "field": "p50_ns",
        "columns": columns,
        "contestants": [
            contestant("raw futex, C", 500.0, command=["raw"]),
            contestant("ndshare", 1500.0),
            contestant("pyzmq", 1000.0),
            contestant("iceoryx2", 3000.0),
            contestant("kickmsg", None, absent="not installed"),
            contestant("pyshmem", 1.0, wrong="it is not what was sent"),
        ],
        "targets": [
            {
                "contestant": "ndshare",
                "reference": "pyzmq",
                "field": "p50_ns",
                "most": 1.0,
                "value": 1.5,
                "reached": False,
            },
            {
                "contestant": "ndshare",
                "reference": "kickmsg",
                "field": "p50_ns",
                "most": 1.0,
                "value": None,
                "reached": None,
            },
        ],
    }
    curve = {
        "name": "a-curve",
        "question": "How does it grow?",
        "axis": "payload",
        "axis_unit": "bytes",
        "field": "p50_ns",
        "shown": ["p50_ns"],
        "columns": columns,
        "points": [
            {"x": 8, "contestants": [contestant("ndshare", 10.0), contestant("pyzmq", 20.0)]},
            {"x": 1 << 30, "contestants": [contestant("ndshare", 3e9), contestant("pyzmq", 2e9)]},
        ],
    }
    return {
        "machine": {
            "cpu": "a CPU",
            "cpus": 2,
            "memory_bytes": 8 << 30,
            "virtual": True,
            "kernel": "6.1",
            "system": "Debian",
            "libc": "glibc",
            "python": "3.12",
            "compiler": "g++",
            "packages": {"numpy": "2.0", "kickmsg": None},
            "command": "python bench/run.py --rounds 5",
        },
        "started": "2026-01-01T00:00:00Z",
        "load_before": [0.5, 0.25, 0.1],
        "load_after": [1.5, 0.5, 0.2],
        "cpus": [0, 1],
        "rounds": 5,
        "smoke": False,
        "rows": [row],
        "curves": [curve],
    } | more


def page(tmp_path: Path, found: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "results.json").write_text(json.dumps(found))
    return subprocess.run(
        [sys.executable, BENCH / "report_pages.py", "results.json", "--output", "page.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_has_every_row_and_says_where_a_peer_is_ahead(tmp_path: Path) -> None:
    done = page(tmp_path, results())
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "page.md").read_text().splitlines()
    for line in (
        "| machine | a CPU, 2 CPUs, virtual |",
        "| packages | numpy 2.0 |",
        "| command | python bench/run.py --rounds 5 |",
        "| load before / after | 0.5 0.25 0.1 / 1.5 0.5 0.2 |",
        "Targets: 0 reached, 1 not reached, of 2.",
        "| **ndshare** | 1.5 us | - | 25 % |",
        "| kickmsg | not installed |  |  |",
        "| pyshmem | WRONG |  |  |",
        "- pyshmem is left out, since one round of it failed: `it is not what was sent`.",
        "- pyzmq is ahead of ndshare, 1.50 times.",
        "- ndshare: p50_ns at most 1 of pyzmq's: 1.5, NOT reached.",
        "- ndshare: p50_ns at most 1 of kickmsg's: not measured.",
        "| 8 B | 10 ns | 20 ns |",
        "| 1 GiB | 3 s | 2 s |",
        "- pyzmq is ahead of ndshare at 1 GiB (1.50 times).",
    ):
        assert line in lines, line
    # Slower, wrong, absent or a limit: no lead.
    assert sum(line.startswith("- ") and " is ahead of " in line for line in lines) == 2


def test_a_smoke_run_makes_no_page(tmp_path: Path) -> None:
    done = page(tmp_path, results(smoke=True))
    assert done.returncode == 2
    assert "smoke" in done.stderr
    assert not (tmp_path / "page.md").exists()


def test_a_name_that_is_nobodys_is_an_error(tmp_path: Path) -> None:
    found = results()
    found["rows"][0]["contestants"].append(contestant("a stranger", 1.0))
    done = page(tmp_path, found)
    assert done.returncode == 1
    assert "a stranger" in done.stderr


def test_every_contestant_of_the_bench_belongs_to_somebody() -> None:
    listed = (
        "import results, rows\n"
        "for one in (*rows.ALL, *rows.CURVES):\n"
        "    for way in getattr(one, 'contestants', None) or one.lines:\n"
        "        print(results.family(way.name))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", listed], cwd=BENCH, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"ndshare", "limit", "iceoryx2"} <= set(done.stdout.split())
