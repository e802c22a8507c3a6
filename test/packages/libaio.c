/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libaio's calls that are used, for where Debian has no package of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libaio.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALL(name, ...)                         \
    long rc = syscall(SYS_##name, __VA_ARGS__); \
    return rc < 0 ? -errno : (int)rc

int io_setup(int n, io_context_t *ctx)
{
    CALL(io_setup, n, ctx);
}
int io_destroy(io_context_t ctx)
{
    CALL(io_destroy, ctx);
}
int io_submit(io_context_t ctx, long n, struct iocb **iocbs)
{
    CALL(io_submit, ctx, n, iocbs);
}
int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *event)
{
    CALL(io_cancel, ctx, iocb, event);
}
int io_getevents(io_context_t ctx, long min, long max, struct io_event *events,
                 struct timespec *timeout)
{
    CALL(io_getevents, ctx, min, max, events, timeout);
}
