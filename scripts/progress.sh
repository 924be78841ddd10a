#!/bin/bash
# SPDX-License-Identifier: MIT
# Stops a thread after every machine instruction of every operation (tests/progress), and prints the
# tables: engine lockfree, again with the others at work at once, again with a map that they clear;
# trie and list; and sharded and rwlock, which wait by design, but for lookups of sharded.
#   scripts/progress.sh [OPTION...]     options for all runs: --help of the program says which
# The exit code is 1 if one of the others was blocked by a thread of lockfree, trie or list, or by
# a lookup of sharded, or an answer of any was wrong. Most of the time goes to rwlock and sharded,
# as what is blocked is waited for.
set -u
cd "$(dirname "$0")/.." || exit 3

folder=build/progress
mkdir -p $folder
cmake -S . -B $folder -DCMAKE_BUILD_TYPE=Release -DWEFT_SERVER=OFF >$folder/configure.log 2>&1 &&
    cmake --build $folder -j "${WEFT_JOBS:-$(nproc)}" --target progress_progress_test \
        >$folder/build.log 2>&1 || {
    cat $folder/*.log >&2
    exit 3
}

worst=0
run() {
    $folder/tests/progress/progress_test --every 1 "$@"
    local code=$?
    [ $code -eq 77 ] && exit 77
    [ $code -le $worst ] || worst=$code
    echo
}
run --engine lockfree "$@"
run --engine lockfree --together "$@"
run --engine lockfree --together --clear "$@"
run --engine trie "$@"
run --engine list "$@"
run --engine sharded "$@"
run --engine rwlock "$@"
exit $worst
