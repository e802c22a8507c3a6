#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mutants.sh MESON SOURCE
#
# A test of the tests: breaks a copy of the library in one way after the other,
# and demands that the tests on the scripted kernel notice each. Unbroken, they
# must pass, lest they fail for another reason.
set -eu
meson=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

mkdir "$work/tree"
(cd "$source" && tar cf - --exclude='./build*' --exclude=./.git .) |
    (cd "$work/tree" && tar xf -)
cp -r "$work/tree/lib" "$work/lib"
$meson setup "$work/build" "$work/tree" -Dtests=enabled >/dev/null

# The random model finds nearly all; the smaller programs say where.
suite_passes() {
    ninja -C "$work/build" >"$work/log" 2>&1 || {
        cat "$work/log"
        echo "mutants: does not compile"
        exit 1
    }
    IOQ_TEST_REQUESTS=20000 timeout 120 "$meson" test -C "$work/build" \
        --no-rebuild --suite unit -t 0.5 >"$work/log" 2>&1
}

# break_it NAME FILE FROM TO: the line FROM becomes TO; it must be there once.
break_it() {
    rm -rf "$work/tree/lib"
    cp -r "$work/lib" "$work/tree/lib"
    python3 -B - "$work/tree/lib/$2" "$3" "$4" <<'PYTHON'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
if text.count(old) != 1:
    sys.exit(f'mutants: {old!r} is {text.count(old)} times in {path}')
open(path, 'w').write(text.replace(old, new))
PYTHON
    if suite_passes; then
        echo "NOT NOTICED: $1"
        unnoticed=1
    else
        echo "noticed: $1"
    fi
}

unnoticed=0
if ! suite_passes; then
    cat "$work/log"
    echo "mutants: the tests fail on the unbroken library"
    exit 1
fi
break_it 'drops the rest of a partial submit' queue.c \
    '    for (; done < count; done++)' '    for (; 0;)'
break_it 'reaps one completion too few' api_queue.c \
    'while (most-- > 0 &&' 'while (most-- > 1 &&'
break_it 'returns the wrong result' queue.c \
    '(ssize_t)(long)event.res' '(ssize_t)(unsigned int)event.res'
break_it 'forgets to copy the iovecs' queue.c \
    '    iocb->u.v.vec = copy;' '    (void)iocb;'
break_it 'wakes nobody if nothing is in flight' queue.c \
    'queue->parked_at.count > 0 && queue->aio.in_flight == 0' '0'
break_it 'believes any number in the ring' sys_ring.c \
    'count <= limit ? (int)count : -1' '(int)count'
exit $unnoticed
