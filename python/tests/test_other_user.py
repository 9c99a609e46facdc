"""Another user and every kind of thing: kept out unless asked in, and then a peer as any other."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import PeerError, PeerMaker
from frames import drain
from services import NUMBER, running

import ndshare

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes users: needs root")
OTHER_USER = 54331

# How each is made, and what another process does with it.
MAKERS: dict[str, Any] = {
    "array": lambda **more: ndshare.create("mine", data=[1, 2, 3], **more),
    "stream": lambda **more: ndshare.Publisher("mine", 3, slots=4, shared=True, **more),
    "service": lambda **more: ndshare.Worker("mine", **NUMBER, slots=4, **more),
}
USES = {
    "array": ("ndshare.open('mine')", "ndshare.open('mine', writeable=True)"),
    "stream": ("ndshare.Subscriber('mine').get(timeout=0)", "ndshare.Publisher('mine', 3)"),
    "service": ("ndshare.Client('mine')(1, timeout=1)", f"ndshare.Worker('mine', **{NUMBER!r})"),
}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A base and a root that everybody may reach."""
    folder = Path(tempfile.mkdtemp(prefix="ndshare-test-"))
    (folder / "root").mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("NDSHARE_DIR", str(folder))
    monkeypatch.setenv("NDSHARE_ROOT", str(folder / "root"))
    yield folder
    shutil.rmtree(folder)


def become(user: int, *groups: int) -> str:
    """Statements that make a process another user's, for good."""
    return f"""
    os.setgroups({list(groups)}); os.setresgid(*3 * [{user}]); os.setresuid(*3 * [{user}])
    import ctypes; ctypes.CDLL(None).prctl(4, 1)
    """


@pytest.mark.parametrize("kind", MAKERS)
def test_kernel_memory_of_every_kind_is_its_users_alone(
    place: Path, peer: PeerMaker, kind: str
) -> None:
    other = peer()
    other.do(become(OTHER_USER))
    with MAKERS[kind]():
        path = ndshare.info("mine").path
        status = Path(path).stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_uid == os.geteuid()
        with pytest.raises(PeerError, match="PermissionError"):
            other.do(f"open({path!r}, 'rb')")
        with pytest.raises(PeerError, match="PermissionError"):
            other.do(f"os.listdir({str(place)!r} + '/ndshare-{os.geteuid()}')")
        assert other.get("[one.name for one in ndshare.ls()]") == []


@pytest.mark.parametrize("kind", MAKERS)
def test_files_of_every_kind_are_refused_to_others_by_default_and_they_are_told_why(
    place: Path, peer: PeerMaker, kind: str
) -> None:
    (place / "root").chmod(0o777)
    other = peer()
    other.do(become(OTHER_USER))
    with MAKERS[kind](persistent=True):
        path = Path(ndshare.info("mine").path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for use in USES[kind]:
            with pytest.raises(PeerError, match=r"PermissionError: .*root.*0o660.*group"):
                other.do(use)
    ndshare.unlink("mine")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_member_of_the_group_uses_every_kind_and_a_stranger_does_not(
    place: Path, peer: PeerMaker, kind: str
) -> None:
    daemon = grp.getgrnam("daemon").gr_gid
    os.chown(place / "root", 0, daemon)
    (place / "root").chmod(0o2770)
    member, stranger = peer(), peer()
    member.do(become(OTHER_USER, daemon))
    stranger.do(become(OTHER_USER + 1))
    with MAKERS[kind](persistent=True, permissions=0o660, group="daemon") as made:
        path = Path(ndshare.info("mine").path)
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, daemon)
        if kind == "array":
            member.do("b = ndshare.open('mine', writeable=True); b[0] = 7")
            assert made[0] == 7
        elif kind == "stream":
            member.do("s = ndshare.Subscriber('mine'); s.get(timeout=0)")
            made.put([4, 5, 6])
            assert member.get("s.get(timeout=30).array.tolist()") == [4, 5, 6]
            member.do("p = ndshare.Publisher('mine', 3, slots=4, shared=True)")
            with ndshare.Subscriber("mine") as subscriber:
                drain(subscriber)
                member.do("p.put([7, 8, 9])")
                frame = subscriber.get(timeout=30)
                assert frame is not None
                assert frame.array.tolist() == [7, 8, 9]
        else:
            with running(made, lambda x: x + 1):
                assert member.get("int(ndshare.Client('mine')(4, timeout=30))") == 5
        for use in USES[kind]:
            with pytest.raises(PeerError, match="PermissionError"):
                stranger.do(use)
        member.kill()
    ndshare.unlink("mine")
