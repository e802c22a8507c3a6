/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "error.h"

/*
 * The raw calls: some C libraries lack the wrappers, and one had the errno
 * wrong. The kernel takes the offset as two longs and, where a long holds it
 * all, ignores the second.
 */
#define LOW(offset) (long)(offset)
#define HIGH(offset) (long)((offset) >> 32)

int64_t ioq__sys_readv(int fd, const struct iovec *iov, int iovcnt,
                       int64_t offset, int flags)
{
    long n;

    if (flags)
        n = syscall(SYS_preadv2, (long)fd, iov, (long)iovcnt, LOW(offset),
                    HIGH(offset), (long)flags);
    else
        n = preadv(fd, iov, iovcnt, offset);
    return n < 0 ? -errno : n;
}

int64_t ioq__sys_writev(int fd, const struct iovec *iov, int iovcnt,
                        int64_t offset, int flags)
{
    long n;

    if (flags)
        n = syscall(SYS_pwritev2, (long)fd, iov, (long)iovcnt, LOW(offset),
                    HIGH(offset), (long)flags);
    else
        n = pwritev(fd, iov, iovcnt, offset);
    return n < 0 ? -errno : n;
}

int ioq__sys_datasync(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

int ioq__sys_truncate(int fd, int64_t length)
{
    return ftruncate(fd, length) < 0 ? -errno : 0;
}

int ioq__sys_fallocate(int fd, int mode, int64_t offset, int64_t length)
{
    return fallocate(fd, mode, offset, length) < 0 ? -errno : 0;
}

int ioq__sys_block_discard(int fd, int64_t offset, int64_t length)
{
    uint64_t range[2] = {(uint64_t)offset, (uint64_t)length};

    return ioctl(fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

int ioq__sys_block_zero(int fd, int64_t offset, int64_t length)
{
    uint64_t range[2] = {(uint64_t)offset, (uint64_t)length};

    return ioctl(fd, BLKZEROOUT, range) < 0 ? -errno : 0;
}

/*
 * By numbers, since the C library's struct statx may be older than the two
 * members: 32-bit words 38 and 39, told by this bit of the mask in word 0.
 */
#define DIO_ALIGN_BIT 0x2000u
#define DIO_MEMORY_WORD 38
#define DIO_OFFSET_WORD 39

static void ask_alignment(int fd, struct ioq__sys_info *info)
{
    uint32_t words[64] = {0};

#ifdef SYS_statx
    if (syscall(SYS_statx, (long)fd, "", (long)AT_EMPTY_PATH,
                (long)DIO_ALIGN_BIT, words) < 0)
        return;
#endif
    if (words[0] & DIO_ALIGN_BIT) {
        info->memory_align = words[DIO_MEMORY_WORD];
        info->offset_align = words[DIO_OFFSET_WORD];
    }
}

/* A limit of the device's queue; partitions have it at their parent. */
static long long queue_limit(dev_t device, const char *name)
{
    char path[128];
    long long limit;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/%s", major(device),
             minor(device), name);
    limit = ioq__read_number(path);
    if (limit >= 0)
        return limit;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/%s",
             major(device), minor(device), name);
    return ioq__read_number(path);
}

static void ask_block_device(int fd, dev_t device, struct ioq__sys_info *info)
{
    unsigned int size;
    long long limit;
    int logical;

    info->logical_block = ioctl(fd, BLKSSZGET, &logical) == 0 && logical > 0
                              ? (uint32_t)logical
                              : 512;
    info->physical_block = ioctl(fd, BLKPBSZGET, &size) == 0 && size > 0
                               ? size
                               : info->logical_block;
    info->optimal_io = ioctl(fd, BLKIOOPT, &size) == 0 ? size : 0;
    limit = queue_limit(device, "discard_granularity");
    info->discard_align = limit > 0 ? (uint32_t)limit : info->logical_block;
    info->zero_offload = queue_limit(device, "write_zeroes_max_bytes") > 0;
}

static int64_t length_of(int fd)
{
    struct stat st;
    uint64_t bytes;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISBLK(st.st_mode))
        return st.st_size;
    return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? -errno : (int64_t)bytes;
}

int64_t ioq__sys_file_length(int fd)
{
    int saved = errno;
    int64_t length = length_of(fd);

    errno = saved;
    return length;
}

int ioq__sys_file_info(int fd, struct ioq__sys_info *ret_info)
{
    struct ioq__sys_info info = {0};
    struct stat st;

    info.open_flags = fcntl(fd, F_GETFL);
    if (info.open_flags < 0 || fstat(fd, &st) < 0)
        return -errno;
    info.regular = S_ISREG(st.st_mode);
    info.block = S_ISBLK(st.st_mode);
    if (info.block)
        ask_block_device(fd, st.st_rdev, &info);
    if (info.open_flags & O_DIRECT)
        ask_alignment(fd, &info);
    info.length = ioq__sys_file_length(fd);
    *ret_info = info;
    return 0;
}
