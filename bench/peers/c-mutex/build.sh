#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c xxhash.h libxxhash-dev
compile mutex.c
