"""Room: what fits where /dev/shm is small, and what does not fit is a MemoryError with numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import PeerError, PeerMaker
from mounts import mounted, needs_mounts
from refusals import refusal, refused

import ndshare


@needs_mounts
def test_two_hundred_megabytes_fit_where_dev_shm_has_one(peer: PeerMaker) -> None:
    other = peer(prefix=mounted("mount -t tmpfs -o size=1m none /dev/shm"))
    other.do(
        """
        a = ndshare.create('large', 200 << 20, 'u1')
        a[...] = 7
        b = ndshare.open('large')
        assert (b.array == 7).all()
        assert os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize == 1 << 20
        """
    )
    with pytest.raises(PeerError) as failure:
        other.do("ndshare.create('file', 2 << 20, 'u1', persistent=True)")
    refusal(failure, "MemoryError", "create", "file", r"2\.1 MiB are needed.*NDSHARE_ROOT")
    other.do("ndshare.create('small', 1000, 'u1', persistent=True); ndshare.unlink('small')")


def test_a_limit_on_file_sizes_is_a_memory_error(peer: PeerMaker) -> None:
    other = peer()
    other.do("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))")
    for persistent in (False, True):
        with pytest.raises(PeerError) as failure:
            other.do(f"ndshare.create('big', 2 << 20, 'u1', persistent={persistent})")
        refusal(failure, "MemoryError", "create", "big", "ulimit -f")
    other.do("ndshare.create('small', 1000, 'u1')")


GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A cgroup of the test's own with 64 MiB, gone after it."""
    group = GROUPS / f"ndshare-test-{os.getpid()}"
    if not (GROUPS / "memory.limit_in_bytes").exists():
        group = Path("/sys/fs/cgroup") / group.name
    try:
        group.mkdir()
        limit = group / "memory.limit_in_bytes"
        (limit if limit.exists() else group / "memory.max").write_text(str(64 << 20))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield group
    group.rmdir()


def oom_kills(group: Path) -> int:
    """How often the kernel killed in it."""
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            lines = (group / name).read_text().split("\n")
            return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0


def test_a_cgroup_s_limit_is_a_memory_error_with_the_numbers(
    peer: PeerMaker, memory_group: Path
) -> None:
    other = peer()
    (memory_group / "cgroup.procs").write_text(str(other.pid))
    try:
        for persistent in (False, True):
            with pytest.raises(PeerError) as failure:
                other.do(f"ndshare.create('big', 200 << 20, 'u1', persistent={persistent})")
            remedy = r"200\.\d MiB are needed, \d.* are free: .*64\.0 MiB in all.*docker run"
            refusal(failure, "MemoryError", "create", "big", remedy)
        with pytest.raises(PeerError):
            other.do("k = [ndshare.create(f'many/{i}', 10 << 20, 'u1') for i in range(20)]")
        assert other.get("ndshare.create('fits', 1 << 20, 'u1')[0]") == 0
        assert oom_kills(memory_group) == 0
    finally:
        other.end()


def test_nothing_is_left_of_what_did_not_fit(name_space: str) -> None:
    def memory() -> int:
        text = Path("/proc/meminfo").read_text()
        return next(int(line.split()[1]) for line in text.split("\n") if line[:6] == "Shmem:")

    before = memory()
    for _ in range(3):
        with refused(MemoryError, "create", "huge", "are needed"):
            ndshare.create("huge", 1 << 44, "u1")
    assert memory() < before + (64 << 10)
    assert name_space
