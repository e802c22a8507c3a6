# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways to break the library that mutants.py tries.

Each text that is changed must be in its file exactly once: take as little of it
as will do, so that work on the file nearby does not get in the way.
"""
import re
from dataclasses import dataclass, field


@dataclass
class Break:
    row: int           # of doc/reliability.md; 0 for one that is none of them
    what: str
    file: str          # in lib
    programs: list     # in test, without .c: their tests of that row notice
    changes: list      # (old, new)
    only: list = field(default_factory=list)  # these tests, instead
    mode: str = None   # IOQ_AIO_RING, if only one of both can notice
    threads: bool = False  # under ThreadSanitizer, all tests of the programs


BREAKS = []


def broken(row, what, file, programs, *changes, **more):
    BREAKS.append(Break(row, what, file, programs.split(), list(changes),
                        **more))


SUBMIT, REAP = 'unit/queue_submit', 'unit/queue_reap'
POOL, INIT = 'unit/queue_pool', 'unit/queue_init'
FAULTS, LARGE = 'unit/queue_faults', 'unit/queue_large'
MODEL = ['random_operations_agree_with_the_model']

# The three that the random model alone must see.
broken(0, 'drops the rest of a partial submit', 'queue.c', 'unit/queue_model',
       ('    for (; done < count; done++)', '    for (; 0;)'), only=MODEL)
broken(0, 'reaps one completion too few', 'api_queue.c', 'unit/queue_model',
       ('while (most-- > 0 &&', 'while (most-- > 1 &&'), only=MODEL)
broken(0, 'returns the wrong result', 'queue.c', 'unit/queue_model',
       ('(ssize_t)(long)event.res', '(ssize_t)(unsigned int)event.res'),
       only=MODEL)

# The queue, row by row.
TAKEN = 'done += (unsigned int)rc;'
broken(1, 'drops the rest of a partial submit', 'queue.c', SUBMIT,
       ('    for (; done < count; done++)', '    for (; 0;)'))
broken(1, 'takes any count of io_submit for all of them', 'aio.c', SUBMIT,
       (TAKEN, 'done = count;'))
broken(2, 'rejects a request for EAGAIN', 'aio.c', SUBMIT,
       ('    case -EAGAIN:\n', ''))
broken(2, 'forgets what is parked behind EAGAIN', 'queue.c', SUBMIT,
       ('    queue->parked[at] = iocb;', '    queue->parked_at.count--;'))
broken(3, 'keeps no copy of the iovecs', 'queue.c', SUBMIT,
       ('    iocb->u.v.vec = copy;', ''))
broken(4, 'does not look for EINTR in the result', 'aio.c',
       SUBMIT + ' unit/aio', ('    case -EINTR:\n        return IOQ__AIO_RETRY;',
                              ''))
broken(5, 'has an array of max_reqs events on the stack', 'api_queue.c', LARGE,
       ('    state->rearmed = false;\n    while',
        '    state->rearmed = false;\n'
        '    volatile char events[ioq->max_reqs * 32u];\n'
        '    events[0] = 0;\n'
        '    while'))
EMPTY = '    if (ioq->freelist_idx == 0) {'
broken(6, 'asserts that the pool is not empty', 'api_queue.c', POOL,
       (EMPTY, '    if (!ioq->freelist_idx && ioq->freelist)\n'
               '        __builtin_trap();\n' + EMPTY))
broken(7, 'queues a bare iocb as its last user left it', 'api_queue.c', POOL,
       ('    *iocb = (struct iocb){\n', '    (void)(struct iocb){\n'))
broken(7, 'queues an iocb before it is prepared', 'api_queue.c', POOL,
       ('    ioq->queue[ioq->queue_idx++] = iocb;\n    return iocb;',
        '    static struct iocb copy;\n    copy = (struct iocb){0};\n'
        '    ioq->queue[ioq->queue_idx++] = &copy;\n    return iocb;'))
BACK = '        ioq->freelist[ioq->freelist_idx++] = iocb;\n        calls++;'
broken(8, 'has the iocb back in the pool before its callback', 'api_queue.c',
       POOL, (BACK, '        calls++;'),
       ('        state->in_call++;\n', '        state->in_call++;\n'
        '        ioq->freelist[ioq->freelist_idx++] = iocb;\n'))
broken(8, 'asserts that a callback finds an iocb', 'api_queue.c', POOL,
       (EMPTY, '    if (!ioq->freelist_idx && ioq->freelist && '
               'ioq__queue_of(ioq)->in_call)\n        __builtin_trap();\n'
        + EMPTY))
RESULT = '(ssize_t)(long)event.res'
broken(9, 'joins res2 to the result', 'queue.c', REAP,
       (RESULT, '(ssize_t)(event.res | event.res2 << 32)'))
broken(9, 'takes the sign after widening', 'queue.c', REAP,
       (RESULT, '(ssize_t)(unsigned int)event.res'))
broken(10, 'calls any number of bytes success', 'queue.c', REAP,
       (RESULT, '(long)event.res > 0 ? 64 : (ssize_t)(long)event.res'))
broken(11, 'ends the process if there is no context', 'api_queue.c', INIT,
       ('    if (rc < 0)\n        goto no_context;',
        '    if (rc < 0)\n        __builtin_trap();'))
broken(11, 'forgets why it did not come up', 'api_queue.c', INIT,
       ('return ioq->fd < 0 ? ioq->fd : -EBADF;', 'return -EBADF;'))
broken(12, 'submits one by one', 'aio.c', SUBMIT,
       ('count - done, iocbs + done)', '1, iocbs + done)'))
broken(13, 'leaves a nested loop asleep', 'api_queue.c', REAP,
       ('        rearm(state);\n        state->in_call++;',
        '        state->in_call++;'))
broken(14, 'calls back from inside submit', 'api_queue.c', SUBMIT,
       ('IOQ_EXPORT int ioq_submit(',
        'static IOQueueCompletion *call;\nIOQ_EXPORT int ioq_submit('),
       ('    ioq__queue_push(state, ioq->queue, count);',
        '    ioq__queue_push(state, ioq->queue, count);\n'
        '    if (call)\n        ioq_run_completion(ioq, call, NULL);'),
       ('    if (!state)\n        return 0;',
        '    if (!state)\n        return 0;\n    call = completion;'))
broken(15, 'aborts if a request is rejected', 'aio.c', SUBMIT,
       ('        case IOQ__AIO_REJECTED:\n',
        '        case IOQ__AIO_REJECTED:\n            __builtin_trap();\n'))
broken(15, 'loses a request that is rejected', 'queue.c', SUBMIT,
       ('    queue->refused[ioq__fifo_push(&queue->refused_at)] =',
        '    queue->refused[0] ='))
broken(16, 'blames all of the batch for its head', 'aio.c', SUBMIT,
       ('unsigned int rejected = 1, i;', 'unsigned int rejected = count, i;'))
broken(16, 'gives up behind one that is rejected', 'aio.c', SUBMIT,
       ('            done += reject_head(aio, iocbs + done, count - done, rc, '
        'reject,\n                                opaque);\n            break;',
        '            reject_head(aio, iocbs + done, count - done, rc, '
        'reject,\n                                opaque);\n'
        '            return count;'))
NOBODY = 'queue->parked_at.count > 0 && queue->aio.in_flight == 0'
broken(17, 'wakes nobody if nothing is in flight', 'queue.c', SUBMIT,
       (NOBODY, '0'))
broken(25, 'does not look at the magic', 'sys_ring.c', 'unit/ring ' + REAP,
       ('ring->magic == RING_MAGIC &&', ''))
broken(25, 'does not look at the features', 'sys_ring.c', 'unit/ring ' + REAP,
       ('           ring->incompat_features == 0 &&\n', ''))
broken(25, 'does not look at the size', 'sys_ring.c', 'unit/ring',
       ('ring->nr > 1 &&', '1 &&'))
broken(27, 'reads an event before the tail', 'sys_ring.c', 'unit/ring_threads',
       ('&ring->tail, __ATOMIC_ACQUIRE', '&ring->tail, __ATOMIC_RELAXED'),
       threads=True)
broken(27, 'gives a slot back before it is read', 'sys_ring.c',
       'unit/ring_threads', ('head, __ATOMIC_RELEASE', 'head, __ATOMIC_RELAXED'),
       threads=True)
broken(28, 'expects the events behind eight words', 'sys_ring.c',
       'unit/ring unit/aio ' + REAP,
       ('((char *)ring + ring->header_length)',
        '((char *)ring + sizeof(*ring))'))
broken(29, 'believes any number in the ring', 'sys_ring.c',
       REAP + ' unit/ring', ('count <= limit ? (int)count : -1', '(int)count'))
broken(29, 'believes indices outside', 'sys_ring.c', 'unit/ring',
       ('    if (head >= ring->nr || tail >= ring->nr)\n        return -1;\n',
        ''))
broken(30, 'has something in common between queues', 'aio.c',
       'api/queue_threads',
       ('        aio->submits++;',
        '        static uint64_t submits;\n        aio->submits = ++submits;'),
       threads=True)
broken(31, 'trusts its ring after EAGAIN', 'aio.c', 'unit/aio ' + REAP,
       ('            aio->ask_kernel = true;\n', ''), mode='1')
broken(31, 'has no off-switch for the ring', 'sys_ring.c', 'unit/ring',
       ("return choice[0] == '1';", 'return true;'))
broken(32, 'takes its ring where it is not tested', 'sys_ring.c', 'unit/ring',
       ('#if defined(__x86_64__) || defined(__i386__)\n    return true;',
        '#if defined(__x86_64__) || defined(__i386__)\n    return false;'))
broken(33, 'takes an errno for a count', 'aio.c', 'unit/aio',
       ('    if (rc > 0)\n        return IOQ__AIO_TAKEN;',
        '    if (rc > 0 && rc != EAGAIN)\n        return IOQ__AIO_TAKEN;'))
broken(34, 'takes a result of 0 for success', 'queue.c', REAP,
       (RESULT, '(event.res ? (long)event.res : 64)'))
broken(35, 'takes descriptor 0 for none', 'api_queue.c', INIT,
       ('ioq__sys_eventfd_open();\n    if (rc < 0)',
        'ioq__sys_eventfd_open();\n    if (rc <= 0)'))
broken(35, 'takes file 0 for none', 'api_queue.c', INIT,
       ('    if (fd < 0)\n', '    if (fd <= 0)\n'))
broken(39, 'drops events if a signal comes', 'aio.c', 'unit/aio ' + REAP,
       ('} while (rc == -EINTR);',
        '} while (0);\n    if (rc == -EINTR)\n        aio->in_flight = 0;'),
       mode='0')
broken(40, 'finds a full backlog empty', 'fifo.h', 'unit/fifo',
       ('return ioq__fifo_at(fifo, fifo->count++);',
        'unsigned int at = ioq__fifo_at(fifo, fifo->count);\n\n'
        '    fifo->count = (fifo->count + 1) % fifo->size;\n    return at;'))
broken(40, 'finds a full ring empty', 'sys_ring.c', REAP + ' unit/aio',
       ('count = tail >= head ?', 'count = (tail + 1) % ring->nr == head ? 0 '
        ': tail >= head ?'), mode='1')
broken(41, 'clears the flags that the caller set', 'api_queue.c', POOL,
       ('        io_set_eventfd(ioq->queue[i], state->notify_fd);',
        '        io_set_eventfd(ioq->queue[i], state->notify_fd),\n'
        '            ioq->queue[i]->aio_rw_flags = 0;'))
broken(42, 'rounds the depth up', 'api_queue.c', INIT + ' ' + POOL,
       ('        .max_reqs = max_reqs,',
        '        .max_reqs = (max_reqs + 15) / 16 * 16,'))
broken(43, 'rejects a request for ENOMEM', 'aio.c', SUBMIT,
       ('    case -ENOMEM:\n', ''))
broken(44, 'takes any count of io_submit for all of them', 'aio.c', SUBMIT,
       (TAKEN, 'done = count;'))
broken(45, 'does not try again after it has reaped', 'api_queue.c', SUBMIT,
       ('    ioq__queue_push(state, NULL, 0);\n', ''))
broken(45, 'tries again before it has reaped, and not after', 'api_queue.c',
       SUBMIT, ('    ioq__queue_push(state, NULL, 0);\n', ''),
       ('    state->rearmed = false;\n    while',
        '    ioq__queue_push(state, NULL, 0);\n'
        '    state->rearmed = false;\n    while'))
broken(46, 'leaves its copies in iocbs that it drops', 'queue.c', INIT,
       ('    while (queue->parked_at.count > 0)\n        unpark(queue);', ''))
broken(47, 'wakes nobody for what it parks', 'queue.c', SUBMIT,
       ('    if (unsignalled(queue))\n', '    if (0)\n'))
broken(48, 'looks for the error in errno', 'queue.c', FAULTS,
       (RESULT, '(long)event.res < 0 ? -errno : (ssize_t)(long)event.res'))
broken(49, 'believes that an interrupted call took all', 'aio.c', SUBMIT,
       ('            interrupted++;\n', '            done = count;\n'))
broken(51, 'takes one iocb more than there are', 'api_queue.c', FAULTS,
       (EMPTY, '    if (ioq->freelist_idx == 0 && ioq->queue_idx == 0) {'))
broken(52, 'takes the eventfd for a count', 'api_queue.c', REAP,
       ('    while (most-- > 0 &&', '    most = most > 1;\n'
        '    while (most-- > 0 &&'))
broken(53, 'reaps 64 at most for one wake-up', 'api_queue.c', REAP,
       ('    while (most-- > 0 &&', '    if (most > 64)\n        most = 64;\n'
        '    while (most-- > 0 &&'))
broken(55, 'does not wait for what is in flight', 'api_queue.c', INIT,
       ('        return;\n    ioq__aio_close(&state->aio);\n', '        return;\n'))
broken(59, 'parks more iovecs than the kernel takes', 'queue.c', SUBMIT,
       ('    if (count > IOV_MAX)\n        return -EINVAL;',
        '    if (count > IOV_MAX)\n        return -ENOMEM;'))
broken(61, 'waits in submit for room', 'aio.c', SUBMIT,
       ('            aio->retries++;\n            return done;',
        '            break;'))
broken(62, 'never asks whether the context is gone', 'aio.c',
       SUBMIT + ' unit/aio',
       ('return ioq__sys_aio_getevents(aio->ctx, 0, NULL) == -EINVAL;',
        'return false;'))
broken(62, 'blames the context for every EINVAL', 'aio.c', SUBMIT + ' unit/aio',
       ('return ioq__sys_aio_getevents(aio->ctx, 0, NULL) == -EINVAL;',
        'return true;'))

# The queue's promises that are no row.
broken(0, 'lets newer requests overtake parked ones', 'queue.c', SUBMIT,
       ('    if (queue->parked_at.count == 0)\n        done =',
        '    done ='), only=['newer_requests_do_not_overtake_parked_ones'])
broken(0, 'swallows the wake-up of another thread', 'api_queue.c', REAP,
       ('ioq__sys_eventfd_clear(state->notify_fd) > 1', '0'),
       only=['a_batch_leaves_no_wake_up_for_nothing',
             'a_wake_up_from_another_thread_is_not_swallowed'])
broken(0, 'swallows the wake-up of another thread, and clears', 'api_queue.c',
       REAP, ('ioq__sys_eventfd_clear(state->notify_fd) > 1',
              'ioq__sys_eventfd_clear(state->notify_fd) > 99'),
       only=['a_wake_up_from_another_thread_is_not_swallowed'])
broken(0, 'reaps for ever if callbacks submit', 'api_queue.c', REAP,
       ('while (most-- > 0 &&', 'while ('),
       only=['a_callback_that_resubmits_does_not_hold_run_for_ever'])
broken(0, 'leaves a withdrawn iocb on the queue', 'api_queue.c', POOL,
       ('    withdraw(ioq, iocb);\n    if', '    if'),
       only=['a_put_takes_a_queued_request_off_the_queue'])
broken(0, 'lets a put overfill the pool', 'api_queue.c', POOL,
       ('           state->in_call;', '           0;'),
       only=['a_put_inside_the_callback_does_not_overfill_the_pool'])
broken(0, 'allocates for what the kernel takes', 'queue.c', SUBMIT,
       ('    unsigned int done = 0;\n\n    if (queue->parked_at',
        '    unsigned int done = 0;\n\n    free(malloc(count + 1));\n'
        '    if (queue->parked_at'),
       only=['a_batch_that_is_taken_allocates_nothing'])
broken(0, 'asks the kernel although the ring would do', 'aio.c', REAP,
       ('    if (!aio->ring || aio->ask_kernel)', '    if (1)'), mode='1',
       only=['reaping_makes_no_system_call_with_the_ring'])
broken(0, 'leaks the notifier', 'api_queue.c', INIT,
       ('    ioq__sys_eventfd_close(state->notify_fd);\n', ''),
       only=['cleanup_releases_all_and_may_be_called_again'])

# The handle.
LOOP, OPEN = 'unit/handle_loop', 'unit/handle_open'
RANGE, STUCK = 'unit/handle_range', 'unit/handle_stuck'
TRANSFER, URING = 'unit/handle_transfer', 'unit/uring'
broken(19, 'hands over as much as there is', 'engine_aio.c', LOOP,
       ('    if (engine->max_batch > CHUNK)\n',
        '    engine->max_batch = CHUNK;\n    if (0)\n'))
broken(20, 'flushes nothing', 'blocking.c', RANGE,
       ('case IOQ_KIND_FLUSH:\n'
        '        return ioq__sys_datasync(request->file->fd);',
        'case IOQ_KIND_FLUSH:\n        return 0;'))
broken(21, 'takes a short read for the end', 'blocking_transfer.c', TRANSFER,
       ('return n == 0 || n == have ||', 'return 1 ||'))
broken(21, 'leaves what is beyond the end as it was', 'blocking_transfer.c',
       TRANSFER, ('    ioq__request_zero(request, request->done);', ''))
broken(22, 'goes on at the wrong place', 'blocking_transfer.c', TRANSFER,
       ('request->offset + (int64_t)at, n;',
        'request->offset + (int64_t)(at != 0), n;'))
broken(23, 'does not go on with a short write', 'blocking_transfer.c', TRANSFER,
       ('            return -ENOSPC;\n        request->done = at + (uint64_t)n;',
        '            return -ENOSPC;\n        request->done = request->length;'))
broken(24, 'passes a stray EAGAIN on', 'blocking_transfer.c', TRANSFER,
       ('result != -EAGAIN || (*spurious)++ >= SPURIOUS_MAX', '1'))
broken(57, 'goes on in the middle of a block', 'blocking_transfer.c', TRANSFER,
       ('    if (!request->file->direct)\n        return done;',
        '    if (request)\n        return done;'))
broken(58, 'forgets what was refused', 'blocking_range.c', RANGE,
       ('    ioq__file_refuse(file, bit);\n    return -EOPNOTSUPP;',
        '    return -EOPNOTSUPP;'))
broken(0, 'punches holes that nobody allowed', 'blocking_range.c', RANGE,
       ('(request->flags & IOQ_F_MAY_UNMAP) && !beyond', '!beyond'),
       only=['holes_are_made_only_if_they_may'])
broken(0, 'cuts off what others appended', 'blocking_transfer.c', TRANSFER,
       ('(request->file->fd) != written', '(request->file->fd) <= length'),
       only=['what_others_append_meanwhile_is_not_cut_off'])
broken(0, 'forgets to flush for FUA', 'blocking_transfer.c', TRANSFER,
       ('return rc < 0 ? rc : ioq__sys_datasync(request->file->fd);',
        'return rc;'), only=['fua_without_the_flag_is_a_flush_afterwards'])
broken(15, 'wakes nobody for a rejected request', 'engine_aio.c', STUCK,
       ('    ioq__sys_eventfd_set(engine->event_fd);', ''))
broken(17, 'leaves requests without room where they are', 'handle.c', STUCK,
       ('too_long || handle->ops->in_flight(handle->engine) == 0', 'too_long'))
broken(44, 'takes a short transfer for all of it', 'handle.c', TRANSFER,
       ('if (request->done == request->length)', 'if (1)'))
broken(0, 'rewrites a block beside another that does', 'handle.c', TRANSFER,
       ('if (file->rewrites == 0 ||', 'if (handle ||'),
       only=['neighbours_in_a_block_are_held_in_order'])
broken(26, 'leaves a worker where its starter was pinned', 'worker.c', LOOP,
       (re.compile(r'workers->has_affinity =[^;]*;'),
        'workers->has_affinity = false;'))
broken(36, 'gives one file all threads', 'worker.c', LOOP,
       (re.compile(r'    while \([^;{]*at_work[^;{]*>= workers->share[^;{]*\)\n'
                   r'[^;]*;\n    if \(request'), '    if (request'))
broken(37, 'never learns that a file refuses', 'handle.c', TRANSFER,
       (re.compile(r'ioq__learn_miss\([^;]*;'), ';'),
       ('        learn->refused = true;', '        ;'))
broken(38, 'discards inside submit', 'handle.c', RANGE,
       (re.compile(r'if \(ioq__workers_push\([^;{]*< 0\)'),
        'if (ioq__workers_push(&handle->workers, &handle->to_work) < 1)'))
broken(55, 'does not wait for what is in flight', 'engine_aio.c', STUCK,
       ('    ioq__aio_close(&engine->aio);\n', ''))
broken(56, 'drains without an end', 'api_complete.c', STUCK,
       ('now + timeout_ns', '0'))
broken(59, 'does not cut what the kernel does not take', 'request.c', TRANSFER,
       ('left < IOV_MAX ? left : IOV_MAX', 'left'))
broken(50, 'leaves on the ring what was not taken', 'engine_uring.c', URING,
       ('    sq->sqe_tail -= left;\n', ''))
broken(44, 'loses what io_uring did not take', 'engine_uring.c', URING,
       ('done += chunk - left;', 'done += chunk;'))

# What holds a submit up.
HAND_OVER = 'unit/handle_submit'
broken(0, 'copies however much a request wants', 'handle.c', HAND_OVER,
       ('(request->length > COPY_EACH ||', '('),
       only=['much_to_copy_is_left_to_a_worker'])
broken(0, 'copies however much a submit wants', 'handle.c', HAND_OVER,
       ('COPY_MOST - handle->copied', 'COPY_MOST'),
       only=['so_is_what_adds_up_to_much_in_one_submit'])
broken(0, 'counts what workers copy', 'handle.c', HAND_OVER,
       ('    case IOQ__ROUTE_LEARNED:',
        '    case IOQ__ROUTE_LEARNED: handle->copied += request->length;'),
       only=['what_workers_copy_does_not_count'])
broken(0, 'hands over however long it takes', 'handle.c', HAND_OVER,
       ('ioq__now_ns() - begin > PUSH_NS', 'begin < 0'),
       only=['what_is_left_of_a_slow_submit_goes_to_workers'])
broken(0, 'leaves the rest to workers that are not there', 'handle.c',
       HAND_OVER,
       ('ioq__workers_start(&handle->workers) == 0;', '1;'),
       only=['without_workers_all_goes_however_slow'])
broken(0, 'looks at the clock too soon', 'handle.c', HAND_OVER,
       ('PART_BYTES (512u << 10)', 'PART_BYTES (256u << 10)'),
       only=['one_part_goes_however_slow'])
broken(0, 'counts each refusal of a submit', 'learn.c', 'unit/learn',
       ('submit_ns <= learn->missed_ns', 'submit_ns < 0'),
       only=['misses_of_one_submit_are_one'])
broken(0, 'lets the worker leave that is kept', 'worker.c', HAND_OVER,
       ('workers->kept > 0 &&', 'workers->kept > 9 &&'),
       only=['a_worker_is_there_before_the_first_submit'])
broken(0, 'takes the place of the submit that wakes it', 'worker.c', HAND_OVER,
       ('sched_getcpu() == owner_cpu', 'owner_cpu < -9'),
       only=['a_worker_on_the_submitters_cpu_gives_way_once'])
broken(0, 'takes no lock', 'api_handle.c', 'api/handle_shared',
       ('shared = options->flags & IOQ_OPT_SHARED', 'shared = false'),
       threads=True)
broken(0, 'publishes a request before its result', 'worker.c',
       'api/handle_shared', ('memory_order_release', 'memory_order_relaxed'),
       threads=True)
