#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/../replay/compile.sh"
needs_header c urcu/rculfhash.h liburcu-dev
needs_header c xxhash.h libxxhash-dev
compile liburcu.c -DPEER_VERSION="\"$(version_of liburcu-dev liburcu-cds)\"" -lurcu-qsbr -lurcu-cds
