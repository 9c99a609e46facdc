#!/bin/sh
# Installs the library and the package the way a user does, into a scratch folder, and uses both:
# a consumer project finds the library with find_package, a fresh venv imports the package.
# Usage: tests/install/run.sh [python3]
set -eu
source_folder=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM

echo "cmake --preset release, cmake --install, find_package(ndshare)"
cmake -S "$source_folder" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$scratch/build" >/dev/null
cmake --install "$scratch/build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$source_folder/tests/install/consumer" -B "$scratch/consumer" -G Ninja \
      -DCMAKE_PREFIX_PATH="$scratch/prefix" >/dev/null
cmake --build "$scratch/consumer" >/dev/null
"$scratch/consumer/consumer" "install-test-$$"

echo "pip install ."
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$source_folder"
cd "$scratch"
venv/bin/python "$source_folder/examples/five_by_five.py" >/dev/null
venv/bin/ndshare ls >/dev/null
venv/bin/ndshare doctor >/dev/null
echo "2 passed, 0 failed"
