#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a user types: apt-get install from a repository, compile, run, upgrade,
# purge. Installs libioq on this machine, and removes it again.
. "$(dirname "$0")/common.sh"
need_root "runs apt-get install"
need_tool apt-get dpkg-scanpackages apt-ftparchive ginsttest-runner pkg-config
need_made "$DEBS/1"

# One at a time: there is but one /usr.
exec 8>/run/lock/libioq-packages
flock 8
if dpkg-query -W -f '${Status}' libioq1 2>/dev/null | grep -q ' installed'; then
    skip "libioq is installed on this machine; purge it first"
fi

REPO=$(mktemp -d /var/tmp/libioq-repo.XXXXXX)
chmod 755 "$REPO" # apt reads it as _apt
LIST=/etc/apt/sources.list.d/$(basename "$REPO").list
clean_up() {
    apt purge -y 'libioq*' >"$HERE/clean_up.log" 2>&1 || true
    rm -rf "$LIST" "$REPO" /var/lib/apt/lists/*"$(basename "$REPO")"*
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# Fills the repository with the packages of revision $1.
publish() {
    cp "$DEBS/$1"/*.deb "$REPO/"
    (
        cd "$REPO"
        dpkg-scanpackages -m . >Packages 2>/dev/null
        apt-ftparchive release . >"$HERE/Release"
        cp "$HERE/Release" Release
    )
    echo "deb [trusted=yes] file:$REPO ./" >"$LIST"
    persist update only_ours apt update -o APT::Get::List-Cleanup=0
}

# What follows, which apt does, with no other repository than this one.
only_ours() {
    "$@" -o Dir::Etc::sourcelist="$LIST" -o Dir::Etc::sourceparts=-
}

# Files and folders that packages of ours have, or that are called so.
files_of_ours() {
    {
        find /usr /etc /var/lib/dpkg/info -xdev -name '*ioq*' \
            ! -path "*$(basename "$REPO")*" ! -path '/usr/src/*' 2>/dev/null
        for deb in "$DEBS"/*/*.deb; do
            dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's,^\.,,'
        done | xargs -d '\n' ls -d 2>/dev/null
    } | sort -u
}

files_of_ours >"$HERE/before"
publish 1
say "apt-get install libioq-dev libioq-tests"
persist install apt install -y --no-install-recommends libioq-dev libioq-tests

say "examples and a consumer, by pkg-config alone, out of /usr/share/doc"
cd "$HERE"
cp -r /usr/share/doc/libioq-dev/examples .
cp "$SOURCE/debian/tests/consumer.c" .
flags=$(pkg-config --cflags --libs libioq)
# shellcheck disable=SC2086 # the flags are words
{
    cc -Wall -Wextra -Werror -o consumer consumer.c $flags
    cd examples
    for compressed in *.gz; do [ ! -e "$compressed" ] || gunzip "$compressed"; done
    cc -o image-copy image-copy.c image.c $flags
    cc -o event-loop event-loop.c $flags
    cc -o glib-loop glib-loop.c $flags $(pkg-config --cflags --libs glib-2.0)
}
ldd "$HERE/consumer" | grep 'libioq.so.1 => /' | grep -v "$HERE"
"$HERE/consumer" "$HERE/file"
head -c 3000000 /dev/urandom >disk
./image-copy disk copy
cmp disk copy
./event-loop disk copy
[ "$(./glib-loop disk | grep -o '[0-9a-f]\{64\}')" = \
    "$(sha256sum disk | cut -c1-64)" ] || fail "glib-loop is wrong"
man --version >/dev/null 2>&1 && man -w 3 ioq_submit ioq_handle_writev

say "the installed tests"
run_installed_tests /usr/share any ext4-direct tmpfs
if [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ]; then
    run_installed_tests /usr/share loop512 loop4096 xfs btrfs
fi

say "upgrade: what was linked before still runs"
publish 2
persist upgrade only_ours apt upgrade -y
dpkg-query -W -f '${Version}\n' libioq1 | grep -q -- '-2$' || fail "not upgraded"
"$HERE/consumer" "$HERE/file"
ldd "$HERE/consumer" | grep -q 'libioq.so.1 => /'

say "purge leaves nothing"
[ "$(files_of_ours | wc -l)" -gt "$(wc -l <"$HERE/before")" ] ||
    fail "there is nothing to purge"
persist purge apt purge -y 'libioq*'
files_of_ours >"$HERE/after"
diff "$HERE/before" "$HERE/after" || fail "purge left something"
