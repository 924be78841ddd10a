#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c++ boost/unordered/unordered_flat_map.hpp libboost1.81-dev
needs_header c++ xxhash.h libxxhash-dev
compile sharded_flat.cpp
