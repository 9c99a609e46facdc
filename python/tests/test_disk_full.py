"""A full file system under the names and the persistent files: a MemoryError that says so, nothing
half made, no SIGBUS in what was made before, and it works when there is space again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Peer, PeerError, PeerMaker
from mounts import can_run, mounted, needs_mounts
from refusals import require_text

import ndshare

MIB = 1 << 20


# How each kind is made as a file of about eight MiB, and what opens it: (operation, make, open).
KINDS = {
    "array": (
        "create",
        "ndshare.create('big', {n}, 'u1', persistent=True)",
        "ndshare.open('big', writeable=True)",
    ),
    "stream": (
        "publish",
        "ndshare.Publisher('big', {n} // 4, 'u1', slots=4, persistent=True)",
        "ndshare.Subscriber('big', latest=True)",
    ),
    "service": (
        "work",
        "ndshare.Worker('big', {{'x': ({n} // 4, 'u1')}}, {{'y': ((), 'u1')}}, slots=4, "
        "persistent=True)",
        "ndshare.Client('big')",
    ),
}

FILL = """
def fill():
    with open(root + "/filler", "wb", buffering=0) as file:
        for block in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(block))
            except OSError:
                pass

def refused(action):
    try:
        action()
    except BaseException as error:
        return type(error).__name__, str(error)
    return None

def made():
    return sorted(one for one in os.listdir(root) if one not in ("filler", ".lock", "lost+found"))

def free():
    state = os.statvfs(root)
    return state.f_bfree * state.f_frsize
"""


def on_tmpfs(folder: Path) -> list[str]:
    return mounted(f"mount -t tmpfs -o size=16m none {folder}")


def on_ext4(folder: Path) -> list[str]:
    image = folder.parent / "disk"
    with image.open("wb") as file:
        file.truncate(24 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    return mounted(f"mount -o loop {image} {folder}")


@pytest.fixture(params=[on_tmpfs, on_ext4], ids=["tmpfs", "ext4"])
def disk(
    request: pytest.FixtureRequest, peer: PeerMaker, tmp_path: Path
) -> Iterator[Callable[[], Peer]]:
    """A process on a small file system that only it has."""
    root = tmp_path / "root"
    root.mkdir()
    if request.param is on_ext4 and shutil.which("mkfs.ext4") is None:
        pytest.skip("no mkfs.ext4 here")
    prefix = request.param(root)
    if not can_run(prefix):
        pytest.skip("this file system cannot be mounted here")

    def make() -> Peer:
        other = peer(prefix=prefix, env={"NDSHARE_ROOT": str(root)})
        other.do(f"root = {str(root)!r}" + FILL)
        return other

    yield make


@needs_mounts
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    disk: Callable[[], Peer], kind: str
) -> None:
    operation, make, _ = KINDS[kind]
    other = disk()
    before = other.get("free()")
    for _ in range(3):
        with pytest.raises(PeerError) as failure:
            other.do(make.format(n=64 * MIB))
        assert failure.value.kind == "MemoryError"
        require_text(failure.value.text, operation, "big", r"64\.\d MiB are needed.*NDSHARE_ROOT")
        assert other.get("made()") == []
        assert before - other.get("free()") < MIB
    other.do(f"big = {make.format(n=4 * MIB)}")
    assert other.get("made()")[0].endswith("big.npy")
    other.do("big.close(); ndshare.unlink('big')")
    assert other.get("made()") == []


@needs_mounts
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full_refuses_everything_new_and_takes_nothing_from_what_is_there(
    disk: Callable[[], Peer], kind: str
) -> None:
    operation, make, look = KINDS[kind]
    other = disk()
    other.do(f"kept = {make.format(n=4 * MIB).replace('big', 'kept')}")
    other.do("fill()")
    for size in (1, 4 * MIB):
        found = other.get(f"refused(lambda: {make.format(n=size * 4)})")
        assert found is not None, "there was space left"
        assert found[0] == "MemoryError", found
        require_text(found[1], operation, "big", "NDSHARE_ROOT")
        assert other.get("len(made())") == 1
    # All of its memory was taken when it was made: no store can meet a missing block.
    other.do(
        """
        if hasattr(kept, "write"):
            kept[...] = 7
            assert (kept.read() == 7).all()
        elif hasattr(kept, "put"):
            s = ndshare.Subscriber("kept")
            s.get(timeout=0)
            for k in range(9):
                assert kept.put(np.full(kept.spec.shape, k, "u1")) is not None
                assert (s.get(timeout=5).array == k).all()
        else:
            c = ndshare.Client("kept")
            for k in range(9):
                call = c.submit(np.full(1 << 20, k, "u1"), timeout=30)
                batch = kept.get(timeout=30)
                assert (batch.inputs["x"] == k).all()
                batch.reply([k])
                assert call.result() == k
        """
    )
    # What is reserved later: it says so, or there is room in what was reserved.
    for action in ("kept.attrs.update(x=1)", f"{look.replace('big', 'kept')}.fileno()"):
        found = other.get(f"refused(lambda: {action})")
        if found is not None and found[0] != "AttributeError":
            assert found[0] == "MemoryError", found
    other.do("os.unlink(root + '/filler'); kept.attrs.update(x=1)")
    other.do(f"big = {make.format(n=4 * MIB)}; big.close(); ndshare.unlink('big')")
    other.do("kept.close(); ndshare.unlink('kept')")
    assert other.get("made()") == []


@needs_mounts
def test_a_full_dev_shm_refuses_new_names_and_keeps_the_old_ones(
    peer: PeerMaker, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mount = f"mount -t tmpfs -o size=64k,nr_inodes=12 none {place}"
    other = peer(
        prefix=mounted(mount),
        env={"NDSHARE_DIR": str(place), "NDSHARE_ROOT": ""},
    )
    other.do(
        """
        kept, errors = [], []
        makers = (
            lambda name: ndshare.create(name, data=[len(kept)]),
            lambda name: ndshare.Publisher(name, 3),
            lambda name: ndshare.Worker(name, {"x": (3, "f8")}, {"y": (3, "f8")}),
        )
        try:
            while len(kept) < 40:
                kept.append(ndshare.create(f"name/{len(kept)}", data=[len(kept)]))
        except MemoryError:
            pass
        for make in makers:
            try:
                make("new")
            except BaseException as error:
                errors.append((type(error).__name__, str(error)))
        """
    )
    errors = other.get("errors")
    for (kind, text), operation in zip(errors, ("create", "publish", "work"), strict=True):
        assert kind == "MemoryError", text
        require_text(text, operation, "new", "No space left.*NDSHARE_DIR")
    assert other.get("[int(one[0]) for one in kept] == list(range(len(kept)))")
    assert other.get("len(ndshare.ls()) == len(kept)")
    other.do("kept.pop().close(); kept.pop().close(); new = ndshare.create('new', 3)")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_limit_on_the_size_of_files_is_a_memory_error_for_every_kind(
    peer: PeerMaker, kind: str, persistent: bool
) -> None:
    operation, make, _ = KINDS[kind]
    other = peer()
    other.do("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))")
    text = make.replace("persistent=True", f"persistent={persistent}")
    with pytest.raises(PeerError) as failure:
        other.do(text.format(n=8 * MIB))
    assert failure.value.kind == "MemoryError"
    require_text(failure.value.text, operation, "big", "ulimit -f")
    assert ndshare.ls() == []
    other.do(f"big = {text.format(n=1024)}; big.close(); ndshare.unlink('big', missing_ok=True)")
