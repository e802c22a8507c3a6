#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What `meson dist` packs builds by itself, with neither git nor what the
# packages of distributions bring, and passes its tests.
. "$(dirname "$0")/common.sh"
need_tool git meson cc

# Of the tree as it is, committed or not: a commit of a clone of ours.
say "a clone with what is not committed yet"
git clone -q --no-hardlinks "$SOURCE" "$HERE/clone"
(cd "$SOURCE" && git ls-files -z -co --exclude-standard) |
    (cd "$SOURCE" && tar -c --null -T - --ignore-failed-read 2>/dev/null) |
    tar -x -C "$HERE/clone"
cd "$HERE/clone"
(cd "$SOURCE" && git ls-files -z -d) | xargs -0 -r rm -f
git add -A
git -c user.name=ioq -c user.email=ioq@libioq.example \
    commit -q --allow-empty -m 'as packed' --date '2026-11-24T04:00:00Z'

say "meson dist"
meson setup "$HERE/build" -Dtests=disabled >"$HERE/setup.log" ||
    { cat "$HERE/setup.log"; fail "meson setup"; }
meson dist -C "$HERE/build" --no-tests --formats xztar >"$HERE/dist.log" 2>&1 ||
    { cat "$HERE/dist.log"; fail "meson dist"; }
cp "$HERE/build/meson-dist/libioq-$VERSION.tar.xz" "$WORK/"

say "a build of the tarball, where there is no git"
mkdir "$HERE/unpacked"
tar -xf "$TARBALL" -C "$HERE/unpacked"
cd "$HERE/unpacked/libioq-$VERSION"
for name in LICENSE README.md NEWS.md include/ioq.h doc/man/ioq.7 quickstart; do
    [ -f "$name" ] || fail "$name is not in the tarball"
done
for name in debian rpm .ci .git; do
    [ ! -e "$name" ] || fail "$name is in the tarball"
done
meson setup build -Dtests=enabled -Dwerror=true >"$HERE/setup.log" 2>&1 ||
    { cat "$HERE/setup.log"; fail "meson setup"; }
ninja -C build >"$HERE/ninja.log" 2>&1 || { cat "$HERE/ninja.log"; exit 1; }
meson test -C build --no-rebuild --print-errorlogs --suite unit --suite abi \
    --suite static >"$HERE/test.log" 2>&1 || {
    cat "$HERE/test.log"
    fail "tests of the tarball"
}
grep -E '^(Ok|Fail|Skipped)' "$HERE/test.log"
