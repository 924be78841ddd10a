#!/bin/sh
# SPDX-License-Identifier: MIT
exec "$(dirname "$0")/../rust/build.sh" rust-empty "$1"
