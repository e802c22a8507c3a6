#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# rpmbuild of the pure Fedora spec, rpmlint, and dnf into a root of its own from
# a local repository, its solver at work: dependencies come from a package that
# stands for this machine and provides what the machine really has.
. "$(dirname "$0")/common.sh"
need_tool rpmbuild rpmlint dnf createrepo_c ginsttest-runner
need_made "$TARBALL"

export HOME=$HERE # Debian's rpm keeps its database there
TOP=$HERE/top
ROOT=$HERE/root
REPO=$HERE/repo
mkdir -p "$TOP/SOURCES" "$REPO" "$HERE/log" "$ROOT"

# What Fedora's meson package brings; these are its macros, in our words.
cat >"$HERE/macros" <<'MACROS'
%meson CFLAGS="-O2 -g -Wall -D_FORTIFY_SOURCE=2 -fstack-protector-strong" LDFLAGS="-Wl,-z,relro,-z,now" meson setup _build --buildtype=plain --prefix=%{_prefix} --libdir=%{_libdir} --libexecdir=%{_libexecdir} --sysconfdir=%{_sysconfdir} --auto-features=enabled --wrap-mode=nodownload
%meson_build meson compile -C _build
%meson_install DESTDIR=%{buildroot} meson install -C _build --no-rebuild
%meson_test meson test -C _build --no-rebuild --print-errorlogs
MACROS

# The rpm database of a Debian machine is empty, hence --nodeps for the build.
build() {
    rpmbuild --load "$HERE/macros" -D "_topdir $TOP" --nodeps "$@" \
        >"$HERE/rpmbuild.log" 2>&1 || {
        tail -n 60 "$HERE/rpmbuild.log"
        fail "rpmbuild $*"
    }
}

say "rpmbuild -ba, with %check"
cp "$TARBALL" "$TOP/SOURCES/"
build -ba "$SOURCE/rpm/libioq.spec"
grep -E '^(Ok|Skipped):' "$HERE/rpmbuild.log"
grep -q '^Fail: *0' "$HERE/rpmbuild.log" || fail "%check ran no test"
cp "$TOP"/RPMS/*/*.rpm "$REPO/"
rm -rf "$RPMS" && cp -r "$REPO" "$RPMS"

say "rpmlint"
cat >"$HERE/rpmlint.toml" <<'TOML'
# Debian's rpmlint has no profile of Fedora; these are the rules of another.
Filters = ["shlib-policy-name-error", "outside-libdir-files",
  "non-versioned-file-in-library-package", "no-signature", "no-packager-tag",
  "no-group-tag", "no-buildroot-tag", "no-major-in-name", "requires-on-release",
  "library-without-ldconfig-post", "manpage-not-compressed",
  "missing-hash-section", "unstripped-binary-or-object", "invalid-license",
  "invalid-url"]
TOML
rpmlint --config "$HERE/rpmlint.toml" "$REPO"/*.rpm "$SOURCE/rpm/libioq.spec" \
    >"$HERE/rpmlint.out" 2>&1 || { cat "$HERE/rpmlint.out"; fail "rpmlint"; }
tail -n 1 "$HERE/rpmlint.out"
grep -q ' 0 errors, 0 warnings' "$HERE/rpmlint.out" ||
    { cat "$HERE/rpmlint.out"; fail "rpmlint"; }

say "what the packages provide and require"
library=$(ls "$REPO"/libioq-"$VERSION"-*.rpm)
rpm -qp --provides "$library" >"$HERE/provides"
for node in $(sed -n 's/^\(LIBIOQ_[0-9.]*\) {/\1/p' "$SOURCE/lib/libioq.map"); do
    grep -F "libioq.so.1($node)" "$HERE/provides" || fail "$node is not provided"
done
rpm -qp --provides "$REPO"/libioq-devel-*.rpm | grep "pkgconfig(libioq) = $VERSION"

# This machine as a package: the libraries by what they really provide.
stand_in() {
    cat <<'SPEC'
Name: this-machine
Version: 1
Release: 1
Summary: What this machine has
License: CC0-1.0
AutoReqProv: no
Provides: rtld(GNU_HASH), /usr/bin/pkg-config, /bin/sh, /usr/bin/sh
Provides: libaio-devel, libaio-devel(x86-64)
SPEC
    # shellcheck disable=SC2046 # the names of libraries are words
    readlink -f $(for lib; do ldconfig -p | awk -v n="$lib" \
        '$1 == n && /x86-64/ { print $NF; exit }'; done) |
        /usr/lib/rpm/elfdeps --provides | sed 's/^/Provides: /'
    printf '%%description\nIt.\n%%files\n'
}

dnf_here() {
    dnf -q -y --installroot="$ROOT" --releasever=40 --disablerepo='*' \
        --repofrompath="ioq,file://$REPO" --enablerepo=ioq --nogpgcheck \
        --setopt=cachedir="$HERE/cache" --setopt=logdir="$HERE/log" \
        --setopt=install_weak_deps=False "$@" >"$HERE/dnf.log" 2>&1
}

offer() {
    rm -f "$REPO"/this-machine*
    stand_in "$@" >"$HERE/this-machine.spec"
    rpmbuild -D "_topdir $HERE/stand-in" -bb "$HERE/this-machine.spec" \
        >"$HERE/stand-in.log" 2>&1 || { cat "$HERE/stand-in.log"; exit 1; }
    cp "$HERE"/stand-in/RPMS/*/*.rpm "$REPO/"
    createrepo_c -q "$REPO"
    rm -rf "$HERE/cache"
}

