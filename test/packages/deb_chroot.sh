#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Debian of its own, new and minimal: autopkgtest builds in it from the source
# package alone, with what Build-Depends names, and tests; once more as a plain
# user with the packages that were made before; piuparts.
. "$(dirname "$0")/common.sh"
need_root "makes a chroot"
need_tool debootstrap autopkgtest piuparts
need_made "$DEBS/1"
# A minimal chroot lacks things on purpose; the tests that need them are skipped.
export IOQ_TEST_NO_SKIP=0

debian
CHROOT=$HERE/chroot
clean_up() {
    for mounted in $(findmnt -rn -o TARGET | grep "^$HERE/" | sort -r); do
        umount -l "$mounted" || true
    done
    rm -rf --one-file-system "$CHROOT"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# autopkgtest: 0 is passed, 2 is passed with some skipped, which the isolation
# of a chroot explains; the summary must have a PASS.
autopkgtest_here() {
    name=$1
    shift
    status=0
    autopkgtest --output-dir "$HERE/$name" "$@" \
        -- chroot "$CHROOT" >"$HERE/$name.log" 2>&1 || status=$?
    case $status in
    0 | 2) ;;
    *)
        tail -n 80 "$HERE/$name.log"
        fail "autopkgtest: status $status"
        ;;
    esac
    cat "$HERE/$name/summary"
    for test in build installed-tests; do
        grep -q "^$test *PASS" "$HERE/$name/summary" || fail "$test did not pass"
    done
}

bootstrap() {
    rm -rf --one-file-system "$CHROOT"
    debootstrap --variant=minbase "$SUITE" "$CHROOT" "$MIRROR"
}

say "debootstrap $SUITE, or what an earlier run left of it"
BASE=${IOQ_CHROOT_TAR:-/var/tmp/libioq-2-$SUITE-$(dpkg --print-architecture).tgz}
if [ ! -e "$BASE" ] || [ -n "$(find "$BASE" -mtime +7)" ]; then
    persist debootstrap bootstrap
    chroot "$CHROOT" apt-get clean
    echo 'Acquire::Retries "3";' >"$CHROOT/etc/apt/apt.conf.d/ci"
    tar -C "$CHROOT" --one-file-system -I "gzip -1" -cf "$HERE/base.tgz" .
    mv "$HERE/base.tgz" "$BASE"
    rm -rf --one-file-system "$CHROOT"
fi
mkdir "$CHROOT"
# A mount point, so that tests in it can have a mount namespace.
mount --bind "$CHROOT" "$CHROOT"
tar -C "$CHROOT" -xf "$BASE"
echo "deb $MIRROR $SUITE main" >"$CHROOT/etc/apt/sources.list"
echo 'force-unsafe-io' >"$CHROOT/etc/dpkg/dpkg.cfg.d/ci"

# As the builders of Debian have it; findmnt and sysctls are asked of it.
mount -t proc proc "$CHROOT/proc"

cp -r "$DEBS/1" "$HERE/debs"
say "autopkgtest, built in the chroot from the source package alone"
autopkgtest_here from-source "$HERE"/debs/*.dsc

say "autopkgtest, the packages of this run, as a plain user"
chroot "$CHROOT" useradd -m tester
autopkgtest_here as-user --user tester "$HERE"/debs/libioq*.deb "$HERE"/debs/*.dsc

say "piuparts"
piuparts -b "$BASE" -d "$SUITE" -m "$MIRROR main" --no-eatmydata \
    --warn-on-leftovers-after-purge "$HERE"/debs/libioq1_*.deb \
    "$HERE"/debs/libioq-dev_*.deb "$HERE"/debs/libioq-tests_*.deb \
    >"$HERE/piuparts.log" 2>&1 || {
    tail -n 60 "$HERE/piuparts.log"
    fail "piuparts"
}
# What others' packages leave is their affair.
sed -n '/left files on system/,/^[^ ]/p' "$HERE/piuparts.log" |
    grep '^ .*ioq' &&
    fail "something of ours is left behind"
tail -n 1 "$HERE/piuparts.log"
