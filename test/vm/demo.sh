#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# demo.sh SERVER: a guest at work, its console, and what went through libioq.
. "$(dirname "$0")/common.sh"
SERVER=$1

need_vm
truncate -s 256M "$folder/demo.img"
make_initrd
printf '+ vhost-user-blk --image demo.img --socket ... --stats &\n'
start_server --image "$folder/demo.img"
printf '+ qemu-system-x86_64 -device vhost-user-blk-pci ...\n'
start_guest demo.sh
tail -n +1 -f --pid="$GUEST_PID" -s 0.2 "$folder/console.raw" |
    tr -d '\r' | sed 's/^/  | /'
finish_guest
stop_server

printf '\nThe guest is off. What went through libioq:\n\n'
sed 's/^/    /' "$folder/server"
check_file_system "$folder/demo.img"
check_sums "$folder/demo.img" 6
printf '\n%s\n' "On the image, e2fsck finds a sound file system, and all files \
have the sums that the guest saw."
