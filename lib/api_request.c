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

/* The flags that each kind of request knows. */
static const uint32_t known_flags[] = {
    [IOQ_KIND_READ] = 0,
    [IOQ_KIND_WRITE] = IOQ_F_FUA,
    [IOQ_KIND_FLUSH] = 0,
    [IOQ_KIND_DISCARD] = IOQ_F_FUA,
    [IOQ_KIND_WRITE_ZEROES] = IOQ_F_FUA | IOQ_F_MAY_UNMAP | IOQ_F_NO_FALLBACK,
};

static int check_call(const struct ioq__file *file, int number,
                      enum ioq_kind kind, int64_t offset, uint32_t flags)
{
    bool reads = kind == IOQ_KIND_READ;
    bool writes = !reads && kind != IOQ_KIND_FLUSH;
    uint32_t unknown = flags & ~known_flags[kind];

    if (!file)
        return ioq__fail(-EBADF, "no file %d is attached", number);
    if ((reads && !file->readable) || (writes && !file->writable))
        return ioq__fail(-EBADF, "file %d was not opened for %s", number,
                         reads ? "reading" : "writing");
    if (unknown)
        return ioq__fail(-EINVAL, "flags 0x%x do not apply here", unknown);
    if (offset < 0)
        return ioq__fail(-EINVAL, "the offset is negative");
    return 0;
}

/*
 * Enters the handle and fills in the next free request, which is not taken from
 * the pool before all of it is right: what follows sets the buffers or the
 * length and calls end. Returns 0 or -errno, and has left the handle then.
 *
 * Neither makes a system call that fails, hence no errno to keep.
 */
static int begin(struct ioq_handle *handle, enum ioq_kind kind, int number,
                 int64_t offset, uint32_t flags, void *user_data,
                 struct ioq__request **ret_request)
{
    struct ioq__request *request;
    struct ioq__file *file;
    int rc = ioq__handle_lock(handle);

    if (rc < 0)
        return rc;
    file = ioq__handle_file(handle, number);
    rc = check_call(file, number, kind, offset, flags);
    if (rc == 0 && handle->free_count == 0)
        rc = ioq__fail(-EAGAIN, "depth %u is used up; reap completions first",
                       handle->depth);
    if (rc < 0) {
        ioq__handle_unlock(handle);
        return rc;
    }
    request = handle->free[handle->free_count - 1];
    request->user_data = user_data;
    request->file = file;
    request->kind = (uint8_t)kind;
    request->nowait = false;
    request->misaligned = false;
    request->flags = flags;
    request->offset = offset;
    request->length = 0;
    request->done = 0;
    request->bounced = 0;
    request->since_ns = 0;
    *ret_request = request;
    return 0;
}

static int check_end(const struct ioq__request *request)
{
    if (request->length > (uint64_t)END_MAX ||
        (uint64_t)request->offset + request->length > (uint64_t)END_MAX)
        return ioq__fail(-EINVAL, "offset and length are too large");
    return 0;
}

/* Queues the request, if rc is 0 so far, and leaves the handle. */
static int end(struct ioq_handle *handle, struct ioq__request *request, int rc)
{
    if (rc == 0)
        rc = check_end(request);
    if (rc == 0) {
        ioq__request_align(request);
        ioq__set_stage(request, IOQ_STAGE_QUEUED);
        ioq__ring_add(&handle->queued, request);
        handle->free_count--;
        handle->unfinished++;
        handle->stats.requests[request->kind]++;
        request->file->requests++;
    }
    ioq__handle_unlock(handle);
    return rc;
}

static int set_array(const struct ioq_handle *handle,
                     struct ioq__request *request, const struct iovec *iov,
                     int iovcnt)
{
    if (iovcnt < 0 || (iovcnt > 0 && !iov))
        return ioq__fail(-EINVAL, "bad array of buffers");
    if ((unsigned int)iovcnt > handle->max_segments)
        return ioq__fail(-E2BIG, "%d buffers; option max_segments is %u",
                         iovcnt, handle->max_segments);
    return ioq__request_set_iov(request, iov, iovcnt);
}

