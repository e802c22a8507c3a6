#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# disk.sh SERVER ENGINE direct|buffered|direct-4096|buffered-4096
#
# A guest uses a disk that the engine serves, and the host finds on the image
# what the guest has written.
. "$(dirname "$0")/common.sh"
SERVER=$1 engine=$2 kind=$3

need_vm
truncate -s 64M "$folder/disk.img"
disk=$folder/disk.img block=512
case $kind in
buffered*) set -- --buffered ;;
*) set -- ;;
esac
case $kind in
*-4096)
    block=4096
    [ "$(id -u)" = 0 ] || skip "needs root"
    # Two that look for a free one at once may find the same.
    for attempt in 1 2 3 4 5 6 7 8 9; do
        disk=$(losetup --find --show --direct-io=on --sector-size 4096 \
            "$folder/disk.img" 2>&1) && break
        [ "$attempt" -lt 9 ] || skip "$disk"
        sleep "0.$attempt"
    done
    # Held by our descriptor 9 alone: it detaches with us.
    exec 9<>"$disk"
    losetup -d "$disk"
    ;;
esac

make_initrd
start_server --engine "$engine" --image "$disk" "$@"
start_guest disk.sh
finish_guest
stop_server

expect_console "^block $block serial $(basename "$disk")"
expect_console '^queues 2'
expect_console '^write through'
grep -q "^engine $engine" "$folder/server" || fail "another engine served it"
grep -q '^failed: 0, refused: 0' "$folder/server" || fail "requests failed"
for kind in reads writes flushes discards write-zeroes; do
    [ "$(counted $kind)" -gt 0 ] || fail "there were no $kind"
done
check_file_system "$folder/disk.img"
check_sums "$folder/disk.img" 7
