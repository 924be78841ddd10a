#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c++ tbb/concurrent_hash_map.h libtbb-dev
needs_header c++ xxhash.h libxxhash-dev
compile onetbb.cpp -DPEER_VERSION="TBB_VERSION_STRING" -ltbb
