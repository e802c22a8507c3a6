/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handle's life: options, open, close, and what belongs to it as a whole.
 */
#include <ioq/handle.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "export.h"
#include "handle.h"
#include "sized.h"
#include "sys_eventfd.h"

#define DEPTH_DEFAULT 128u
#define DEPTH_MAX 65536u
#define WORKERS_DEFAULT 4u
#define SEGMENTS_DEFAULT 128u
#define SEGMENTS_MAX 65536u
#define OPTIONS_KNOWN \
    (IOQ_OPT_SHARED | IOQ_OPT_NEVER_BLOCK | IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL)

/* ABI sensitive: what programs were compiled with. */
_Static_assert(sizeof(struct ioq_options) == 32, "eight words");
_Static_assert(sizeof(struct ioq_file_info) == 48, "no padding");
_Static_assert(sizeof(struct ioq_pending) ==
                   40 + (sizeof(void *) + _Alignof(int64_t) - 1) /
                            _Alignof(int64_t) * _Alignof(int64_t),
               "no padding but behind a short pointer");
_Static_assert(sizeof(struct ioq_stats) == 8 + 8 * (15 + 19 + 40),
               "no padding");

static int set_default(uint32_t *value, uint32_t instead, uint32_t most,
                       const char *name)
{
    if (*value == 0)
        *value = instead;
    if (*value > most)
        return ioq__fail(-EINVAL, "option %s is %u; the most is %u", name,
                         *value, most);
    return 0;
}

static int read_options(const struct ioq_options *given,
                        struct ioq_options *ret_options)
{
    struct ioq_options options = {0};
    int rc = 0;

    if (given)
        rc = ioq__sized_in(&options, sizeof(options), given, given->size);
    if (rc < 0)
        return ioq__fail(rc,
                         "struct ioq_options has a size that libioq %u.%u "
                         "does not know",
                         IOQ_VERSION_MAJOR, IOQ_VERSION_MINOR);
    if ((options.flags & ~OPTIONS_KNOWN) || options.reserved)
        return ioq__fail(-EINVAL, "unknown option flags 0x%x",
                         options.flags & ~OPTIONS_KNOWN);
    rc = set_default(&options.depth, DEPTH_DEFAULT, DEPTH_MAX, "depth");
    if (rc == 0)
        rc = set_default(&options.workers, WORKERS_DEFAULT, IOQ__WORKERS_MAX,
                         "workers");
    if (rc == 0)
        rc = set_default(&options.max_segments, SEGMENTS_DEFAULT, SEGMENTS_MAX,
                         "max_segments");
    if (rc == 0)
        *ret_options = options;
    return rc;
}

static void set_up_ring(struct ioq__ring *ring, unsigned int depth,
                        struct ioq__request **places)
{
    *ring = (struct ioq__ring){.at = {.size = depth}, .requests = places};
}

static struct ioq__request *get_requests(unsigned int depth)
{
    size_t bytes = depth * sizeof(struct ioq__request);
    void *requests = aligned_alloc(IOQ__CACHE_LINE, bytes);

    return requests ? memset(requests, 0, bytes) : NULL;
}

/* Returns 0 or -ENOMEM; half is released by free_memory. */
static int get_memory(struct ioq_handle *handle)
{
    unsigned int depth = handle->depth, i;
    struct ioq__request **places;
    size_t segments;

    if (__builtin_mul_overflow(depth, handle->max_segments, &segments))
        return -ENOMEM;
    handle->requests = get_requests(depth);
    handle->iovs = calloc(segments, sizeof(*handle->iovs));
    handle->free = places = calloc(depth, 4 * sizeof(*places));
    if (!handle->requests || !handle->iovs || !places)
        return -ENOMEM;
    set_up_ring(&handle->queued, depth, places + depth);
    set_up_ring(&handle->ready, depth, places + 2 * (size_t)depth);
    set_up_ring(&handle->done, depth, places + 3 * (size_t)depth);
    for (i = 0; i < depth; i++) {
        struct ioq__request *request = &handle->requests[i];

        request->index = i;
        request->many = handle->iovs + (size_t)i * handle->max_segments;
        ioq__set_stage(request, IOQ__STAGE_FREE);
        /* The lowest is taken first. */
        handle->free[depth - 1 - i] = request;
    }
    handle->free_count = depth;
    return 0;
}

