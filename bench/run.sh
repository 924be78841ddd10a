#!/bin/sh
# SPDX-License-Identifier: MIT
# `make bench`: all comparisons of this folder.
# Usage: bench/run.sh BUILD [options of serve_compare.py]
set -eu
build=${1:?usage: bench/run.sh BUILD [options]}
shift
here=$(dirname "$0")
WEFT_BINARY="$(cd "$build" && pwd)/weft"
export WEFT_BINARY
exec /usr/bin/python3 "$here/serve/serve_compare.py" --json "$@"
