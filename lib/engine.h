/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an engine is: one const table. An engine takes whole requests, tries
 * each once, and says how that went; continuing, bouncing and all that may
 * sleep is done elsewhere, the same for all engines.
 *
 * Nothing here is called by two threads at a time.
 */
#ifndef IOQ_ENGINE_H
#define IOQ_ENGINE_H

#include <ioq/handle.h>

#include <stdbool.h>

#include "request.h"

struct ioq__engine;
struct ioq__workers;

struct ioq__engine_params {
    unsigned int depth;     /* requests in flight at most */
    unsigned int max_batch; /* of them in one system call; 0: as is best */
    unsigned int files;     /* attached at most */
    uint32_t flags;         /* IOQ_OPT_* */
    int event_fd;           /* to be signalled for each completion */
    struct ioq__workers *workers;
};

/* Where a request should go now. */
enum ioq__route {
    IOQ__ROUTE_ENGINE,
    IOQ__ROUTE_LEARNED,    /* to a worker: it would sleep */
    IOQ__ROUTE_UNABLE,     /* to a worker: the engine cannot do it */
    IOQ__ROUTE_MISALIGNED, /* to a worker: as O_DIRECT refuses it */
};

/* How an attempt went: bytes or 0, or -errno. */
struct ioq__attempt {
    struct ioq__request *request;
    int64_t result;
};

struct ioq__engine_ops {
    enum ioq_engine id;
    const char *name;

    /* Returns 0 or -errno, with the words kept. */
    int (*open)(const struct ioq__engine_params *params,
                struct ioq__engine **ret_engine);

    /*
     * Waits for what is in flight; but in the child of a fork, forked, it must
     * touch nothing that is shared with the parent.
     */
    void (*close)(struct ioq__engine *engine, bool forked);

    /* Optional: NULL if the engine keeps nothing of files. */
    int (*attach)(struct ioq__engine *engine, struct ioq__file *file);
    void (*detach)(struct ioq__engine *engine, struct ioq__file *file);

    /* Decides, and prepares request->nowait. */
    enum ioq__route (*route)(struct ioq__engine *engine,
                             struct ioq__request *request);

    /*
     * Hands over in order. Returns how many it took; each of those comes back
     * from reap once. Fewer than count means no room now: try again when a
     * completion has been reaped. Must not sleep.
     */
    unsigned int (*submit)(struct ioq__engine *engine,
                           struct ioq__request **requests, unsigned int count);

    /*
     * Optional. While held, submit may keep to itself what it takes, as wait
     * is about to follow and hands that over, too: one system call, not two.
     */
    void (*hold)(struct ioq__engine *engine, bool held);

    /* Returns how many attempts have ended, up to max. Must not sleep. */
    unsigned int (*reap)(struct ioq__engine *engine,
                         struct ioq__attempt *ret_attempts, unsigned int max);

    /*
     * Optional. Sleeps until reap has something, for that long at most. Returns
     * 0, or -errno if it cannot: then event_fd has to do.
     */
    int (*wait)(struct ioq__engine *engine, int64_t timeout_ns);

    /* Taken by submit and not yet returned by reap. */
    unsigned int (*in_flight)(const struct ioq__engine *engine);

    /* Optional. Returns 0 if the attempt may end with -ECANCELED now. */
    int (*cancel)(struct ioq__engine *engine, struct ioq__request *request);

    /* Optional: whether event_fd must be signalled. */
    void (*set_notify)(struct ioq__engine *engine, bool enabled);

    /* Optional. iovcnt 0 unregisters. Returns 0 or -errno, words kept. */
    int (*register_memory)(struct ioq__engine *engine, const struct iovec *iov,
                           int iovcnt);

    /* Optional: fills in kernel_submits, kernel_reaps and retries. */
    void (*stats)(const struct ioq__engine *engine,
                  struct ioq_stats *ret_stats);
};

/*
 * For a transfer that an engine would take: the same on all of them. With
 * nowait, it goes out with RWF_NOWAIT, if the file deserves the attempt.
 */
enum ioq__route ioq__engine_route(struct ioq__request *request, bool nowait);

/* The engines that were built; NULL ends them. */
extern const struct ioq__engine_ops *const ioq__engines[];

extern const struct ioq__engine_ops ioq__engine_aio;
extern const struct ioq__engine_ops ioq__engine_threads;
extern const struct ioq__engine_ops ioq__engine_uring; /* if it was built */

/*
 * Opens the engine that was asked for, and touches no other; for
 * IOQ_ENGINE_AUTO, the best that comes up. Returns 0 or -errno, with the words
 * kept.
 */
int ioq__engine_open(enum ioq_engine which,
                     const struct ioq__engine_params *params,
                     const struct ioq__engine_ops **ret_ops,
                     struct ioq__engine **ret_engine);

#endif /* IOQ_ENGINE_H */
