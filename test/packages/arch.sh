#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# arch.sh ARCH: builds for another architecture with Debian's cross compiler, and
# runs the suite there: i386 on this very kernel, the others under qemu-user.
# The libraries come from Debian's packages of that architecture, or are built
# from its sources where it has none; they stay in a folder of their own: this
# machine's dpkg learns of no new architecture.
ARCH=$1
. "$(dirname "$0")/common.sh"

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
need_tool "$triplet-gcc" $qemu apt-get dpkg-deb dpkg-source meson make

# apt-get with Debian's lists for that architecture, beside this machine's.
fetch() {
    apt -o APT::Architecture="$ARCH" -o APT::Architectures="$ARCH" \
        -o Dir::Etc::sourcelist="$HERE/apt/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$HERE/apt/lists" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$HERE/apt" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# A name of a package that matches, in this architecture's list.
named() {
    fetch indextargets --format '$(FILENAME)' 'Created-By: Packages' |
        xargs /usr/lib/apt/apt-helper cat-file |
        sed -n "s/^Package: \($1\)\$/\1/p" | sort -V | tail -n 1
}

unpack_packages() {
    persist download fetch download libaio-dev "$(named 'libaio1[t0-9]*')" \
        liburing-dev "$(named 'liburing[0-9]*')" check libsubunit-dev \
        libsubunit0
    for deb in ./*.deb; do
        dpkg-deb -x "$deb" "$NEW"
    done
}

build_check() {
    cd check-*/ &&
        ./configure --host="$triplet" --prefix=/usr --libdir="/usr/lib/$lib" \
            --disable-subunit --disable-shared &&
        make -C lib && make -C src install DESTDIR="$NEW" &&
        make install-pcdataDATA DESTDIR="$NEW" &&
        ln -s libcheck.a "$NEW/usr/lib/$lib/libcheck_pic.a" # Debian's name
}

build_libaio() {
    make -C libaio-*/src install CC="$triplet-gcc" AR="$triplet-ar" \
        RANLIB="$triplet-ranlib" prefix="$NEW/usr" \
        libdir="$NEW/usr/lib/$lib" usrlibdir="$NEW/usr/lib/$lib"
}

build_liburing() {
    cd liburing-*/ &&
        ./configure --cc="$triplet-gcc" --prefix=/usr \
            --libdir="/usr/lib/$lib" --libdevdir="/usr/lib/$lib" &&
        make -C src AR="$triplet-ar" RANLIB="$triplet-ranlib" &&
        make install DESTDIR="$NEW"
}

# As for riscv64 before Debian 13.
build_sources() {
    say "this Debian has no packages of $ARCH: built from its sources"
    persist source fetch source check libaio liburing
    for name in check libaio liburing; do
        ("build_$name") >"$HERE/$name.log" 2>&1 || {
            tail -n 40 "$HERE/$name.log"
            fail "the build of $name"
        }
    done
}

# Puts the libraries into $CACHE, unless an earlier run has this week.
fill_cache() {
    if [ -e "$CACHE" ] && [ -z "$(find "$CACHE" -maxdepth 0 -mtime +7)" ]; then
        return
    fi
    say "the libraries of $ARCH"
    debian
    mkdir -p "$HERE/apt/lists/partial" "$HERE/apt/archives/partial" "$HERE/debs"
    for kind in deb deb-src; do
        echo "$kind $MIRROR $SUITE main"
    done >"$HERE/apt/sources.list"
    persist update fetch update -o APT::Update::Error-Mode=any
    NEW=$HERE/new
    mkdir "$NEW"
    cd "$HERE/debs"
    if [ -n "$(named libaio-dev)" ]; then
        unpack_packages
    else
        build_sources
    fi
    cd "$HERE"
    mkdir -p "$(dirname "$CACHE")"
    rm -rf "$CACHE"
    mv "$NEW" "$CACHE"
    touch "$CACHE"
}

CACHE=${IOQ_ARCH_CACHE:-/var/tmp/libioq-sysroots}/2/$ARCH
fill_cache
for file in usr/include/check.h usr/include/libaio.h usr/include/liburing.h; do
    [ -e "$CACHE/$file" ] || fail "no $file in $CACHE: remove that folder"
done

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
meson setup "$HERE/build" "$SOURCE" --cross-file "$HERE/cross.ini" -Dwerror=true \
    -Dtests=enabled -Dio_uring=enabled -Dman=false >"$HERE/setup.log" 2>&1 ||
    { cat "$HERE/setup.log"; fail "meson setup"; }
ninja -C "$HERE/build" >"$HERE/ninja.log" 2>&1 ||
    { grep -A 20 FAILED "$HERE/ninja.log"; fail "the build"; }

# This machine's own programs pass over libraries of another architecture.
export LD_LIBRARY_PATH="$LIBS"
if [ -n "$qemu" ]; then
    # Linux AIO does not exist there: its tests say so and are skipped.
    export QEMU_LD_PREFIX="/usr/$triplet" IOQ_TEST_WRAPPER="$qemu"
    export IOQ_TEST_NO_SKIP=0
fi

# Fails unless tests of that suite ran and passed.
count_tests() {
    ran=$(grep "\"name\": \"[^\"]*[:+]$1[ +][^\"]*\"" "$results" |
        grep -c '"result": "OK"') || true
    [ "$ran" -gt 0 ] || fail "no test of suite $1 ran"
    printf '%s: %s tests passed\n' "$1" "$ran"
}

say "the suite"
meson test -C "$HERE/build" --no-rebuild --print-errorlogs \
    --timeout-multiplier 5 --suite unit --suite abi --suite api \
    >"$HERE/test.log" 2>&1 || {
    cat "$HERE/test.log"
    fail "the suite"
}
grep -E '^(Ok|Skipped):' "$HERE/test.log"
results=$HERE/build/meson-logs/testlog.json
for suite in unit abi api; do
    count_tests $suite
done

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
