# SPDX-License-Identifier: LGPL-2.1-or-later
# The image has less room than it says. Until that shows, all is well; then a
# write fails, and the disk goes on.
set -eux
disk=/dev/vda
megabyte() {
    /bin/dd if=/tmp/noise of=$disk bs=64k seek=$(($1 * 16)) oflag=direct \
        conv=fsync status=none
}
dd if=/dev/urandom of=/tmp/noise bs=1M count=1 2>/dev/null

written=0
while megabyte $written; do
    written=$((written + 1))
    [ $written -lt 48 ] || exit 1
done
[ $written -gt 8 ]
echo "full after $written"

# What was written before is there, and what is there may be written again.
i=0
while [ $i -lt $written ]; do
    /bin/dd if=$disk of=/tmp/back bs=64k count=16 skip=$((i * 16)) \
        iflag=direct status=none
    cmp /tmp/noise /tmp/back
    i=$((i + 1))
done
megabyte 0
/bin/dd if=$disk of=/dev/null bs=1M iflag=direct status=none

# There is room again for what did not fit.
/bin/blkdiscard -o 2M -l 4M $disk
megabyte $written
/bin/dd if=$disk of=/tmp/back bs=64k count=16 skip=$((written * 16)) \
    iflag=direct status=none
cmp /tmp/noise /tmp/back
