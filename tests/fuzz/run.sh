#!/bin/sh
# All targets with libFuzzer, under AddressSanitizer and UBSan, one after the other: first the same
# with a check of the source taken out, which must be noticed; then the real ones. What they find
# on the way (new inputs, crashes) stays in FOLDER/TARGET.
# Usage: run.sh PROGRAMS FOLDER (-max_total_time=SECONDS | -runs=COUNT) [TARGET...]
set -eu
programs=$(realpath "$1")
folder=$2
limit=$3
shift 3
[ $# -gt 0 ] || set -- validate attach take serve
corpora=$(dirname "$(realpath "$0")")/corpus
# Stacks of allocations cost more than the runs; a finding is run again with them. What a run freed
# is quarantined for the few runs after it: all of 256 MB would be cold pages.
export ASAN_OPTIONS="malloc_context_size=2:quarantine_size_mb=8:${ASAN_OPTIONS:-}"

fuzz() {  # PROGRAM TARGET LIMIT FOLDER
    mkdir -p "$4/new"
    bytes=160
    [ "$2" = validate ] && bytes=8192
    (cd "$4" && "$programs/$1" new "$corpora/$2" -max_len=$bytes -timeout=20 -entropic=0 \
        -reload=0 -print_final_stats=1 "$3" >log.txt 2>&1)
}

for target in "$@"; do
    planted=$(mktemp -d)
    if fuzz "ndshare_fuzz_${target}_planted" "$target" -max_total_time=120 "$planted"; then
        echo "$target: the planted fault was not noticed" >&2
        exit 1
    fi
    rm -rf "$planted"
    if ! fuzz "ndshare_fuzz_$target" "$target" "$limit" "$folder/$target"; then
        echo "$target: found something; see $folder/$target" >&2
        tail -25 "$folder/$target/log.txt" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$target/log.txt")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$folder/$target/log.txt")
    edges=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$folder/$target/log.txt")
    echo "$target: $runs runs, $rate a second, $edges edges; the planted fault was noticed"
done
