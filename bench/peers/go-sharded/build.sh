#!/bin/sh
# SPDX-License-Identifier: MIT
exec "$(dirname "$0")/../go/build.sh" go-sharded "$1"
