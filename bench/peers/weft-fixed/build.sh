#!/bin/sh
# SPDX-License-Identifier: MIT
# One executable holds all engines, and goes by its name; the tree's own build makes it.
set -eu
. "$(dirname "$0")/../replay/compile.sh"
. "$peer/../weft-lockfree/cmake.sh"
