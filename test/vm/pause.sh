#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# pause.sh SERVER ENGINE
#
# Guest and server are stopped for a copy of the image, and go on. The copy has
# all that the guest had flushed by then; so has the image, in the end.
. "$(dirname "$0")/common.sh"
SERVER=$1 engine=$2

server_said() {
    grep -q "^$1" "$folder/server"
}

need_vm
truncate -s 64M "$folder/disk.img"
make_initrd
start_server --engine "$engine" --image "$folder/disk.img"
start_guest writers.sh ioq.count=7
wait_for 180 guest_flushed 3 || fail "the guest does not write"

kill -STOP "$GUEST_PID"
kill -USR1 "$SERVER_PID"
wait_for 120 server_said paused || fail "the server does not pause"
read_console
before=$(sha256sum <"$folder/disk.img")
cp "$folder/disk.img" "$folder/copy.img"
status=0
e2fsck -fp "$folder/copy.img" >"$folder/fsck" 2>&1 || status=$?
[ $status -le 1 ] || fail "e2fsck finds the copy damaged"
check_sums "$folder/copy.img" 3
[ "$before" = "$(sha256sum <"$folder/disk.img")" ] ||
    fail "the image changed during the pause"

kill -USR1 "$SERVER_PID"
wait_for 120 server_said 'going on' || fail "the server does not go on"
kill -CONT "$GUEST_PID"
finish_guest
stop_server
check_file_system "$folder/disk.img"
check_sums "$folder/disk.img" 7
