#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
. "$(dirname "$0")/common.sh"
program=$1

# Data, a hole, and an end that no block divides.
head -c 3000000 /dev/urandom >"$folder/old"
truncate -s 40000000 "$folder/old"
head -c 2000001 /dev/urandom >>"$folder/old"
expect_status 0 "$program" "$folder/old" "$folder/new"
cmp "$folder/old" "$folder/new" || fail "the copy is not the same"
[ "$(du -k "$folder/new" | cut -f1)" -lt 8000 ] || fail "the hole was filled"

expect_status 1 "$program" "$folder/old" "$folder/new"
expect_words 'exists'
expect_status 1 "$program" "$folder/none" "$folder/other"
expect_words 'No such file'
[ ! -e "$folder/other" ] || fail "a target was left behind"
