/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine.h"

#include <errno.h>

#include "error.h"
#include "export.h"
#include "sys_eventfd.h"
#include "sys_seccomp.h"
#include "worker.h"

const struct ioq__engine_ops *const ioq__engines[] = {
    &ioq__engine_aio,
#ifdef IOQ_HAVE_URING
    &ioq__engine_uring,
#endif
    &ioq__engine_threads,
    NULL,
};

static const char *const names[] = {
    [IOQ_ENGINE_AUTO] = "auto",
    [IOQ_ENGINE_AIO] = "aio",
    [IOQ_ENGINE_URING] = "io_uring",
    [IOQ_ENGINE_THREADS] = "threads",
};
#define NAMES ((int)(sizeof(names) / sizeof(names[0])))

static const struct ioq__engine_ops *find(enum ioq_engine id)
{
    int i;

    for (i = 0; ioq__engines[i]; i++)
        if (ioq__engines[i]->id == id)
            return ioq__engines[i];
    return NULL;
}

static int open_one(enum ioq_engine id, const struct ioq__engine_params *params,
                    const struct ioq__engine_ops **ret_ops,
                    struct ioq__engine **ret_engine)
{
    const struct ioq__engine_ops *ops = find(id);
    int rc;

    if (!ops)
        return ioq__fail(-ENOSYS, "libioq was built without the %s engine",
                         names[id]);
    rc = ops->open(params, ret_engine);
    if (rc == 0)
        *ret_ops = ops;
    return rc;
}

/*
 * The fastest first. Filters that forbid io_uring are common, and some kill who
 * asks for it; so under a filter it is not even asked for.
 */
static int open_best(const struct ioq__engine_params *params,
                     const struct ioq__engine_ops **ret_ops,
                     struct ioq__engine **ret_engine)
{
    int rc = -ENOSYS;

    /* No other engine has those, so its own error is the one that counts. */
    if (params->flags & (IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL))
        return open_one(IOQ_ENGINE_URING, params, ret_ops, ret_engine);
    if (!ioq__sys_is_filtered())
        rc = open_one(IOQ_ENGINE_URING, params, ret_ops, ret_engine);
    if (rc < 0)
        rc = open_one(IOQ_ENGINE_AIO, params, ret_ops, ret_engine);
    if (rc < 0)
        rc = open_one(IOQ_ENGINE_THREADS, params, ret_ops, ret_engine);
    return rc;
}

int ioq__engine_open(enum ioq_engine which,
                     const struct ioq__engine_params *params,
                     const struct ioq__engine_ops **ret_ops,
                     struct ioq__engine **ret_engine)
{
    if ((int)which < 0 || (int)which >= NAMES)
        return ioq__fail(-EINVAL, "there is no engine %d", (int)which);
    if (which == IOQ_ENGINE_AUTO)
        return open_best(params, ret_ops, ret_engine);
    return open_one(which, params, ret_ops, ret_engine);
}

enum ioq__route ioq__engine_route(struct ioq__request *request, bool nowait)
{
    struct ioq__file *file = request->file;
    bool read = request->kind == IOQ_KIND_READ;

    if (request->misaligned)
        return IOQ__ROUTE_MISALIGNED;
    if (!file->nowait)
        return IOQ__ROUTE_LEARNED;
    /* Once it is in the page cache, the kernel would sleep to synchronise. */
    if (!file->direct && request->flags & IOQ_F_FUA)
        return IOQ__ROUTE_UNABLE;
    request->nowait = nowait;
    if (!nowait || ioq__learn_try(read ? &file->reads : &file->writes))
        return IOQ__ROUTE_ENGINE;
    return IOQ__ROUTE_LEARNED;
}

IOQ_EXPORT const char *ioq_engine_name(enum ioq_engine engine)
{
    return (int)engine >= 0 && (int)engine < NAMES ? names[engine] : NULL;
}

static int try_open(enum ioq_engine which, struct ioq__workers *workers,
                    int event_fd)
{
    const struct ioq__engine_params params = {.depth = 1,
                                              .max_batch = 1,
                                              .files = 1,
                                              .event_fd = event_fd,
                                              .workers = workers};
    const struct ioq__engine_ops *ops = NULL;
    struct ioq__engine *engine = NULL;
    int rc = ioq__engine_open(which, &params, &ops, &engine);

    if (rc == 0)
        ops->close(engine, false);
    return rc;
}

static int try_engine(enum ioq_engine engine)
{
    struct ioq__workers workers;
    int rc, event_fd = ioq__sys_eventfd_open();

    if (event_fd < 0)
        return ioq__fail(event_fd, "no file descriptor left");
    rc = ioq__workers_open(&workers, 1, event_fd);
    if (rc == 0) {
        rc = try_open(engine, &workers, event_fd);
        ioq__workers_close(&workers);
    }
    ioq__sys_eventfd_close(event_fd);
    return rc;
}

IOQ_EXPORT int ioq_engine_available(enum ioq_engine engine)
{
    int saved = errno, rc = try_engine(engine);

    errno = saved;
    return rc;
}
