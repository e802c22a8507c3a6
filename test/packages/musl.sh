#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The library with musl instead of glibc, and a consumer that does I/O with it.
# Debian has no libaio for musl, so there is one in libaio.c.
. "$(dirname "$0")/common.sh"
need_tool musl-gcc meson

# musl-gcc looks in musl's headers alone: libaio's and the kernel's beside them.
mkdir "$HERE/include" "$HERE/lib"
triplet=$(gcc -print-multiarch)
ln -s /usr/include/libaio.h /usr/include/linux /usr/include/asm-generic \
    "/usr/include/$triplet/asm" "$HERE/include/"
musl-gcc -shared -fPIC -Wl,-soname,libaio.so.1 -isystem "$HERE/include" \
    -o "$HERE/lib/libaio.so.1" "$SOURCE/test/packages/libaio.c"
ln -s libaio.so.1 "$HERE/lib/libaio.so"

say "a build with musl-gcc, warnings being errors"
# musl's ioctl(2) takes its request as an int: the same 32 bits for the kernel.
CC=musl-gcc CFLAGS="-isystem $HERE/include -Wno-error=overflow" LDFLAGS="-L$HERE/lib" \
    meson setup "$HERE/build" "$SOURCE" -Dtests=disabled -Dman=false \
    -Dwerror=true --auto-features=disabled >"$HERE/setup.log" 2>&1 ||
    { cat "$HERE/setup.log"; fail "meson setup"; }
ninja -C "$HERE/build" >"$HERE/ninja.log" 2>&1 ||
    { grep -A 20 FAILED "$HERE/ninja.log"; fail "the build"; }
readelf -d "$HERE/build/lib/libioq.so" | grep NEEDED | tee "$HERE/needed"
grep -q 'libc.so\]' "$HERE/needed" || fail "this is not musl's libc"
python3 -B "$SOURCE/test/tools/symbols.py" "$HERE/build/lib/libioq.so" \
    "$SOURCE/lib/libioq.map" "$SOURCE/include/ioq.h" "$SOURCE"/include/ioq/*.h \
    "$HERE/build/include/ioq/version.h"

say "a consumer"
musl-gcc -std=c99 -Wall -Wextra -Werror -o "$HERE/consumer" \
    "$SOURCE/debian/tests/consumer.c" -I"$SOURCE/include" \
    -I"$HERE/build/include" -isystem "$HERE/include" \
    -L"$HERE/build/lib" -lioq -L"$HERE/lib" \
    -Wl,-rpath,"$HERE/build/lib:$HERE/lib"
"$HERE/consumer" "$HERE/file" | tee "$HERE/consumer.out"
grep -q '^queue: works' "$HERE/consumer.out" || fail "no Linux AIO"
