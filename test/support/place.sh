#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# place.sh KIND PROGRAM [ARGUMENT...]
#
# Runs a test program with a file, or a block device, on a place of that kind;
# support/place.h is the program's side. Status 77 if there can be none here.
#
# Mounts and loop devices cannot be left behind, whatever kills us: mounts are
# made in a mount namespace of our own, loop devices detach at their last close,
# and images have lost their names by then. SIGKILL leaves a folder at most.
set -eu

MEGABYTES=16 # as PLACE_SIZE
IMAGE_SIZE=512M

skip() {
    printf 'skipped: %s: %s\n' "$KIND" "$*"
    [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ] && exit 1
    exit 77
}

need_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    unshare -m true 2>/dev/null || skip "no mount namespace allowed"
}

need_tool() {
    PATH=$PATH:/usr/sbin:/sbin
    command -v "$1" >/dev/null || skip "no $1 here"
}

make_folder() {
    folder=$(mktemp -d "${1:-.}/ioq-place.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 1' HUP INT TERM
}

# Two that look for a free loop device at once may find the same one.
find_loop() {
    for attempt in 1 2 3 4 5; do
        device=$(losetup --find --show --direct-io=on "$@" 2>/dev/null) ||
            device=$(losetup --find --show "$@" 2>&1) || {
            sleep "0.$attempt"
            continue
        }
        return
    done
    skip "$device"
}

# Attaches the file to a loop device, held by our descriptor 9 alone.
attach() {
    need_tool losetup
    image=$1
    shift
    find_loop "$@" "$image"
    exec 9<>"$device"
    losetup -d "$device" # takes effect when the last one closes it
    rm "$image"
}

# The new file system is seen by us alone, and is gone when we are.
on_image() {
    need_tool "mkfs.$1"
    make_folder
    truncate -s "$IMAGE_SIZE" "$folder/image"
    message=$("mkfs.$1" -q "$folder/image" 2>&1) || skip "$message"
    attach "$folder/image"
    mkdir "$folder/mnt"
    message=$(mount -t "$1" "$device" "$folder/mnt" 2>&1) || skip "$message"
    exec 9<&-
    trap 'umount -l "$folder/mnt"; rm -rf "$folder"' EXIT
    make_file "$folder/mnt/file"
}

# Written, not sparse: the kernel answers for a hole at once, and without the
# checks that O_DIRECT makes elsewhere.
write_file() {
    dd if=/dev/zero of="$1" bs=1M count=$MEGABYTES conv=fsync status=none
}

make_file() {
    write_file "$1"
    place=$1
}

type_of() {
    findmnt -n -o FSTYPE -T "$1" 2>/dev/null || true
}

# Where the working directory is on ext4, so is the file, and no root is needed.
on_ext4() {
    if [ "$(type_of .)" = ext4 ]; then
        make_folder
        make_file "$folder/file"
    else
        in_namespace "$@"
        on_image ext4
    fi
}

on_tmpfs() {
    if [ "$(id -u)" != 0 ] && [ "$(type_of /dev/shm)" = tmpfs ]; then
        make_folder /dev/shm
    else
        in_namespace "$@"
        make_folder
        message=$(mount -t tmpfs tmpfs "$folder" 2>&1) || skip "$message"
        trap 'umount -l "$folder"; rm -rf "$folder"' EXIT
    fi
    make_file "$folder/file"
}

on_loop() {
    make_folder
    write_file "$folder/image"
    attach "$folder/image" --sector-size "$1"
    place=$device
}

# Starts over, once, where mounts are ours alone.
in_namespace() {
    need_root
    [ "${IOQ_TEST_NAMESPACE:-0}" = 1 ] && return
    IOQ_TEST_NAMESPACE=1 exec unshare -m "$0" "$KIND" "$@"
}

KIND=$1
shift
direct=1
case $KIND in
ext4-direct) on_ext4 "$@" ;;
ext4-buffered)
    direct=0
    on_ext4 "$@"
    ;;
xfs | btrfs)
    in_namespace "$@"
    on_image "$KIND"
    ;;
tmpfs)
    direct=0
    on_tmpfs "$@"
    ;;
loop512 | loop4096)
    need_root
    on_loop "${KIND#loop}"
    ;;
*)
    echo "place.sh: no kind of place is called $KIND" >&2
    exit 1
    ;;
esac

export IOQ_TEST_PLACE="$place"
export IOQ_TEST_PLACE_KIND="$KIND"
export IOQ_TEST_PLACE_DIRECT="$direct"

# In the background, so that a signal ends us, and the trap tidies up, at once.
# shellcheck disable=SC2086 # the wrapper is words
${IOQ_TEST_WRAPPER:-} "$@" 9<&- &
child=$!
trap 'kill "$child" 2>/dev/null; exit 1' HUP INT TERM
status=0
wait "$child" || status=$?
exit "$status"
