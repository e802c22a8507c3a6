#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The ABI gate: what the library is, compared with the baseline in lib/abi and
# with the symbols that Debian was told of. Then its self-test: changes that
# break programs must be refused.
#     abi.sh --update    writes the baseline, once per release
. "$(dirname "$0")/common.sh"
need_tool abidiff abidw readelf meson dpkg-gensymbols

ARCH=$(dpkg-architecture -qDEB_HOST_ARCH)
BASELINE=$SOURCE/lib/abi/libioq.so.1.$ARCH.abi

# Builds the source at $1 in $2, with debug information, and sets $library.
# $3 is an option more.
build_library() {
    meson setup "$2" "$1" --buildtype=debug -Dtests=disabled -Dman=false \
        ${3:+"$3"} >"$HERE/setup.log" 2>&1 || { cat "$HERE/setup.log"; fail "setup"; }
    ninja -C "$2" >"$HERE/ninja.log" 2>&1 || { cat "$HERE/ninja.log"; fail "build"; }
    library=$2/lib/libioq.so.1
    # Without it abidiff would see no types, and find nothing wrong.
    readelf -S "$library" | grep -q debug_info || fail "no debug information"
}

# Succeeds if the types and symbols are those of the baseline.
abi_is_kept() {
    status=0
    abidiff --no-show-locs --suppressions "$SOURCE/lib/abi/opaque.suppr" \
        "$BASELINE" "$library" >"$HERE/abidiff.out" 2>&1 ||
        status=$?
    case $status in # bits: 4 changed, 8 incompatibly, 1 and 2 for no answer
    4 | 8 | 12) return 1 ;;
    0) ;;
    *) cat "$HERE/abidiff.out"; fail "abidiff: status $status" ;;
    esac
}

# Succeeds if the exported symbols are those that Debian was told of.
symbols_are_kept() {
    rm -rf "$HERE/pkg"
    mkdir -p "$HERE/pkg/debian" "$HERE/pkg/tree/usr/lib" "$HERE/pkg/tree/DEBIAN"
    cp "$SOURCE/debian/control" "$SOURCE/debian/changelog" "$HERE/pkg/debian/"
    cp "$library" "$HERE/pkg/tree/usr/lib/"
    (cd "$HERE/pkg" && dpkg-gensymbols -c4 -plibioq1 -v"$VERSION-1" -Ptree \
        -I"$SOURCE/debian/libioq1.symbols" -e"tree/usr/lib/libioq.so.1" -O/dev/null) \
        >"$HERE/gensymbols.out" 2>&1
}

if [ "${1:-}" = --update ]; then
    build_library "$SOURCE" "$HERE/build"
    abidw --headers-dir "$SOURCE/include" --drop-private-types \
        --no-corpus-path --no-comp-dir-path --no-show-locs \
        --out-file "$BASELINE" "$library"
    exit 0
fi

[ -f "$BASELINE" ] || skip "no baseline for $ARCH in lib/abi"
say "the library against the baseline"
build_library "$SOURCE" "$HERE/build"
abi_is_kept || { cat "$HERE/abidiff.out"; fail "the ABI changed"; }
symbols_are_kept || { cat "$HERE/gensymbols.out"; fail "other symbols"; }

# Changes the files $2 in a copy of the source by the sed script $3; $1 says what
# that is. The rest names the gates that must refuse it.
must_be_refused() {
    what=$1 files=$2 script=$3
    shift 3
    rm -rf "$HERE/broken"
    mkdir "$HERE/broken"
    cp -r "$SOURCE"/include "$SOURCE"/lib "$SOURCE"/doc "$SOURCE"/meson* \
        "$SOURCE"/libioq.pc.in "$HERE/broken/"
    for file in $files; do
        sed -i "$script" "$HERE/broken/$file"
        if cmp -s "$SOURCE/$file" "$HERE/broken/$file"; then
            fail "self-test: $what: nothing to change in $file"
        fi
    done
    # The asserts in the source would refuse it before; this is about the gate.
    build_library "$HERE/broken" "$HERE/broken/build" '-Dc_args=-D_Static_assert(...)='
    for gate; do
        if "$gate"; then
            fail "self-test: $gate let pass: $what"
        fi
    done
    printf 'refused by %s: %s\n' "$*" "$what"
}

say "self-test"
must_be_refused 'a struct with one more member' include/ioq/handle.h \
    's/^    void \*user_data; .*caller.s, from when.*/&\n    void *more;/' \
    abi_is_kept
must_be_refused 'a wider member of the struct of 2013' include/ioq.h \
    's/^    unsigned int queue_idx;/    unsigned long queue_idx;/' abi_is_kept
must_be_refused 'a parameter of another width' \
    'include/ioq/handle.h lib/api_complete.c' 's/int enabled)/long enabled)/' \
    abi_is_kept
must_be_refused 'a symbol that is gone' lib/libioq.map \
    '/ioq_handle_cancel;/d' abi_is_kept symbols_are_kept
must_be_refused 'a symbol at another node' lib/libioq.map \
    '/ioq_last_error;/d; s/^    ioq_init;/&\n    ioq_last_error;/' \
    symbols_are_kept
