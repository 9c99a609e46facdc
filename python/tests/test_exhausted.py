"""Descriptors and address space used up, at every step of everything: one clear error, nothing is
lost or left, and it works when there is more again."""

from __future__ import annotations

import pickle
import re
import textwrap
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from children import Peer, PeerMaker
from services import NUMBER, running

import ndshare

# What a process does, and what it finds. Everything that it makes is gone at its end.
OPERATIONS = {
    "create": """
        with ndshare.create("new", data=[1, 2]) as a:
            assert a[...].tolist() == [1, 2]
    """,
    "create a file": """
        with ndshare.create("new", data=[1, 2], persistent=True) as a:
            files.append("new")
    """,
    "open": """
        with ndshare.open("keep") as a:
            assert a[...].tolist() == [1, 2]
    """,
    "open to write": """
        with ndshare.open("keep", writeable=True) as a:
            a[...] = [1, 2]
            assert a.array.tolist() == [1, 2]
            assert a.read().tolist() == [1, 2]
    """,
    "fileno": """
        with ndshare.open("keep") as a:
            assert a.fileno() > 2
    """,
    "publish": """
        with ndshare.Publisher("new", 3) as p:
            assert p.put([1, 2, 3]) is not None
            with p.loan() as loan:
                loan.array[...] = 5
    """,
    "join a stream": """
        with ndshare.Publisher("cam", 3, "f8", slots=4, shared=True) as p:
            assert p.put([7, 7, 7]) is not None
    """,
    "subscribe": """
        with ndshare.Subscriber("cam", latest=True) as s:
            frame = s.get(timeout=0)
            assert frame is not None and frame.array[0] == 7
    """,
    "poll a stream": """
        with ndshare.Subscriber("cam", latest=True) as s:
            assert s.fileno() > 2
            assert ndshare.wait([s], timeout=5) == [s]
    """,
    "get by number": """
        with ref.get() as frame:
            assert frame.array.tolist() == [7, 7, 7]
    """,
    "put an object": """
        with (
            ndshare.Publisher("new", dtype=object, max_nbytes=4096) as p,
            ndshare.Subscriber("new") as s,
        ):
            p.put({"x": np.arange(5)})
            assert s.get(timeout=0).value["x"].tolist() == [0, 1, 2, 3, 4]
    """,
    "work": """
        with ndshare.Worker("new", **NUMBER) as w, ndshare.Client("new") as c:
            call = c.submit(4, timeout=30)
            w.get(timeout=30).reply([5])
            assert call.result() == 5
    """,
    "join a service": """
        with ndshare.Worker("svc", **NUMBER) as w:
            assert w.client_count >= 0
    """,
    "call": """
        with ndshare.Client("svc") as c:
            assert c(20, timeout=30) == 21
    """,
    "poll a call": """
        with ndshare.Client("svc") as c:
            call = c.submit(20, timeout=30)
            assert call.fileno() > 2
            assert call.result() == 21
    """,
    "list": """
        assert [one.name for one in ndshare.ls()] == ["cam", "keep", "svc"]
    """,
    "look": """
        assert ndshare.info("svc").kind == "service"
    """,
}

LIMITED = f"""
import gc, pickle, resource, time
NUMBER = {NUMBER!r}
files = []  # made by the operation, removed after it

def held():
    gc.collect()
    with open("/proc/self/maps") as file:
        maps = sum("ndshare" in line for line in file)
    return len(os.listdir("/proc/self/fd")), maps

def spare_descriptors(count):
    # A limit counts numbers: the gaps among those in use are filled for as long as it lasts.
    used = {{int(one) for one in os.listdir("/proc/self/fd")}}
    used = {{one for one in used if os.path.exists(f"/proc/self/fd/{{one}}")}}  # not the listing's
    most = max(used)
    gaps = [os.open("/dev/null", os.O_RDONLY) for k in range(most) if k not in used]
    return gaps, most + 1 + count

def spare_pages(count):
    with open("/proc/self/statm") as file:
        return [], (int(file.read().split()[0]) + count) * 4096

def attempt(kind, spare):
    '''Class and text of what the operation raises when only so much is there; None: nothing.'''
    old = resource.getrlimit(kind)
    found = None
    gaps, limit = spare
    resource.setrlimit(kind, (limit, old[1]))
    try:
        operation()
    except BaseException as error:
        found = type(error).__name__, str(error)
    finally:
        resource.setrlimit(kind, old)
    for one in gaps:
        os.close(one)
    while files:
        ndshare.unlink(files.pop())
    return found
"""


