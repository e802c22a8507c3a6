#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# prepare.sh FOLDER
#
# Puts into FOLDER what a guest boots with: Debian's kernel for clouds, and its
# virtio drivers. Nothing is installed. Does nothing if they are there already.
set -eu

PACKAGE=linux-image-cloud-amd64

die() {
    printf 'prepare.sh: %s\n' "$*" >&2
    exit 1
}

[ "$(uname -m)" = x86_64 ] || die "the guest is an x86-64 one"
command -v apt-get >/dev/null || die "needs a Debian-like system"
mkdir -p "$1"
cd "$1"
[ ! -f vmlinuz ] || exit 0

# The package of that name only names the newest one.
name=$(apt-cache depends $PACKAGE 2>/dev/null |
    sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$name" ] || die "apt knows no $PACKAGE"
work=$(mktemp -d ./kernel.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
(
    cd "$work"
    apt-get download -q "$name" >log 2>&1 || { cat log && exit 1; }
    dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards \
        './boot/vmlinuz*' '*/virtio*.ko*'
) || die "could not fetch $name"
mkdir -p modules
find "$work" -name 'virtio*.ko*' -exec mv {} modules/ ';'
mv "$work"/boot/vmlinuz* vmlinuz # last: it says that all is there
