#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# dependency('libioq') in someone else's Meson project: the installed library,
# the same moved elsewhere, and libioq as a subproject, built with the parent.
. "$(dirname "$0")/common.sh"
need_tool meson pkg-config

emulator() {
    mkdir -p "$1"
    cp "$SOURCE/debian/tests/consumer.c" "$1/"
    cat >"$1/meson.build" <<MESON
project('emulator', 'c', default_options: ['warning_level=3', 'werror=true'])
libioq = dependency('libioq', version: '>= $VERSION', fallback: 'libioq')
executable('emulator', 'consumer.c', dependencies: libioq, install: true)
MESON
}

# Configures the emulator at $1 and runs it; options of meson setup follow.
try() {
    top=$1
    shift
    meson setup "$top/build" "$top" "$@" >"$top/setup.log" 2>&1 ||
        { cat "$top/setup.log"; fail "meson setup $*"; }
    ninja -C "$top/build" >"$top/ninja.log" 2>&1 ||
        { cat "$top/ninja.log"; fail "the emulator's build"; }
    "$top/build/emulator" "$top/file"
}

say "as an installed package"
meson setup "$HERE/build" "$SOURCE" -Dtests=disabled --prefix="$HERE/prefix" \
    --libdir=lib64 >"$HERE/setup.log" 2>&1 || { cat "$HERE/setup.log"; exit 1; }
meson install -C "$HERE/build" >"$HERE/install.log" 2>&1 ||
    { cat "$HERE/install.log"; fail "meson install"; }
emulator "$HERE/installed"
PKG_CONFIG_PATH="$HERE/prefix/lib64/pkgconfig" \
    LD_LIBRARY_PATH="$HERE/prefix/lib64" \
    try "$HERE/installed" --wrap-mode=nofallback
ldd "$HERE/installed/build/emulator" | grep "libioq.so.1 => $HERE/prefix"

say "the same, moved to another prefix"
mv "$HERE/prefix" "$HERE/moved"
emulator "$HERE/relocated"
export PKG_CONFIG_PATH="$HERE/moved/lib64/pkgconfig"
pkg-config --define-prefix --cflags libioq | grep -q -- "-I$HERE/moved/include" ||
    fail "libioq.pc is not relocatable: its headers"
pkg-config --define-prefix --libs libioq | grep -q -- "-L$HERE/moved/lib64" ||
    fail "libioq.pc is not relocatable: its library"
# shellcheck disable=SC2046 # the flags are words
cc -o "$HERE/relocated/consumer" "$HERE/relocated/consumer.c" \
    $(pkg-config --define-prefix --cflags --libs libioq)
LD_LIBRARY_PATH="$HERE/moved/lib64" "$HERE/relocated/consumer" "$HERE/relocated/file"
# What a static link would need is told, and asked of nobody else.
pkg-config --print-requires-private libioq | grep . && fail "Requires.private"
pkg-config --static --libs libioq | grep -q -- -laio || fail "no -laio"
unset PKG_CONFIG_PATH

say "as a subproject: it is built, and neither tested nor installed"
emulator "$HERE/parent"
mkdir -p "$HERE/parent/subprojects/libioq"
need_made "$TARBALL"
tar -xf "$TARBALL" --strip-components=1 -C "$HERE/parent/subprojects/libioq"
try "$HERE/parent" --wrap-mode=forcefallback
meson install -C "$HERE/parent/build" --destdir "$HERE/stage" >"$HERE/install.log"
left=$(cd "$HERE/stage" && find . -type f)
[ "$left" = ./usr/local/bin/emulator ] || fail "it installed: $left"
