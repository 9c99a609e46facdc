"""persistent=True: files that survive their users, and who may open them."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PeerError, PeerMaker

import ndshare

is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="changes users: needs root")
OTHER_USER = 54321
TEAM = 54322  # a group that has no name


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root on disk that everybody may reach."""
    folder = Path(tempfile.mkdtemp(prefix="ndshare-test-"))
    (folder / "root").mkdir()
    for one in (folder, folder / "root"):
        one.chmod(0o777)
    monkeypatch.setenv("NDSHARE_DIR", str(folder))
    monkeypatch.setenv("NDSHARE_ROOT", str(folder / "root"))
    yield folder / "root"
    shutil.rmtree(folder)


def become(user: int, group: int, *groups: int) -> str:
    """Statements that make a process another user's, for good."""
    return f"""
    os.setgroups({list(groups)}); os.setresgid({group}, {group}, {group})
    os.setresuid({user}, {user}, {user})
    import ctypes; ctypes.CDLL(None).prctl(4, 1)
    """


def files(root: Path) -> list[str]:
    """What the root holds, without its lock file."""
    return sorted(entry.name for entry in root.iterdir() if entry.name != ".lock")


def test_it_survives_its_users_with_contents_attributes_and_version(
    root: Path, peer: PeerMaker
) -> None:
    maker = peer()
    maker.do(
        "a = ndshare.create('kept', data=np.arange(5), persistent=True, attrs={'unit': 'm'});"
        "a[0] = 7; a.attrs['scale'] = 2; generation = a.generation"
    )
    generation = maker.get("generation")
    maker.kill()
    a = ndshare.open("kept", writeable=True)
    assert a[...].tolist() == [7, 1, 2, 3, 4]
    assert dict(a.attrs) == {"unit": "m", "scale": 2}
    assert (a.version, a.generation) == (2, generation)
    a[1] = 9
    a.close()
    one = ndshare.info("kept")
    assert one.persistent
    assert one.holders == []
    assert one.counters["version"] == 3
    assert np.load(one.path).tolist() == [7, 9, 2, 3, 4]
    assert ndshare.open("kept")[1] == 9
    ndshare.unlink("kept")
    assert files(root) == []
    with pytest.raises(ndshare.NotFound):
        ndshare.open("kept")


def test_the_default_root_is_beside_the_names(own_place: Path) -> None:
    with ndshare.create("file", data=[1], persistent=True) as a:
        assert Path(a.path).is_relative_to(own_place)
        assert np.load(a.path).tolist() == [1]
        assert stat.S_IMODE(Path(a.path).stat().st_mode) == 0o600
        a.unlink()


def test_a_writer_killed_inside_its_write_is_told_to_those_who_come_later(
    root: Path, peer: PeerMaker
) -> None:
    writer = peer()
    writer.do("a = ndshare.create('torn', data=np.zeros(4), persistent=True)")
    writer.do("w = a.write(); x = w.__enter__(); x[0] = 1")
    writer.kill()
    a = ndshare.open("torn", writeable=True)
    with pytest.raises(ndshare.IncompleteWrite):
        a.read()
    a[...] = 3
    assert a.read().tolist() == [3, 3, 3, 3]
    a.unlink()


def test_a_name_is_unique_over_both_places(root: Path) -> None:
    a = ndshare.create("both", data=[1])
    for persistent in (False, True):
        with pytest.raises(ndshare.Exists):
            ndshare.create("both", 1, persistent=persistent)
    b = ndshare.create("both", data=[2], persistent=True, existing="replace")
    assert a.replaced
    assert ndshare.open("both")[0] == 2
    assert [one.persistent for one in ndshare.ls()] == [True]
    with pytest.raises(ndshare.Exists, match=r"\.npy"):
        ndshare.create("both", 1)
    c = ndshare.create("both", data=[3], existing="replace")
    assert b.replaced
    assert c.generation > b.generation > a.generation
    assert ndshare.open("both")[0] == 3
    assert files(root) == []
    assert [one.persistent for one in ndshare.ls()] == [False]


def test_adopt_joins_a_file(root: Path) -> None:
    with ndshare.create("adopt", data=[1, 2], persistent=True):
        pass
    with ndshare.create("adopt", 2, "i8", existing="adopt") as a:
        assert a[...].tolist() == [1, 2]
        a.unlink()


@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_numpy_works_on_the_file(root: Path, order: str) -> None:
    values = np.arange(6.0).reshape(2, 3)
    any_order: Any = order
    made = ndshare.create("plain", data=values, order=any_order, persistent=True)
    with made as a:
        mapped = np.load(a.path, mmap_mode="r+")
        mapped[1, 2] = 50
        assert a.array[1, 2] == 50
        del mapped
        a.unlink()


@pytest.mark.parametrize("permissions", [0o777, 0o666, 0o606, 0o400, 0o640, 0o060, 0o1600])
def test_permissions_that_would_not_work_or_let_everybody_in_are_refused(
    root: Path, permissions: int
) -> None:
    with pytest.raises(ValueError, match=r'^\[create\] "x": permissions must'):
        ndshare.create("x", 3, persistent=True, permissions=permissions)
    assert files(root) == []


