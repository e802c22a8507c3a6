# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the flows. $SOURCE is the source tree; $WORK is shared by the flows
# of one run, which build upon each other: tarball, deb_build, all others.
set -eu
umask 022

SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
WORK=${IOQ_PACKAGES_DIR:-$SOURCE/build/packages}
VERSION=$(sed -n "s/^  version: '\([0-9.]*\)'.*/\1/p" "$SOURCE/meson.build")
FLOW=$(basename "$0" .sh)${ARCH:+-$ARCH}
TARBALL=$WORK/libioq-$VERSION.tar.xz
DEBS=$WORK/debs
RPMS=$WORK/rpms

# A few requests of the long tests: what is tested here is the packages.
export IOQ_TEST_REQUESTS="${IOQ_TEST_REQUESTS:-2000}"
# Check's own time limits are seconds; a machine that builds beside is slower.
export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-10}"
# More at a time than processors: tests wait for disks.
JOBS=$(($(nproc) * 2))
export MESON_TESTTHREADS=$JOBS
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf '%s: %s\n' "$FLOW" "$*" >&2
    exit 1
}

skip() {
    printf 'skipped: %s\n' "$*"
    [ "${IOQ_TEST_NO_SKIP:-0}" = 1 ] && exit 1
    exit 77
}

# The Debian that this is, and where its packages come from.
debian() {
    SUITE=$(. /etc/os-release && echo "$VERSION_CODENAME")
    MIRROR=$(grep -rhoE '(https?|file):/[^ ]*/debian/?( |$)' \
        /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        head -n 1 | tr -d ' ')
    MIRROR=${MIRROR:-http://deb.debian.org/debian}
}

# Others may use apt at the same time, and a mirror may not answer: tries what
# follows several times. The output goes to $HERE/NAME.log.
persist() {
    log=$HERE/$1.log
    shift
    for pause in 5 10 20 40 no; do
        "$@" >"$log" 2>&1 </dev/null && return
        [ $pause = no ] || sleep $pause
    done
    tail -n 40 "$log"
    fail "$*"
}

apt() {
    apt-get -q=2 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

need_root() {
    [ "$(id -u)" = 0 ] || skip "needs root: it $*"
}

need_tool() {
    for tool; do
        command -v "$tool" >/dev/null || skip "no $tool here"
    done
}

# What an earlier flow has made.
need_made() {
    [ -e "$1" ] || fail "no $1: run the flow that makes it first"
}

say() {
    printf -- '-- %s\n' "$*"
}

# A folder of this flow's own, new and empty: $HERE.
mkdir -p "$WORK"
HERE=$WORK/$FLOW
rm -rf "$HERE"
mkdir "$HERE"

# Runs every installed test below $1 that is on the kinds of place that follow,
# with ginsttest-runner; those of kind 'any' one after the other, as some want
# all that the kernel has. Some must pass, none may fail.
run_installed_tests() {
    folder=$1
    shift
    for kind; do
        jobs=$JOBS
        [ "$kind" != any ] || jobs=1
        (cd "$HERE" && ginsttest-runner --tap -p $jobs -t 900 -d "$folder" \
            "libioq/$kind/") \
            >"$HERE/$kind.tap" 2>"$HERE/$kind.err" || {
            grep '^not ok' "$HERE/$kind.tap"
            tail -n 40 "$HERE/$kind.err"
            fail "installed tests failed on $kind"
        }
        grep '^ok .*SKIP' "$HERE/$kind.tap" >"$HERE/$kind.skipped" || true
        printf '%s: %s installed tests, %s of them skipped\n' "$kind" \
            "$(grep -c '^ok ' "$HERE/$kind.tap")" \
            "$(wc -l <"$HERE/$kind.skipped")"
    done
    cat "$HERE"/*.tap | grep '^ok ' | grep -qv SKIP ||
        fail "no installed test ran"
}
