#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fuzz.sh ring|socket SECONDS INCLUDE...
#
# Compiles a fuzzer of the vhost-user-blk example with libFuzzer and sanitizers,
# runs what earlier runs have found, and then looks for more. INCLUDEs are the
# folders with the library's headers. To go on for long, and to keep what it
# finds, IOQ_FUZZ_CORPUS=FOLDER; README.md tells more.
set -eu

name=$1 seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
server=$here/../../doc/examples/vhost-user-blk

skip() {
    printf 'skipped: fuzz_%s: %s\n' "$name" "$*"
    [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ] && exit 1
    exit 77
}

sources="$here/$name.c $here/stand_in.c $server/ring.c $server/memory.c
    $server/inflight.c $server/block.c"
[ "$name" = ring ] ||
    sources="$sources $server/device.c $server/message.c $server/disk.c"
for folder; do
    includes="${includes:-} -I$folder"
done

command -v clang >/dev/null || skip "no clang here"
command -v python3 >/dev/null || skip "no python3 here"
folder=$(mktemp -d ./ioq-fuzz.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

flags='-std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined
    -fno-sanitize-recover=all'
echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size);
int LLVMFuzzerTestOneInput(const char *data, unsigned long size)
{ (void)data; (void)size; return 0; }' >"$folder/probe.c"
# shellcheck disable=SC2086 # the flags are words
clang $flags -o "$folder/probe" "$folder/probe.c" >"$folder/log" 2>&1 ||
    skip "clang lacks libFuzzer: $(tail -n 1 "$folder/log")"
# shellcheck disable=SC2086
clang $flags -I"$server" ${includes:-} -o "$folder/fuzz" $sources

python3 "$here/seeds.py" "$folder/seeds"
mkdir "$folder/found"
corpus=${IOQ_FUZZ_CORPUS:-$folder/found}
status=0
"$folder/fuzz" -max_total_time="$seconds" -max_len=4096 -len_control=0 \
    -timeout=20 -print_final_stats=1 -artifact_prefix="${TMPDIR:-.}/fuzz-" \
    "$corpus" "$here/corpus/$name" "$folder/seeds/$name" \
    >"$folder/log" 2>&1 || status=$?
[ $status = 0 ] || {
    cat "$folder/log" >&2
    exit 1
}
grep -E '^(Done|stat::number)' "$folder/log"

# A harness that no longer gets anywhere would find nothing, for ever.
edges=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$folder/log")
printf '%s edges from the corpus\n' "$edges"
[ "$edges" -ge 200 ] || {
    echo "the corpus does not reach the server any more" >&2
    exit 1
}
