"""Machines that lack something: /proc, folders that can be written, rights to look."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import PeerError, PeerMaker
from mounts import mounted, needs_mounts
from refusals import refusal, refused

import ndshare

Script = Callable[..., str]

F_OFD_SETLK = 37
STRANGER = 54321  # a user id that nobody has

is_root = os.geteuid() == 0


needs_root = pytest.mark.skipif(not is_root, reason="changes owners: needs root")


@needs_mounts
def test_without_proc_kernel_memory_is_refused(peer: PeerMaker, tmp_path: Path) -> None:
    other = peer(prefix=mounted("mount -t tmpfs none /proc"), env={"NDSHARE_ROOT": str(tmp_path)})
    for call in ("ndshare.create('noproc', 3)", "ndshare.open('noproc')"):
        with pytest.raises(PeerError, match=r"PermissionError: .*/proc.*persistent=True"):
            other.do(call)


@needs_mounts
def test_without_proc_persistent_files_are_the_way_that_is_named(
    peer: PeerMaker, tmp_path: Path
) -> None:
    other = peer(prefix=mounted("mount -t tmpfs none /proc"), env={"NDSHARE_ROOT": str(tmp_path)})
    other.do(
        "a = ndshare.create('noproc', data=[1, 2], persistent=True); b = ndshare.open('noproc')"
    )
    assert other.get("b[...].tolist()") == [1, 2]


@needs_mounts
def test_streams_and_services_without_proc_say_so_or_are_persistent(
    peer: PeerMaker, tmp_path: Path
) -> None:
    other = peer(prefix=mounted("mount -t tmpfs none /proc"), env={"NDSHARE_ROOT": str(tmp_path)})
    work = "ndshare.Worker('noproc', {'x': (2, 'f4')}, {'y': (2, 'f4')}"
    for call in (
        "ndshare.Publisher('noproc', 2, 'f4')",
        "ndshare.Subscriber('noproc').get(timeout=0.1)",
        "ndshare.Subscriber('noproc').get_many(3, timeout=0.1)",
        f"{work})",
        "ndshare.Client('noproc').submit([1, 2], timeout=0.1)",
    ):
        with pytest.raises(PeerError, match=r"PermissionError: .*/proc.*persistent=True"):
            other.do(call)
    other.do(
        f"""
        p = ndshare.Publisher('noproc', 2, 'f4', persistent=True)
        s = ndshare.Subscriber('noproc')
        p.put([1, 2])
        frame = s.get(timeout=5)
        assert frame.ref.get().array.tolist() == [1, 2]
        s.close(), frame.close(), p.close(), ndshare.unlink('noproc')
        w = {work}, persistent=True)
        call = ndshare.Client('noproc').submit([1, 2], timeout=5)
        w.get(timeout=5).reply([[3, 4]])
        assert call.result(timeout=5).tolist() == [3, 4]
        w.close(), ndshare.unlink('noproc')
        """
    )


@needs_root
@needs_mounts
def test_processes_of_one_user_find_each_other_where_proc_hides_those_of_others(
    peer: PeerMaker, shared_base: Path
) -> None:
    hide = mounted("mount -t proc -o hidepid=2 proc /proc")
    env = {"NDSHARE_DIR": str(shared_base)}
    holder, other, stranger = (peer(prefix=hide, env=env) for _ in range(3))
    for one, user in ((holder, STRANGER), (other, STRANGER), (stranger, STRANGER + 1)):
        one.do(become(user))
        assert not one.get("os.path.exists('/proc/1')"), "nothing is hidden"
    holder.do(
        """
        a = ndshare.create('seen', data=[1])
        p = ndshare.Publisher('stream', 2, 'f4')
        w = ndshare.Worker('service', {'x': (2, 'f4')}, {'y': (2, 'f4')})
        """
    )
    other.do(
        """
        assert ndshare.open('seen')[0] == 1
        s = ndshare.Subscriber('stream')
        call = ndshare.Client('service').submit([1, 2], timeout=5)
        """
    )
    holder.do("p.put([5, 6]); w.get(timeout=5).reply([[3, 4]])")
    assert other.get("s.get(timeout=5).array.tolist()") == [5, 6]
    assert other.get("call.result(timeout=5).tolist()") == [3, 4]
    listed = other.get("sorted(one.name for one in ndshare.ls())")
    assert listed == ["seen", "service", "stream"]
    with pytest.raises(PeerError) as failure:
        stranger.do("ndshare.open('seen')")
    assert failure.value.kind == "NotFound"


@needs_mounts
def test_a_read_only_file_system_refuses_names_and_files(peer: PeerMaker, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    env = {"NDSHARE_DIR": str(place)}
    remount = f"mount --bind {place} {place} && mount -o remount,ro,bind {place}"
    never = peer(prefix=mounted(remount), env=env)
    for persistent in (False, True):
        with pytest.raises(PeerError) as failure:
            never.do(f"ndshare.create('ro', 3, persistent={persistent})")
        refusal(failure, "PermissionError", "create", "ro", "NDSHARE_DIR.*NDSHARE_ROOT")
    with pytest.raises(PeerError) as failure:
        never.do("ndshare.open('ro')")
    assert failure.value.kind in ("NotFound", "PermissionError")

    maker = peer(env=env)
    maker.do(
        "a = ndshare.create('ro', data=[1]); p = ndshare.create('p', data=[2], persistent=True)"
    )
    looker = peer(prefix=mounted(remount), env=env)
    assert looker.get("ndshare.open('ro')[0]") == 1, "looking needs no writing"
    for name in ("new", "ro"):
        with pytest.raises(PeerError) as failure:
            looker.do(f"ndshare.create({name!r}, 3, existing='replace')")
        refusal(failure, "PermissionError", "create", name, "NDSHARE_DIR")
    with pytest.raises(PeerError) as failure:
        looker.do("ndshare.create('new', 3, persistent=True)")
    refusal(failure, "PermissionError", "create", "new", "NDSHARE_ROOT")
    maker.do("p.unlink()")


@needs_root
def test_a_folder_of_names_of_another_owner_is_refused(own_place: Path) -> None:
    folder = own_place / f"ndshare-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, STRANGER, STRANGER)
    with pytest.raises(PermissionError, match=rf"{STRANGER}.*NDSHARE_DIR"):
        ndshare.create("x", 3)
    with pytest.raises(PermissionError, match=rf"{STRANGER}.*NDSHARE_DIR"):
        ndshare.open("x")


def test_a_folder_of_names_that_others_may_enter_is_refused(own_place: Path) -> None:
    folder = own_place / f"ndshare-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="chmod 700"):
        ndshare.create("x", 3)


def test_a_base_folder_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NDSHARE_DIR", "/nowhere/at/all")
    with pytest.raises(PermissionError, match="NDSHARE_DIR"):
        ndshare.create("x", 3)
    with pytest.raises((ndshare.NotFound, PermissionError)):
        ndshare.open("x")
    monkeypatch.undo()


@needs_root
def test_a_holder_that_the_kernel_hides_says_what_to_do(peer: PeerMaker, shared_base: Path) -> None:
    env = {"NDSHARE_DIR": str(shared_base)}
    holder, other = peer(env=env), peer(env=env)
    for one in (holder, other):
        one.do(become(STRANGER))
    holder.do("a = ndshare.create('hidden', data=[1]); libc.prctl(4, 0)")
    with pytest.raises(PeerError, match=rf"PermissionError: .*{holder.pid}.*persistent=True"):
        other.do("ndshare.open('hidden')")
    with pytest.raises(PeerError) as failure:
        holder.do("ndshare.create('hidden2', data=[1])")
    refusal(failure, "PermissionError", "create", "hidden2", "persistent=True")
    holder.do("libc.prctl(4, 1)")
    assert other.get("ndshare.open('hidden')[0]") == 1


def become(user: int) -> str:
    """Statements that make a process another user's, for good."""
    return f"""
    import ctypes
    libc = ctypes.CDLL(None)
    os.setgroups([]); os.setresgid({user}, {user}, {user}); os.setresuid({user}, {user}, {user})
    libc.prctl(4, 1)
    """