@pytest.fixture
def world() -> Iterator[ndshare.FrameRef]:
    """An array, a stream with a frame, and a service that is served; they work afterwards."""
    worker = ndshare.Worker("svc", **NUMBER)
    with (
        ndshare.create("keep", data=[1, 2]) as keep,
        ndshare.Publisher("cam", 3, slots=4, shared=True) as publisher,
        running(worker, lambda x: x + 1),
        ndshare.Client("svc") as client,
        ndshare.Subscriber("cam", latest=True) as subscriber,
    ):
        publisher.put([7, 7, 7])
        frame = subscriber.get(timeout=5)
        assert frame is not None
        yield frame.ref
        assert keep.read().tolist() == [1, 2]
        assert client(1, timeout=30) == 2
        publisher.put([8, 8, 8])
        frame = subscriber.get(timeout=5)
        assert frame is not None
        assert frame.array[0] == 8
        assert [one.name for one in ndshare.ls()] == ["cam", "keep", "svc"]


def prepared(peer: PeerMaker, ref: ndshare.FrameRef, operation: str) -> Peer:
    """A process that has done it: what Python loads on the way is loaded."""
    other = peer()
    other.do(textwrap.dedent(LIMITED) + f"ref = pickle.loads({pickle.dumps(ref)!r})")
    body = textwrap.indent(textwrap.dedent(OPERATIONS[operation]), "    ")
    other.do(f"def operation():{body}")
    for _ in range(3):
        assert other.get("attempt(resource.RLIMIT_NOFILE, ([], 1000))") is None
    return other


def attempts(other: Peer, kind: str, spare: str, counts: Iterable[int]) -> list[tuple[str, str]]:
    """What is raised while ever more is there, in the end nothing; what was used is back each
    time, and the operation works again."""
    before = other.get("held()")
    raised: list[tuple[str, str]] = []
    found = None
    for count in counts:
        found = other.get(f"attempt(resource.{kind}, {spare}({count}))")
        if found is not None:
            raised.append(found)
        assert other.get("attempt(resource.RLIMIT_NOFILE, ([], 1000))") is None
        assert other.get("held()") == before
    assert found is None, f"it needs more: {found}"
    assert raised, "it needs nothing"
    return raised


@pytest.mark.parametrize("operation", OPERATIONS)
def test_used_up_descriptors_are_one_clear_error_and_nothing_is_lost_or_left(
    peer: PeerMaker, world: ndshare.FrameRef, operation: str
) -> None:
    other = prepared(peer, world, operation)
    for kind, text in attempts(other, "RLIMIT_NOFILE", "spare_descriptors", range(13)):
        assert kind == "OSError", text
        assert re.match(r'\[Errno 24\] \[[\w.]+\] ".*": .*ulimit -n', text), text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_used_up_address_space_is_one_clear_error_and_nothing_is_lost_or_left(
    peer: PeerMaker, world: ndshare.FrameRef, operation: str
) -> None:
    other = prepared(peer, world, operation)
    pages = (0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 128, 256, 512, 1024)
    for kind, text in attempts(other, "RLIMIT_AS", "spare_pages", pages):
        assert kind == "MemoryError", (kind, text)
        # Python's and NumPy's own say less.
        assert re.match(r'\[[\w.]+\] ".*": .*ulimit -v|Unable to allocate|$', text), text


