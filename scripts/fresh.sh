#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves the README on a bare machine: makes a bare Debian root in a temporary folder, puts a clone
# of HEAD into it, and runs there `make run` until the server answers, then `make test`.
#   scripts/fresh.sh [SUITE]    SUITE is a Debian release, bookworm without
#   FRESH_ONLY=run or test      only that half; FRESH_KEEP=1 keeps the folder
# Needs root. Mounts and processes live in namespaces of their own, and end with the script.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=${1:-bookworm}
PORT=7379
ANSWER_SECONDS=900

die() {
    echo "fresh: $1" >&2
    exit 3
}

# inside FOLDER: everything that happens within the namespaces.
inside() {
    local root=$1
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --make-rslave "$root/dev"
    mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || true
    in_root() { chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        LANG=C.UTF-8 ${http_proxy:+http_proxy=$http_proxy} \
        ${https_proxy:+https_proxy=$https_proxy} \
        bash -c "$1"; }

    echo "fresh: installing make and git, and redis-cli for the check"
    in_root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends make git redis-tools" >"$root/setup.log" 2>&1 || {
        tail -n 30 "$root/setup.log" >&2
        die "apt-get failed in the new root"
    }

    [ "${FRESH_ONLY:-}" = test ] || try_run "$root" || return 1
    [ "${FRESH_ONLY:-}" = run ] || try_test
}

# try_run FOLDER: `make run`, until redis-cli gets its answer.
try_run() {
    local root=$1 begun=$SECONDS
    echo "fresh: make run"
    in_root "cd /root/weft && exec make run" >"$root/run.log" 2>&1 &
    local runner=$!
    until [ "$(in_root "redis-cli -p $PORT ping" 2>/dev/null)" = PONG ]; do
        if ! kill -0 $runner 2>/dev/null || [ $((SECONDS - begun)) -gt $ANSWER_SECONDS ]; then
            tail -n 40 "$root/run.log" >&2
            echo "fresh: make run: no answer to redis-cli -p $PORT ping" >&2
            return 1
        fi
        sleep 0.5
    done
    echo "fresh: make run answered PONG after $((SECONDS - begun)) s"
    in_root "redis-cli -p $PORT shutdown" >/dev/null 2>&1 || true
    wait $runner || true
}

try_test() {
    local begun=$SECONDS code=0
    echo "fresh: make test"
    in_root "cd /root/weft && make test" || code=$?
    echo "fresh: make test took $((SECONDS - begun)) s, exit code $code"
    return $code
}

if [ "${1:-}" = --inside ]; then
    inside "$2"
    exit
fi

[ "$(id -u)" = 0 ] || die "needs root, for debootstrap and chroot: sudo make fresh"
scripts/packages.sh install fresh
if (exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null; then
    die "port $PORT is in use on this machine; the new root shares its network"
fi

root=$(mktemp -d "${TMPDIR:-/var/tmp}/weft-fresh-XXXXXX")
cleanup() {
    [ "${FRESH_KEEP:-}" = 1 ] && { echo "fresh: kept $root"; return; }
    rm -rf --one-file-system "$root"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# This machine's package mirror and proxy, if it has any.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 -E '/debian/?$' || true)
mirror=${mirror:-http://deb.debian.org/debian}
eval "$(apt-config shell proxy Acquire::http::Proxy)"
export http_proxy=${http_proxy:-${proxy:-}}

begun=$SECONDS
echo "fresh: debootstrap $SUITE from $mirror"
debootstrap --variant=minbase "$SUITE" "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    rm -f "$root.log"
    die "debootstrap failed"
}
rm -f "$root.log"
echo "fresh: a bare root after $((SECONDS - begun)) s, $(du -sm "$root" | cut -f1) MB"
apt-config dump | grep -E '^Acquire::(http|https)::.*[Pp]roxy' \
    >"$root/etc/apt/apt.conf.d/90proxy" || true
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
# As in a container: installing a package starts no service.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
chmod 755 "$root"
git clone --quiet --no-hardlinks . "$root/root/weft"

unshare --mount --pid --fork --kill-child bash "$0" --inside "$root"
