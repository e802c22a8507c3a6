# SPDX-License-Identifier: LGPL-2.1-or-later
# In the guest: each load on each disk, between two lines at which the host
# reads clocks. The first disk is another one in each round.
set -eu
value() {
    sed -n "s/.*ioq\.$1=\([0-9.]*\).*/\1/p" /proc/cmdline
}

run() {
    sleep 0.1
    echo "begin $disk $1"
    # Requests for each second, and in all.
    rates=$(/bin/load "/dev/$disk" "$2" "$3" "$4" "$seconds")
    echo "rate $disk $1 $rates"
}

seconds=$(value seconds)
rounds=$(value rounds)
# shellcheck disable=SC2046 # names
set -- $(cd /sys/block && echo vd*)
for disk; do
    for kind in read write; do
        /bin/load "/dev/$disk" $kind 4096 32 0.3 >/dev/null
    done
done
while [ "$rounds" -gt 0 ]; do
    for disk; do
        run read-4k-1 read 4096 1
    done
    for disk; do
        run read-4k-32 read 4096 32
    done
    for disk; do
        run write-4k-32 write 4096 32
    done
    for disk; do
        run read-64k-8 read 65536 8
    done
    first=$1
    shift
    set -- "$@" "$first"
    rounds=$((rounds - 1))
done
