"""One event loop reads two streams from another process, and asks a third with a timeout.

Run it: python examples/asyncio_streams.py [NAME]
"""

import asyncio
import os
import sys

import numpy as np

import ndshare

STEPS = 5


def publish(*names: str) -> None:
    """The other process: publishes the numbers 1 to STEPS in both streams, and ends them."""
    # block: the reader has to get all of them, however late it is.
    publishers = [ndshare.Publisher(name, (), np.int64, overflow="block") for name in names]
    for publisher in publishers:
        publisher.wait_subscribers(timeout=60)
        for step in range(1, STEPS + 1):
            publisher.put(step)
        publisher.end()
        publisher.close()


async def follow(name: str) -> None:
    """Every frame of a stream, until it ends; the loop does other things in between."""
    with ndshare.Subscriber(name) as frames:
        values = [int(frame.array) async for frame in frames]
    print(f"{name}: {values}", flush=True)


async def ask_in_vain(name: str) -> None:
    """Nobody publishes this one: None when the time is over, and no error."""
    with ndshare.Subscriber(name) as frames:
        frame = await frames.get_async(timeout=0.1)
    print(f"{name}: {frame}", flush=True)


async def run_publisher(*names: str) -> None:
    """Starts the other process and waits for its end, without a thread."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, "--publish", *names)
    if await process.wait() != 0:
        raise RuntimeError(f"the publisher ended with {process.returncode}")


async def main(prefix: str) -> None:
    """Does four things at once. Subscribers may come before their stream."""
    names = [f"{prefix}/left", f"{prefix}/right"]
    async with asyncio.TaskGroup() as tasks:  # where one fails, the others are cancelled
        for name in names:
            tasks.create_task(follow(name))
        tasks.create_task(ask_in_vain(f"{prefix}/nobody"))
        tasks.create_task(run_publisher(*names))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--publish"]:
        publish(*sys.argv[2:])
    else:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"asyncio-{os.getpid()}"))