static int queue_array(struct ioq_handle *handle, enum ioq_kind kind, int file,
                       const struct iovec *iov, int iovcnt, int64_t offset,
                       uint32_t flags, void *user_data)
{
    struct ioq__request *request;
    int rc = begin(handle, kind, file, offset, flags, user_data, &request);

    if (rc < 0)
        return rc;
    rc = set_array(handle, request, iov, iovcnt);
    return end(handle, request, rc);
}

IOQ_EXPORT int ioq_handle_readv(struct ioq_handle *handle, int file,
                                const struct iovec *iov, int iovcnt,
                                int64_t offset, uint32_t flags, void *user_data)
{
    return queue_array(handle, IOQ_KIND_READ, file, iov, iovcnt, offset, flags,
                       user_data);
}

IOQ_EXPORT int ioq_handle_writev(struct ioq_handle *handle, int file,
                                 const struct iovec *iov, int iovcnt,
                                 int64_t offset, uint32_t flags,
                                 void *user_data)
{
    return queue_array(handle, IOQ_KIND_WRITE, file, iov, iovcnt, offset, flags,
                       user_data);
}

static int queue_buffer(struct ioq_handle *handle, enum ioq_kind kind, int file,
                        const void *buf, uint64_t len, int64_t offset,
                        uint32_t flags, void *user_data)
{
    struct ioq__request *request;
    int rc = begin(handle, kind, file, offset, flags, user_data, &request);

    if (rc < 0)
        return rc;
    if (len > SIZE_MAX)
        rc = ioq__fail(-EINVAL, "no buffer is that long");
    else if (!buf && len > 0)
        rc = ioq__fail(-EFAULT, "buffer 0 is NULL");
    else
        ioq__request_set_buffer(request, (void *)(uintptr_t)buf, (size_t)len);
    return end(handle, request, rc);
}

IOQ_EXPORT int ioq_handle_read(struct ioq_handle *handle, int file, void *buf,
                               uint64_t len, int64_t offset, uint32_t flags,
                               void *user_data)
{
    return queue_buffer(handle, IOQ_KIND_READ, file, buf, len, offset, flags,
                        user_data);
}

IOQ_EXPORT int ioq_handle_write(struct ioq_handle *handle, int file,
                                const void *buf, uint64_t len, int64_t offset,
                                uint32_t flags, void *user_data)
{
    return queue_buffer(handle, IOQ_KIND_WRITE, file, buf, len, offset, flags,
                        user_data);
}

/* For a request that has no buffers. */
static int queue_range(struct ioq_handle *handle, enum ioq_kind kind, int file,
                       int64_t offset, uint64_t len, uint32_t flags,
                       void *user_data)
{
    struct ioq__request *request;
    int rc = begin(handle, kind, file, offset, flags, user_data, &request);

    if (rc < 0)
        return rc;
    request->iovcnt = 0;
    request->length = len;
    return end(handle, request, 0);
}

IOQ_EXPORT int ioq_handle_flush(struct ioq_handle *handle, int file,
                                uint32_t flags, void *user_data)
{
    return queue_range(handle, IOQ_KIND_FLUSH, file, 0, 0, flags, user_data);
}

IOQ_EXPORT int ioq_handle_discard(struct ioq_handle *handle, int file,
                                  int64_t offset, uint64_t len, uint32_t flags,
                                  void *user_data)
{
    return queue_range(handle, IOQ_KIND_DISCARD, file, offset, len, flags,
                       user_data);
}

IOQ_EXPORT int ioq_handle_write_zeroes(struct ioq_handle *handle, int file,
                                       int64_t offset, uint64_t len,
                                       uint32_t flags, void *user_data)
{
    return queue_range(handle, IOQ_KIND_WRITE_ZEROES, file, offset, len, flags,
                       user_data);
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
