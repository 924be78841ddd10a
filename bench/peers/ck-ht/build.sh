#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c ck_ht.h libck-dev
needs_header c xxhash.h libxxhash-dev
compile ck_ht.c -DPEER_VERSION="\"$(version_of libck-dev ck)\"" -lck
