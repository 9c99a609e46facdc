"""fileno() and wait_async(): news for event loops, without polling."""

from __future__ import annotations

import asyncio
import select
from pathlib import Path
from typing import Any

import pytest
from children import PeerMaker

import ndshare

A = ndshare.Array[Any]


def pair(name: str = "news") -> tuple[A, A]:
    """Two handles of one array, of two names of this process."""
    return ndshare.create(name, 4, "i8"), ndshare.open(name, writeable=True)


def is_readable(a: A, seconds: float = 0) -> bool:
    """As select says."""
    return bool(select.select([a], [], [], seconds)[0])


def test_fileno_is_readable_exactly_while_there_is_news(peer: PeerMaker) -> None:
    a, b = pair()
    other = peer()
    other.do("c = ndshare.open('news', writeable=True)")
    assert not is_readable(b)
    assert b.fileno() == b.fileno()
    poll = select.epoll()
    poll.register(b, select.EPOLLIN)
    for k in range(1, 4):
        other.do("c[0] = 1")
        assert is_readable(b, 30)
        assert is_readable(b), "level: until it is taken"
        assert poll.poll(0)
        assert b.wait(0) == 2 * k - 1
        assert not is_readable(b)
        assert not poll.poll(0)
        b[0] = 1
        assert not is_readable(b), "an own write is no news"
        assert is_readable(a, 30)
        a.read()
        assert not is_readable(a)


def test_fileno_is_readable_where_wait_would_raise() -> None:
    a, b = pair()
    assert not is_readable(b)
    with pytest.raises(KeyError), a.write():
        raise KeyError
    assert is_readable(b, 30)
    a[...] = 1
    assert b.wait(30) == 1
    assert not is_readable(b)
    ndshare.create("news", 5, existing="replace").close()
    assert is_readable(b, 30)


def test_wait_async_hears_news_and_knows_what_it_has_heard(peer: PeerMaker) -> None:
    a, b = pair()
    other = peer()
    other.do("c = ndshare.open('news', writeable=True); import time")

    async def main() -> None:
        assert await b.wait_async(0) is None
        assert await b.wait_async(0.01) is None
        other.start("time.sleep(0.2); c[0] = 1")
        assert await b.wait_async() == 1
        assert await b.wait_async(0) is None
        assert await b.wait_async(0, since=0) == 1
        assert await a.wait_async(5) == 1
        with pytest.raises(TypeError, match="timeout"):
            await b.wait_async(True)

    asyncio.run(main())
    other.finish()


async def test_a_cancelled_wait_async_loses_nothing() -> None:
    a, b = pair()
    for _ in range(3):
        task = asyncio.create_task(b.wait_async())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(b.wait_async(), 0.02)
    a[0] = 1
    assert await b.wait_async() == 1


async def test_two_tasks_wait_on_one_handle_and_the_loop_runs_on() -> None:
    a, b = pair()
    before = len(list(Path("/proc/self/fd").iterdir()))
    tasks = [asyncio.create_task(b.wait_async(since=0)) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not any(task.done() for task in tasks)
    a[0] = 1
    assert await asyncio.gather(*tasks) == [1, 1]
    after = len(list(Path("/proc/self/fd").iterdir()))
    assert after <= before + 2, "the bell is kept, nothing else"


async def test_wait_async_ends_with_the_handle_and_with_the_memory() -> None:
    a, b = pair()
    task = asyncio.create_task(b.wait_async())
    await asyncio.sleep(0.02)
    b.close()
    with pytest.raises(ndshare.Closed):
        await asyncio.wait_for(task, 30)
    task = asyncio.create_task(a.wait_async())
    await asyncio.sleep(0.02)
    ndshare.create("news", 7, existing="replace").close()
    with pytest.raises(ndshare.Replaced):
        await asyncio.wait_for(task, 30)
