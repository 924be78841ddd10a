#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds every configuration and runs every test. `make test` calls it after the packages are there.
#   scripts/test.sh             all steps
#   scripts/test.sh STEP...     some of: debug lin clang asan tsan fuzz
# The last line is 'N passed, N failed, N skipped'; the exit code is 1 if anything failed.
# WEFT_JOBS is the number of jobs (all cores), WEFT_FUZZ_SECONDS the time for each fuzz target (60).
set -u
cd "$(dirname "$0")/.." || exit 3

ROOT=build
JOBS=${WEFT_JOBS:-$(nproc)}
FUZZ_SECONDS=${WEFT_FUZZ_SECONDS:-60}
passed=0
failed=0
skipped=0
replays=()
started=$SECONDS

say() {
    printf '== %s (at %d:%02d)\n' "$1" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60))
}

# build CONFIGURATION CMAKE-ARGUMENTS...: false, and one failure counted, if it does not build.
build() {
    local configuration=$1
    shift
    say "build $configuration"
    if WEFT_JOBS=$JOBS scripts/build.sh "$ROOT/$configuration" "$@" >"$ROOT/$configuration.log" 2>&1
    then
        return 0
    fi
    tail -n 60 "$ROOT/$configuration.log"
    failed=$((failed + 1))
    replays+=("scripts/build.sh $ROOT/$configuration $*")
    return 1
}

# count FILE CONFIGURATION: add up one JUnit report of ctest, and remember how to replay what
# failed.
count() {
    local total bad left
    total=$(grep -c '<testcase ' "$1")
    bad=$(grep -c '<testcase .*status="fail"' "$1")
    left=$(grep -cE '<testcase .*status="(notrun|disabled)"' "$1")
    passed=$((passed + total - bad - left))
    failed=$((failed + bad))
    skipped=$((skipped + left))
    local name
    while IFS= read -r name; do
        replays+=("ctest --test-dir $ROOT/$2 --output-on-failure -R '^$name\$'")
    done < <(sed -n 's/.*<testcase name="\([^"]*\)".*status="fail".*/\1/p' "$1")
}

# check CONFIGURATION CTEST-ARGUMENTS...: run tests of a configuration that is built.
check() {
    local configuration=$1 report=$PWD/$ROOT/$1.xml
    shift
    say "test $configuration"
    rm -f "$report"
    ctest --test-dir "$ROOT/$configuration" --output-on-failure --no-tests=error \
        --no-label-summary -j "$JOBS" --output-junit "$report" "$@"
    if [ -s "$report" ]; then
        count "$report" "$configuration"
    else
        failed=$((failed + 1))
        replays+=("ctest --test-dir $ROOT/$configuration $*")
    fi
}

step_debug() {
    build debug -DWEFT_DEBUG=2 && check debug -LE lin
}

step_lin() {
    build debug -DWEFT_DEBUG=2 && check debug -L lin
}

step_clang() {
    build clang -DCMAKE_C_COMPILER=clang-14 && check clang -L 'unit|contract|cli|example'
}

step_asan() {
    build asan -DWEFT_DEBUG=1 -DWEFT_SANITIZE=address,undefined &&
        WEFT_TEST_KILLS=10 WEFT_TEST_WORDS_MAX=200000 check asan \
            -L 'unit|contract|fault|server|fuzz'
}

step_tsan() {
    build tsan -DWEFT_SANITIZE=thread &&
        check tsan -L 'unit|contract'
}

step_fuzz() {
    build fuzz -DCMAKE_C_COMPILER=clang-14 -DWEFT_DEBUG=1 -DWEFT_FUZZ=ON \
        -DWEFT_SANITIZE=address,undefined -DWEFT_FUZZ_SECONDS="$FUZZ_SECONDS" &&
        check fuzz -L fuzz
}

mkdir -p "$ROOT"
[ $# -gt 0 ] || set -- debug lin clang asan tsan fuzz
for step in "$@"; do
    case $step in
    debug | lin | clang | asan | tsan | fuzz) "step_$step" ;;
    *) echo "test.sh: unknown step '$step'" >&2; exit 2 ;;
    esac
done

say "done"
if [ ${#replays[@]} -gt 0 ]; then
    echo "To replay what failed:"
    printf '    %s\n' "${replays[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
