/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel edge of Linux AIO: one function per system call, each returning a
 * count or -errno. Tests link a scripted kernel in place of sys_aio.c.
 */
#ifndef IOQ_SYS_AIO_H
#define IOQ_SYS_AIO_H

#include <libaio.h>

int ioq__sys_aio_setup(unsigned int depth, io_context_t *ret_ctx);
int ioq__sys_aio_destroy(io_context_t ctx);
int ioq__sys_aio_submit(io_context_t ctx, unsigned int count,
                        struct iocb **iocbs);

/* Does not wait. With max 0 it tells only whether the context still exists. */
int ioq__sys_aio_getevents(io_context_t ctx, unsigned int max,
                           struct io_event *ret_events);

#endif /* IOQ_SYS_AIO_H */