def test_a_group_that_there_is_not_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r'^\[create\] "x": there is no group "nosuchgroup"'):
        ndshare.create("x", 3, persistent=True, permissions=0o660, group="nosuchgroup")
    assert files(root) == []


def test_a_root_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NDSHARE_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(PermissionError, match="NDSHARE_ROOT"):
        ndshare.create("x", 3, persistent=True)
    ndshare.create("x", 3).close()
    assert ndshare.ls() == []


@needs_root
def test_another_user_is_refused_by_default_and_told_why(root: Path, peer: PeerMaker) -> None:
    other = peer()
    other.do(become(OTHER_USER, OTHER_USER))
    with ndshare.create("mine", data=[1], persistent=True) as a:
        assert stat.S_IMODE(Path(a.path).stat().st_mode) == 0o600
        for call in ("open('mine')", "open('mine', writeable=True)", "info('mine')"):
            with pytest.raises(PeerError, match=r"PermissionError: .*root.*0o660.*group"):
                other.do(f"ndshare.{call}")
        with pytest.raises(PeerError):
            other.do("ndshare.create('mine', 3, persistent=True, existing='replace')")
        assert other.get("[one.name for one in ndshare.ls()]") == []
        assert a[0] == 1
        a.unlink()


@needs_root
def test_a_group_shares_with_permissions_and_a_root_of_both(root: Path, peer: PeerMaker) -> None:
    root.chmod(0o2770)
    os.chown(root, 0, grp.getgrnam("daemon").gr_gid)
    daemon = grp.getgrnam("daemon").gr_gid
    other, third = peer(), peer()
    other.do(become(OTHER_USER, OTHER_USER, daemon))
    third.do(become(OTHER_USER + 5, OTHER_USER + 5))
    a = ndshare.create("team", data=[1], persistent=True, permissions=0o660, group="daemon")
    assert stat.S_IMODE(Path(a.path).stat().st_mode) == 0o660
    assert Path(a.path).stat().st_gid == daemon
    other.do("b = ndshare.open('team', writeable=True, timeout=5)")
    a[0] = 2
    assert other.get("b.wait()") == 2
    other.do("b[0] = 3")
    assert a.wait() == 3
    assert ndshare.info("team").holders == sorted([os.getpid(), other.pid])
    with pytest.raises(PeerError, match="PermissionError"):
        third.do("ndshare.open('team')")
    other.do("w = b.write(); w.__enter__()")
    other.kill()
    with pytest.raises(ndshare.IncompleteWrite):
        a.read()
    a[...] = 0
    a.unlink()


@needs_root
def test_a_member_of_the_group_may_create_and_replace_as_well(root: Path, peer: PeerMaker) -> None:
    daemon = grp.getgrnam("daemon").gr_gid
    root.chmod(0o2770)
    os.chown(root, 0, daemon)
    other = peer()
    other.do(become(OTHER_USER, OTHER_USER, daemon))
    other.do(
        "b = ndshare.create('theirs', data=[1], persistent=True, permissions=0o660, group='daemon')"
    )
    a = ndshare.open("theirs", writeable=True)
    assert a[0] == 1
    ndshare.unlink("theirs")
    with ndshare.create("theirs", data=[2], persistent=True, permissions=0o660, group="daemon"):
        assert other.get("b.replaced")
        other.do("b = ndshare.open('theirs')")
        assert other.get("b[0]") == 2
        other.do("ndshare.unlink('theirs')")
    assert files(root) == []


@needs_root
@pytest.mark.parametrize("mask", ["0o022", "0o077"])
def test_the_first_one_s_umask_does_not_keep_the_group_from_changing_names(
    root: Path, peer: PeerMaker, mask: str
) -> None:
    daemon = grp.getgrnam("daemon").gr_gid
    root.chmod(0o2770)
    os.chown(root, 0, daemon)
    shared = "data=[1], persistent=True, permissions=0o660, group='daemon'"
    first, second = peer(), peer()
    first.do(f"os.umask({mask}); a = ndshare.create('one', {shared})")
    second.do(become(OTHER_USER, OTHER_USER, daemon))
    second.do(f"b = ndshare.create('two', {shared}); ndshare.open('one', writeable=True)[0] = 5")
    assert first.get("ndshare.open('two', writeable=True)[0]") == 1
    second.do(f"b = ndshare.create('one', {shared}, existing='replace')")
    assert first.get("a.replaced")
    for name in ("one", "two"):
        second.do(f"ndshare.unlink({name!r})")
    assert files(root) == []


@needs_root
def test_a_group_may_be_a_number_without_a_name(root: Path) -> None:
    with ndshare.create("team", 3, persistent=True, permissions=0o660, group=TEAM) as a:
        assert Path(a.path).stat().st_gid == TEAM
        a.unlink()
