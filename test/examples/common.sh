# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the tests of the examples: $folder is ours, and goes with us.
set -eu

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Expects that the rest, a command, exits with $1; its words are in $folder/out.
expect_status() {
    wanted=$1
    shift
    status=0
    "$@" >"$folder/out" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || {
        cat "$folder/out"
        fail "exit status $status, not $wanted: $*"
    }
}

expect_words() {
    grep -q -- "$1" "$folder/out" || {
        cat "$folder/out"
        fail "it did not say: $1"
    }
}

folder=$(mktemp -d ./ioq-example.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
