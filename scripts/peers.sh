#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the peers of the bench: every bench/peers/*/build.sh, see bench/peers/README.md. Programs,
# which have a program.toml in place of a peer.toml, go to the folder's .programs.
#   scripts/peers.sh [--no-install] [OUTPUT_FOLDER [ID...]]     the folder is build/peers without
# Environment: WEFT_JOBS, how many at a time (without: processors).
# Exit codes: 0 all that can be built are, 1 one failed, 2 usage.
set -eu
cd "$(dirname "$0")/.."

usage() {
    sed -n '5,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# value FILE KEY: what a line `KEY = "value"` says.
value() {
    sed -n "s/^$2 *= *\"\(.*\)\" *\$/\1/p" "$1"
}

# described ID: the file that says what this is.
described() {
    for kind in peer program; do
        [ ! -f "bench/peers/$1/$kind.toml" ] || echo "bench/peers/$1/$kind.toml"
    done
}

# folder_of ID: where its executable goes.
folder_of() {
    [ -f "bench/peers/$1/peer.toml" ] && echo "$output" || echo "$output/.programs"
}

# Whether nothing that the peer $1 is built from is newer than its executable.
up_to_date() {
    [ -x "$target/$1" ] || return 1
    shared=$(for folder in bench/peers/*/; do
        [ -n "$(described "$(basename "$folder")")" ] || echo "$folder"
    done)
    newer=$(find "bench/peers/$1" $shared $(value "$(described "$1")" sources) \
        -type f -newer "$target/$1" -print | head -n 1)
    [ -z "$newer" ]
}

# Builds one peer, and leaves one line about it in $output/.state/ID.
build_one() {
    log=$output/.state/$1.log
    target=$(folder_of "$1")
    if up_to_date "$1"; then
        echo "up to date" >"$output/.state/$1"
        return
    fi
    code=0
    "bench/peers/$1/build.sh" "$target" >"$log" 2>&1 || code=$?
    case $code in
    0) [ -x "$target/$1" ] || { echo "failed: build.sh made no $1" >"$output/.state/$1"; return; }
       touch "$target/$1"
       echo built >"$output/.state/$1" ;;
    4) rm -f "$target/$1"
       echo "missing: $(tail -n 1 "$log")" >"$output/.state/$1" ;;
    *) rm -f "$target/$1"
       echo "failed ($code), see $log" >"$output/.state/$1" ;;
    esac
    echo "$1: $(cat "$output/.state/$1")"
}

if [ "${1:-}" = --one ]; then
    output=$2
    build_one "$3"
    exit 0
fi

install=yes
if [ "${1:-}" = --no-install ]; then
    install=no
    shift
fi
case ${1:-} in -*) usage ;; esac
output=${1:-build/peers}
[ $# -eq 0 ] || shift
all=$(for file in bench/peers/*/peer.toml bench/peers/*/program.toml; do
    basename "$(dirname "$file")"
done)
ids=${*:-$all}
for id in $ids; do
    [ -n "$(described "$id")" ] || {
        echo "peers.sh: there is no peer '$id'; there are:" $all >&2
        exit 2
    }
done

mkdir -p "$output/.state" "$output/.programs"
output=$(cd "$output" && pwd)
if [ "$install" = yes ]; then
    scripts/packages.sh install peers ||
        echo "peers.sh: going on with what is installed" >&2
fi
for id in $ids; do
    [ ! -f "bench/peers/$id/peer.toml" ] || cp "bench/peers/$id/peer.toml" "$output/$id.toml"
    rm -f "$output/.state/$id"
done
printf '%s\n' $ids | xargs -P "${WEFT_JOBS:-$(nproc)}" -n 1 "$0" --one "$output"

echo
failed=0
for id in $ids; do
    state=$(cat "$output/.state/$id" 2>/dev/null || echo "failed: build.sh left no word")
    printf '%-24s %s\n' "$id" "$state"
    case $state in
    missing*)
        packages=$(value "$(described "$id")" install)
        [ -z "$packages" ] || printf '%-24s   apt-get install %s\n' '' "$packages" ;;
    failed*) failed=1 ;;
    esac
done
exit $failed
