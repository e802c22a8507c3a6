#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# arch.sh ARCH: builds for another architecture with Debian's cross compiler, and
# runs the suite there: i386 on this very kernel, the others under qemu-user.
# The libraries come from Debian's packages of that architecture, unpacked into a
# folder: this machine's dpkg learns of no new architecture.
ARCH=$1
. "$(dirname "$0")/common.sh"
HERE=$HERE/$ARCH
mkdir "$HERE"

case $ARCH in
i386) triplet=i686-linux-gnu cpu=i686 family=x86 lib=i386-linux-gnu qemu= ;;
arm64) triplet=aarch64-linux-gnu cpu=aarch64 family=aarch64 qemu=qemu-aarch64 ;;
armhf) triplet=arm-linux-gnueabihf cpu=armv7 family=arm qemu=qemu-arm ;;
s390x) triplet=s390x-linux-gnu cpu=s390x family=s390x qemu=qemu-s390x ;;
riscv64) triplet=riscv64-linux-gnu cpu=riscv64 family=riscv64 qemu=qemu-riscv64 ;;
*) fail "unknown architecture: $ARCH" ;;
esac
lib=${lib:-$triplet}
# i386 starts without a wrapper: the kernel finds the loader by its full name.
loader=
[ -n "$qemu" ] || loader=-Wl,--dynamic-linker=/usr/$triplet/lib/ld-linux.so.2
case $family in s390x) endian=big ;; *) endian=little ;; esac
need_tool "$triplet-gcc" $qemu apt-get dpkg-deb meson

# Debian's lists for that architecture, beside those of this machine.
fetch() {
    mkdir -p "$HERE/apt/lists/partial" "$HERE/apt/archives/partial" "$HERE/debs"
    set -- -q=2 -o APT::Architecture="$ARCH" -o APT::Architectures="$ARCH" \
        -o Dir::State::Lists="$HERE/apt/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$HERE/apt" -o APT::Sandbox::User=root \
        -o Acquire::Languages=none "$@"
    apt-get "$@"
}

