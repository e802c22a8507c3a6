/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ioq.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "export.h"
#include "queue.h"
#include "sys_eventfd.h"

/*
 * ABI sensitive. Programs were compiled against this layout in 2013; it is
 * spelled out member by member so that no compiler and no later hand moves one.
 */
#define OFFSET(member) offsetof(IOQueue, member)
#define AFTER(member) (OFFSET(member) + sizeof(((IOQueue *)NULL)->member))
#define ALIGNED(offset) \
    (((offset) + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *))
_Static_assert(sizeof(EventNotifier) == 8, "two ints");
_Static_assert(OFFSET(fd) == 0, "frozen");
_Static_assert(OFFSET(max_reqs) == 4, "frozen");
_Static_assert(OFFSET(io_ctx) == 8, "frozen");
_Static_assert(OFFSET(io_notifier) == AFTER(io_ctx), "frozen");
_Static_assert(OFFSET(freelist) == AFTER(io_notifier), "frozen");
_Static_assert(OFFSET(freelist_idx) == AFTER(freelist), "frozen");
_Static_assert(OFFSET(queue) == ALIGNED(AFTER(freelist_idx)), "frozen");
_Static_assert(OFFSET(queue_idx) == AFTER(queue), "frozen");
_Static_assert(sizeof(IOQueue) == ALIGNED(AFTER(queue_idx)), "frozen");
_Static_assert(sizeof(void *) != 8 || sizeof(IOQueue) == 56, "frozen");
_Static_assert(sizeof(void *) != 4 || sizeof(IOQueue) == 36, "frozen");

/*
 * Makes ioq a queue that never came up. freelist is NULL in those alone, and fd
 * holds the reason, as -errno.
 */
static int set_dead(IOQueue *ioq, int error)
{
    *ioq = (IOQueue){.fd = error, .io_notifier = {-1, -1}};
    return error;
}

/* An all-zero IOQueue was never initialised; it has no reason to give. */
static int dead_reason(const IOQueue *ioq)
{
    return ioq->fd < 0 ? ioq->fd : -EBADF;
}

IOQ_EXPORT int ioq_try_init(IOQueue *ioq, int fd, unsigned int max_reqs)
{
    struct ioq__queue *state;
    struct iocb **visible;
    struct ioq__aio aio;
    int rc, event_fd;

    if (fd < 0)
        return set_dead(ioq, -EBADF);
    if (max_reqs == 0)
        return set_dead(ioq, -EINVAL);
    rc = event_fd = ioq__sys_eventfd_open();
    if (rc < 0)
        goto no_eventfd;
    /* Before memory: the kernel knows which depths are absurd. */
    rc = ioq__aio_open(&aio, max_reqs);
    if (rc < 0)
        goto no_context;
    state = ioq__queue_new(max_reqs, &visible);
    if (!state) {
        rc = -ENOMEM;
        goto no_state;
    }

    state->aio = aio;
    state->notify_fd = event_fd;
    *ioq = (IOQueue){
        .fd = fd,
        .max_reqs = max_reqs,
        .io_ctx = state->aio.ctx,
        .io_notifier = {event_fd, event_fd},
        .freelist = state->freelist,
        .queue = visible,
    };
    return 0;

no_state:
    ioq__aio_close(&aio);
no_context:
    ioq__sys_eventfd_close(event_fd);
no_eventfd:
    return set_dead(ioq, rc);
}

IOQ_EXPORT void ioq_init(IOQueue *ioq, int fd, unsigned int max_reqs)
{
    errno = -ioq_try_init(ioq, fd, max_reqs);
}

IOQ_EXPORT void ioq_cleanup(IOQueue *ioq)
{
    struct ioq__queue *state = ioq__queue_of(ioq);

    if (!state)
        return;
    ioq__aio_close(&state->aio);
    ioq__sys_eventfd_close(state->notify_fd);
    ioq__queue_free(state);
    set_dead(ioq, -EBADF);
}

IOQ_EXPORT EventNotifier *ioq_get_notifier(IOQueue *ioq)
{
    return &ioq->io_notifier;
}

/* Takes an iocb from the pool; NULL and errno if there is none. */
static struct iocb *take(IOQueue *ioq)
{
    if (ioq->freelist_idx == 0) {
        errno = ioq->freelist ? EAGAIN : -dead_reason(ioq);
        return NULL;
    }
    return ioq->freelist[--ioq->freelist_idx];
}

static struct iocb *enqueue(IOQueue *ioq, struct iocb *iocb)
{
    ioq->queue[ioq->queue_idx++] = iocb;
    return iocb;
}

