/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine for kernels and sandboxes that have neither of the others: it
 * leaves everything to the workers.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "worker.h"

static int threads_open(const struct ioq__engine_params *params,
                        struct ioq__engine **ret_engine)
{
    int rc;

    if (params->flags & (IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL))
        return ioq__fail(-EINVAL, "IOQ_OPT_SQPOLL and IOQ_OPT_IOPOLL need the "
                                  "io_uring engine");
    /* Without a single worker nothing would ever be done. */
    rc = ioq__workers_start(params->workers);
    if (rc < 0)
        return ioq__fail(rc,
                         "cannot start a thread: %s; see RLIMIT_NPROC and the "
                         "pids limit of the control group",
                         strerror(-rc));
    *ret_engine = NULL;
    return 0;
}

static void threads_close(struct ioq__engine *engine, bool forked)
{
    (void)engine;
    (void)forked;
}

static enum ioq__route threads_route(struct ioq__engine *engine,
                                     struct ioq__request *request)
{
    (void)engine;
    return request->misaligned ? IOQ__ROUTE_MISALIGNED : IOQ__ROUTE_UNABLE;
}

static unsigned int threads_submit(struct ioq__engine *engine,
                                   struct ioq__request **requests,
                                   unsigned int count)
{
    (void)engine;
    (void)requests;
    (void)count;
    return 0;
}

static unsigned int threads_reap(struct ioq__engine *engine,
                                 struct ioq__attempt *ret_attempts,
                                 unsigned int max)
{
    (void)engine;
    (void)ret_attempts;
    (void)max;
    return 0;
}

static unsigned int threads_in_flight(const struct ioq__engine *engine)
{
    (void)engine;
    return 0;
}

const struct ioq__engine_ops ioq__engine_threads = {
    .id = IOQ_ENGINE_THREADS,
    .name = "threads",
    .open = threads_open,
    .close = threads_close,
    .route = threads_route,
    .submit = threads_submit,
    .reap = threads_reap,
    .in_flight = threads_in_flight,
};
