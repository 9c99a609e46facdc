"""Bytes that others wrote are input: damaged, truncated, foreign, newer, or not ours at all."""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from refusals import refused

import ndshare
from ndshare import _core

Files = Callable[..., Path]

# The last page of a file: magic, layout version, byte order mark, checksum, …
LAYOUT_VERSION_AT = 8
CHECKSUM_AT = 16


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name_space: str) -> Iterator[Files]:
    """Makes a persistent array and gives the path of its file, which nobody holds."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("NDSHARE_ROOT", str(root))

    def make(name: str = "x", *shape: int, **more: Any) -> Path:
        with ndshare.create(name, shape or 64, persistent=True, **more):
            pass
        return root / f"{name_space}%2F{name}.npy"

    yield make
    shutil.rmtree(root)


def patch(path: Path, at: int, new: bytes) -> None:
    """Overwrites bytes; a negative place counts from the end."""
    with path.open("r+b") as stream:
        stream.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        stream.write(new)


def test_a_plain_npy_file_is_refused_with_the_way_to_open_it(file: Files) -> None:
    path = file()
    np.save(path, np.arange(5))
    with refused(ndshare.Corrupt, "open", "x", r"numpy\.load\("):
        ndshare.open("x")
    with refused(ndshare.Corrupt, "create", "x", r"numpy\.load\("):
        ndshare.create("x", 5)
    with refused(ndshare.Corrupt, "info", "x", r"numpy\.load\("):
        ndshare.info("x")
    assert ndshare.ls() == []
    assert np.load(path).tolist() == [0, 1, 2, 3, 4], "and nothing was destroyed"
    np.save(path, np.arange(100_000))
    with refused(ndshare.Corrupt, "open", "x", r"numpy\.load\("):
        ndshare.open("x")
    with ndshare.create("x", 3, existing="replace", persistent=True):
        assert ndshare.open("x").shape == (3,)
    ndshare.unlink("x")


def test_a_truncated_file_is_corrupt_at_every_length(file: Files) -> None:
    path = file()
    whole = path.read_bytes()
    lengths = {0, 1, 100, 4095, 4096, 4097, len(whole) - 1, len(whole) - 4096, len(whole) // 2}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        with refused(ndshare.Corrupt, "open", "x", r"ndshare\.unlink|numpy\.load"):
            ndshare.open("x")
    path.write_bytes(whole + bytes(4096))
    with refused(ndshare.Corrupt, "open", "x", r"ndshare\.unlink|numpy\.load"):
        ndshare.open("x")
    path.write_bytes(whole)
    ndshare.open("x").close()


def test_a_flipped_bit_in_the_descriptor_is_corrupt(file: Files) -> None:
    path = file("x", 4, 4, dtype=[("a", "f4"), ("b", "i2", (3,))])
    page = path.read_bytes()[-4096:]
    text = page.rindex(b"]") + 1
    chance = random.Random(1)
    for _ in range(300):
        at, bit = chance.randrange(text), 1 << chance.randrange(8)
        patch(path, at - 4096, bytes([page[at] ^ bit]))
        with refused(ndshare.Corrupt, "open", "x", r"ndshare\.unlink|numpy\.load"):
            ndshare.open("x")
        patch(path, at - 4096, page[at : at + 1])
    assert ndshare.open("x").shape == (4, 4)


def test_another_layout_version_is_named(file: Files) -> None:
    path = file()
    (version,) = struct.unpack_from("<I", path.read_bytes(), len(path.read_bytes()) - 4096 + 8)
    patch(path, LAYOUT_VERSION_AT - 4096, struct.pack("<I", version + 1))
    with refused(ndshare.Corrupt, "open", "x", rf"layout.*{version + 1}"):
        ndshare.open("x")


def test_what_is_corrupt_can_be_removed_and_replaced(file: Files) -> None:
    path = file()
    patch(path, CHECKSUM_AT - 4096, b"\0\0\0\0")
    with refused(ndshare.Corrupt, "create", "x", r"ndshare\.unlink"):
        ndshare.create("x", 3)
    ndshare.unlink("x")
    assert not path.exists()
    file()
    patch(path, -4096, b"\0" * 8)
    with ndshare.create("x", 3, existing="replace"):
        assert ndshare.open("x").shape == (3,)


def test_a_file_under_another_name_is_refused(file: Files) -> None:
    path = file("one")
    path.rename(path.with_name(path.name.replace("one", "two")))
    with refused(ndshare.Corrupt, "open", "two", "copied or renamed"):
        ndshare.open("two")


def test_things_in_the_root_that_are_no_files_lead_nowhere(file: Files, tmp_path: Path) -> None:
    path = file("real")
    ndshare.unlink("real")
    target = tmp_path / "target.npy"
    np.save(target, np.arange(3))
    odd = path.with_name(path.name.replace("real", "odd"))
    makers: list[Callable[[], object]] = [
        lambda: odd.symlink_to(target),
        lambda: odd.symlink_to(odd),
        odd.mkdir,
        lambda: os.mkfifo(odd),
    ]
    for make in makers:
        make()
        for _ in range(2):
            with pytest.raises((ndshare.NotFound, ndshare.Corrupt)):
                ndshare.open("odd")
        (odd.rmdir if odd.is_dir() and not odd.is_symlink() else odd.unlink)()
    assert np.load(target).tolist() == [0, 1, 2]


def odd_links(tmp_path: Path) -> dict[str, str]:
    """What a stale link of the book may lead to by now."""
    (tmp_path / "file").write_bytes(b"x" * 10000)
    os.mkfifo(tmp_path / "fifo")
    return {
        "file": str(tmp_path / "file"),
        "fifo": str(tmp_path / "fifo"),
        "nothing": str(tmp_path / "nothing"),
        "nobody": "/proc/4194304/fd/3",
        "no descriptor": f"/proc/{os.getpid()}/fd/99999",
        "standard output": f"/proc/{os.getpid()}/fd/1",
        "memory": f"/proc/{os.getpid()}/mem",
        "itself": "loop",
        "terminal": "/dev/tty",
        "empty folder": "/proc/self/fd/",
        "far too long": "/proc/1/fd/" + "9" * 200,
    }


def test_a_link_of_the_book_that_leads_elsewhere_is_a_name_that_is_free(
    own_place: Path, tmp_path: Path, name_space: str
) -> None:
    ndshare.create("first", 1).close()
    book = Path(_core.places()["names"])
    fifo = os.memfd_create("other")
    links = {**odd_links(tmp_path), "foreign memory": f"/proc/{os.getpid()}/fd/{fifo}"}
    for number, (what, target) in enumerate(links.items()):
        name = f"odd{number}"
        link = book / f"{name_space}%2F{name}"
        link.symlink_to(link.name if target == "loop" else target)
        with pytest.raises(ndshare.NotFound):
            ndshare.open(name)
        link.unlink(missing_ok=True)
        link.symlink_to(link.name if target == "loop" else target)
        with ndshare.create(name, data=[number]) as a:
            assert ndshare.open(name)[0] == number, what
            assert a.array[0] == number
    assert (tmp_path / "file").read_bytes() == b"x" * 10000
    os.close(fifo)


def test_memory_of_another_name_behind_a_link_is_not_believed(name_space: str) -> None:
    a = ndshare.create("real", data=[1])
    link = Path(_core.places()["names"]) / f"{name_space}%2Ffalse"
    link.symlink_to(a.path)
    with pytest.raises(ndshare.NotFound):
        ndshare.open("false")
    forged = os.memfd_create(f"ndshare:{name_space}/forged")
    link.with_name(f"{name_space}%2Fforged").symlink_to(f"/proc/{os.getpid()}/fd/{forged}")
    with pytest.raises((ndshare.NotFound, ndshare.Corrupt)):
        ndshare.open("forged")
    os.ftruncate(forged, 1 << 20)
    with pytest.raises((ndshare.NotFound, ndshare.Corrupt)):
        ndshare.open("forged")
    os.close(forged)
    assert ndshare.open("real")[0] == 1


def test_a_folder_of_names_that_is_a_link_is_not_followed(own_place: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (own_place / f"ndshare-{os.geteuid()}").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"\[create\] \"x\": "):
        ndshare.create("x", 3)
    assert list(elsewhere.iterdir()) == []


def test_what_lies_around_in_the_folders_is_no_name(own_place: Path) -> None:
    keep = ndshare.create("keep", 1)
    book = Path(_core.places()["names"])
    for odd in ("plain", "%2", "%ZZ", "#0123", ".hidden", "a" * 255):
        (book / odd).write_text("x")
    (book / "folder").mkdir()
    assert [one.name for one in ndshare.ls()] == ["keep"]
    keep.close()


SCRIBBLE = r"""
import random
def try_all(path, seed, whole):
    chance = random.Random(seed)
    with open(path, "r+b") as stream:
        stream.write(whole)
        control = stream.seek(-4096, 2) - 53248
        size = chance.choice([64, 512, 16384, 53248])
        for _ in range(chance.choice([1, 4, 40])):
            stream.seek(control + chance.randrange(0, size, 4))
            stream.write(chance.choice([bytes(4), b"\xff" * 4, chance.randbytes(4),
                                        chance.randbytes(8), (1).to_bytes(4, "little")]))
    refusals = (ndshare.Error, TimeoutError, ValueError, KeyError)
    def attempt(step):
        try: step()
        except refusals: pass
    handles = []
    attempt(lambda: handles.append(ndshare.open("x", writeable=True)))
    for a in handles:
        def write():
            with a.write(timeout=0.01, recover=True) as w: w[0] += 1
        for step in (lambda: a.read(timeout=0.01), lambda: a.wait(0.01), write,
                     lambda: dict(a.attrs), lambda: a.attrs.update(k=1), lambda: a.fileno(),
                     lambda: a.replaced, lambda: ndshare.wait([a], 0.01), write):
            attempt(step)
        a.close()
    attempt(lambda: ndshare.info("x"))
    ndshare.ls()
