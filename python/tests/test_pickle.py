"""Handles travel by pickle and attach again where they arrive."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

import ndshare


def test_a_pickled_handle_attaches_again() -> None:
    a = ndshare.create("pickle", data=[1, 2])
    b = pickle.loads(pickle.dumps(a))
    assert (b.name, b.writeable, b.generation) == ("pickle", True, a.generation)
    b[0] = 5
    assert a[0] == 5
    assert not pickle.loads(pickle.dumps(ndshare.open("pickle"))).writeable


def test_a_pickled_handle_finds_its_array_in_another_namespace(
    monkeypatch: pytest.MonkeyPatch, name_space: str
) -> None:
    a = ndshare.create("pickle", data=[1, 2])
    monkeypatch.setenv("NDSHARE_NAMESPACE", name_space + "-other")
    b = pickle.loads(pickle.dumps(a))
    assert b[...].tolist() == [1, 2]
    assert b.name == "pickle"


def test_a_pickled_handle_is_refused_where_its_memory_is_no_longer_meant() -> None:
    a = ndshare.create("pickle", 2)
    text = pickle.dumps(a)
    b = ndshare.create("pickle", 3, existing="replace")
    with pytest.raises(ndshare.Replaced):
        pickle.loads(text)
    b.unlink()
    with pytest.raises(ndshare.NotFound):
        pickle.loads(text)
    a.close()
    with pytest.raises(ValueError, match=r'^\[pickle\] "pickle": .*closed'):
        pickle.dumps(a)


def test_a_handle_travels_to_a_spawned_process_as_an_argument(
    script: Callable[..., str],
) -> None:
    output = script(
        """
        import multiprocessing
        import ndshare

        def work(a, b):
            a[0] = 5
            print(a.name, b.writeable, b[...].tolist(), flush=True)

        if __name__ == "__main__":
            a = ndshare.create("spawned", data=[1, 2])
            with ndshare.open("spawned") as b:
                child = multiprocessing.get_context("spawn").Process(target=work, args=(a, b))
                child.start()
                child.join()
                print(child.exitcode, a[...].tolist())
        """
    )
    assert output == "spawned False [5, 2]\n0 [5, 2]\n"
