#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
. "$(dirname "$0")/common.sh"
program=$1

# A length that no block divides.
head -c 9437193 /dev/urandom >"$folder/a"
cp "$folder/a" "$folder/b"
expect_status 0 "$program" "$folder/a" "$folder/b"
expect_words 'are the same'

printf 'X' | dd of="$folder/b" bs=1 seek=9437192 conv=notrunc status=none
printf 'X' | dd of="$folder/a" bs=1 seek=9437192 conv=notrunc status=none
printf '\000' | dd of="$folder/a" bs=1 seek=5000001 conv=notrunc status=none
printf '\001' | dd of="$folder/b" bs=1 seek=5000001 conv=notrunc status=none
expect_status 1 "$program" "$folder/a" "$folder/b"
expect_words 'differ at byte 5000001'

: >"$folder/empty"
expect_status 0 "$program" "$folder/empty" "$folder/empty"
expect_status 2 "$program" "$folder/a" "$folder/empty"
expect_words 'not as long'
expect_status 2 "$program" "$folder/a" "$folder/none"
expect_words 'No such file'
expect_status 2 "$program" "$folder/a" /dev/null
expect_words 'neither a regular file nor a block device'
