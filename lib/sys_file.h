/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel edge of calls that may sleep, made by workers and at attach. Each
 * returns 0 or a count, or -errno. Tests link a scripted kernel in their place.
 */
#ifndef IOQ_SYS_FILE_H
#define IOQ_SYS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* flags are RWF_*; 0 works on any kernel. */
int64_t ioq__sys_readv(int fd, const struct iovec *iov, int iovcnt,
                       int64_t offset, int flags);
int64_t ioq__sys_writev(int fd, const struct iovec *iov, int iovcnt,
                        int64_t offset, int flags);
int ioq__sys_datasync(int fd);
int ioq__sys_truncate(int fd, int64_t length);
int ioq__sys_fallocate(int fd, int mode, int64_t offset, int64_t length);

/* ioctls of block devices. */
int ioq__sys_block_discard(int fd, int64_t offset, int64_t length);
int ioq__sys_block_zero(int fd, int64_t offset, int64_t length);

/* What the kernel tells of an open file. */
struct ioq__sys_info {
    bool regular;
    bool block;
    int open_flags;          /* as F_GETFL */
    int64_t length;          /* bytes */
    uint32_t memory_align;   /* of direct I/O; 0 if the kernel does not tell */
    uint32_t offset_align;   /* likewise */
    uint32_t logical_block;  /* block devices; 0 for others */
    uint32_t physical_block; /* likewise */
    uint32_t optimal_io;     /* likewise; 0 if unknown */
    uint32_t discard_align;  /* likewise */
    bool zero_offload;       /* the device itself writes zeroes */
};

int ioq__sys_file_info(int fd, struct ioq__sys_info *ret_info);

/* Returns the length in bytes of a file or device. */
int64_t ioq__sys_file_length(int fd);

#endif /* IOQ_SYS_FILE_H */
