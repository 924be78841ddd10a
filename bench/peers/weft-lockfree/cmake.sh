# SPDX-License-Identifier: MIT
# Sourced by build.sh: builds the target weft-peer in $WEFT_BUILD (without: build of this tree), one
# build at a time, and puts it under its names into $output.
command -v cmake >/dev/null || missing "cmake is not installed"
root=$(cd "$peer/../../.." && pwd)
build=${WEFT_BUILD:-$root/build}
mkdir -p "$build"
exec 9<"$build"
flock 9
if [ -f "$build/CMakeCache.txt" ]; then
    cmake "$build" >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
else
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=OFF
fi
cmake --build "$build" --target weft-peer -j "${WEFT_JOBS:-$(nproc)}"
[ "$build/peers/$id" -ef "$output/$id" ] || cp "$build/peers/$id" "$output/$id"
