#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
. "$(dirname "$0")/common.sh"
program=$1

for size in 0 1 131072 1048576 9437193; do
    head -c $size /dev/urandom >"$folder/file"
    expect_status 0 "$program" "$folder/file"
    sha256sum "$folder/file" | cmp - "$folder/out" || fail "wrong at $size"
done
expect_status 1 "$program" "$folder/none"
expect_words 'No such file'
expect_status 1 "$program" "$folder"
expect_words 'neither a regular file nor a block device'
