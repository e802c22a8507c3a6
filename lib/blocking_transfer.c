/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and writes, continued until they are done, at any alignment.
 */
#include "blocking.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <time.h>

#include "sys_file.h"

/* Some devices say EAGAIN now and then to callers that could sleep. */
#define SPURIOUS_MAX 16u

/*
 * Tells whether a result calls for the same call again. Interruptions cannot
 * last, as workers block signals, but one may have come with the caller's own
 * thread.
 */
static bool again(int64_t result, unsigned int *spurious)
{
    const struct timespec pause = {0, 1000000};

    if (result == -EINTR)
        return true;
    if (result != -EAGAIN || (*spurious)++ >= SPURIOUS_MAX)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static int64_t transfer(struct ioq__request *request, uint64_t at, int flags)
{
    int fd = request->file->fd;
    int64_t offset = request->offset + (int64_t)at, n;
    struct ioq__window window;
    unsigned int spurious = 0;

    ioq__window_open(request, at, &window);
    do {
        if (request->kind == IOQ_KIND_READ)
            n = ioq__sys_readv(fd, window.iov, window.iovcnt, offset, flags);
        else
            n = ioq__sys_writev(fd, window.iov, window.iovcnt, offset, flags);
    } while (again(n, &spurious));
    ioq__window_restore(&window);
    return n;
}

static int64_t transfer_buf(struct ioq__request *request, bool read, void *buf,
                            size_t len, int64_t offset)
{
    struct iovec iov = {buf, len};
    unsigned int spurious = 0;
    int64_t n;

    do {
        if (read)
            n = ioq__sys_readv(request->file->fd, &iov, 1, offset, 0);
        else
            n = ioq__sys_writev(request->file->fd, &iov, 1, offset, 0);
    } while (again(n, &spurious));
    return n;
}

/*
 * Where to go on after a transfer that ended at byte done. O_DIRECT cannot
 * start in the middle of a block, so it does the last one again.
 */
static uint64_t resume_at(const struct ioq__request *request, uint64_t done)
{
    if (!request->file->direct)
        return done;
    return done & ~(uint64_t)(request->file->offset_align - 1);
}

/*
 * Where two reads stop, there the file ends. One that stops even before where
 * an earlier one did was cut short, and is made again; have and n are counted
 * from the same place.
 */
static bool is_the_end(int64_t have, int64_t n, unsigned int *spurious)
{
    return n == 0 || n == have || (*spurious)++ >= SPURIOUS_MAX;
}

static int64_t read_in_place(struct ioq__request *request)
{
    unsigned int spurious = 0;

    while (request->done < request->length) {
        uint64_t at = resume_at(request, request->done);
        int64_t have = (int64_t)(request->done - at);
        int64_t n = transfer(request, at, 0);

        if (n < 0)
            return n;
        if (n > have)
            request->done = at + (uint64_t)n;
        else if (is_the_end(have, n, &spurious))
            break;
    }
    return 0;
}

/* The part of a request that goes through the buffer at a time. */
struct piece {
    int64_t start; /* in the file, aligned */
    size_t skip;   /* bytes of the buffer before the request's */
    size_t len;    /* bytes of the request */
    size_t whole;  /* bytes of the buffer, aligned */
};

static struct piece next_piece(const struct ioq__request *request)
{
    int64_t align = request->file->offset_align;
    int64_t offset = request->offset + (int64_t)request->done;
    uint64_t left = request->length - request->done;
    size_t most = IOQ__BOUNCE_BYTES;
    struct piece piece = {.start = offset & ~(align - 1)};

    if (most < (size_t)align)
        most = (size_t)align;
    piece.skip = (size_t)(offset - piece.start);
    piece.len = left < most - piece.skip ? (size_t)left : most - piece.skip;
    piece.whole =
        (piece.skip + piece.len + (size_t)align - 1) & ~((size_t)align - 1);
    return piece;
}

static int64_t read_bounced(struct ioq__request *request,
                            struct ioq__bounce *bounce)
{
    int64_t n = ioq__bounce_prepare(bounce, request->file), have = -1;
    unsigned int spurious = 0;

    if (n < 0)
        return n;
    while (request->done < request->length) {
        struct piece piece = next_piece(request);
        size_t len;

        n = transfer_buf(request, true, bounce->buf, piece.whole, piece.start);
        if (n < 0)
            return n;
        if (n <= (int64_t)piece.skip) {
            if (is_the_end(have, n, &spurious))
                break;
            have = n;
            continue;
        }
        len = (size_t)n - piece.skip;
        len = len < piece.len ? len : piece.len;
        ioq__request_copy_in(request, request->done,
                             (char *)bounce->buf + piece.skip, len);
        request->done += len;
        request->bounced += len;
        have = -1;
    }
    return 0;
}

int64_t ioq__blocking_read(struct ioq__request *request,
                           struct ioq__bounce *bounce)
{
    int64_t rc = -EINVAL;

    if (!request->misaligned)
        rc = read_in_place(request);
    /* The kernel may want more than it told; a buffer of ours has it. */
    if (rc == -EINVAL && request->file->direct)
        rc = read_bounced(request, bounce);
    if (rc < 0)
        return rc;
    ioq__request_zero(request, request->done);
    return (int64_t)request->done;
}

static int64_t write_in_place(struct ioq__request *request, int flags)
{
    while (request->done < request->length) {
        uint64_t at = resume_at(request, request->done);
        int64_t n = transfer(request, at, flags);

        if (n < 0)
            return n;
        /* Not even an error: the file takes no more. */
        if (at + (uint64_t)n <= request->done)
            return -ENOSPC;
        request->done = at + (uint64_t)n;
    }
    return 0;
}

/* Reads the block at offset into buf; zeroes what is beyond the end. */
static int64_t read_block(struct ioq__request *request, char *buf,
                          int64_t offset)
{
    int64_t align = request->file->offset_align, have = 0;
    unsigned int spurious = 0;

    while (have < align) {
        /* From the start again: O_DIRECT takes whole blocks only. */
        int64_t n = transfer_buf(request, true, buf, (size_t)align, offset);

        if (n < 0)
            return n;
        if (n > have)
            have = n;
        else if (is_the_end(have, n, &spurious))
            break;
    }
    memset(buf + have, 0, (size_t)(align - have));
    return 0;
}

/* Reads the blocks at both ends of which the request writes a part only. */
static int64_t read_edges(struct ioq__request *request,
                          const struct piece *piece, char *buf)
{
    size_t align = request->file->offset_align, last = piece->whole - align;
    bool partial_end = piece->skip + piece->len < piece->whole;
    int64_t rc = 0;

    if (piece->skip || (partial_end && last == 0))
        rc = read_block(request, buf, piece->start);
    if (rc == 0 && partial_end && last > 0)
        rc = read_block(request, buf + last, piece->start + (int64_t)last);
    return rc;
}

static int64_t write_buf(struct ioq__request *request, char *buf, size_t len,
                         int64_t offset)
{
    size_t align = request->file->offset_align, done = 0;

    while (done < len) {
        size_t at = done & ~(align - 1);
        int64_t n = transfer_buf(request, false, buf + at, len - at,
                                 offset + (int64_t)at);

        if (n < 0)
            return n;
        if (at + (size_t)n <= done)
            return -ENOSPC;
        done = at + (size_t)n;
    }
    return 0;
}

/*
 * Takes back what the last block wrote beyond the request and the old end. If
 * the file is longer than that block then another request made it so.
 */
static int64_t trim(struct ioq__request *request, int64_t old_length)
{
    int64_t end = request->offset + (int64_t)request->length;
    int64_t length = end > old_length ? end : old_length;
    int64_t mask = (int64_t)request->file->offset_align - 1;
    int64_t written = (end + mask) & ~mask;

    if (request->file->block || written <= length)
        return 0;
    if (ioq__sys_file_length(request->file->fd) != written)
        return 0;
    return ioq__sys_truncate(request->file->fd, length);
}

/* Brings the next len bytes that the request writes. */
static void fill(struct ioq__request *request, char *part, size_t len)
{
    if (request->kind == IOQ_KIND_WRITE_ZEROES) {
        memset(part, 0, len);
        return;
    }
    ioq__request_copy_out(request, request->done, part, len);
    request->bounced += len;
}

/* Also writes the plain zeroes of a write-zeroes, which has no buffers. */
static int64_t write_bounced(struct ioq__request *request,
                             struct ioq__bounce *bounce)
{
    int64_t old_length = ioq__sys_file_length(request->file->fd);
    int64_t rc = ioq__bounce_prepare(bounce, request->file);

    if (old_length < 0)
        return old_length;
    if (!request->rewrites)
        request->done = resume_at(request, request->done);
    while (rc == 0 && request->done < request->length) {
        struct piece piece = next_piece(request);
        char *part = (char *)bounce->buf + piece.skip;

        rc = read_edges(request, &piece, bounce->buf);
        if (rc < 0)
            break;
        fill(request, part, piece.len);
        rc = write_buf(request, bounce->buf, piece.whole, piece.start);
        request->done += piece.len;
    }
    if (request->rewrites) {
        int64_t trimmed = trim(request, old_length);

        rc = rc < 0 ? rc : trimmed;
    }
    return rc;
}

/* RWF_DSYNC where the kernel knows it; what remains is a flush afterwards. */
static int64_t write_through(struct ioq__request *request)
{
    int64_t rc = -EOPNOTSUPP;

    if (!ioq__file_lacks(request->file, IOQ__NO_DSYNC))
        rc = write_in_place(request, RWF_DSYNC);
    if (rc != -EOPNOTSUPP && rc != -ENOSYS)
        return rc;
    ioq__file_refuse(request->file, IOQ__NO_DSYNC);
    rc = write_in_place(request, 0);
    return rc < 0 ? rc : ioq__sys_datasync(request->file->fd);
}

int64_t ioq__blocking_write(struct ioq__request *request,
                            struct ioq__bounce *bounce)
{
    bool fua = request->flags & IOQ_F_FUA, bounced = request->misaligned;
    int64_t rc = -EINVAL;

    if (!bounced)
        rc = fua ? write_through(request) : write_in_place(request, 0);
    if (rc == -EINVAL && request->file->direct) {
        bounced = true;
        rc = write_bounced(request, bounce);
    }
    if (rc == 0 && bounced && fua)
        rc = ioq__sys_datasync(request->file->fd);
    return rc < 0 ? rc : (int64_t)request->length;
}

int64_t ioq__blocking_plain_zeroes(struct ioq__request *request,
                                   struct ioq__bounce *bounce)
{
    return write_bounced(request, bounce);
}
