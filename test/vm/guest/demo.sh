# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./quickstart demo shows.
set -eu
disk=/dev/vda

show() {
    printf '# %s\n' "$*"
    "$@"
}

echo "Linux $(uname -r), on a disk of $(cat /sys/block/vda/size) sectors, with \
$(find /sys/block/vda/mq -mindepth 1 -maxdepth 1 | wc -l) queues, serial \
$(cat /sys/block/vda/serial)"
show mkfs.ext4 -q $disk
show mount $disk /mnt
show /bin/dd if=/dev/urandom of=/mnt/one bs=1M count=16 conv=fsync
show /bin/dd if=/mnt/one of=/mnt/two bs=64k iflag=direct oflag=direct
echo '# four more at once, 4 KiB at a time, past the cache'
for i in 1 2 3 4; do
    /bin/dd if=/mnt/one of=/mnt/small$i bs=4k count=300 oflag=direct \
        status=none &
done
wait
cp /mnt/one /mnt/three
sync
show rm /mnt/three
show /bin/fstrim -v /mnt
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount $disk /mnt
show df -h /mnt
cd /mnt
for name in one two small*; do
    echo "sum $(sha256sum <"$name" | cut -d' ' -f1) $name"
done
cd /
show umount /mnt
