/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handle behind <ioq/handle.h>. Each request is in one place at a time:
 *
 *     queued -> held -> ready -> engine -> done
 *                  \-> to_work -> workers -/
 *
 * Outside of the library it always holds that if there is anything to reap, the
 * completion fd is readable or about to become so.
 */
#ifndef IOQ_HANDLE_PRIVATE_H
#define IOQ_HANDLE_PRIVATE_H

#include <ioq/handle.h>

#include <pthread.h>
#include <stdbool.h>

#include "engine.h"
#include "fifo.h"
#include "request.h"
#include "worker.h"

#define IOQ__FILES_MAX 1024

/* Requests in the order in which they came, each in one of depth places. */
struct ioq__ring {
    struct ioq__fifo at;
    struct ioq__request **requests;
};

struct ioq_handle {
    const struct ioq__engine_ops *ops;
    struct ioq__engine *engine;
    unsigned int depth;
    unsigned int max_segments;
    bool shared;
    bool notify;
    unsigned int sleepers; /* threads that sleep on event_fd in here */
    int saved_errno;       /* the caller's, while it is in here */
    int event_fd;
    unsigned int *alive;  /* a page of 1, which reads 0 in a child */
    pthread_mutex_t lock; /* if shared */

    struct ioq__request *requests; /* depth of them */
    struct iovec *iovs;            /* depth * max_segments */
    struct ioq__request **free;
    unsigned int free_count;
    unsigned int unfinished; /* accepted, not done */
    uint64_t sequence;
    uint64_t copied; /* bytes that this submit has the engine copy */

    struct ioq__ring queued;  /* not submitted */
    struct ioq__list held;    /* behind a write to the same block */
    struct ioq__ring ready;   /* for the engine, which has no room if many */
    struct ioq__list to_work; /* for the workers, handed over together */
    struct ioq__ring done;    /* not given out */
    struct ioq__workers workers;

    struct ioq__file *files[IOQ__FILES_MAX];
    unsigned int file_count;
    struct ioq_stats stats;
};

/* Says why a handle cannot be used. Returns -errno. */
int ioq__handle_refuse(const struct ioq_handle *handle);

/* A public function that queues begins and ends with these: 0 or -errno. */
static inline int ioq__handle_lock(struct ioq_handle *handle)
{
    if (!handle || !*handle->alive)
        return ioq__handle_refuse(handle);
    if (handle->shared)
        pthread_mutex_lock(&handle->lock);
    return 0;
}

static inline void ioq__handle_unlock(struct ioq_handle *handle)
{
    if (handle->shared)
        pthread_mutex_unlock(&handle->lock);
}

/* Every other one with these, which keep the caller's errno, too. */
int ioq__handle_enter(struct ioq_handle *handle);
void ioq__handle_leave(struct ioq_handle *handle);

int64_t ioq__now_ns(void);

static inline void ioq__ring_add(struct ioq__ring *ring,
                                 struct ioq__request *request)
{
    ring->requests[ioq__fifo_push(&ring->at)] = request;
}

static inline struct ioq__request *ioq__ring_pop(struct ioq__ring *ring)
{
    return ring->requests[ioq__fifo_pop(&ring->at)];
}

/* The oldest ones, as many as lie in one piece. */
static inline struct ioq__request **
ioq__ring_oldest(const struct ioq__ring *ring)
{
    return ring->requests + ring->at.head;
}

/* Takes request out, if it is there. */
bool ioq__ring_remove(struct ioq__ring *ring,
                      const struct ioq__request *request);

/* Returns the file of that number, or NULL. */
static inline struct ioq__file *
ioq__handle_file(const struct ioq_handle *handle, int number)
{
    return (unsigned int)number < IOQ__FILES_MAX ? handle->files[number] : NULL;
}

/*
 * Hands over all that is queued. Returns how many. With collect, looks for what
 * the kernel refused at once, which need not wait for the caller's next call.
 */
int ioq__handle_submit(struct ioq_handle *handle, bool collect);

/* Moves to done what has ended, and on what can go on. */
void ioq__handle_collect(struct ioq_handle *handle);

/* A request that was ready will not go to the engine after all. */
void ioq__handle_unroute(struct ioq__request *request);

/* Ends a request. The caller sees to the signal. */
void ioq__handle_finish(struct ioq_handle *handle, struct ioq__request *request,
                        int64_t result);

void ioq__handle_signal(struct ioq_handle *handle);
void ioq__handle_clear(struct ioq_handle *handle);

/* Has the engine signal, or not, as the caller and the sleepers need. */
void ioq__handle_set_notify(struct ioq_handle *handle);

#endif /* IOQ_HANDLE_PRIVATE_H */
