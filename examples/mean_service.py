"""A worker in Python, asked by a program that is written in C++.

Run it: python examples/mean_service.py PROGRAM [NAME]
PROGRAM is the built mean_client (cmake --preset dev; build/dev/examples/mean_client).
"""

import os
import subprocess
import sys
import threading

import numpy as np

import ndshare


def mean(images: np.ndarray) -> np.ndarray:
    """The means of a batch of images. What it raises goes to the caller."""
    if images.max() == 255:
        raise ValueError("too bright")
    return images.mean(axis=(1, 2))


def main() -> None:
    """The worker, which also starts the program that asks."""
    if len(sys.argv) < 2:
        sys.exit("usage: mean_service.py PROGRAM [NAME]")
    name = sys.argv[2] if len(sys.argv) > 2 else f"mean-{os.getpid()}"
    inputs, outputs = {"image": ((480, 640), np.uint8)}, {"mean": ((), np.float64)}
    with ndshare.Worker(name, inputs, outputs, slots=4) as worker:
        with subprocess.Popen([sys.argv[1], name]) as client:
            # close() from another thread ends run().
            threading.Thread(target=lambda: (client.wait(), worker.close())).start()
            worker.run(mean, max_batch_size=4)
        sys.exit(client.returncode)


if __name__ == "__main__":
    main()
