#!/bin/sh
# Checks tests/model/book.pml exhaustively with Spin: what must hold, and one that must be caught.
# Usage: run.sh FOLDER (of what Spin makes)
set -eu
model=$(dirname "$(realpath "$0")")/book.pml
mkdir -p "$1"
cd "$1"

# Prints the number of states; fails when a promise is broken.
check() {
    spin -a "$@" "$model" >spin.log
    cc -O2 -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c
    ./pan -m20000 -n >pan.log
    grep -q "errors: 0" pan.log || return 1
    sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log
}

for world in "" "-DREPLACES" "-DPERSISTENT" "-DUNLINKER"; do
    for kills in 0 1; do
        # shellcheck disable=SC2086
        states=$(check -DKILLS=$kills $world) || { cat pan.log; exit 1; }
        echo "two makers ${world:-}, $kills killed: $states states, every promise holds"
    done
done
if check -DKILLS=1 -DNO_DOOR >/dev/null; then
    echo "without the door nothing was found: the model is blind" >&2
    exit 1
fi
echo "without the door: caught"
if check -DKILLS=0 -DNO_LOCK >/dev/null; then
    echo "without the lock nothing was found: the model is blind" >&2
    exit 1
fi
echo "without the lock: caught"
