"""What `import ndshare` costs a program that wants an array."""

from __future__ import annotations

import subprocess
import sys

import ndshare

HEAVY = ("asyncio", "multiprocessing", "subprocess", "concurrent.futures", "typer", "rich")


def loaded_by(text: str) -> set[str]:
    """Of the heavy ones, in a Python of its own; NumPy's own imports do not count."""
    program = (
        f"import sys, numpy; before = set(sys.modules); {text}; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split()) & set(HEAVY)


def test_importing_it_loads_nothing_heavy_beside_numpy() -> None:
    assert not loaded_by("import ndshare")
    assert "multiprocessing" in loaded_by("import ndshare; ndshare.serve")  # it would be noticed


def test_every_public_name_is_there() -> None:
    assert set(ndshare.__all__) <= set(dir(ndshare))
    assert all(getattr(ndshare, name) is not None for name in ndshare.__all__)