IOQ_EXPORT struct iocb *ioq_get_iocb(IOQueue *ioq)
{
    struct iocb *iocb = take(ioq);

    if (!iocb)
        return NULL;
    /* Should it be submitted as it is, the kernel must refuse it. */
    *iocb = (struct iocb){
        .data = iocb->data,
        .aio_lio_opcode = IO_CMD_NOOP,
        .aio_fildes = -1,
    };
    return enqueue(ioq, iocb);
}

/* Takes iocb off the visible queue, if it is there. */
static void withdraw(IOQueue *ioq, const struct iocb *iocb)
{
    unsigned int i = ioq->queue_idx;

    while (i > 0 && ioq->queue[i - 1] != iocb)
        i--;
    if (i == 0)
        return;
    memmove(&ioq->queue[i - 1], &ioq->queue[i],
            (ioq->queue_idx - i) * sizeof(ioq->queue[0]));
    ioq->queue_idx--;
}

/* The queue's iocbs, wherever they are. */
static unsigned int owned(const IOQueue *ioq, const struct ioq__queue *state)
{
    return ioq->freelist_idx + ioq->queue_idx + ioq__queue_out(state) +
           state->in_call;
}

IOQ_EXPORT void ioq_put_iocb(IOQueue *ioq, struct iocb *iocb)
{
    struct ioq__queue *state = ioq__queue_of(ioq);

    if (!state) {
        errno = -dead_reason(ioq);
        return;
    }
    if (!iocb) {
        errno = EINVAL;
        return;
    }
    withdraw(ioq, iocb);
    if (owned(ioq, state) >= ioq->max_reqs) {
        errno = ENOSPC;
        return;
    }
    ioq->freelist[ioq->freelist_idx++] = iocb;
}

IOQ_EXPORT struct iocb *ioq_rdwr(IOQueue *ioq, bool read, struct iovec *iov,
                                 unsigned int count, long long offset)
{
    struct iocb *iocb = take(ioq);

    if (!iocb)
        return NULL;
    if (read)
        io_prep_preadv(iocb, ioq->fd, iov, (int)count, offset);
    else
        io_prep_pwritev(iocb, ioq->fd, iov, (int)count, offset);
    return enqueue(ioq, iocb);
}

IOQ_EXPORT int ioq_submit(IOQueue *ioq)
{
    struct ioq__queue *state = ioq__queue_of(ioq);
    unsigned int count = ioq->queue_idx, i;

    if (!state)
        return dead_reason(ioq);
    /* A request that signals nobody would complete unseen. */
    for (i = 0; i < count; i++)
        io_set_eventfd(ioq->queue[i], state->notify_fd);
    ioq->queue_idx = 0;
    ioq__queue_push(state, ioq->queue, count);
    return (int)count;
}

/*
 * A completion function may turn a nested event loop, which sleeps if the
 * notifier was cleared for the requests that this call still holds, or for one
 * that those parked are waiting for. So the notifier is set as long as there
 * are any.
 */
static void rearm(struct ioq__queue *state)
{
    if (state->rearmed || !ioq__queue_waits(state))
        return;
    ioq__sys_eventfd_set(state->notify_fd);
    state->rearmed = true;
}

/*
 * Spares the caller a wake-up for nothing. Where the notifier was set more
 * often than by us, somebody else wants it readable: the kernel, or another
 * thread that wakes the caller's loop. What completes unseen is signalled
 * later.
 */
static void disarm(struct ioq__queue *state)
{
    if (!state->rearmed)
        return;
    state->rearmed = false;
    if (ioq__sys_eventfd_clear(state->notify_fd) > 1)
        ioq__sys_eventfd_set(state->notify_fd);
    else
        rearm(state);
}

IOQ_EXPORT int ioq_run_completion(IOQueue *ioq, IOQueueCompletion *completion,
                                  void *opaque)
{
    struct ioq__queue *state = ioq__queue_of(ioq);
    unsigned int most;
    struct iocb *iocb;
    ssize_t result;
    int calls = 0;

    if (!state)
        return 0;
    /*
     * No more than can be there now: where requests complete at once, a
     * function that submits a new one each time would keep us here for ever.
     */
    most = ioq__queue_out(state) - state->parked_at.count;
    state->rearmed = false;
    while (most-- > 0 && ioq__queue_next(state, &iocb, &result)) {
        rearm(state);
        state->in_call++;
        completion(iocb, result, opaque);
        state->in_call--;
        ioq->freelist[ioq->freelist_idx++] = iocb;
        calls++;
    }
    ioq__queue_push(state, NULL, 0);
    disarm(state);
    return calls;
}
