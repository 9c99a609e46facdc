"""A Python scanner publishes scans of different lengths, a C++ program reads them.

Run it: python examples/scan_cpp.py PROGRAM [NAME]
PROGRAM is the built scan_mean (cmake --preset dev; build/dev/examples/scan_mean).
"""

import os
import subprocess
import sys

import numpy as np

import ndshare

SCANS = 5


def main() -> None:
    """The scanner, which also starts the reader."""
    if len(sys.argv) < 2:
        sys.exit("usage: scan_cpp.py PROGRAM [NAME]")
    name = sys.argv[2] if len(sys.argv) > 2 else f"scan-cpp-{os.getpid()}"
    # maxshape: the room of a slot; each frame has its own shape up to it, and only that is copied.
    with ndshare.Publisher(name, maxshape=(1000,), dtype=np.float32, overflow="block") as scanner:
        with subprocess.Popen([sys.argv[1], name]) as reader:
            scanner.wait_subscribers(timeout=60)
            for k in range(1, SCANS + 1):
                scanner.put(np.arange(10 * k, dtype=np.float32))
            scanner.end()  # the reader's loop ends when it has read them all
        sys.exit(reader.returncode)


if __name__ == "__main__":
    main()
