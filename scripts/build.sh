#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/build.sh FOLDER [CMAKE-ARGUMENTS...]: configure FOLDER, and build everything in it.
set -eu
cd "$(dirname "$0")/.."

folder=$1
shift
for tool in cmake pkg-config; do
    command -v $tool >/dev/null || {
        echo "build.sh: $tool is not installed; 'make run' and 'make test' install what they" >&2
        echo "need, or: scripts/packages.sh install build" >&2
        exit 3
    }
done
generator=
if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
    generator=-GNinja
fi
log=$folder/configure.log
mkdir -p "$folder"
cmake -S . -B "$folder" $generator "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
jobs=${WEFT_JOBS:-$(nproc)}
cmake --build "$folder" -j "$jobs"
