"""A parent and a child hold one named array: what the child stores, the parent sees.

Run it: python examples/five_by_five.py [NAME]
"""

import multiprocessing
import os
import sys

import ndshare


def child(name: str) -> None:
    """Another process. It knows the name and nothing else."""
    scores = ndshare.open(name, writeable=True)
    scores[0, 0] = 1


def main() -> None:
    """The parent."""
    name = sys.argv[1] if len(sys.argv) > 1 else f"five-by-five-{os.getpid()}"
    with ndshare.create(name, shape=(5, 5), dtype="float64") as scores:
        print(scores.array)

        process = multiprocessing.Process(target=child, args=(name,))
        process.start()
        process.join()

        print(scores.array)
        scores.unlink()
    sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
