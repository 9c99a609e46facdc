"""Pages of 2 MiB, on a tmpfs that gives them to who asks: large memory gets them, and takes no more
than it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from children import Peer, PeerError, PeerMaker
from mounts import can_run, mounted, needs_mounts

import ndshare

HUGE = 2 << 20

LOOK = """
import re

def huge_bytes(kept):
    "What this process has mapped of it by huge pages, after a look at all of it."
    kept.read().max()
    path = str(root)
    parts = re.split(r"\\n(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read())
    return sum(
        int(re.search(r"ShmemPmdMapped: *([0-9]+)", part)[1]) << 10
        for part in parts
        if path in part.splitlines()[0]
    )

def taken_bytes():
    return sum(os.stat(f"{root}/{one}").st_blocks * 512 for one in os.listdir(root))
"""


@pytest.fixture
def on(peer: PeerMaker, tmp_path: Path) -> Callable[[str], Peer]:
    """A process whose persistent files are on a tmpfs with this option huge=."""

    def make(option: str) -> Peer:
        root = tmp_path / option
        root.mkdir()
        prefix = mounted(f"mount -t tmpfs -o size=256m,huge={option} none {root}")
        if not can_run(prefix):
            pytest.skip("no huge pages of shared memory in this kernel")
        other = peer(prefix=prefix, env={"NDSHARE_ROOT": str(root)})
        other.do(f"root = {str(root)!r}" + LOOK)
        return other

    return make


@needs_mounts
@pytest.mark.parametrize("option", ["advise", "within_size", "always"])
def test_large_memory_is_in_huge_pages_where_the_system_gives_them(
    on: Callable[[str], Peer], option: str
) -> None:
    other = on(option)
    other.do(f"big = ndshare.create('big', 3 * {HUGE} + 5000, 'u1', persistent=True)")
    other.do("big[...] = 7")
    assert other.get("huge_bytes(big)") >= 3 * HUGE
    assert other.get("int(big.read().min()), int(big.read().max())") == (7, 7)


@needs_mounts
@pytest.mark.parametrize(("option", "pages"), [("advise", 0.5), ("never", 4)])
def test_small_memory_and_systems_without_them_have_none(
    on: Callable[[str], Peer], option: str, pages: float
) -> None:
    other = on(option)
    other.do(f"small = ndshare.create('small', {int(pages * HUGE)}, 'u1', persistent=True)")
    other.do("small[...] = 7")
    assert other.get("huge_bytes(small)") == 0


@needs_mounts
def test_who_asks_for_them_gets_no_more_memory_than_the_footprint_says(
    on: Callable[[str], Peer],
) -> None:
    other = on("advise")
    shape = 3 * HUGE + 5000
    other.do(f"big = ndshare.create('big', {shape}, 'u1', persistent=True); big[...] = 7")
    # Persistent memory is rounded up to pages of 64 KiB.
    assert other.get("taken_bytes()") <= ndshare.Array.footprint(shape, "u1") + (128 << 10)


@needs_mounts
def test_where_they_do_not_fit_the_error_is_the_usual_one(on: Callable[[str], Peer]) -> None:
    other = on("advise")
    other.do(f"kept = ndshare.create('kept', {100 * HUGE}, 'u1', persistent=True); kept[...] = 1")
    assert other.get("huge_bytes(kept)") == 100 * HUGE
    before = other.get("taken_bytes()")
    with pytest.raises(PeerError, match=r"100\.\d MiB are needed") as failure:
        other.do(f"ndshare.create('more', {50 * HUGE}, 'u1', persistent=True)")
    assert failure.value.kind == "MemoryError"
    assert other.get("taken_bytes()") == before
