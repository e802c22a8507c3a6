/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "sys_eventfd.h"

/* Bytes of all arrays together for each request that the queue can hold. */
#define PER_REQUEST                                         \
    (3 * sizeof(struct iocb *) + sizeof(struct ioq__kept) + \
     sizeof(struct ioq__refused))

struct ioq__queue *ioq__queue_new(unsigned int max_reqs,
                                  struct iocb ***ret_visible)
{
    struct ioq__queue *queue;
    size_t size;

    if (__builtin_mul_overflow(max_reqs, PER_REQUEST, &size) ||
        __builtin_add_overflow(size, sizeof(*queue), &size))
        return NULL;
    queue = calloc(1, size);
    if (!queue)
        return NULL;
    *ret_visible = queue->freelist + max_reqs;
    queue->parked = *ret_visible + max_reqs;
    queue->kept = (struct ioq__kept *)(queue->parked + max_reqs);
    queue->refused = (struct ioq__refused *)(queue->kept + max_reqs);
    queue->parked_at.size = max_reqs;
    queue->refused_at.size = max_reqs;
    return queue;
}

static void refuse(void *opaque, struct iocb *iocb, int error)
{
    struct ioq__queue *queue = opaque;

    queue->refused[ioq__fifo_push(&queue->refused_at)] =
        (struct ioq__refused){.iocb = iocb, .error = error};
}

/*
 * The kernel copies the iovecs when it takes a request, and the caller's array
 * is dead by the time we try again. Returns 0 or -errno.
 */
static int keep_iovecs(struct iocb *iocb, struct ioq__kept *ret_kept)
{
    /* u.v.nr is the wrong half of nbytes on big-endian hosts. */
    const struct iovec *caller = iocb->u.c.buf;
    size_t count = iocb->u.c.nbytes;
    struct iovec *copy;

    *ret_kept = (struct ioq__kept){NULL, NULL};
    if (iocb->aio_lio_opcode != IO_CMD_PREADV &&
        iocb->aio_lio_opcode != IO_CMD_PWRITEV)
        return 0;
    if (count == 0)
        return 0;
    if (count > IOV_MAX)
        return -EINVAL; /* as the kernel would say */
    if (!caller)
        return -EFAULT;
    copy = malloc(count * sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, caller, count * sizeof(*copy));
    iocb->u.v.vec = copy;
    *ret_kept = (struct ioq__kept){copy, caller};
    return 0;
}

static void park(struct ioq__queue *queue, struct iocb *iocb)
{
    struct ioq__kept kept;
    int rc = keep_iovecs(iocb, &kept);
    unsigned int at;

    if (rc < 0) {
        refuse(queue, iocb, rc);
        return;
    }
    at = ioq__fifo_push(&queue->parked_at);
    queue->parked[at] = iocb;
    queue->kept[at] = kept;
}

/* Leaves the iocb as its owner prepared it. */
static void unpark(struct ioq__queue *queue)
{
    unsigned int at = ioq__fifo_pop(&queue->parked_at);
    struct ioq__kept *kept = &queue->kept[at];

    if (kept->copy) {
        queue->parked[at]->u.v.vec = kept->caller;
        free(kept->copy);
    }
}

static void push_parked(struct ioq__queue *queue)
{
    unsigned int run, done, i;

    do {
        run = ioq__fifo_run(&queue->parked_at);
        done = ioq__aio_push(&queue->aio, queue->parked + queue->parked_at.head,
                             run, refuse, queue);
        for (i = 0; i < done; i++)
            unpark(queue);
    } while (done == run && queue->parked_at.count > 0);
}

/* Tells whether there is work that no completion will signal. */
static bool unsignalled(const struct ioq__queue *queue)
{
    return queue->refused_at.count > 0 ||
           (queue->parked_at.count > 0 && queue->aio.in_flight == 0);
}

void ioq__queue_push(struct ioq__queue *queue, struct iocb **iocbs,
                     unsigned int count)
{
    unsigned int done = 0;

    if (queue->parked_at.count > 0)
        push_parked(queue);
    if (queue->parked_at.count == 0)
        done = ioq__aio_push(&queue->aio, iocbs, count, refuse, queue);
    for (; done < count; done++)
        park(queue, iocbs[done]);

    /*
     * With something in flight its completion brings the caller back. With
     * nothing in flight nobody else would, so the caller's loop turns, and
     * tries again each time, until the kernel has room.
     */
    if (unsignalled(queue))
        ioq__sys_eventfd_set(queue->notify_fd);
}

bool ioq__queue_waits(struct ioq__queue *queue)
{
    return unsignalled(queue) || ioq__aio_ready(&queue->aio);
}

bool ioq__queue_next(struct ioq__queue *queue, struct iocb **ret_iocb,
                     ssize_t *ret_result)
{
    struct io_event event;

    if (queue->refused_at.count > 0) {
        struct ioq__refused *oldest =
            &queue->refused[ioq__fifo_pop(&queue->refused_at)];

        *ret_iocb = oldest->iocb;
        *ret_result = oldest->error;
        return true;
    }
    if (!ioq__aio_next(&queue->aio, &event))
        return false;
    *ret_iocb = event.obj;
    /* res is unsigned and as wide as a pointer: take its sign first. */
    *ret_result = (ssize_t)(long)event.res;
    return true;
}

void ioq__queue_free(struct ioq__queue *queue)
{
    while (queue->parked_at.count > 0)
        unpark(queue);
    free(queue);
}
