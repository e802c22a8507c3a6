#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench.sh [ROUNDS [SECONDS [VARIANT...]]]
#
# What a guest gets out of a disk, and what that costs the host: libioq's
# vhost-user-blk beside the export of qemu-storage-daemon. One guest has a disk
# of each variant, all of the same image, and loads one after the other, so that
# what the machine does beside this meets all alike. bench.py prints medians and
# ratios.
#
# IOQ_BENCH_SERVER is a server to measure; else one is built in IOQ_BENCH_BUILD.
#
# The guest is an emulated one: its rates are those of a slow processor. The
# time that a server needs for each request is not.
BENCH=$(cd "$(dirname "$0")" && pwd)
ROOT=$BENCH/../../..
BUILD=${IOQ_BENCH_BUILD:-$ROOT/build/bench}
export IOQ_VM_DIR="${IOQ_VM_DIR:-$ROOT/build/vm}"
VM_SCRIPTS=$BENCH/../../vm
. "$VM_SCRIPTS/common.sh"
rounds=${1:-6} seconds=${2:-0.3}
ALL='ioq-auto ioq-aio ioq-io_uring ioq-threads
qsd-native qsd-io_uring qsd-threads'
if [ $# -gt 2 ]; then
    shift 2
else
    # shellcheck disable=SC2086 # they are words
    set -- $ALL
fi
BOOT_SECONDS=600

build_server() {
    mkdir -p "$BUILD"
    {
        [ -f "$BUILD/build.ninja" ] ||
            meson setup "$BUILD" "$ROOT" --buildtype=release -Dtests=enabled
        ninja -C "$BUILD" test/vm/vhost-user-blk
    } >"$BUILD/log" 2>&1 || {
        cat "$BUILD/log" >&2
        exit 1
    }
    SERVER=$BUILD/test/vm/vhost-user-blk
}

start_daemon() {
    qemu-storage-daemon \
        --blockdev "driver=file,node-name=disk,filename=$folder/disk.img,\
cache.direct=on,aio=$1,locking=off" \
        --export "type=vhost-user-blk,id=export,node-name=disk,writable=on,\
num-queues=2,addr.type=unix,addr.path=$SOCKET" >>"$folder/server" 2>&1 &
    SERVER_PID=$!
    wait_for 20 test -S "$SOCKET" || fail "no storage daemon"
}

start_variant() {
    case $1 in
    ioq-*) start_server --queues 2 --engine "${1#ioq-}" \
        --image "$folder/disk.img" ;;
    qsd-*) start_daemon "${1#qsd-}" ;;
    esac
}

SERVER=${IOQ_BENCH_SERVER:-}
[ -n "$SERVER" ] || build_server
"$VM_SCRIPTS/prepare.sh" "$IOQ_VM_DIR"
need_vm
command -v qemu-storage-daemon >/dev/null || skip "no qemu-storage-daemon here"
cc -O2 -D_GNU_SOURCE -static -o "$folder/load" "$BENCH/load.c"
PATH=$folder:$PATH
dd if=/dev/urandom of="$folder/disk.img" bs=1M count=512 conv=fsync \
    status=none
MORE_SCRIPTS=$BENCH/load.sh make_initrd load

SOCKETS='' pids='' all_pids=''
for variant; do
    SOCKET=$folder/$variant
    start_variant "$variant"
    SOCKETS="$SOCKETS $SOCKET"
    pids="$pids $variant=$SERVER_PID"
    all_pids="$all_pids $SERVER_PID"
done
SERVER_PID=$all_pids # for clean_up
start_guest load.sh "ioq.seconds=$seconds" "ioq.rounds=$rounds"
# shellcheck disable=SC2086 # words
python3 "$BENCH/bench.py" "$folder/console.raw" "$GUEST_PID" $pids
finish_guest