/* A page that the kernel wipes in a child, so that one load tells. */
static int get_fork_guard(struct ioq_handle *handle)
{
    void *page = mmap(NULL, sizeof(*handle->alive), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -ENOMEM;
    handle->alive = page;
    *handle->alive = 1;
    /* Without it a child that does what it must not goes unnoticed. */
    madvise(page, sizeof(*handle->alive), MADV_WIPEONFORK);
    return 0;
}

static void free_memory(struct ioq_handle *handle)
{
    int i;

    for (i = 0; i < IOQ__FILES_MAX; i++)
        free(handle->files[i]);
    if (handle->alive)
        munmap(handle->alive, sizeof(*handle->alive));
    free(handle->requests);
    free(handle->iovs);
    free(handle->free);
    free(handle);
}

static int open_engine(struct ioq_handle *handle,
                       const struct ioq_options *options)
{
    const struct ioq__engine_params params = {
        .depth = options->depth,
        .max_batch = options->max_batch,
        .files = IOQ__FILES_MAX,
        .flags = options->flags,
        .event_fd = handle->event_fd,
        .workers = &handle->workers,
    };

    return ioq__engine_open((enum ioq_engine)options->engine, &params,
                            &handle->ops, &handle->engine);
}

static int set_up(struct ioq_handle *handle, const struct ioq_options *options)
{
    int rc;

    handle->depth = options->depth;
    handle->max_segments = options->max_segments;
    handle->shared = options->flags & IOQ_OPT_SHARED;
    handle->notify = true;
    rc = get_memory(handle);
    if (rc == 0)
        rc = get_fork_guard(handle);
    if (rc < 0)
        return ioq__fail(rc, "no memory for depth %u and max_segments %u",
                         options->depth, options->max_segments);
    rc = handle->event_fd = ioq__sys_eventfd_open();
    if (rc < 0)
        return ioq__fail(rc, "no eventfd: %s; see RLIMIT_NOFILE",
                         strerror(-rc));
    rc =
        ioq__workers_open(&handle->workers, options->workers, handle->event_fd);
    if (rc < 0) {
        ioq__fail(rc, "no lock: %s", strerror(-rc));
        goto no_workers;
    }
    rc = open_engine(handle, options);
    if (rc == 0)
        return 0;
    ioq__workers_close(&handle->workers);
no_workers:
    ioq__sys_eventfd_close(handle->event_fd);
    return rc;
}

static int open_handle(const struct ioq_options *given,
                       struct ioq_handle **ret_handle)
{
    struct ioq_options options = {0};
    struct ioq_handle *handle;
    int rc = read_options(given, &options);

    if (rc < 0)
        return rc;
    if (!ret_handle)
        return ioq__fail(-EINVAL, "ret_handle is NULL");
    handle = calloc(1, sizeof(*handle));
    if (!handle)
        return ioq__fail(-ENOMEM, "no memory");
    rc = set_up(handle, &options);
    if (rc < 0) {
        free_memory(handle);
        return rc;
    }
    pthread_mutex_init(&handle->lock, NULL);
    *ret_handle = handle;
    return 0;
}

IOQ_EXPORT int ioq_handle_open(const struct ioq_options *options,
                               struct ioq_handle **ret_handle)
{
    int saved = errno, rc = open_handle(options, ret_handle);

    errno = saved;
    return rc;
}

IOQ_EXPORT void ioq_handle_close(struct ioq_handle *handle)
{
    int saved = errno;
    bool forked;

    if (!handle)
        return;
    /* In a child there are no workers to join, and their lock may be taken. */
    forked = !*handle->alive;
    handle->ops->close(handle->engine, forked);
    if (!forked) {
        ioq__workers_close(&handle->workers);
        pthread_mutex_destroy(&handle->lock);
    }
    ioq__sys_eventfd_close(handle->event_fd);
    free_memory(handle);
    errno = saved;
}

IOQ_EXPORT enum ioq_engine ioq_handle_engine(struct ioq_handle *handle)
{
    return handle ? handle->ops->id : IOQ_ENGINE_AUTO;
}

IOQ_EXPORT int ioq_handle_fd(struct ioq_handle *handle)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = handle->event_fd;
    ioq__handle_leave(handle);
    return rc;
}

IOQ_EXPORT int ioq_handle_stats(struct ioq_handle *handle,
                                struct ioq_stats *ret_stats)
{
    struct ioq_stats stats;
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    stats = handle->stats;
    if (handle->ops->stats)
        handle->ops->stats(handle->engine, &stats);
    stats.workers_started = ioq__workers_started(&handle->workers);
    rc = -EINVAL;
    if (ret_stats)
        rc = ioq__sized_out(ret_stats, ret_stats->size, &stats, sizeof(stats));
    ioq__handle_leave(handle);
    return rc < 0 ? ioq__fail(rc, "set the size of struct ioq_stats first") : 0;
}

static int register_memory(struct ioq_handle *handle, const struct iovec *iov,
                           int iovcnt)
{
    if (handle->unfinished > 0)
        return ioq__fail(-EBUSY, "%u requests are out; drain the handle first",
                         handle->unfinished);
    if (!handle->ops->register_memory)
        return 0;
    return handle->ops->register_memory(handle->engine, iov, iovcnt);
}

IOQ_EXPORT int ioq_handle_register_memory(struct ioq_handle *handle,
                                          const struct iovec *iov, int iovcnt)
{
    int rc = ioq__handle_enter(handle), i;

    if (rc < 0)
        return rc;
    if (!iov || iovcnt <= 0)
        rc = ioq__fail(-EINVAL, "no memory given");
    for (i = 0; rc == 0 && i < iovcnt; i++)
        if (!iov[i].iov_base || iov[i].iov_len == 0)
            rc = ioq__fail(-EINVAL, "piece %d of the memory is empty", i);
    if (rc == 0)
        rc = register_memory(handle, iov, iovcnt);
    ioq__handle_leave(handle);
    return rc;
}

IOQ_EXPORT int ioq_handle_unregister_memory(struct ioq_handle *handle)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = register_memory(handle, NULL, 0);
    ioq__handle_leave(handle);
    return rc;
}
