#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# read-only.sh SERVER: a guest that may not write, with one queue.
. "$(dirname "$0")/common.sh"
SERVER=$1

need_vm
truncate -s 8M "$folder/disk.img"
mkfs.ext4 -q "$folder/disk.img"
sum=$(sha256sum <"$folder/disk.img" | cut -d' ' -f1)
chmod 444 "$folder/disk.img"
make_initrd
start_server --read-only --queues 2 --image "$folder/disk.img"
start_guest read-only.sh
finish_guest
stop_server
expect_console '^queues 2'
expect_console "^whole $sum"
[ "$sum" = "$(sha256sum <"$folder/disk.img" | cut -d' ' -f1)" ] ||
    fail "the image was changed"
[ "$(counted writes)" = 0 ] || fail "there were writes"
