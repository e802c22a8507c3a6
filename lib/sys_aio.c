/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sys_aio.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioq__sys_aio_setup(unsigned int depth, io_context_t *ret_ctx)
{
    io_context_t ctx = NULL;
    int rc;

    /* libaio takes an int; the kernel's own limit is far below. */
    if (depth > INT_MAX)
        return -EINVAL;
    rc = io_setup((int)depth, &ctx);
    if (rc == 0)
        *ret_ctx = ctx;
    return rc;
}

int ioq__sys_aio_destroy(io_context_t ctx)
{
    return io_destroy(ctx);
}

int ioq__sys_aio_submit(io_context_t ctx, unsigned int count,
                        struct iocb **iocbs)
{
    return io_submit(ctx, (long)count, iocbs);
}

/*
 * Not by libaio's wrapper: that looks into the ring first, which is gone when
 * the context is, and does not ask the kernel if it finds nothing there.
 */
int ioq__sys_aio_getevents(io_context_t ctx, unsigned int max,
                           struct io_event *ret_events)
{
    long now[2] = {0, 0}; /* the kernel's own timespec: two longs */
    int saved = errno;
    long rc = syscall(SYS_io_getevents, ctx, 0L, (long)max, ret_events, now);

    if (rc < 0) {
        rc = -errno;
        errno = saved;
    }
    return (int)rc;
}