def test_a_name_outlives_whoever_looks_for_its_holder_without_descriptors(
    peer: PeerMaker,
) -> None:
    maker, holder, looker = peer(), peer(), peer()
    maker.do("a = ndshare.create('held', data=[5])")
    holder.do("a = ndshare.open('held')")
    maker.kill()
    looker.do(textwrap.dedent(LIMITED))
    looker.do("def operation(): assert ndshare.open('held')[0] == 5")
    for count in range(13):
        found = looker.get(f"attempt(resource.RLIMIT_NOFILE, spare_descriptors({count}))")
        if found is None:
            break
        assert found[0] == "OSError", found
        assert "ulimit -n" in found[1]
    assert count > 1, "no search was cut short"
    assert ndshare.open("held")[0] == 5


LARGE = 32 << 20


def test_a_frame_that_no_copy_can_be_made_of_is_not_lost(peer: PeerMaker) -> None:
    other = peer()
    other.do(textwrap.dedent(LIMITED))
    with ndshare.Publisher("large", (LARGE,), "u1", slots=4, overflow="block") as publisher:
        other.do("s = ndshare.Subscriber('large'); kept = []")
        for k in range(3):
            publisher.put(np.full(LARGE, k, "u1"), timeout=30)
        other.do("def operation(): kept.append(s.get(timeout=0))")
        for _ in range(2):  # half of the slots: pinned
            assert other.get("attempt(resource.RLIMIT_AS, spare_pages(64))") is None
        for _ in range(3):
            kind, text = other.get("attempt(resource.RLIMIT_AS, spare_pages(64))")
            assert kind == "MemoryError", text
            assert "ulimit -v" in text
        assert other.get("attempt(resource.RLIMIT_AS, spare_pages(100 << 8))") is None
        assert other.get("[int(frame.array[-1]) for frame in kept]") == [0, 1, 2]
        assert other.get("s.lost") == 0


def test_an_answer_that_cannot_be_copied_can_be_asked_for_again(peer: PeerMaker) -> None:
    worker = ndshare.Worker("large", {"n": ((), "u1")}, {"y": ((LARGE,), "u1")}, slots=2)
    with running(worker, lambda n: np.full(LARGE, n, "u1")):
        other = peer()
        other.do(textwrap.dedent(LIMITED))
        other.do("c = ndshare.Client('large'); call = c.submit(7, timeout=60)")
        other.do("while not call.done(): time.sleep(0.01)")
        other.do("def operation(): assert int(call.result()[-1]) == 7")
        for _ in range(3):
            kind, text = other.get("attempt(resource.RLIMIT_AS, spare_pages(64))")
            assert kind == "MemoryError", text
        assert other.get("attempt(resource.RLIMIT_AS, spare_pages(100 << 8))") is None
        other.do("del call")
        for k in range(5):  # no slot is gone
            assert other.get(f"int(c({k}, timeout=60)[0])") == k


def test_more_than_the_address_space_is_refused_with_the_numbers(peer: PeerMaker) -> None:
    other = peer()
    other.do(textwrap.dedent(LIMITED))
    makers = (
        "ndshare.create('large', 64 << 20, 'u1')",
        "ndshare.create('large', 64 << 20, 'u1', persistent=True)",
        "ndshare.Publisher('large', 32 << 20, 'u1', slots=2)",
        "ndshare.Worker('large', {'x': (32 << 20, 'u1')}, {'y': (1, 'u1')}, slots=2)",
    )
    for make in makers:
        other.do(f"def operation(): {make}.close()")
        kind, text = other.get("attempt(resource.RLIMIT_AS, spare_pages(16 << 8))")
        assert kind == "MemoryError", text
        assert re.match(r'\[\w+\] "large": 64\.\d MiB of address space.*ulimit -v', text), text
        assert ndshare.ls() == []
        other.do("operation(); ndshare.unlink('large', missing_ok=True)")
