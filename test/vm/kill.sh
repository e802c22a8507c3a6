#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# kill.sh SERVER HOLD ENGINE
#
# The server is killed while the guest writes, and started again: the guest goes
# on without an error. Then guest and server die together, as with the power:
# all that the guest had flushed is on the image.
. "$(dirname "$0")/common.sh"
SERVER=$1 hold=$2 engine=$3

start_again() {
    rm -f "$folder/before" "$folder/after" "$folder/held"
    IOQ_HOLD=$folder LD_PRELOAD=$hold \
        start_server --engine "$engine" --image "$folder/disk.img"
}

reach() {
    wait_for 120 guest_flushed "$1" || {
        read_console
        fail "the guest does not go on to file $1"
    }
}

kill_server() {
    kill -KILL "$SERVER_PID"
    wait "$SERVER_PID" 2>/dev/null || true
    SERVER_PID=''
}

# Kills it with a request that the kernel has not heard of yet, or has.
kill_while_held() {
    : >"$folder/$1"
    wait_for 120 [ -e "$folder/held" ] || fail "no request comes"
    kill_server
}

need_vm
truncate -s 64M "$folder/disk.img"
make_initrd
start_again
start_guest writers.sh ioq.count=1000

reach 2
kill_while_held before
start_again
reach 4
kill_while_held after
start_again
reach 6
kill_server
start_again
# One that may finish what it has begun.
reach 8
stop_server
start_again
reach 11
kill -KILL "$GUEST_PID"
wait "$GUEST_PID" 2>/dev/null || true
GUEST_PID=''
kill_server

read_console
! grep -i '^\[.*error' "$folder/console" || fail "the guest saw an error"
! grep -e '^guest: failed' -e '^wrong' "$folder/console" ||
    fail "the guest read something else than it wrote, or could not write"
[ "$(grep -c 'requests are done over' "$folder/server")" -ge 2 ] ||
    fail "what was in flight when the server was killed was not done over"
# Its journal is played; more than that need not be mended.
status=0
e2fsck -fp "$folder/disk.img" >"$folder/fsck" 2>&1 || status=$?
[ $status -le 1 ] || {
    cat "$folder/fsck" >&2
    fail "e2fsck finds the file system damaged"
}
check_sums "$folder/disk.img" 11
