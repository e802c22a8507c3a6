/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a request, or what is left of it, by calls that may sleep. This is the
 * implementation that is right for every file; the engines are the fast ones.
 */
#ifndef IOQ_BLOCKING_H
#define IOQ_BLOCKING_H

#include <stddef.h>

#include "request.h"

/* A worker's own buffer for what O_DIRECT refuses. Allocated when needed. */
struct ioq__bounce {
    void *buf;
    size_t align;
};

#define IOQ__BOUNCE_BYTES (256u * 1024)

/* Makes the buffer fit the file. Returns 0 or -ENOMEM. */
int ioq__bounce_prepare(struct ioq__bounce *bounce,
                        const struct ioq__file *file);
void ioq__bounce_free(struct ioq__bounce *bounce);

/* Sets the request's result and touches no other state of the handle. */
void ioq__blocking_run(struct ioq__request *request,
                       struct ioq__bounce *bounce);

/* Its parts: reads and writes, and all else. Each returns the result. */
int64_t ioq__blocking_read(struct ioq__request *request,
                           struct ioq__bounce *bounce);
int64_t ioq__blocking_write(struct ioq__request *request,
                            struct ioq__bounce *bounce);
/* Writes what a write-zeroes stands for. */
int64_t ioq__blocking_plain_zeroes(struct ioq__request *request,
                                   struct ioq__bounce *bounce);
int64_t ioq__blocking_discard(struct ioq__request *request);
int64_t ioq__blocking_zeroes(struct ioq__request *request,
                             struct ioq__bounce *bounce);

#endif /* IOQ_BLOCKING_H */
