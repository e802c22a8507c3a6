#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# options.sh SERVER: what the server says and does without any guest.
. "$(dirname "$0")/../examples/common.sh"
server=$1 pid=''
trap '[ -z "$pid" ] || kill -KILL "$pid"; rm -rf "$folder"' EXIT

truncate -s 1M "$folder/disk.img"
expect_status 0 "$server" --help
expect_words '--read-only'
expect_status 2 "$server"
expect_status 2 "$server" --image "$folder/disk.img" --socket x --engine steam
expect_words 'no engine is called steam'
expect_status 2 "$server" --image "$folder/disk.img" --socket x --queues 0
expect_status 1 "$server" --image "$folder/none" --socket "$folder/socket"
expect_words 'No such file'
expect_status 1 "$server" --image "$folder" --socket "$folder/socket" \
    --read-only --buffered
expect_words 'neither a regular file nor a block device'
expect_status 1 "$server" --image "$folder/disk.img" --socket "$folder/no/way"
expect_words 'No such file'

cached_bytes() {
    fincore --bytes --noheadings --output RES "$folder/disk.img" | tr -d ' '
}

# Direct writes would sleep for what is left in the page cache.
dd if=/dev/zero of="$folder/disk.img" bs=1M count=1 2>/dev/null
[ "$(cached_bytes)" -gt 0 ] || fail "what was written is not cached"

# In the place of a socket that nobody listens at, and gone at the end.
: >"$folder/socket"
"$server" --image "$folder/disk.img" --socket "$folder/socket" \
    --engine threads --stats >"$folder/out" 2>&1 &
pid=$!
wait_until() {
    tries=1000
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "waited too long: $*"
        sleep 0.1
    done
}
wait_until [ -S "$folder/socket" ]
case $(stat -f -c %T "$folder") in
ext2/ext3 | xfs | btrfs)
    [ "$(cached_bytes)" = 0 ] || fail "the image is still cached"
    ;;
esac
kill -USR1 $pid
wait_until grep -q '^paused' "$folder/out"
kill -TERM $pid
wait $pid || fail "exit status $?"
pid=''
expect_words '^engine threads'
[ ! -e "$folder/socket" ] || fail "the socket is left"
