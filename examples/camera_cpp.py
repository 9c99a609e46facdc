"""A C++ camera publishes, Python processes look: they know the stream's name and nothing else.

Run it: python examples/camera_cpp.py PROGRAM [NAME]
PROGRAM is the built camera_cpp (cmake --preset dev; build/dev/examples/camera_cpp).
"""

import multiprocessing
import os
import subprocess
import sys

import ndshare

VIEWERS = 2


def viewer(name: str, place: int) -> None:
    """Another process. It may begin before there is a camera: then it waits for one."""
    with ndshare.Subscriber(name) as pictures:
        # The loop ends when the camera says so. frame.array is the camera's own memory: read-only,
        # and nobody changes it as long as we look.
        values = [int(frame.array[0, 0]) for frame in pictures]
        # One write with its newline: the viewers share this terminal.
        print(f"viewer {place}: {pictures.attrs['format']} {values}\n", end="", flush=True)


def main() -> None:
    """Starts the viewers, then the camera."""
    if len(sys.argv) < 2:
        sys.exit("usage: camera_cpp.py PROGRAM [NAME]")
    name = sys.argv[2] if len(sys.argv) > 2 else f"camera-cpp-{os.getpid()}"
    context = multiprocessing.get_context("spawn")
    viewers = [
        context.Process(target=viewer, args=(name, place), daemon=True) for place in range(VIEWERS)
    ]
    for process in viewers:
        process.start()
    camera = subprocess.run([sys.argv[1], name, str(VIEWERS)], check=False)
    for process in viewers:
        if camera.returncode != 0:
            process.terminate()
        process.join()
    sys.exit(camera.returncode or max(process.exitcode or 0 for process in viewers))


if __name__ == "__main__":
    main()
