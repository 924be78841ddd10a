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
    # Folders of weft's own, from the inside out, once they are empty.
    while case $folder in */weft | */weft/*) true ;; *) false ;; esac; do
        rmdir "$destdir$folder" 2>/dev/null || break
        folder=$(dirname "$folder")
    done
done <"$manifest"
echo "removed $(grep -c '' "$manifest") files"
rm -f "$manifest"
