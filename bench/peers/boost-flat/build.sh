#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c++ xxhash.h libxxhash-dev
needs_compiler boost_flat.cpp

# The system's Boost if it is new enough, else the headers out of a wheel of pinned version.
has_map() {
    echo '#include <boost/unordered/concurrent_flat_map.hpp>' |
        ${CXX:-c++} -std=gnu++20 "$@" -fsyntax-only -x c++ - 2>/dev/null
}
headers=
has_map || {
    wheel=cmeel-boost==1.90.0
    headers=$scratch/headers/cmeel.prefix/include
    [ -d "$headers" ] || {
        command -v python3 >/dev/null || missing "Boost is older than 1.83, and python3 is missing"
        rm -rf "$scratch/wheel"
        python3 -m pip download -q --disable-pip-version-check --no-deps -d "$scratch/wheel" \
            $wheel >&2 || missing "Boost is older than 1.83, and pip could not fetch $wheel"
        python3 -m zipfile -e "$scratch"/wheel/*.whl "$scratch/headers.new"
        rm -rf "$scratch/wheel" "$scratch/headers"
        mv "$scratch/headers.new" "$scratch/headers"
    }
    has_map -isystem "$headers" || missing "the headers in $headers lack concurrent_flat_map"
}
compile boost_flat.cpp ${headers:+-isystem "$headers"}