"""


def test_scribbled_control_words_crash_and_hang_nobody(file: Files, peer: PeerMaker) -> None:
    path = file(attrs={"unit": "m"})
    other = peer()
    other.do(SCRIBBLE)
    other.do(f"whole = open({str(path)!r}, 'rb').read()")
    for start in range(0, 200, 20):
        other.do(f"for seed in range({start}, {start + 20}): try_all({str(path)!r}, seed, whole)")


def test_a_hole_punched_into_the_memory_reads_as_zeros(peer: PeerMaker) -> None:
    a = ndshare.create("hole", data=np.ones(100_000))
    other = peer()
    other.do("import ctypes; libc = ctypes.CDLL(None, use_errno=True); b = ndshare.open('hole')")
    other.do(
        "fd = os.open(b.path, os.O_RDWR); r = libc.fallocate(fd, 3, ctypes.c_long(8192), "
        "ctypes.c_long(8192)); assert r == 0, ctypes.get_errno()"
    )
    assert a.read().sum() == 100_000 - 1024
    assert a.array.min() == 0


def test_nobody_can_shrink_or_grow_the_memory(peer: PeerMaker) -> None:
    a = ndshare.create("sealed", 1000)
    for size in (0, 4096, 1 << 20):
        fd = os.open(a.path, os.O_RDWR)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
        os.close(fd)
    assert peer().get("ndshare.open('sealed')[999]") == 0
