/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scripted_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <string.h>

struct sf_files sf;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void count(unsigned long *counter)
{
    pthread_mutex_lock(&lock);
    ++*counter;
    pthread_mutex_unlock(&lock);
}

void sf_reset(int64_t length)
{
    sf = (struct sf_files){
        .info = {.regular = true, .open_flags = O_RDWR, .length = length}};
}

void sf_make_direct(unsigned int align)
{
    sf.info.open_flags |= O_DIRECT;
    sf.info.memory_align = sf.info.offset_align = align;
    sf.direct = true;
}

void sf_make_device(unsigned int sector)
{
    sf.info.regular = false;
    sf.info.block = true;
    sf.info.logical_block = sf.info.physical_block = sector;
    sf.info.discard_align = sector;
    sf.info.zero_offload = true;
    sf_make_direct(sector);
}

int64_t sf_length(void)
{
    int64_t length;

    pthread_mutex_lock(&lock);
    length = sf.info.length;
    pthread_mutex_unlock(&lock);
    return length;
}

void sf_set_length(int64_t length)
{
    pthread_mutex_lock(&lock);
    if (length < sf.info.length)
        memset(sk_disk + length, 0, (size_t)(sf.info.length - length));
    sf.info.length = length;
    pthread_mutex_unlock(&lock);
}

static bool is_aligned(const struct iovec *iov, int iovcnt, int64_t offset)
{
    uint64_t lengths = (uint64_t)offset, addresses = 0;
    int i;

    for (i = 0; i < iovcnt; i++) {
        lengths |= iov[i].iov_len;
        addresses |= (uintptr_t)iov[i].iov_base;
    }
    return (lengths & (sf.info.offset_align - 1)) == 0 &&
           (addresses & (sf.info.memory_align - 1)) == 0;
}

static int64_t total(const struct iovec *iov, int iovcnt)
{
    int64_t bytes = 0;
    int i;

    for (i = 0; i < iovcnt; i++)
        bytes += (int64_t)iov[i].iov_len;
    return bytes;
}

/* Returns how many bytes may go, or -errno. */
static int64_t limit(const struct sf_transfer *transfer,
                     const struct iovec *iov, int iovcnt)
{
    int64_t most = transfer->wanted, room;
    int answer = SF_ALL;

    if (iovcnt > IOV_MAX)
        return -EINVAL;
    if (sf.direct && !is_aligned(iov, iovcnt, transfer->offset))
        return -EINVAL;
    if (sf.on_transfer)
        answer = sf.on_transfer(transfer);
    if (answer < 0)
        return answer;
    most = answer < most ? answer : most;
    room = SK_DISK_SIZE - transfer->offset;
    if (transfer->read || sf.info.block)
        room = sf_length() - transfer->offset;
    if (room <= 0 && !transfer->read && most > 0)
        return -ENOSPC;
    return room < 0 ? 0 : most < room ? most : room;
}

static void move(const struct sf_transfer *transfer, const struct iovec *iov,
                 int64_t bytes)
{
    unsigned char *disk = sk_disk + transfer->offset;
    size_t piece;

    for (; bytes > 0; iov++) {
        piece = iov->iov_len < (size_t)bytes ? iov->iov_len : (size_t)bytes;
        if (transfer->read)
            memcpy(iov->iov_base, disk, piece);
        else
            memcpy(disk, iov->iov_base, piece);
        disk += piece;
        bytes -= (int64_t)piece;
    }
}

int64_t ioq__sys_readv(int fd, const struct iovec *iov, int iovcnt,
                       int64_t offset, int flags)
{
    const struct sf_transfer transfer = {true, offset, total(iov, iovcnt),
                                         flags};
    int64_t bytes;

    count(&sf.reads);
    if (fd != sk.fd)
        return -EBADF;
    bytes = limit(&transfer, iov, iovcnt);
    if (bytes > 0)
        move(&transfer, iov, bytes);
    return bytes;
}

int64_t ioq__sys_writev(int fd, const struct iovec *iov, int iovcnt,
                        int64_t offset, int flags)
{
    const struct sf_transfer transfer = {false, offset, total(iov, iovcnt),
                                         flags};
    int64_t bytes;

    count(&sf.writes);
    if (fd != sk.fd)
        return -EBADF;
    bytes = limit(&transfer, iov, iovcnt);
    if (bytes <= 0)
        return bytes;
    move(&transfer, iov, bytes);
    if (!sf.info.block && offset + bytes > sf_length())
        sf_set_length(offset + bytes);
    return bytes;
}

int ioq__sys_datasync(int fd)
{
    count(&sf.datasyncs);
    return fd == sk.fd ? sf.datasync_error : -EBADF;
}

int ioq__sys_truncate(int fd, int64_t length)
{
    count(&sf.truncates);
    if (fd != sk.fd)
        return -EBADF;
    sf_set_length(length);
    return 0;
}

int ioq__sys_fallocate(int fd, int mode, int64_t offset, int64_t length)
{
    int rc = 0;

    count(&sf.fallocates);
    if (fd != sk.fd)
        return -EBADF;
    if (sf.on_fallocate)
        rc = sf.on_fallocate(mode);
    if (rc < 0)
        return rc;
    if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + length > sf_length())
        sf_set_length(offset + length);
    memset(sk_disk + offset, 0, (size_t)length);
    return 0;
}

int ioq__sys_block_discard(int fd, int64_t offset, int64_t length)
{
    count(&sf.discards);
    if (fd != sk.fd || sf.discard_error)
        return sf.discard_error;
    memset(sk_disk + offset, 0, (size_t)length);
    return 0;
}

int ioq__sys_block_zero(int fd, int64_t offset, int64_t length)
{
    count(&sf.zeroes);
    if (fd != sk.fd || sf.zero_error)
        return sf.zero_error;
    memset(sk_disk + offset, 0, (size_t)length);
    return 0;
}

int64_t ioq__sys_file_length(int fd)
{
    return fd == sk.fd ? sf_length() : -EBADF;
}

int ioq__sys_file_info(int fd, struct ioq__sys_info *ret_info)
{
    if (fd != sk.fd)
        return -EBADF;
    if (sf.info_error)
        return sf.info_error;
    *ret_info = sf.info;
    return 0;
}