@pytest.fixture
def shared_base() -> Iterator[Path]:
    """A folder that every user may enter and write to."""
    base = Path(f"/tmp/ndshare-test-{os.getpid()}")
    base.mkdir()
    base.chmod(0o777)
    yield base
    shutil.rmtree(base)


@needs_mounts
@pytest.mark.parametrize("operation", ["create", "open"])
def test_what_is_refused_without_proc_names_operation_and_array(
    peer: PeerMaker, operation: str
) -> None:
    other = peer(prefix=mounted("mount -t tmpfs none /proc"))
    with pytest.raises(PeerError) as failure:
        other.do(f"ndshare.{operation}('noproc', shape=3)")
    refusal(failure, "PermissionError", operation, "noproc", "persistent=True")


@pytest.mark.parametrize("operation", [ndshare.create, ndshare.open])
def test_what_is_refused_for_its_folder_names_operation_and_array(
    own_place: Path, operation: Callable[..., object]
) -> None:
    (own_place / f"ndshare-{os.geteuid()}").mkdir()
    (own_place / f"ndshare-{os.geteuid()}").chmod(0o777)
    with refused(PermissionError, operation.__name__, "x", "chmod 700"):
        operation("x", shape=3)


@needs_root
@pytest.mark.parametrize("operation", ["create", "open"])
def test_what_is_refused_for_its_holder_names_operation_and_array(
    peer: PeerMaker, shared_base: Path, operation: str
) -> None:
    env = {"NDSHARE_DIR": str(shared_base)}
    holder, other = peer(env=env), peer(env=env)
    for one in (holder, other):
        one.do(become(STRANGER))
    holder.do("a = ndshare.create('hidden', data=[1]); libc.prctl(4, 0)")
    with pytest.raises(PeerError) as failure:
        other.do(f"ndshare.{operation}('hidden', shape=3)")
    refusal(failure, "PermissionError", operation, "hidden", "persistent=True")
