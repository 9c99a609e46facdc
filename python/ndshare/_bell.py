"""asyncio's sleep on a handle's descriptor, for every handle that has a fileno()."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

# A peer that dies between its change and its ring is noticed at the next look; the same bound as
# for sleepers in the core.
_LOOK_SECONDS = 0.25


class _Polled(Protocol):
    def fileno(self) -> int: ...


def end_of(timeout: float | None) -> float | None:
    """The instant at which a wait is over, None: never."""
    return None if timeout is None else time.monotonic() + timeout


def until_look(end: float | None) -> float:
    """Seconds to sleep before the next look; not above 0: end has passed."""
    return _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())


async def rung(handle: _Polled, seconds: float) -> None:
    """Sleeps until the handle may have news, so many seconds at most."""
    import asyncio  # takes as long to load as NumPy; who awaits has loaded it already

    loop = asyncio.get_running_loop()
    # A number of its own: two tasks may wait for one handle.
    bell = os.dup(handle.fileno())
    news = loop.create_future()
    loop.add_reader(bell, _ring, news)
    timer = loop.call_later(seconds, _ring, news)
    try:
        await news
    finally:
        timer.cancel()
        loop.remove_reader(bell)
        os.close(bell)


def _ring(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
