#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds one peer: java/build.sh ID OUTPUT_FOLDER. Exit code 4: a toolchain or a package is missing.
set -eu
id=$1
output=$2
for tool in java javac; do
    command -v $tool >/dev/null || {
        echo "$tool is not installed (Java 17 or newer)" >&2
        exit 4
    }
done
major=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
[ "${major:-17}" -ge 17 ] || {
    echo "Java 17 or newer is needed, this is $major" >&2
    exit 4
}
case $id in
java-chm) kind=CHM ;;
java-mutex) kind=MUTEX ;;
java-empty) kind=EMPTY ;;
*) echo "build.sh: unknown peer '$id'" >&2; exit 2 ;;
esac
mkdir -p "$output/.$id"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")"
rm -rf "$output/.$id/new"
javac --release 17 -Xlint:all -Werror -d "$output/.$id/new" ./*.java
rm -rf "$output/.$id/classes"
mv "$output/.$id/new" "$output/.$id/classes"
cat >"$output/.$id/start" <<END
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
exec java -XX:+UseParallelGC -Xms512m -Xmn256m -Xmx8g -XX:-UsePerfData -cp "\$here/.$id/classes" \\
    Peer $kind "\$@"
END
chmod +x "$output/.$id/start"
mv "$output/.$id/start" "$output/$id"
