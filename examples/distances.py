"""A Python program asks a worker that is written in C++.

Run it: python examples/distances.py PROGRAM [NAME]
PROGRAM is the built distances_worker (cmake --preset dev; build/dev/examples/distances_worker).
"""

import os
import subprocess
import sys

import ndshare


def main() -> None:
    """The one who asks, which also starts the worker."""
    if len(sys.argv) < 2:
        sys.exit("usage: distances.py PROGRAM [NAME]")
    name = sys.argv[2] if len(sys.argv) > 2 else f"distances-{os.getpid()}"
    with subprocess.Popen([sys.argv[1], name]) as worker, ndshare.Client(name) as distance:
        # The worker may still be starting: the call waits for it.
        for point in [(3.0, 4.0, 0.0), (1.0, 2.0, 2.0)]:
            print(point, distance(point, timeout=60))
        # Several on their way at once.
        calls = [distance.submit((float(k), 0.0, 0.0), timeout=60) for k in range(5)]
        print([float(call.result()) for call in calls])
        worker.terminate()


if __name__ == "__main__":
    main()
