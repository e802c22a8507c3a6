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
$meson setup "$work/threads" "$work/tree" -Dtests=enabled \
    -Db_sanitize=thread >/dev/null

compile() {
    ninja -C "$@" >"$work/log" 2>&1 || {
        cat "$work/log"
        echo "mutants: does not compile"
        exit 1
    }
}

# The random model finds nearly all; the smaller programs say where.
unit_passes() {
    compile "$work/build"
    IOQ_TEST_REQUESTS=20000 timeout 120 "$meson" test -C "$work/build" \
        --no-rebuild --suite unit -t 0.5 --maxfail 1 >"$work/log" 2>&1
}

# What races does no harm at most times, but ThreadSanitizer sees it.
threads_pass() {
    compile "$work/threads" test/api/handle_shared test/unit/unit_ring_threads
    (
        export TSAN_OPTIONS=halt_on_error=1 IOQ_TEST_REQUESTS=10000
        cd "$work"
        timeout 60 threads/test/unit/unit_ring_threads &&
            timeout 60 threads/test/api/handle_shared threads
    ) >"$work/log" 2>&1
}

# break_it NAME FILE FROM TO: the text FROM becomes TO; it must be there once.
break_it() {
    break_for unit_passes "$@"
}

break_threads() {
    break_for threads_pass "$@"
}

broken=
break_for() {
    passes=$1
    [ -z "$broken" ] || cp "$work/lib/$broken" "$work/tree/lib/$broken"
    broken=$3
    python3 -B - "$work/tree/lib/$3" "$4" "$5" <<'PYTHON'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
if text.count(old) != 1:
    sys.exit(f'mutants: {old!r} is {text.count(old)} times in {path}')
open(path, 'w').write(text.replace(old, new))
PYTHON
    if $passes; then
        echo "NOT NOTICED: $2"
        unnoticed=1
    else
        echo "noticed: $2"
    fi
}

unnoticed=0
if ! unit_passes || ! threads_pass; then
    cat "$work/log"
    echo "mutants: the tests fail on the unbroken library"
    exit 1
fi

# The queue.
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

# The handle.
break_it 'leaves what is beyond the end as it was' blocking_transfer.c \
    '    ioq__request_zero(request, request->done);' ''
break_it 'takes a short transfer for all of it' handle.c \
    'if (request->done == request->length)' 'if (1)'
break_it 'does not go on with a short write' blocking_transfer.c \
    'return -ENOSPC;
        request->done = at + (uint64_t)n;' \
    'return -ENOSPC;
        request->done = request->length;'
break_it 'goes on in the middle of a block' blocking_transfer.c \
    '    if (!request->file->direct)
        return done;' '    if (request)
        return done;'
break_it 'rewrites a block beside another that does' handle.c \
    'if (file->rewrites == 0 ||' 'if (handle ||'
break_it 'cuts off what others appended' blocking_transfer.c \
    '(request->file->fd) != written' '(request->file->fd) <= length'
break_it 'flushes nothing' blocking.c \
    'case IOQ_KIND_FLUSH:
        return ioq__sys_datasync(request->file->fd);' \
    'case IOQ_KIND_FLUSH:
        return 0;'
break_it 'forgets to flush for FUA' blocking_transfer.c \
    'return rc < 0 ? rc : ioq__sys_datasync(request->file->fd);' 'return rc;'
break_it 'punches holes that nobody allowed' blocking_range.c \
    '(request->flags & IOQ_F_MAY_UNMAP) && !beyond' '!beyond'
break_it 'wakes nobody for a rejected request' engine_aio.c \
    '    ioq__sys_eventfd_set(engine->event_fd);' ''
break_it 'leaves requests without room where they are' handle.c \
    'ready->at.count > 0 && handle->ops->in_flight(handle->engine) == 0' '0'

# Threads.
break_threads 'takes no lock' handle.c \
    '        pthread_mutex_lock(&handle->lock);' '        (void)0;'
break_threads 'reads an event before the tail' sys_ring.c \
    '&ring->tail, __ATOMIC_ACQUIRE' '&ring->tail, __ATOMIC_RELAXED'
break_threads 'gives a slot back before it is read' sys_ring.c \
    'head, __ATOMIC_RELEASE' 'head, __ATOMIC_RELAXED'
break_threads 'publishes a request before its result' worker.c \
    'memory_order_release' 'memory_order_relaxed'
exit $unnoticed
