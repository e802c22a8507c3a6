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

# On a terminal there is a progress bar, up to the end of both passes; elsewhere
# there is none. Check what it draws on a pseudo-terminal.
on_terminal() {
    python3 -c '
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$@" </dev/null
}
rm "$folder/new"
if command -v python3 >/dev/null; then
    expect_status 0 on_terminal "$program" "$folder/old" "$folder/new"
    tr '\r' '\n' <"$folder/out" >"$folder/lines"
    mv "$folder/lines" "$folder/out"
    expect_words '^copy  *\[#* *\] *[0-9]* %'
    expect_words '^copy  *\[##########*\] 100 %'
    expect_words '^compare  *\[##########*\] 100 %'
    cmp "$folder/old" "$folder/new" || fail "the copy is not the same"
    rm "$folder/new"
fi
expect_status 0 "$program" "$folder/old" "$folder/new"
! grep -q '%' "$folder/out" || fail "a bar where there is no terminal"

# Without the three standard descriptors, files and eventfds get their numbers.
rm "$folder/new"
expect_status 0 sh -c '"$1" "$2" "$3" <&- >&- 2>&-' sh \
    "$program" "$folder/old" "$folder/new"
cmp "$folder/old" "$folder/new" || fail "the copy is not the same"
