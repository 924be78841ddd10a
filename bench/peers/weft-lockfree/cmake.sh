# SPDX-License-Identifier: MIT
# Sourced by build.sh: builds the target weft-peer in $WEFT_BUILD (without: build of this tree), one
# build at a time, and puts it under its names into $output.
command -v cmake >/dev/null || missing "cmake is not installed"
root=$(cd "$peer/../../.." && pwd)
build=${WEFT_BUILD:-$root/build}
mkdir -p "$build"
[ -f "$build/CMakeCache.txt" ] || "$root/scripts/build.sh" "$build" -DCMAKE_BUILD_TYPE=Release \
    -DWEFT_TESTS=OFF
flock "$build" cmake --build "$build" --target weft-peer
[ "$build/peers/$id" -ef "$output/$id" ] || cp "$build/peers/$id" "$output/$id"
