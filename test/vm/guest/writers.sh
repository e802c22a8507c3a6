# SPDX-License-Identifier: LGPL-2.1-or-later
# Writes without pause. A line "sum SHA256 NAME" says that a file was flushed.
# ioq.count says how many there shall be.
set -eu
count=$(sed -n 's/.*ioq\.count=\([0-9]*\).*/\1/p' /proc/cmdline)
disk=/dev/vda

mkfs.ext4 -q -b 4096 $disk
mount $disk /mnt

# Something else each time, so that a write that was lost shows.
write_and_read() {
    dd if=/dev/urandom of="/tmp/$1.new" bs=4k count=64 2>/dev/null
    /bin/dd if="/tmp/$1.new" of="/mnt/$1" bs=4k oflag=direct conv=notrunc \
        status=none &&
        /bin/dd if="/mnt/$1" of="/tmp/$1" bs=64k iflag=direct status=none &&
        cmp "/tmp/$1.new" "/tmp/$1"
}

# Two that go past the guest's cache, so that what is read is the disk's.
endless() {
    while [ ! -e /tmp/enough ]; do
        write_and_read "$1" || {
            echo "wrong: $1"
            return 1
        }
    done
}
endless first &
first=$!
endless second &
second=$!

i=0
while [ "$i" -lt "$count" ]; do
    i=$((i + 1))
    dd if=/dev/urandom of="/mnt/file$i" bs=16k count=$((i % 5 + 1)) \
        conv=fsync 2>/dev/null
    sync /mnt # its name, too
    echo "sum $(sha256sum <"/mnt/file$i" | cut -d' ' -f1) file$i"
done
: >/tmp/enough
wait $first
wait $second
umount /mnt
if dmesg | grep -i 'error'; then
    exit 1
fi
