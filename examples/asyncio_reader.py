"""One event loop follows two arrays that another process writes; it never polls and never blocks.

Run it: python examples/asyncio_reader.py [NAME]
"""

import asyncio
import os
import sys

import numpy as np

import ndshare

STEPS = 5


def writer(*names: str) -> None:
    """The other process: writes the numbers 1 to STEPS into both arrays."""
    arrays = [ndshare.open(name, writeable=True) for name in names]
    for step in range(1, STEPS + 1):
        for array in arrays:
            array[...] = step


async def follow(array: ndshare.Array[np.int64]) -> None:
    """Prints each value that it sees. A fast writer may pass some by; the last one always comes."""
    value = 0
    while value < STEPS:
        if await array.wait_async(timeout=60) is None:
            raise TimeoutError(f"{array.name}: nothing new")
        value = int(array[0])
        print(f"{array.name}: {value}")


async def run_writer(*names: str) -> None:
    """Starts the other process and waits for its end, without a thread."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, "--write", *names)
    if await process.wait() != 0:
        raise RuntimeError(f"the writer ended with {process.returncode}")


async def main(prefix: str) -> None:
    """Creates the arrays, then does three things at once."""
    names = [f"{prefix}/left", f"{prefix}/right"]
    with (
        ndshare.create(names[0], (3,), np.int64) as left,
        ndshare.create(names[1], (3,), np.int64) as right,
    ):
        async with asyncio.TaskGroup() as tasks:  # where one fails, the others are cancelled
            tasks.create_task(follow(left))
            tasks.create_task(follow(right))
            tasks.create_task(run_writer(*names))
        left.unlink()
        right.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        writer(*sys.argv[2:])
    else:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"asyncio-{os.getpid()}"))
