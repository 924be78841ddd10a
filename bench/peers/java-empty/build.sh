#!/bin/sh
# SPDX-License-Identifier: MIT
exec "$(dirname "$0")/../java/build.sh" java-empty "$1"
