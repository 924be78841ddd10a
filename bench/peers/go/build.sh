#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds one peer: go/build.sh ID OUTPUT_FOLDER. Exit code 4: a toolchain or a package is missing.
set -eu
id=$1
output=$2
command -v go >/dev/null || {
    echo "Go is not installed (1.25 or newer)" >&2
    exit 4
}
mkdir -p "$output/.$id"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")"
go mod download || {
    echo "the modules of go.mod are neither in Go's cache nor to be had" >&2
    exit 4
}
go build -mod=readonly -trimpath -buildvcs=false -tags "${id#go-}" -o "$output/.$id/$id" .
mv "$output/.$id/$id" "$output/$id"