say "dnf refuses where libaio is missing"
offer libc.so.6
dnf_here install libioq-devel libioq-tests && fail "dnf does not look"
grep -i 'nothing provides libaio.so.1' "$HERE/dnf.log" || {
    cat "$HERE/dnf.log"
    fail "dnf refused for another reason"
}
say "dnf install libioq-devel libioq-tests"
offer libc.so.6 libm.so.6 libaio.so.1 liburing.so.2 libsubunit.so.0 \
    ld-linux-x86-64.so.2
dnf_here install libioq-devel libioq-tests || { cat "$HERE/dnf.log"; fail "dnf"; }

say "a consumer, compiled against that root"
export PKG_CONFIG_SYSROOT_DIR="$ROOT"
export PKG_CONFIG_LIBDIR="$ROOT/usr/lib64/pkgconfig"
export LD_LIBRARY_PATH="$ROOT/usr/lib64"
# shellcheck disable=SC2046 # the flags are words
cc -Wall -Wextra -Werror -o "$HERE/consumer" \
    "$SOURCE/debian/tests/consumer.c" $(pkg-config --cflags --libs libioq)
ldd "$HERE/consumer" | grep "libioq.so.1 => $ROOT"
"$HERE/consumer" "$HERE/file"

say "the installed tests, against the library in that root"
mkdir -p "$HERE/share"
cp -r "$ROOT/usr/share/installed-tests" "$HERE/share/"
find "$HERE/share" -name '*.test' -exec \
    sed -i "s,/usr/libexec/,$ROOT/usr/libexec/,g" {} +
run_installed_tests "$HERE/share" any ext4-direct tmpfs

say "rpm -V: what was installed is what is there"
verify() {
    rpm --root "$ROOT" --dbpath "$HERE/.rpmdb" -V libioq libioq-devel libioq-tests
}
verify || fail "rpm -V"
echo >>"$ROOT/usr/include/ioq.h"
verify | grep -F /usr/include/ioq.h || fail "rpm -V sees no change"

say "dnf remove"
dnf_here remove 'libioq*' || { cat "$HERE/dnf.log"; fail "dnf remove"; }
left=$(find "$ROOT/usr" -name '*ioq*' 2>/dev/null)
[ -z "$left" ] || fail "left behind: $left"
