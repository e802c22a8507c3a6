# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the tests that boot a guest: a server, an emulator, and both ends.
# $folder is ours, and goes with us.
set -eu

NAME=$(basename "$0" .sh)
HERE=$(cd "${VM_SCRIPTS:-$(dirname "$0")}" && pwd)
VM=${IOQ_VM_DIR:-$HERE/../../build/vm}
PATH=$PATH:/usr/sbin:/sbin
BOOT_SECONDS=${IOQ_VM_SECONDS:-240}
SERVER_PID='' GUEST_PID=''

skip() {
    printf 'skipped: %s: %s\n' "$NAME" "$*"
    [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ] && exit 1
    exit 77
}

fail() {
    printf '%s: %s\n' "$NAME" "$*" >&2
    for log in console emulator server; do
        [ ! -f "$folder/$log" ] || {
            printf '== %s\n' "$log" >&2
            tail -n 60 "$folder/$log" >&2
        }
    done
    exit 1
}

# Only what is ours, by its number.
clean_up() {
    for pid in $GUEST_PID $SERVER_PID; do
        kill -CONT "$pid" 2>/dev/null || true
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}

need_vm() {
    [ "$(uname -m)" = x86_64 ] || skip "the guest is an x86-64 one"
    for tool in qemu-system-x86_64 busybox mkfs.ext4 debugfs e2fsck \
        blkdiscard cpio; do
        command -v "$tool" >/dev/null || skip "no $tool here"
    done
    [ -f "$VM/vmlinuz" ] ||
        skip "no kernel in $VM; test/vm/prepare.sh fetches one"
    # Sockets have short names.
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/ioq-vm.XXXXXX")
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
}

# A program of this machine, with the libraries that it loads.
copy_program() {
    cp -L "$(command -v "$1")" "$root/bin/"
    libraries=$(ldd "$(command -v "$1")" 2>&1 | grep -o '/[^ ]*\.so[^ ]*') ||
        return 0 # a static one
    for library in $libraries; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

make_initrd() {
    root=$folder/root
    mkdir -p "$root/bin" "$root/scripts"
    cp "$HERE/guest/init" "$root/init"
    # shellcheck disable=SC2086 # MORE_SCRIPTS is words
    cp "$HERE"/guest/*.sh ${MORE_SCRIPTS:-} "$root/scripts/"
    cp -r "$VM/modules" "$root/modules"
    cp -L "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    for program in mkfs.ext4 blkdiscard fstrim dd "$@"; do
        copy_program "$program"
    done
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$folder/initrd"
    rm -rf "$root"
}

# Waits until the rest, a command, succeeds; $1 seconds at most.
wait_for() {
    tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# Starts $SERVER with the options given.
start_server() {
    "$SERVER" --socket "${SOCKET:-$folder/socket}" --stats "$@" \
        >>"$folder/server" 2>&1 &
    SERVER_PID=$!
    server_up() {
        [ -S "${SOCKET:-$folder/socket}" ] || ! kill -0 "$SERVER_PID"
    }
    wait_for 120 server_up || fail "the server does not listen"
    kill -0 "$SERVER_PID" 2>/dev/null || {
        ! grep -q -e 'Function not implemented' -e 'not permitted' \
            -e 'without' "$folder/server" || skip "$(cat "$folder/server")"
        fail "the server did not start"
    }
}

stop_server() {
    kill -TERM "$SERVER_PID"
    wait "$SERVER_PID" || fail "the server's exit status is $?"
    SERVER_PID=''
    # What it prints when it ends.
    grep -q '^engine' "$folder/server" || fail "the server printed no counters"
}

# The emulator's options for the disk that is served at a socket.
disk_options() {
    printf ' -chardev socket,id=%s,path=%s,reconnect=1' "${1##*/}" "$1"
    printf ' -device vhost-user-blk-pci,chardev=%s,num-queues=2' "${1##*/}"
}

# On a busy machine the guest's kernel may find its emulated timer broken, and
# give up: it shall not look.
#
# Boots a guest that runs guest/$1; the rest goes to its command line. Its disks
# are those of SOCKETS.
start_guest() {
    script=$1
    shift
    disks=$(for socket in ${SOCKETS:-$folder/socket}; do
        disk_options "$socket"
    done)
    : >"$folder/console.raw" # for those who look at once
    # shellcheck disable=SC2086 # disks is words
    qemu-system-x86_64 -M pc -accel tcg,thread=multi -cpu qemu64 -smp 2 \
        -m 256 -object memory-backend-memfd,id=memory,size=256M,share=on \
        -numa node,memdev=memory -nodefaults -no-user-config -display none \
        -no-reboot -serial stdio -kernel "$VM/vmlinuz" \
        -initrd "$folder/initrd" -append "console=ttyS0 quiet panic=-1 \
nokaslr mitigations=off no_timer_check ioq.script=$script $*" \
        $disks </dev/null >"$folder/console.raw" 2>"$folder/emulator" &
    GUEST_PID=$!
}

guest_said() {
    grep -q -- "$1" "$folder/console.raw"
}

# Whether the guest has flushed $1 files or more. The line that says so may have
# come in part only.
guest_flushed() {
    [ "$(grep -c "^sum .*$(printf '\r')\$" "$folder/console.raw")" -ge "$1" ]
}

guest_ended() {
    ! kill -0 "$GUEST_PID" 2>/dev/null
}

# Waits for the guest's end, and makes $folder/console of what it said.
finish_guest() {
    wait_for "$BOOT_SECONDS" guest_ended || {
        read_console
        fail "the guest does not end"
    }
    wait "$GUEST_PID" || { read_console && fail "the emulator failed"; }
    GUEST_PID=''
    read_console
    grep -q '^guest: passed' "$folder/console" || fail "the guest failed"
}

read_console() {
    tr -d '\r' <"$folder/console.raw" >"$folder/console"
}

expect_console() {
    grep -q -- "$1" "$folder/console" || fail "the guest did not say: $1"
}

check_file_system() {
    e2fsck -fn "$1" >"$folder/fsck" 2>&1 || {
        cat "$folder/fsck" >&2
        fail "e2fsck finds the file system damaged"
    }
}

# Compares the files of the image with the sums that the guest printed:
# "sum SHA256 NAME".
check_sums() {
    sed -n 's/^sum //p' "$folder/console" >"$folder/sums"
    [ "$(wc -l <"$folder/sums")" -ge "$2" ] ||
        fail "the guest printed fewer than $2 sums"
    while read -r sum name; do
        rm -f "$folder/dump"
        debugfs -R "dump $name $folder/dump" "$1" >/dev/null 2>&1
        [ "$(sha256sum <"$folder/dump" | cut -d' ' -f1)" = "$sum" ] ||
            fail "$name is not what the guest wrote"
    done <"$folder/sums"
}

counted() {
    sed -n "s/^requests:.*[: ]\([0-9]*\) $1.*/\1/p" "$folder/server" |
        tail -n 1
}
