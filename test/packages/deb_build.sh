#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# dpkg-buildpackage, in four ways: as a builder does it, once more in other
# surroundings, which must give the same bytes, with each of the build profiles,
# and as the next revision, for the test of upgrades. lintian and blhc.
. "$(dirname "$0")/common.sh"
need_tool dpkg-buildpackage lintian blhc dh
need_made "$TARBALL"

# The tests, and the compilers.
export DEB_BUILD_OPTIONS="parallel=$JOBS"

# Unpacks a source package into $1, of Debian revision $2.
unpack() {
    mkdir -p "$1"
    cp "$TARBALL" "$1/libioq_$VERSION.orig.tar.xz"
    tar -xf "$TARBALL" -C "$1"
    tree=$1/libioq-$VERSION
    cp -r "$SOURCE/debian" "$tree/debian"
    [ "$2" = 1 ] || sed -i "1s/-1)/-$2)/" "$tree/debian/changelog"
}

# Builds in $1; options of dpkg-buildpackage follow.
package() {
    log=$1/build.log
    shift
    (cd "$tree" && exec dpkg-buildpackage -us -uc "$@") >"$log" 2>&1 || {
        tail -n 60 "$log"
        fail "dpkg-buildpackage $*"
    }
}

names() {
    (cd "$1" && ls ./*.deb | sed 's,^\./,,; s/_.*//' | sort | tr '\n' ' ')
}

expect_names() {
    [ "$(names "$1")" = "$2 " ] || fail "$1 has $(names "$1")and not $2"
}

say "as a builder does it, tests and all"
unpack "$HERE/first" 1
package "$HERE/first"
expect_names "$HERE/first" \
    'libioq-dev libioq-tests libioq-tests-dbgsym libioq1 libioq1-dbgsym'
grep -E '^(Ok|Skipped):' "$HERE/first/build.log"
grep -q '^Fail: *0' "$HERE/first/build.log" || fail "the build ran no tests"

say "lintian and blhc"
(cd "$HERE/first" && lintian -EI --pedantic --no-cfg \
    --ignore-lintian-env --allow-root --tag-display-limit 0 \
    --fail-on error,warning,info,pedantic,experimental ./*.changes) ||
    fail "lintian"
# A comment stands before each.
awk 'NF && !/^#/ && !why { print FILENAME ": " $0; bad = 1 }
    { why = /^#/ && !/SPDX/ } END { exit bad }' \
    "$SOURCE"/debian/*-overrides "$SOURCE"/debian/source/*-overrides ||
    fail "an override does not say why"
blhc --bindnow "$HERE/first/build.log" || fail "blhc: flags are missing"
library=$(cd "$tree" && ls debian/libioq1/usr/lib/*/libioq.so.1.*)
readelf -d "$tree/$library" >"$HERE/dynamic"
grep -q BIND_NOW "$HERE/dynamic" || fail "no BIND_NOW"
grep -E 'RPATH|RUNPATH' "$HERE/dynamic" && fail "a run path"

say "in other surroundings: path, umask, time zone, locale, number of jobs"
second=$HERE/second/elsewhere/and/deeper
unpack "$second" 1
(
    umask 002
    export TZ=Pacific/Kiritimati LC_ALL=C DEB_BUILD_OPTIONS="nocheck parallel=$((JOBS + 1))"
    export HOME=/nonexistent
    package "$second" -b
)
for file in "$HERE"/first/*.deb; do
    cmp "$file" "$second/$(basename "$file")" || fail "not the same bytes"
done
say "$(ls "$HERE"/first/*.deb | wc -l) packages are the same, byte for byte"

say "profile nocheck, as revision 2: no test runs"
unpack "$HERE/upgrade" 2
package "$HERE/upgrade" -b -Pnocheck
grep -q '^Fail:' "$HERE/upgrade/build.log" && fail "nocheck ran tests"
say "profile noinsttest, and nocheck as an option: no package of tests"
unpack "$HERE/noinsttest" 1
DEB_BUILD_OPTIONS="nocheck parallel=$JOBS" \
    package "$HERE/noinsttest" -b -Pnoinsttest
expect_names "$HERE/noinsttest" 'libioq-dev libioq1 libioq1-dbgsym'
say "both profiles: neither, and a second build after a clean one"
unpack "$HERE/neither" 1
package "$HERE/neither" -b -Pnocheck,noinsttest
package "$HERE/neither" -b -Pnocheck,noinsttest
expect_names "$HERE/neither" 'libioq-dev libioq1 libioq1-dbgsym'

rm -rf "$DEBS"
mkdir -p "$DEBS/1" "$DEBS/2"
cp "$HERE"/first/*.deb "$HERE"/first/*.dsc "$HERE"/first/*.tar.* "$DEBS/1/"
cp "$HERE"/upgrade/*.deb "$DEBS/2/"
