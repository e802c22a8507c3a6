# SPDX-License-Identifier: LGPL-2.1-or-later
set -eux
[ "$(cat /sys/block/vda/ro)" = 1 ]
echo "queues $(find /sys/block/vda/mq -mindepth 1 -maxdepth 1 | wc -l)"
echo "whole $(sha256sum </dev/vda | cut -d' ' -f1)"
if dd if=/dev/zero of=/dev/vda bs=512 count=1; then
    exit 1
fi
mount -o ro,noload /dev/vda /mnt
ls /mnt/lost+found
