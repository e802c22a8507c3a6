/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Discard and write-zeroes: each means is tried, the refusal remembered, and
 * the next one taken.
 */
#include "blocking.h"

#include <errno.h>
#include <linux/falloc.h>

#include "sys_file.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static bool is_refusal(int rc)
{
    return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -ENOTTY;
}

/* Remembers a refusal and makes all of them -EOPNOTSUPP. */
static int judge(struct ioq__file *file, unsigned int bit, int rc)
{
    if (!is_refusal(rc))
        return rc;
    ioq__file_refuse(file, bit);
    return -EOPNOTSUPP;
}

static int allocate(struct ioq__file *file, unsigned int bit, int mode,
                    int64_t offset, int64_t length)
{
    int rc;

    if (ioq__file_lacks(file, bit))
        return -EOPNOTSUPP;
    do {
        rc = ioq__sys_fallocate(file->fd, mode, offset, length);
    } while (rc == -EINTR);
    return judge(file, bit, rc);
}

static int block_call(struct ioq__file *file, unsigned int bit,
                      int (*call)(int fd, int64_t offset, int64_t length),
                      int64_t offset, int64_t length)
{
    if (!file->block || ioq__file_lacks(file, bit))
        return -EOPNOTSUPP;
    return judge(file, bit, call(file->fd, offset, length));
}

int64_t ioq__blocking_discard(struct ioq__request *request)
{
    struct ioq__file *file = request->file;
    int64_t block = file->block ? file->logical_block : 1;
    int64_t start = (request->offset + block - 1) & ~(block - 1);
    int64_t end = (request->offset + (int64_t)request->length) & ~(block - 1);
    int rc;

    /* Parts of blocks are no device's to discard. */
    if (start >= end)
        return 0;
    rc = allocate(file, IOQ__NO_PUNCH, PUNCH, start, end - start);
    if (rc == -EOPNOTSUPP)
        rc = block_call(file, IOQ__NO_BLOCK_DISCARD, ioq__sys_block_discard,
                        start, end - start);
    return judge(file, IOQ__NO_DISCARD, rc);
}

static bool passes_end(const struct ioq__request *request)
{
    return request->offset + (int64_t)request->length >
           ioq__sys_file_length(request->file->fd);
}

static int zero_by_kernel(struct ioq__request *request)
{
    struct ioq__file *file = request->file;
    int64_t length = (int64_t)request->length;
    int64_t mask = file->block ? file->logical_block - 1 : 0;
    int rc = -EOPNOTSUPP;
    bool beyond;

    if (length == 0)
        return 0;
    beyond = passes_end(request);
    /* As a write would; a hole would end with the device, and no word said. */
    if (file->block && beyond)
        return -ENOSPC;
    if ((request->offset | length) & mask)
        return -EOPNOTSUPP;
    /* Holes are cut inside the file only: beyond, they would not count. */
    if ((request->flags & IOQ_F_MAY_UNMAP) && !beyond)
        rc = allocate(file, IOQ__NO_PUNCH, PUNCH, request->offset, length);
    if (rc != -EOPNOTSUPP)
        return rc;
    /* On a device these two write plain zeroes if it cannot do better. */
    if (file->block && !file->zero_offload &&
        (request->flags & IOQ_F_NO_FALLBACK))
        return -EOPNOTSUPP;
    rc = allocate(file, IOQ__NO_ZERO_RANGE, FALLOC_FL_ZERO_RANGE,
                  request->offset, length);
    if (rc == -EOPNOTSUPP)
        rc = block_call(file, IOQ__NO_BLOCK_ZERO, ioq__sys_block_zero,
                        request->offset, length);
    return rc;
}

int64_t ioq__blocking_zeroes(struct ioq__request *request,
                             struct ioq__bounce *bounce)
{
    int rc = zero_by_kernel(request);

    if (rc != -EOPNOTSUPP || (request->flags & IOQ_F_NO_FALLBACK))
        return rc;
    return ioq__blocking_plain_zeroes(request, bounce);
}
