#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The ABI gate: what the library is, compared with the baseline in lib/abi and
# with the symbols that Debian was told of. Then its self-test: changes that
# break programs must be refused, and those inside the handle must not.
#     abi.sh --update    writes the baseline, once per release
. "$(dirname "$0")/common.sh"
need_tool abidiff abidw readelf meson dpkg-gensymbols

ARCH=$(dpkg-architecture -qDEB_HOST_ARCH)
BASELINE=$SOURCE/lib/abi/libioq.so.1.$ARCH.abi

# Copies what the library is made of to $1, which is new.
copy_source() {
    mkdir "$1"
    cp -r "$SOURCE"/include "$SOURCE"/lib "$SOURCE"/doc "$SOURCE"/meson* \
        "$SOURCE"/libioq.pc.in "$1/"
    # abidw takes a type for public by the last part of its header's name alone.
    mv "$1/lib/handle.h" "$1/lib/private_handle.h"
    sed -i 's/"handle\.h"/"private_handle.h"/' "$1"/lib/*.[ch]
}

# Builds such a copy, with debug information, and writes what the exported
# functions reach to $1.abi; sets $library. Built inside of the source, the
# library and hence the description hold no path of this machine.
describe() {
    meson setup "$1/build" "$1" --buildtype=debug -Dtests=disabled -Dman=false \
        -Dc_args="${2:-}" >"$HERE/setup.log" 2>&1 || {
        cat "$HERE/setup.log"
        fail "setup"
    }
    ninja -C "$1/build" >"$HERE/ninja.log" 2>&1 || {
        cat "$HERE/ninja.log"
        fail "build"
    }
    library=$1/build/lib/libioq.so.1
    # Without it abidw would see no types, and abidiff find nothing wrong.
    readelf -S "$library" | grep -q debug_info || fail "no debug information"
    abidw --exported-interfaces-only --headers-dir "$1/include" \
        --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs \
        --out-file "$1.abi" "$library" || fail "abidw"
    is_clean "$1.abi"
}

# A description has all functions of the map, what they reach, and no more.
is_clean() {
    for wanted in $(sed -n 's/^    \(ioq_.*\);/\1/p' "$library_map"); do
        grep -q "<function-decl name='$wanted'" "$1" ||
            fail "$1 knows nothing of $wanted"
    done
    grep -E "='/|ioq__|private" "$1" && fail "$1: that is nobody's business"
    grep -q "class-decl name='ioq_handle' .* is-declaration-only='yes'" "$1" ||
        fail "$1: the handle is not opaque"
}

# Succeeds if the types and symbols described in $1.abi are the baseline's.
abi_is_kept() {
    status=0
    abidiff --no-show-locs "$BASELINE" "$1.abi" >"$HERE/abidiff.out" 2>&1 ||
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

library_map=$SOURCE/lib/libioq.map
copy_source "$HERE/source"
describe "$HERE/source"
if [ "${1:-}" = --update ]; then
    cp "$HERE/source.abi" "$BASELINE"
    exit 0
fi

[ -f "$BASELINE" ] || skip "no baseline for $ARCH in lib/abi"
say "the library against the baseline"
is_clean "$BASELINE"
abi_is_kept "$HERE/source" ||
    { cat "$HERE/abidiff.out"; fail "the ABI changed"; }
symbols_are_kept || { cat "$HERE/gensymbols.out"; fail "other symbols"; }

# Makes a copy of the source whose files $2 are changed by the sed script $3, and
# describes it; $1 says what that is.
change() {
    what=$1 files=$2 script=$3
    rm -rf "$HERE/changed" "$HERE/changed.abi"
    copy_source "$HERE/changed"
    library_map=$HERE/changed/lib/libioq.map
    for file in $files; do
        cp "$HERE/changed/$file" "$HERE/before"
        sed -i "$script" "$HERE/changed/$file"
        if cmp -s "$HERE/before" "$HERE/changed/$file"; then
            fail "self-test: $what: nothing to change in $file"
        fi
    done
    # The asserts in the source would refuse it before; this is about the gate.
    describe "$HERE/changed" '-D_Static_assert(...)='
}

# As change; the rest names the gates that must refuse it.
must_be_refused() {
    change "$1" "$2" "$3"
    shift 3
    for gate; do
        if "$gate" "$HERE/changed"; then
            fail "self-test: $gate let pass: $what"
        fi
    done
    printf 'refused by %s: %s\n' "$*" "$what"
}

must_pass() {
    change "$@"
    abi_is_kept "$HERE/changed" && symbols_are_kept ||
        fail "self-test: not let pass: $what"
    printf 'let pass: %s\n' "$what"
}

say "self-test"
must_be_refused 'a struct with one more member' include/ioq/handle.h \
    's/^    void \*user_data; .*caller.s, from when.*/&\n    void *more;/' \
    abi_is_kept
must_be_refused 'a wider member of the struct of 2013' include/ioq.h \
    's/^    unsigned int queue_idx;/    unsigned long queue_idx;/' abi_is_kept
must_be_refused 'two members of one type, exchanged' include/ioq/handle.h \
    '/^    uint32_t depth;/d; s/^    uint32_t engine;.*/    uint32_t depth;\n&/' \
    abi_is_kept
must_be_refused 'an enum whose constants are others' include/ioq/handle.h \
    's/IOQ_ENGINE_URING = 2/IOQ_ENGINE_URING = 5/' abi_is_kept
must_be_refused 'an enum of another size' include/ioq/handle.h \
    's/IOQ_ENGINE_THREADS = 3,.*/&\n    IOQ_ENGINE_FAR = 1l << 40,/' abi_is_kept
must_be_refused 'a parameter of another width' \
    'include/ioq/handle.h lib/api_complete.c' 's/int enabled)/long enabled)/' \
    abi_is_kept
must_be_refused 'one more parameter' 'include/ioq/handle.h lib/api_handle.c' \
    's/ioq_handle_fd(struct ioq_handle \*handle/&, int how/' abi_is_kept
must_be_refused 'a symbol that is gone' lib/libioq.map \
    '/ioq_handle_cancel;/d' abi_is_kept symbols_are_kept
must_be_refused 'a symbol at another node' lib/libioq.map \
    '/ioq_last_error;/d; s/^    ioq_init;/&\n    ioq_last_error;/' \
    symbols_are_kept
must_pass 'a handle with one more member' lib/private_handle.h \
    's/^struct ioq_handle {/&\n    long more[100];/'
