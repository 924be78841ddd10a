#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian and Ubuntu packages that weft needs, in one place.
#   scripts/packages.sh list KIND...      print them
#   scripts/packages.sh missing KIND...   print those that are not installed
#   scripts/packages.sh install KIND...   install those that are not installed
# KIND is build, test, tidy, bench, peers or fresh.
set -eu

# unless COMMAND PACKAGE: the package of a toolchain that is not there in another way.
unless() {
    command -v "$1" >/dev/null || echo "$2"
}

packages_of() {
    case $1 in
    build) echo "gcc libc6-dev make cmake ninja-build pkg-config libevent-dev libxxhash-dev" \
        "libjemalloc-dev libjansson-dev" ;;
    test) echo "libcmocka-dev libhiredis-dev redis-server redis-tools python3 python3-redis" \
        "nodejs node-redis clang-14 llvm-14 libclang-rt-14-dev clang-format-14 valgrind" \
        "g++ git man-db spin relacy-dev" ;;
    tidy) echo "python3 clang-format-14 git" ;;
    bench) echo "redis-server redis-tools memcached python3" ;;
    peers) echo "g++ liburcu-dev libck-dev libtbb-dev libcuckoo-dev libboost1.81-dev" \
        "libxxhash-dev python3-pip $(unless go golang-go) $(unless cargo cargo)" \
        "$(unless javac default-jdk-headless)" ;;
    fresh) echo "debootstrap git" ;;
    *) echo "packages.sh: unknown kind '$1'" >&2; exit 2 ;;
    esac
}

list() {
    for kind in "$@"; do
        packages_of "$kind" | tr ' ' '\n'
    done | sed '/^$/d' | sort -u
}

missing() {
    for package in $(list "$@"); do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || echo "$package"
    done
}

install_missing() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
        echo "This is not Debian or Ubuntu: please install the like of these yourself:" >&2
        list "$@" | tr '\n' ' ' >&2
        echo >&2
        return 0
    }
    wanted=$(missing "$@")
    [ -n "$wanted" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "These packages are missing, and installing them needs root or sudo." >&2
            echo "Please run as root: apt-get install" $wanted >&2
            exit 3
        }
        as_root=sudo
    fi
    echo "Installing with apt-get:" $wanted
    for service in redis-server memcached; do
        case " $(echo $wanted) " in
        *" $service "*) echo "(the package $service starts a server; weft does not need it" \
            "running: systemctl disable --now $service)" ;;
        esac
    done
    # A machine without package lists, or with old ones, finds nothing: refresh them first.
    $as_root apt-get update -qq
    available=
    for package in $wanted; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            available="$available $package"
        else
            echo "not in this machine's package sources, going on without: $package"
        fi
    done
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $available >"${TMPDIR:-/tmp}/weft-apt.$$" 2>&1 || {
        cat "${TMPDIR:-/tmp}/weft-apt.$$" >&2
        rm -f "${TMPDIR:-/tmp}/weft-apt.$$"
        echo "apt-get failed; its output is above." >&2
        exit 3
    }
    rm -f "${TMPDIR:-/tmp}/weft-apt.$$"
}

action=${1:-}
[ $# -ge 2 ] || { sed -n '3,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
shift
for kind in "$@"; do
    packages_of "$kind" >/dev/null
done
case $action in
list) list "$@" ;;
missing) missing "$@" ;;
install) install_missing "$@" ;;
*) sed -n '3,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
