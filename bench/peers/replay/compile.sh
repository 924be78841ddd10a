# SPDX-License-Identifier: MIT
# Sourced by the build.sh of peers in C and C++, which are called as `build.sh OUTPUT_FOLDER`:
#     . "$(dirname "$0")/../replay/compile.sh"
#     needs_header c ck_ht.h libck-dev
#     compile ck.c -lck
# $peer is the peer's folder and $id its name; set CC and CXX for other compilers.
# The flags of weft's own release build, and no others: see "Flags and allocators" in ../README.md.
release_flags="-O3 -DNDEBUG -fno-omit-frame-pointer"
[ "$(uname -m)" != x86_64 ] || release_flags="$release_flags -mcx16"

[ $# -eq 1 ] || { echo "usage: $0 OUTPUT_FOLDER" >&2; exit 2; }
output=$1
peer=$(cd "$(dirname "$0")" && pwd)
id=$(basename "$peer")
scratch=$output/.$id
mkdir -p "$scratch"

# missing WHAT…: this peer can't be built here.
missing() {
    echo "$*" >&2
    exit 4
}

# compiler SOURCE: the compiler for it, with its language.
compiler() {
    case $1 in
    *.c) echo "${CC:-cc} -std=gnu11" ;;
    *) echo "${CXX:-c++} -std=gnu++20" ;;
    esac
}

# needs_compiler SOURCE
needs_compiler() {
    set -- $(compiler "$1")
    command -v "$1" >/dev/null || missing "$1, a compiler, is not installed"
}

# needs_header LANGUAGE HEADER PACKAGE: the header can be included in c or c++.
needs_header() {
    probe=$scratch/probe.$1
    [ "$1" = c ] || probe=$scratch/probe.cpp
    needs_compiler "$probe"
    echo "#include <$2>" >"$probe"
    $(compiler "$probe") -fsyntax-only "$probe" 2>/dev/null ||
        missing "<$2> is not installed: package $3"
}

# version_of PACKAGE [MODULE]: the version that pkg-config, or else dpkg, knows.
version_of() {
    pkg-config --modversion "${2:-$1}" 2>/dev/null ||
        dpkg-query -W -f '${source:Upstream-Version}' "$1" 2>/dev/null || echo unknown
}

# compile SOURCE [FLAG…]: builds $output/$id from one source of the peer's folder.
compile() {
    source=$peer/$1
    shift
    needs_compiler "$source"
    $(compiler "$source") $release_flags -D_GNU_SOURCE -Wall -Wextra -Werror -pthread \
        -I"$peer/../replay" "$source" -o "$scratch/$id" "$@"
    mv "$scratch/$id" "$output/$id"
}
