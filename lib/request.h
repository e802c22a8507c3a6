/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request, from the call that queued it until its completion was given out.
 */
#ifndef IOQ_REQUEST_H
#define IOQ_REQUEST_H

#include <ioq/handle.h>

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"

#define IOQ__CACHE_LINE 64

/* Beyond enum ioq_stage. */
enum {
    IOQ__STAGE_FREE = 100, /* nobody's */
    IOQ__STAGE_DONE,       /* its completion waits to be given out */
};

/*
 * The order is for speed: most requests need no more than the first two lines
 * of the cache.
 */
struct ioq__request {
    _Alignas(IOQ__CACHE_LINE) void *user_data;
    struct ioq__file *file;
    struct iovec *iov; /* one or many of them */
    int64_t offset;
    uint64_t length;
    int64_t since_ns; /* when it was queued, then submitted */
    int iovcnt;
    uint32_t flags;   /* IOQ_F_* */
    atomic_int stage; /* enum ioq_stage or above; workers look at it, too */
    uint8_t kind;     /* enum ioq_kind */
    bool nowait;      /* went out with RWF_NOWAIT */
    bool misaligned;  /* for O_DIRECT: must go through a buffer of ours */
    bool rewrites;    /* and writes parts of blocks */

    struct iovec one;
    int64_t result;            /* when it is done */
    uint64_t done;             /* bytes transferred by earlier attempts */
    uint64_t bounced;          /* bytes copied on the way */
    uint64_t sequence;         /* order of submission */
    struct ioq__request *next; /* in whatever list it is */
    unsigned int index;        /* in the handle's array */

    struct iovec *many; /* max_segments of them, for good */
    int64_t first, end; /* the blocks that it touches, if it rewrites */
};

/* One list for each place that keeps requests in order. */
struct ioq__list {
    struct ioq__request *head;
    struct ioq__request **tail; /* NULL while the list is empty */
};

static inline void ioq__list_add(struct ioq__list *list,
                                 struct ioq__request *request)
{
    request->next = NULL;
    if (!list->head)
        list->tail = &list->head;
    *list->tail = request;
    list->tail = &request->next;
}

/* Takes request out, if it is there. */
bool ioq__list_remove(struct ioq__list *list,
                      const struct ioq__request *request);

static inline int ioq__stage(const struct ioq__request *request)
{
    return atomic_load_explicit(&request->stage, memory_order_relaxed);
}

static inline void ioq__set_stage(struct ioq__request *request, int stage)
{
    atomic_store_explicit(&request->stage, stage, memory_order_relaxed);
}

static inline bool ioq__is_transfer(const struct ioq__request *request)
{
    return request->kind <= IOQ_KIND_WRITE;
}

/* Writes, discards and zeroes: what changes bytes of the file. */
static inline bool ioq__changes_bytes(const struct ioq__request *request)
{
    return request->kind != IOQ_KIND_READ && request->kind != IOQ_KIND_FLUSH;
}

/*
 * Copies the caller's array and looks at lengths and alignment on the way.
 * Returns 0 or -errno, with the words kept.
 */
int ioq__request_set_iov(struct ioq__request *request, const struct iovec *iov,
                         int iovcnt);

/* Does the same for one buffer, which is not NULL unless len is 0. */
static inline void ioq__request_set_buffer(struct ioq__request *request,
                                           void *buf, size_t len)
{
    request->one = (struct iovec){buf, len};
    request->iov = &request->one;
    request->iovcnt = 1;
    request->length = len;
    request->misaligned = ioq__file_misfits(request->file, (uintptr_t)buf, len);
}

/* For a request whose bytes are not whole blocks. */
void ioq__request_misalign(struct ioq__request *request);

/* Works out misaligned and rewrites, and if so first and end. */
static inline void ioq__request_align(struct ioq__request *request)
{
    uint64_t bits = (uint64_t)request->offset | request->length;

    request->rewrites = false;
    if ((bits & (request->file->offset_align - 1)) != 0)
        ioq__request_misalign(request);
}

/*
 * The iovecs from byte at on, no more than the kernel takes at a time. The
 * first may be a part of one: it is changed in place, and restore undoes that.
 */
struct ioq__window {
    struct iovec *iov;
    int iovcnt;
    struct iovec whole; /* what iov[0] is by rights */
};

void ioq__window_open(struct ioq__request *request, uint64_t at,
                      struct ioq__window *ret_window);
void ioq__window_restore(struct ioq__window *window);

/* Copies len bytes between buf and the request's buffers, from byte at on. */
void ioq__request_copy_in(struct ioq__request *request, uint64_t at,
                          const void *buf, size_t len);
void ioq__request_copy_out(struct ioq__request *request, uint64_t at, void *buf,
                           size_t len);
void ioq__request_zero(struct ioq__request *request, uint64_t at);

/* Whether two requests must not be under way together; a came first. */
bool ioq__requests_clash(const struct ioq__request *a,
                         const struct ioq__request *b);

#endif /* IOQ_REQUEST_H */
