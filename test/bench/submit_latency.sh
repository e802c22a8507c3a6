#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# submit_latency.sh PROGRAM [RUNS [NAME...]]
#
# Runs submit_latency on a fresh ext4, xfs and btrfs, each on a loop device over
# a file of the working directory. As root.
set -eu

PROGRAM=$1
shift
[ "${IOQ_BENCH_NAMESPACE:-0}" = 1 ] ||
    IOQ_BENCH_NAMESPACE=1 exec unshare -m "$0" "$PROGRAM" "$@"

folder=$(mktemp -d ./ioq-bench.XXXXXX)
trap 'umount -l "$folder/mnt" 2>/dev/null || :; rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$folder/mnt"
for type in ext4 xfs btrfs; do
    printf '\n== %s\n' "$type"
    truncate -s 2G "$folder/image"
    "/sbin/mkfs.$type" -q "$folder/image"
    mount -o loop "$folder/image" "$folder/mnt"
    "$PROGRAM" "$folder/mnt" "$@"
    umount "$folder/mnt"
    rm "$folder/image"
done
