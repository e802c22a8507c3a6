#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# full.sh SERVER ENGINE
#
# The image is a hole on a file system that cannot hold all of it.
[ "${IOQ_TEST_NAMESPACE:-0}" = 1 ] || [ "$(id -u)" != 0 ] ||
    ! unshare -m true 2>/dev/null ||
    IOQ_TEST_NAMESPACE=1 exec unshare -m "$0" "$@"
. "$(dirname "$0")/common.sh"
SERVER=$1 engine=$2

need_vm
[ "${IOQ_TEST_NAMESPACE:-0}" = 1 ] || skip "needs root and a mount namespace"
truncate -s 16M "$folder/small"
mkfs.ext4 -q -m 0 -O ^has_journal "$folder/small"
mkdir "$folder/mnt"
message=$(mount -o loop "$folder/small" "$folder/mnt" 2>&1) || skip "$message"
trap 'umount -l "$folder/mnt"; clean_up' EXIT
truncate -s 64M "$folder/mnt/disk.img"

make_initrd
start_server --engine "$engine" --image "$folder/mnt/disk.img"
start_guest full.sh
finish_guest
stop_server
expect_console '^full after'
expect_console "error writing '/dev/vda': Input/output error"
grep -q '^failed: [1-9][0-9]*, refused: 0' "$folder/server" ||
    fail "no request failed"
