#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the program: build.sh OUTPUT_FOLDER. Exit code 4: Go is missing or too old.
set -eu
output=$1
command -v go >/dev/null || {
    echo "Go 1.24 or newer is not installed" >&2
    exit 4
}
minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${minor:-24}" -ge 24 ] || {
    echo "Go 1.24 or newer is needed, this is 1.$minor" >&2
    exit 4
}
mkdir -p "$output/.go-claims"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")"
GOFLAGS= go build -mod=readonly -trimpath -buildvcs=false -o "$output/.go-claims/go-claims" .
mv "$output/.go-claims/go-claims" "$output/go-claims"
