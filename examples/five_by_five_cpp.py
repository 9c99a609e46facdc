"""The five-by-five array with a C++ program as the child: it knows only the name.

Run it: python examples/five_by_five_cpp.py PROGRAM [NAME]
PROGRAM is the built five_by_five_child (cmake --preset dev; build/dev/examples/five_by_five_child).
"""

import os
import subprocess
import sys

import ndshare


def main() -> None:
    """The parent."""
    if len(sys.argv) < 2:
        sys.exit("usage: five_by_five_cpp.py PROGRAM [NAME]")
    name = sys.argv[2] if len(sys.argv) > 2 else f"five-by-five-cpp-{os.getpid()}"
    with ndshare.create(name, shape=(5, 5), dtype="float64") as scores:
        print(scores.array)
        child = subprocess.run([sys.argv[1], name], check=False)
        print(scores.array)
        scores.unlink()
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
