/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queueing requests, and taking them back.
 */
#include <ioq/handle.h>

#include <errno.h>

#include "error.h"
#include "export.h"
#include "handle.h"

/* Room for rounding up to a block without overflow. No file is as long. */
#define END_MAX (INT64_MAX - (INT64_C(1) << 20))

/* What the caller asked for, whichever function it called. */
struct call {
    enum ioq_kind kind;
    int file;
    const struct iovec *iov;
    int iovcnt;
    int64_t offset;
    uint64_t length; /* of those without iovecs */
    uint32_t flags;
    void *user_data;
};

static uint32_t known_flags(enum ioq_kind kind)
{
    switch (kind) {
    case IOQ_KIND_WRITE:
    case IOQ_KIND_DISCARD:
        return IOQ_F_FUA;
    case IOQ_KIND_WRITE_ZEROES:
        return IOQ_F_FUA | IOQ_F_MAY_UNMAP | IOQ_F_NO_FALLBACK;
    default:
        return 0;
    }
}

static int check_call(const struct ioq_handle *handle,
                      const struct ioq__file *file, const struct call *call)
{
    uint32_t unknown = call->flags & ~known_flags(call->kind);
    bool reads = call->kind == IOQ_KIND_READ;
    bool writes = !reads && call->kind != IOQ_KIND_FLUSH;

    if (!file)
        return ioq__fail(-EBADF, "no file %d is attached", call->file);
    if ((reads && !file->readable) || (writes && !file->writable))
        return ioq__fail(-EBADF, "file %d was not opened for %s", call->file,
                         reads ? "reading" : "writing");
    if (unknown)
        return ioq__fail(-EINVAL, "flags 0x%x do not apply here", unknown);
    if (call->offset < 0)
        return ioq__fail(-EINVAL, "the offset is negative");
    if (call->iovcnt < 0 || (call->iovcnt > 0 && !call->iov))
        return ioq__fail(-EINVAL, "bad array of buffers");
    if ((unsigned int)call->iovcnt > handle->max_segments)
        return ioq__fail(-E2BIG, "%d buffers; option max_segments is %u",
                         call->iovcnt, handle->max_segments);
    return 0;
}

/* Fills in a free request. Nothing is taken from the pool before it is right.
 */
static int prepare(struct ioq__request *request, struct ioq__file *file,
                   const struct call *call)
{
    int rc;

    request->user_data = call->user_data;
    request->file = file;
    request->kind = (uint8_t)call->kind;
    request->nowait = false;
    request->misaligned = false;
    request->flags = call->flags;
    request->offset = call->offset;
    request->length = call->length;
    request->done = 0;
    request->bounced = 0;
    request->iovcnt = 0;
    if (ioq__is_transfer(request)) {
        rc = ioq__request_set_iov(request, call->iov, call->iovcnt);
        if (rc < 0)
            return rc;
    }
    if (request->length > (uint64_t)(END_MAX) ||
        request->offset > END_MAX - (int64_t)request->length)
        return ioq__fail(-EINVAL, "offset and length are too large");
    ioq__request_align(request);
    return 0;
}

static int queue(struct ioq_handle *handle, const struct call *call)
{
    struct ioq__file *file = ioq__handle_file(handle, call->file);
    struct ioq__request *request;
    int rc = check_call(handle, file, call);

    if (rc < 0)
        return rc;
    if (handle->free_count == 0)
        return ioq__fail(-EAGAIN, "depth %u is used up; reap completions first",
                         handle->depth);
    request = handle->free[handle->free_count - 1];
    rc = prepare(request, file, call);
    if (rc < 0)
        return rc;
    handle->free_count--;
    handle->unfinished++;
    file->requests++;
    request->since_ns = 0;
    ioq__set_stage(request, IOQ_STAGE_QUEUED);
    ioq__ring_add(&handle->queued, request);
    handle->stats.requests[call->kind]++;
    return 0;
}

static int enter_and_queue(struct ioq_handle *handle, const struct call *call)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = queue(handle, call);
    ioq__handle_leave(handle);
    return rc;
}

IOQ_EXPORT int ioq_handle_readv(struct ioq_handle *handle, int file,
                                const struct iovec *iov, int iovcnt,
                                int64_t offset, uint32_t flags, void *user_data)
{
    const struct call call = {IOQ_KIND_READ, file, iov,   iovcnt,
                              offset,        0,    flags, user_data};

    return enter_and_queue(handle, &call);
}

