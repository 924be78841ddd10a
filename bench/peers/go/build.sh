#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds one peer: go/build.sh ID OUTPUT_FOLDER. Exit code 4: a toolchain or a package is missing.
set -eu
id=$1
output=$2
command -v go >/dev/null || {
    echo "Go 1.24 or newer is not installed" >&2
    exit 4
}
minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${minor:-24}" -ge 24 ] || {
    echo "Go 1.24 or newer is needed, this is 1.$minor" >&2
    exit 4
}
mkdir -p "$output/.$id"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")"
go mod download || {
    echo "the modules of go.mod are neither in Go's cache nor to be had" >&2
    exit 4
}
GOFLAGS= go build -mod=readonly -trimpath -buildvcs=false -tags "${id#go-}" -o "$output/.$id/$id" .
mv "$output/.$id/$id" "$output/$id"
