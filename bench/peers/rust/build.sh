#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds one peer: rust/build.sh ID OUTPUT_FOLDER. Exit code 4: a toolchain or a package is missing.
set -eu
id=$1
output=$2
command -v cargo >/dev/null || {
    echo "cargo is not installed (Rust 1.87 or newer)" >&2
    exit 4
}
minor=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
[ "${minor:-87}" -ge 87 ] || {
    echo "Rust 1.87 or newer is needed, this is 1.$minor" >&2
    exit 4
}
mkdir -p "$output/.rust"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")"
cargo fetch --quiet --locked || {
    echo "the crates of Cargo.lock are neither in cargo's cache nor to be had" >&2
    exit 4
}
# One target folder for all of them: what they share is compiled once, and cargo locks it meanwhile.
RUSTFLAGS= CARGO_TARGET_DIR=$output/.rust \
    cargo build --quiet --release --locked --offline --bin "$id"
cp "$output/.rust/release/$id" "$output/.rust/$id.new"
mv "$output/.rust/$id.new" "$output/$id"