IOQ_EXPORT int ioq_handle_writev(struct ioq_handle *handle, int file,
                                 const struct iovec *iov, int iovcnt,
                                 int64_t offset, uint32_t flags,
                                 void *user_data)
{
    const struct call call = {IOQ_KIND_WRITE, file, iov,   iovcnt,
                              offset,         0,    flags, user_data};

    return enter_and_queue(handle, &call);
}

static int one_buffer(struct iovec *ret_iov, const void *buf, uint64_t len)
{
    if (len > SIZE_MAX)
        return ioq__fail(-EINVAL, "no buffer is that long");
    *ret_iov = (struct iovec){(void *)(uintptr_t)buf, (size_t)len};
    return 0;
}

IOQ_EXPORT int ioq_handle_read(struct ioq_handle *handle, int file, void *buf,
                               uint64_t len, int64_t offset, uint32_t flags,
                               void *user_data)
{
    struct iovec iov;
    int rc = one_buffer(&iov, buf, len);

    if (rc < 0)
        return rc;
    return ioq_handle_readv(handle, file, &iov, 1, offset, flags, user_data);
}

IOQ_EXPORT int ioq_handle_write(struct ioq_handle *handle, int file,
                                const void *buf, uint64_t len, int64_t offset,
                                uint32_t flags, void *user_data)
{
    struct iovec iov;
    int rc = one_buffer(&iov, buf, len);

    if (rc < 0)
        return rc;
    return ioq_handle_writev(handle, file, &iov, 1, offset, flags, user_data);
}

IOQ_EXPORT int ioq_handle_flush(struct ioq_handle *handle, int file,
                                uint32_t flags, void *user_data)
{
    const struct call call = {
        .kind = IOQ_KIND_FLUSH,
        .file = file,
        .flags = flags,
        .user_data = user_data,
    };

    return enter_and_queue(handle, &call);
}

IOQ_EXPORT int ioq_handle_discard(struct ioq_handle *handle, int file,
                                  int64_t offset, uint64_t len, uint32_t flags,
                                  void *user_data)
{
    const struct call call = {IOQ_KIND_DISCARD, file, NULL,  0,
                              offset,           len,  flags, user_data};

    return enter_and_queue(handle, &call);
}

IOQ_EXPORT int ioq_handle_write_zeroes(struct ioq_handle *handle, int file,
                                       int64_t offset, uint64_t len,
                                       uint32_t flags, void *user_data)
{
    const struct call call = {
        IOQ_KIND_WRITE_ZEROES, file, NULL, 0, offset, len, flags, user_data};

    return enter_and_queue(handle, &call);
}

/* Takes the request from wherever it is, if nobody has begun it. */
static bool withdraw(struct ioq_handle *handle, struct ioq__request *request)
{
    switch (ioq__stage(request)) {
    case IOQ_STAGE_QUEUED:
        request->since_ns = ioq__now_ns();
        /* It was never counted among those that rewrite. */
        request->rewrites = false;
        return ioq__ring_remove(&handle->queued, request);
    case IOQ_STAGE_HELD:
        request->file->held--;
        return ioq__list_remove(&handle->held, request);
    case IOQ_STAGE_PARKED:
        ioq__handle_unroute(request);
        return ioq__ring_remove(&handle->ready, request);
    case IOQ_STAGE_WORKER:
        return ioq__list_remove(&handle->to_work, request) ||
               ioq__workers_withdraw(&handle->workers, request);
    default:
        return false;
    }
}

static int cancel(struct ioq_handle *handle, const void *user_data)
{
    unsigned int i, found = 0;
    int cancelled = 0;

    for (i = 0; i < handle->depth; i++) {
        struct ioq__request *request = &handle->requests[i];
        int stage = ioq__stage(request);

        if (stage > IOQ_STAGE_WORKER || request->user_data != user_data)
            continue;
        found++;
        if (withdraw(handle, request)) {
            ioq__handle_finish(handle, request, -ECANCELED);
            cancelled++;
        } else if (stage == IOQ_STAGE_KERNEL && handle->ops->cancel &&
                   handle->ops->cancel(handle->engine, request) == 0) {
            cancelled++;
        }
    }
    if (cancelled > 0) {
        /* What was held behind them may go now. */
        ioq__handle_collect(handle);
        ioq__handle_signal(handle);
        return cancelled;
    }
    if (found > 0)
        return ioq__fail(-EALREADY, "the request has begun");
    return ioq__fail(-ENOENT, "there is no such request");
}

IOQ_EXPORT int ioq_handle_cancel(struct ioq_handle *handle, void *user_data)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = cancel(handle, user_data);
    ioq__handle_leave(handle);
    return rc;
}
