/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Linux AIO. io_submit(2) does not promise not to sleep, so it is given only
 * what is known not to: aligned O_DIRECT reads, and the rest with RWF_NOWAIT.
 */
#include "engine.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "aio.h"
#include "error.h"
#include "sys_eventfd.h"

/* How many iocbs are handed over from the stack at a time. */
#define CHUNK 64u

/* See doc/architecture.md. */
#define BATCH_DEFAULT 16u

struct rejected {
    struct ioq__request *request;
    int error;
};

struct ioq__engine {
    struct ioq__aio aio;
    int event_fd;
    unsigned int max_batch;
    bool never_block;
    struct iocb *iocbs;        /* one for each request, by its index */
    struct rejected *rejected; /* as many; not yet reaped */
    unsigned int rejected_count;
};

static int explain(int rc, unsigned int depth)
{
    switch (rc) {
    case -EAGAIN:
        return ioq__fail(rc,
                         "Linux AIO: depth %u exceeds what is left of "
                         "fs.aio-max-nr (%lld, of which %lld are in use); "
                         "raise it with sysctl or ask for less",
                         depth, ioq__read_number("/proc/sys/fs/aio-max-nr"),
                         ioq__read_number("/proc/sys/fs/aio-nr"));
    case -ENOSYS:
        return ioq__fail(rc, "Linux AIO: this kernel, emulator or sandbox has "
                             "no io_setup; use another engine");
    case -EPERM:
        return ioq__fail(rc, "Linux AIO: a seccomp filter forbids io_setup; "
                             "allow it or use another engine");
    default:
        return ioq__fail(rc, "Linux AIO: io_setup: %s", strerror(-rc));
    }
}

static void aio_close(struct ioq__engine *engine, bool forked)
{
    /* In a child the context is unknown, and destroying it does nothing. */
    (void)forked;
    ioq__aio_close(&engine->aio);
    free(engine->iocbs);
    free(engine->rejected);
    free(engine);
}

static int aio_open(const struct ioq__engine_params *params,
                    struct ioq__engine **ret_engine)
{
    struct ioq__engine *engine;
    int rc;

    if (params->flags & (IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL))
        return ioq__fail(-EINVAL, "IOQ_OPT_SQPOLL and IOQ_OPT_IOPOLL need the "
                                  "io_uring engine");
    engine = calloc(1, sizeof(*engine));
    if (!engine)
        return ioq__fail(-ENOMEM, "no memory");
    engine->event_fd = params->event_fd;
    engine->never_block = params->flags & IOQ_OPT_NEVER_BLOCK;
    engine->max_batch = params->max_batch ? params->max_batch : BATCH_DEFAULT;
    if (engine->max_batch > CHUNK)
        engine->max_batch = CHUNK;
    engine->iocbs = calloc(params->depth, sizeof(*engine->iocbs));
    engine->rejected = calloc(params->depth, sizeof(*engine->rejected));
    if (engine->iocbs && engine->rejected)
        rc = ioq__aio_open(&engine->aio, params->depth);
    else
        rc = -ENOMEM;
    if (rc == 0) {
        *ret_engine = engine;
        return 0;
    }
    free(engine->iocbs);
    free(engine->rejected);
    free(engine);
    return explain(rc, params->depth);
}

/*
 * With RWF_NOWAIT the kernel would rather refuse than sleep. A direct read goes
 * without, since what it may sleep for is rare and short, while some file
 * systems refuse each one that has the flag. But not while a worker changes the
 * file, for it may hold the inode's lock all the time.
 */
static bool must_not_sleep(const struct ioq__engine *engine,
                           const struct ioq__request *request)
{
    return request->kind != IOQ_KIND_READ || !request->file->direct ||
           engine->never_block || request->file->changing > 0;
}

static enum ioq__route aio_route(struct ioq__engine *engine,
                                 struct ioq__request *request)
{
    request->nowait = false;
    if (ioq__is_transfer(request))
        return ioq__engine_route(request, must_not_sleep(engine, request));
    /* The kernel flushes in a thread of its own. */
    if (request->kind == IOQ_KIND_FLUSH && !request->file->no_fdsync)
        return IOQ__ROUTE_ENGINE;
    return IOQ__ROUTE_UNABLE;
}

static struct iocb *prepare(struct ioq__engine *engine,
                            struct ioq__request *request)
{
    struct iocb *iocb = &engine->iocbs[request->index];
    int fd = request->file->fd, flags = 0;
    int iovcnt = request->iovcnt < IOV_MAX ? request->iovcnt : IOV_MAX;

    if (request->nowait)
        flags |= RWF_NOWAIT;
    if (request->flags & IOQ_F_FUA)
        flags |= RWF_DSYNC;
    if (request->kind == IOQ_KIND_READ)
        io_prep_preadv2(iocb, fd, request->iov, iovcnt, request->offset, flags);
    else if (request->kind == IOQ_KIND_WRITE)
        io_prep_pwritev2(iocb, fd, request->iov, iovcnt, request->offset,
                         flags);
    else
        io_prep_fdsync(iocb, fd);
    io_set_eventfd(iocb, engine->event_fd);
    iocb->data = request;
    return iocb;
}

static void reject(void *opaque, struct iocb *iocb, int error)
{
    struct ioq__engine *engine = opaque;

    engine->rejected[engine->rejected_count++] =
        (struct rejected){iocb->data, error};
    ioq__sys_eventfd_set(engine->event_fd);
}

static unsigned int aio_submit(struct ioq__engine *engine,
                               struct ioq__request **requests,
                               unsigned int count)
{
    struct iocb *iocbs[CHUNK];
    unsigned int done = 0, chunk, taken, i;

    do {
        chunk = count - done;
        if (chunk > engine->max_batch)
            chunk = engine->max_batch;
        for (i = 0; i < chunk; i++)
            iocbs[i] = prepare(engine, requests[done + i]);
        taken = ioq__aio_push(&engine->aio, iocbs, chunk, reject, engine);
        done += taken;
    } while (taken == chunk && done < count);
    return done;
}

static unsigned int aio_reap(struct ioq__engine *engine,
                             struct ioq__attempt *ret_attempts,
                             unsigned int max)
{
    struct io_event event;
    unsigned int n = 0;

    while (n < max && engine->rejected_count > 0) {
        struct rejected *last = &engine->rejected[--engine->rejected_count];

        ret_attempts[n++] = (struct ioq__attempt){last->request, last->error};
    }
    while (n < max && ioq__aio_next(&engine->aio, &event))
        ret_attempts[n++] = (struct ioq__attempt){event.data, (long)event.res};
    return n;
}

static unsigned int aio_in_flight(const struct ioq__engine *engine)
{
    return engine->aio.in_flight + engine->rejected_count;
}

static void aio_stats(const struct ioq__engine *engine,
                      struct ioq_stats *ret_stats)
{
    ret_stats->kernel_submits = engine->aio.submits;
    ret_stats->kernel_reaps = engine->aio.fetches;
    ret_stats->retries = engine->aio.retries;
}

const struct ioq__engine_ops ioq__engine_aio = {
    .id = IOQ_ENGINE_AIO,
    .name = "aio",
    .open = aio_open,
    .close = aio_close,
    .route = aio_route,
    .submit = aio_submit,
    .reap = aio_reap,
    .in_flight = aio_in_flight,
    .stats = aio_stats,
};
