#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# remote.sh direct|buffered|device PROGRAM [ARGUMENT...]
#
# Runs a test program with a file that a network block server, nbdkit, serves
# over TCP. nbdfuse makes a file of it here, which is opened with O_DIRECT or
# not, or is under a loop device. support/place.h is the program's side. Beyond
# that the program finds in its environment
#   IOQ_TEST_SERVER   the server's process, to be killed
#   IOQ_TEST_ERRORS   a file: while it exists, all requests fail, or as many as
#                     the caller's IOQ_TEST_ERROR_RATE says, from 0 to 1
#   IOQ_TEST_SLOW=1   set by the caller: each request takes 30 ms at the server
# Status 77 if there can be none here.
#
# Server and mount die with this script, whatever kills it.
set -eu

MEGABYTES=16 # as PLACE_SIZE

skip() {
    printf 'skipped: nbd: %s\n' "$*"
    [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ] && exit 1
    exit 77
}

await() {
    for attempt in $(seq 100); do
        "$@" 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

start_server() {
    delays='delay-read=0 delay-write=0'
    [ "${IOQ_TEST_SLOW:-0}" = 1 ] && delays='delay-read=30ms delay-write=30ms'
    for port in $(shuf -i 20000-32000 -n 20); do
        rm -f "$folder/pid"
        # shellcheck disable=SC2086 # the delays are words
        setpriv --pdeathsig KILL nbdkit -f -t 16 -i 127.0.0.1 -p "$port" \
            -P "$folder/pid" --filter=delay --filter=error file \
            "$folder/image" $delays error=EIO error-file="$folder/errors" \
            error-rate="${IOQ_TEST_ERROR_RATE:-1}" 2>"$folder/server.log" &
        server=$!
        await_server && return
    done
    cat "$folder/server.log"
    exit 1
}

# It writes its number when it listens, and ends if the port is taken.
await_server() {
    for attempt in $(seq 100); do
        [ -s "$folder/pid" ] && return 0
        kill -0 "$server" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# Held by our descriptor 9 alone; two that look at once may find the same one.
attach() {
    for attempt in 1 2 3 4 5; do
        device=$(losetup --find --show --direct-io=on "$place" 2>/dev/null) ||
            device=$(losetup --find --show "$place" 2>&1) || {
            sleep "0.$attempt"
            continue
        }
        exec 9<>"$device"
        losetup -d "$device"
        place=$device
        return
    done
    skip "$device"
}

clean_up() {
    kill -9 "${server:-}" 2>/dev/null || :
    exec 9<&-
    umount -l "$folder/mnt" 2>/dev/null || :
    kill "${fuse:-}" 2>/dev/null || :
    rm -rf "$folder"
}

[ "$(id -u)" = 0 ] || skip "needs root"
for tool in nbdkit nbdfuse setpriv; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
[ -c /dev/fuse ] || skip "no /dev/fuse here"
if [ "${IOQ_TEST_NAMESPACE:-0}" != 1 ]; then
    unshare -m true 2>/dev/null || skip "no mount namespace allowed"
    IOQ_TEST_NAMESPACE=1 exec unshare -m "$0" "$@"
fi

mode=$1
shift
folder=$(mktemp -d "$PWD/ioq-remote.XXXXXX")
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
dd if=/dev/zero of="$folder/image" bs=1M count=$MEGABYTES status=none
start_server
mkdir "$folder/mnt"
# Tests become another user for a while, with the file open.
setpriv --pdeathsig KILL nbdfuse -o allow_other "$folder/mnt" \
    "nbd://127.0.0.1:$port" >"$folder/fuse.log" 2>&1 &
fuse=$!
await test -e "$folder/mnt/nbd" || {
    cat "$folder/fuse.log"
    skip "nbdfuse does not mount"
}

place=$folder/mnt/nbd
kind=remote-$mode
if [ "$mode" = device ]; then
    attach
    kind=loop512-remote
fi
export IOQ_TEST_PLACE="$place" IOQ_TEST_PLACE_KIND="$kind"
export IOQ_TEST_PLACE_OTHERS="$folder/other" # nbdfuse has that one file only
export IOQ_TEST_SERVER="$server" IOQ_TEST_ERRORS="$folder/errors"
IOQ_TEST_PLACE_DIRECT=$([ "$mode" = buffered ] && echo 0 || echo 1)
export IOQ_TEST_PLACE_DIRECT IOQ_TEST_SLOW="${IOQ_TEST_SLOW:-0}"

"$@" 9<&- &
child=$!
trap 'kill "$child" 2>/dev/null; exit 1' HUP INT TERM
status=0
wait "$child" || status=$?
exit "$status"
