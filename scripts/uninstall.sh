#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/uninstall.sh FOLDER [DESTDIR]: remove what `make install` installed from FOLDER.
set -eu
manifest=$1/install_manifest.txt
destdir=${2:-}
[ -f "$manifest" ] || {
    echo "uninstall: $manifest is not there; nothing was installed" >&2
    exit 1
}

# The manifest's last line may lack its line feed.
while IFS= read -r path || [ -n "$path" ]; do
    rm -f "$destdir$path"
    folder=$(dirname "$path")
    case $folder in
    */weft) rmdir --ignore-fail-on-non-empty "$destdir$folder" 2>/dev/null || true ;;
    esac
done <"$manifest"
echo "removed $(grep -c '' "$manifest") files"
rm -f "$manifest"
