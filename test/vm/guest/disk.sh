# SPDX-License-Identifier: LGPL-2.1-or-later
# What a disk is used for, once each. The sums are compared by the host, too.
set -eux
disk=/dev/vda
queue=/sys/block/vda/queue

echo "block $(cat $queue/logical_block_size) serial $(cat /sys/block/vda/serial)"
echo "queues $(find /sys/block/vda/mq -mindepth 1 -maxdepth 1 | wc -l)"

# Zeroes, over something else, with what is around them left alone.
dd if=/dev/urandom of=/tmp/noise bs=1M count=3 2>/dev/null
/bin/dd if=/tmp/noise of=$disk bs=64k oflag=direct status=none
/bin/blkdiscard -z -o 1M -l 1M $disk
/bin/dd if=$disk of=/tmp/back bs=64k count=48 iflag=direct status=none
dd if=/dev/zero of=/tmp/noise bs=1M seek=1 count=1 conv=notrunc 2>/dev/null
cmp /tmp/noise /tmp/back

/bin/blkdiscard $disk
mkfs.ext4 -q -b 4096 $disk
mount $disk /mnt

dd if=/dev/urandom of=/mnt/synced bs=256k count=12 conv=fsync 2>/dev/null
/bin/dd if=/mnt/synced of=/mnt/direct bs=64k iflag=direct oflag=direct \
    status=none
cmp /mnt/synced /mnt/direct

# Small and large blocks at once, from more writers than there are queues.
for writer in 1 2 3 4; do
    size=$((writer * 4))k
    (/bin/dd if=/mnt/synced of=/mnt/parallel$writer bs=$size count=100 \
        oflag=direct status=none && sync /mnt/parallel$writer) &
    writers="${writers:-} $!"
done
for writer in $writers; do
    wait "$writer"
done

# Without a write cache there is nothing to flush.
echo 'write through' >/sys/block/vda/cache_type
cat /sys/block/vda/cache_type
dd if=/mnt/synced of=/mnt/through bs=64k conv=fsync 2>/dev/null
echo 'write back' >/sys/block/vda/cache_type

cp /mnt/synced /mnt/removed
sync
rm /mnt/removed
/bin/fstrim -v /mnt

umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount $disk /mnt
cmp /mnt/synced /mnt/through
set +x
for name in synced direct parallel1 parallel2 parallel3 parallel4 through; do
    echo "sum $(sha256sum <"/mnt/$name" | cut -d' ' -f1) $name"
done
umount /mnt
