#!/bin/sh
# SPDX-License-Identifier: MIT
exec "$(dirname "$0")/../java/build.sh" java-mutex "$1"
