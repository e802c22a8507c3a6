/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an IOQueue needs beyond its frozen members. It lies right in front of
 * the freelist array, in the same allocation, where no caller looks.
 */
#ifndef IOQ_QUEUE_PRIVATE_H
#define IOQ_QUEUE_PRIVATE_H

#include <ioq.h>

#include <stddef.h>

#include "aio.h"
#include "fifo.h"

/* The iovecs of a parked request. Both NULL if it has none. */
struct ioq__kept {
    struct iovec *copy;         /* ours, named by the iocb while it is parked */
    const struct iovec *caller; /* what the iocb named before */
};

struct ioq__refused {
    struct iocb *iocb;
    int error;
};

struct ioq__queue {
    struct ioq__aio aio;
    int notify_fd;
    bool rearmed;         /* the notifier was set since it was last cleared */
    unsigned int in_call; /* completion functions that are running */

    /* Submitted by the caller, not yet taken by the kernel, oldest first. */
    struct ioq__fifo parked_at;
    struct iocb **parked;
    struct ioq__kept *kept;

    /* Rejected, and the completion function not yet called. */
    struct ioq__fifo refused_at;
    struct ioq__refused *refused;

    struct iocb *freelist[];
};

/* Returns NULL for a queue that never came up or was cleaned up. */
static inline struct ioq__queue *ioq__queue_of(const IOQueue *ioq)
{
    char *freelist = (char *)ioq->freelist;

    if (!freelist)
        return NULL;
    return (struct ioq__queue *)(freelist -
                                 offsetof(struct ioq__queue, freelist));
}

/* One allocation that holds all arrays of a queue of max_reqs. */
struct ioq__queue *ioq__queue_new(unsigned int max_reqs,
                                  struct iocb ***ret_visible);
void ioq__queue_free(struct ioq__queue *queue);

/*
 * Hands count iocbs over, behind those that are parked. What does not go in is
 * parked. Afterwards the notifier is set if there is anything that the caller
 * must come back for and that the kernel will not signal.
 */
void ioq__queue_push(struct ioq__queue *queue, struct iocb **iocbs,
                     unsigned int count);

/*
 * Tells whether the caller must come back although the kernel may have nothing
 * to signal: next is sure to return true, or what is parked has nothing in
 * flight ahead of it.
 */
bool ioq__queue_waits(struct ioq__queue *queue);

/* Takes one completion, if there is one. */
bool ioq__queue_next(struct ioq__queue *queue, struct iocb **ret_iocb,
                     ssize_t *ret_result);

/* Requests that the caller submitted and that next has not returned yet. */
static inline unsigned int ioq__queue_out(const struct ioq__queue *queue)
{
    return queue->aio.in_flight + queue->parked_at.count +
           queue->refused_at.count;
}

#endif /* IOQ_QUEUE_PRIVATE_H */
