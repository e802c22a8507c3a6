#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# table.sh [--filtered] BUILD
#
# Runs each test of <ioq/handle.h> on each engine and kind of place, and prints
# the table: a row for each test, a column for each pair. With --filtered each
# test runs under a seccomp filter made from doc/engines.md.
#
#     .  ok       F  FAIL       s  skip       -  does not apply there
set -eu

usage() {
    sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
filter=
if [ "${1:-}" = --filtered ]; then
    filter="--filtered $here/../../doc/engines.md"
    shift
fi
[ $# = 1 ] && [ -x "$1/test/contract/contract" ] || usage
build=$(cd "$1" && pwd)

ENGINES='aio io_uring threads'
KINDS='ext4-direct ext4-buffered xfs btrfs tmpfs loop512 loop4096'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A pair that ends without a word is a failure, too.
run_pair() {
    status=0
    # shellcheck disable=SC2086 # the filter is two words
    "$here/../support/place.sh" "$2" "$build/test/contract/contract" \
        "$1" $filter >"$work/$1 $2" 2>&1 || status=$?
    [ $status = 0 ] || [ $status = 1 ] ||
        sed "s/^/$1 $2: /" "$work/$1 $2" >&2
    sed -n "s/^\(FAIL\|skip\)/& $1 $2:/p" "$work/$1 $2" >&2
}

cd "$build"
for engine in $ENGINES; do
    for kind in $KINDS; do
        run_pair $engine $kind
    done
done

cd "$work"
# shellcheck disable=SC2016 # awk's own
awk -v engines="$ENGINES" -v kinds="$KINDS" '
{
    pair = FILENAME
    name = $2
    sub(/:$/, "", name)
}
$1 == "ok" || $1 == "FAIL" || $1 == "skip" || $1 == "n/a" {
    if (!(name in known)) {
        known[name] = 1
        names[++tests] = name
    }
    cell[name, pair] = $1
}
END {
    e = split(engines, engine, " ")
    k = split(kinds, kind, " ")
    mark["ok"] = "."
    mark["FAIL"] = "F"
    mark["skip"] = "s"
    mark["n/a"] = "-"
    for (i = 1; i <= e; i++)
        for (j = 1; j <= k; j++)
            pairs[++columns] = engine[i] " " kind[j]
    for (i = 1; i <= columns; i++)
        printf "%2d %s\n", i, pairs[i]
    printf "%-52s", ""
    for (i = 1; i <= columns; i++)
        printf " %2d", i
    print ""
    for (t = 1; t <= tests; t++) {
        printf "%-52s", names[t]
        for (i = 1; i <= columns; i++) {
            word = cell[names[t], pairs[i]]
            if (word == "")
                word = "FAIL"
            count[word]++
            printf "  %s", mark[word]
        }
        print ""
    }
    printf "%d tests, %d engines, %d kinds of place: ", tests, e, k
    printf "%d ok, %d FAIL, %d skip", count["ok"], count["FAIL"], count["skip"]
    printf ", %d where they mean nothing\n", count["n/a"]
    exit count["FAIL"] > 0 || tests == 0
}' *
