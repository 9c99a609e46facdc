#!/bin/sh
# Processes of two kinds of processors over one memory: each pair both ways round, and a lie that
# must be noticed. The words lie where they lie on either, and locks, sleeps and deaths are seen.
# Usage: pairs.sh HALF_OF_THIS_MACHINE "EMULATOR HALF_OF_THE_OTHER"
set -eu
here=$1
there=$2
folder=$(mktemp -d /dev/shm/ndshare-pairs-XXXXXX)
trap 'rm -rf "$folder"' EXIT INT TERM
export NDSHARE_DIR="$folder/book" NDSHARE_ROOT="$folder/root"
unset NDSHARE_NAMESPACE
mkdir -m 700 "$NDSHARE_DIR" "$NDSHARE_ROOT"
count=0

# pair A ROLE B ROLE [STATUS_OF_B]: A in the background, B in front; the deadline is a watchdog.
pair() {
    count=$((count + 1))
    # shellcheck disable=SC2086
    timeout 120 $1 "$2" "pair$count" & first=$!
    second_status=0 first_status=0
    # shellcheck disable=SC2086
    timeout 120 $3 "$4" "pair$count" || second_status=$?
    wait $first || first_status=$?
    if [ $first_status -ne 0 ] || [ $second_status -ne "${5:-0}" ]; then
        echo "$2 ended with $first_status, $4 with $second_status" >&2
        return 1
    fi
}

killed=137
for order in "$here|$there" "$there|$here"; do
    a=${order%|*} b=${order#*|}
    pair "$a" first "$b" second
    pair "$a" heal "$b" die-writing $killed
    pair "$a" publish "$b" subscribe
    pair "$a" publish "$b" die-reading $killed
    pair "$a" work "$b" ask
done
# A third one: the worker that is there takes over what the killed one had.
for order in "$here|$there" "$there|$here"; do
    a=${order%|*} b=${order#*|}
    # shellcheck disable=SC2086
    timeout 120 $a ask takeover & client=$!
    status=0
    # shellcheck disable=SC2086
    timeout 120 $b die-working takeover || status=$?
    [ $status -eq $killed ] || { echo "die-working ended with $status" >&2; exit 1; }
    # shellcheck disable=SC2086
    timeout 120 $a work takeover
    wait $client
    count=$((count + 1))
done
# The canary.
pair "$here" lie "$there" subscribe 1 2>"$folder/said"
grep -q "not what the other half wrote" "$folder/said" || { cat "$folder/said" >&2; exit 1; }
echo "$count pairs of two kinds of processors: as they shall be"
