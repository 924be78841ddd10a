#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c++ libcuckoo/cuckoohash_map.hh libcuckoo-dev
needs_header c++ xxhash.h libxxhash-dev
compile libcuckoo.cpp -DPEER_VERSION="\"$(version_of libcuckoo-dev)\""