CACHE=${IOQ_ARCH_CACHE:-/var/tmp/libioq-sysroots}/$ARCH
if [ ! -e "$CACHE/done" ] || [ -n "$(find "$CACHE/done" -mtime +7)" ]; then
    say "the libraries of $ARCH, unpacked"
    rm -rf "$CACHE"
    mkdir -p "$CACHE"
    # The machine's own Debian sources, without what others have added.
    fetch update >"$HERE/apt.log" 2>&1 || true # what is missing shows below
    uring2=$(apt-cache show liburing-dev 2>/dev/null |
        sed -n 's/^Depends: .*\(liburing[0-9]*\) .*/\1/p' | head -n 1)
    aio=$(apt-cache depends libaio-dev | sed -n 's/.*Depends: \(libaio1.*\)/\1/p' |
        head -n 1)
    if [ -s "$(find "$HERE/apt/lists" -name "*binary-${ARCH}_Packages*" |
        head -n 1)" ]; then
        (cd "$HERE/debs" && fetch download libaio-dev "$aio" liburing-dev \
            "$uring2" check libsubunit-dev libsubunit0) >"$HERE/apt.log" 2>&1 || {
            cat "$HERE/apt.log"
            fail "could not fetch the libraries"
        }
        for deb in "$HERE"/debs/*.deb; do
            dpkg-deb -x "$deb" "$CACHE"
        done
    else
        # As riscv64 before Debian 13. No Check there, hence no suite.
        say "this Debian has no packages of $ARCH: libaio.c instead of libaio"
        mkdir -p "$CACHE/usr/include" "$CACHE/usr/lib/$lib"
        cp /usr/include/libaio.h "$CACHE/usr/include/"
        "$triplet-gcc" -shared -fPIC -Wl,-soname,libaio.so.1 \
            -isystem "$CACHE/usr/include" "$SOURCE/test/packages/libaio.c" \
            -o "$CACHE/usr/lib/$lib/libaio.so.1"
        ln -s libaio.so.1 "$CACHE/usr/lib/$lib/libaio.so"
    fi
    touch "$CACHE/done"
fi

LIBS=$CACHE/usr/lib/$lib:$CACHE/lib/$lib:/usr/$triplet/lib
say "a cross build"
{
    echo "[binaries]"
    echo "c = '$triplet-gcc'"
    echo "ar = '$triplet-ar'"
    echo "strip = '$triplet-strip'"
    echo "pkgconfig = 'pkg-config'"
    [ -z "$qemu" ] || echo "exe_wrapper = ['$qemu', '-L', '/usr/$triplet']"
    echo "[built-in options]"
    echo "c_args = ['-isystem', '$CACHE/usr/include'," \
        "'-isystem', '$CACHE/usr/include/$lib']"
    echo "c_link_args = ['-L$CACHE/usr/lib/$lib', '-L$CACHE/lib/$lib'," \
        "'-Wl,-rpath-link,$CACHE/usr/lib/$lib:$CACHE/lib/$lib'${loader:+, '$loader'}]"
    echo "[properties]"
    echo "pkg_config_libdir = '$CACHE/usr/lib/$lib/pkgconfig'"
    echo "sys_root = '$CACHE'"
    echo "needs_exe_wrapper = $([ -n "$qemu" ] && echo true || echo false)"
    echo "[host_machine]"
    echo "system = 'linux'"
    echo "cpu = '$cpu'"
    echo "cpu_family = '$family'"
    echo "endian = '$endian'"
} >"$HERE/cross.ini"
tests=enabled
[ -e "$CACHE/usr/include/check.h" ] || tests=disabled
meson setup "$HERE/build" "$SOURCE" --cross-file "$HERE/cross.ini" -Dwerror=true \
    -Dtests=$tests -Dman=false >"$HERE/setup.log" 2>&1 ||
    { cat "$HERE/setup.log"; fail "meson setup"; }
nice ninja -C "$HERE/build" >"$HERE/ninja.log" 2>&1 ||
    { grep -A 20 FAILED "$HERE/ninja.log"; fail "the build"; }

# This machine's own programs pass over libraries of another architecture.
export LD_LIBRARY_PATH="$LIBS"
suites="--suite unit --suite abi --suite api"
if [ -n "$qemu" ]; then
    # Linux AIO does not exist there: its tests say so and are skipped.
    export QEMU_LD_PREFIX="/usr/$triplet" IOQ_TEST_WRAPPER="$qemu"
    export IOQ_TEST_NO_SKIP=0
fi

if [ $tests = enabled ]; then
    say "the suite"
    # shellcheck disable=SC2086 # the suites are words
    meson test -C "$HERE/build" --no-rebuild --print-errorlogs \
        --timeout-multiplier 5 $suites >"$HERE/test.log" 2>&1 || {
        cat "$HERE/test.log"
        fail "the suite"
    }
    grep -E '^(Ok|Skipped):' "$HERE/test.log"
fi

say "a consumer: Linux AIO works, or is refused and the handle takes another engine"
"$triplet-gcc" -Wall -Werror -o "$HERE/consumer" "$SOURCE/debian/tests/consumer.c" \
    -I"$SOURCE/include" -I"$HERE/build/include" -isystem "$CACHE/usr/include" \
    -isystem "$CACHE/usr/include/$lib" -L"$HERE/build/lib" -lioq \
    -Wl,--allow-shlib-undefined ${loader:+"$loader"}
export LD_LIBRARY_PATH="$HERE/build/lib:$LIBS"
$qemu "$HERE/consumer" "$HERE/file" >"$HERE/consumer.out"
cat "$HERE/consumer.out"
[ -n "$qemu" ] || grep -q '^queue: works' "$HERE/consumer.out" ||
    fail "Linux AIO does not work on this kernel"
