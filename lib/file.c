/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sys_file.h"

/* In vain, an attempt costs time in submit; a read-ahead, if not direct. */
#define ALLOWED_DIRECT 8u
#define ALLOWED_BUFFERED 4u

/* The largest block that the probing below supposes. */
#define PROBE_BYTES 4096u

/* Reads size bytes from the start without changing anything. */
static int64_t try_read(int fd, void *buf, uint32_t size, int flags)
{
    struct iovec iov = {buf, size};

    return ioq__sys_readv(fd, &iov, 1, 0, flags);
}

/* For kernels that do not tell: the smallest read that is not refused. */
static uint32_t probe_offset_align(const struct ioq__file *file, void *buf)
{
    uint32_t align = 512;

    if (!file->readable)
        return PROBE_BYTES;
    while (align < PROBE_BYTES && try_read(file->fd, buf, align, 0) == -EINVAL)
        align *= 2;
    return align;
}

static void learn_alignment(struct ioq__file *file,
                            const struct ioq__sys_info *info, void *buf)
{
    file->memory_align = 1;
    file->offset_align = 1;
    if (!file->direct)
        return;
    if (info->offset_align)
        file->offset_align = info->offset_align;
    else if (file->block)
        file->offset_align = info->logical_block;
    else
        file->offset_align = probe_offset_align(file, buf);
    if (info->memory_align)
        file->memory_align = info->memory_align;
    else
        file->memory_align = file->offset_align;
}

static bool knows_nowait(const struct ioq__file *file, void *buf)
{
    uint32_t size = file->offset_align > 1 ? file->offset_align : 512;
    int64_t n;

    /* What cannot be read is learned of with the first write. */
    if (!file->readable || size > PROBE_BYTES)
        return true;
    n = try_read(file->fd, buf, size, RWF_NOWAIT);
    return n >= 0 || n == -EAGAIN || n == -EIO;
}

static int check_kind(const struct ioq__sys_info *info)
{
    if (info->open_flags & O_PATH)
        return ioq__fail(-EBADF, "the file was opened with O_PATH; open it for "
                                 "reading or writing");
    if (!info->regular && !info->block)
        return ioq__fail(-EINVAL, "neither a regular file nor a block device");
    if (info->open_flags & O_APPEND)
        return ioq__fail(-EINVAL, "the file was opened with O_APPEND, which "
                                  "makes the kernel ignore offsets");
    return 0;
}

int ioq__file_probe(int fd, struct ioq__file *ret_file)
{
    struct ioq__file file = {.fd = fd};
    struct ioq__sys_info info;
    int rc = ioq__sys_file_info(fd, &info), mode;
    void *buf;

    if (rc < 0)
        return ioq__fail(rc, "file descriptor %d: %s", fd, strerror(-rc));
    rc = check_kind(&info);
    if (rc < 0)
        return rc;
    buf = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
    if (!buf)
        return ioq__fail(-ENOMEM, "no memory");

    mode = info.open_flags & O_ACCMODE;
    file.readable = mode != O_WRONLY;
    file.writable = mode != O_RDONLY;
    file.block = info.block;
    file.direct = info.open_flags & O_DIRECT;
    file.zero_offload = info.zero_offload;
    file.logical_block = info.logical_block ? info.logical_block : 512;
    file.physical_block =
        info.physical_block ? info.physical_block : file.logical_block;
    file.optimal_io = info.optimal_io;
    file.discard_align =
        info.discard_align ? info.discard_align : file.logical_block;
    learn_alignment(&file, &info, buf);
    file.nowait = knows_nowait(&file, buf);
    file.reads.allowed = file.direct ? ALLOWED_DIRECT : ALLOWED_BUFFERED;
    file.writes.allowed = file.reads.allowed;
    free(buf);
    *ret_file = file;
    return 0;
}

int ioq__file_describe(const struct ioq__file *file,
                       struct ioq_file_info *ret_info)
{
    int64_t length = ioq__sys_file_length(file->fd);
    unsigned flags = 0;

    if (length < 0)
        return ioq__fail((int)length, "cannot tell the length of file %d",
                         file->number);
    flags |= file->block ? IOQ_FILE_BLOCK_DEVICE : 0;
    flags |= file->direct ? IOQ_FILE_DIRECT : 0;
    flags |= file->writable ? 0 : IOQ_FILE_READ_ONLY;
    flags |= file->readable ? 0 : IOQ_FILE_WRITE_ONLY;
    flags |= file->nowait ? IOQ_FILE_NOWAIT : 0;
    if (file->writable && !ioq__file_lacks(file, IOQ__NO_DISCARD))
        flags |= IOQ_FILE_DISCARD;
    if (file->writable && !ioq__file_lacks(file, IOQ__NO_ZERO_RANGE))
        flags |= IOQ_FILE_ZEROES;
    *ret_info = (struct ioq_file_info){
        .flags = flags,
        .length = length,
        .memory_align = file->memory_align,
        .offset_align = file->offset_align,
        .logical_block = file->logical_block,
        .physical_block = file->physical_block,
        .optimal_io = file->optimal_io,
        .discard_align = file->discard_align,
    };
    return 0;
}
