/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <ioq/handle.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "report.h"

#define BIT(n) (1ull << (n))
#define DEPTH_MAX 1024

struct ioq_handle {
    struct ioq_completion out[DEPTH_MAX];
    unsigned int count;
    unsigned int depth;
    unsigned int segments;
};

static unsigned int library_choice;

void fuzz_library(unsigned int choice)
{
    library_choice = choice;
}

uint64_t input_number(struct input *input, unsigned int bytes)
{
    uint64_t number = 0;

    input_bytes(input, &number, bytes);
    return le64toh(number);
}

size_t input_bytes(struct input *input, void *to, size_t size)
{
    if (size > input->left)
        size = input->left;
    memcpy(to, input->data, size);
    input->data += size;
    input->left -= size;
    return size;
}

void fuzz_disk(struct disk *disk, unsigned int choice)
{
    memset(disk, 0, sizeof(*disk));
    disk->fd = -1;
    disk->engine = IOQ_ENGINE_THREADS;
    disk->read_only = choice & 1;
    disk->block = choice & 2 ? 4096 : 512;
    disk->capacity = FUZZ_DISK_SIZE;
    disk->features = BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE) |
                     BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_DISCARD);
    disk->writeback = 1;
}

/* Not a word: millions of broken rings are what we are here for. */
int report(const char *format, ...)
{
    (void)format;
    return -1;
}

int ioq_handle_open(const struct ioq_options *options,
                    struct ioq_handle **ret_handle)
{
    struct ioq_handle *handle = calloc(1, sizeof(*handle));

    if (!handle || options->depth == 0 || options->depth > DEPTH_MAX)
        abort();
    handle->depth = options->depth;
    handle->segments = options->max_segments;
    *ret_handle = handle;
    return 0;
}

void ioq_handle_close(struct ioq_handle *handle)
{
    if (handle && handle->count > 0)
        abort(); /* requests were left behind */
    free(handle);
}

int ioq_handle_attach(struct ioq_handle *handle, int fd, uint32_t flags)
{
    (void)handle;
    (void)fd;
    (void)flags;
    return 0;
}

const char *ioq_last_error(void)
{
    return "";
}

int ioq_handle_stats(struct ioq_handle *handle, struct ioq_stats *ret_stats)
{
    (void)handle;
    memset(ret_stats, 0, sizeof(*ret_stats));
    return 0;
}

static int accept_request(struct ioq_handle *handle, int64_t result,
                          void *user_data)
{
    unsigned int i;

    if (handle->count == handle->depth)
        abort(); /* the server has a place for each head */
    for (i = 0; i < handle->count; i++)
        if (handle->out[i].user_data == user_data)
            abort(); /* which it uses for one request at a time */
    if (library_choice & 1)
        result = library_choice & 2 ? -EIO : -EOPNOTSUPP;
    handle->out[handle->count].user_data = user_data;
    handle->out[handle->count++].result = result;
    return 0;
}

static void check_place(int64_t offset, uint64_t length)
{
    if (offset < 0 || offset > FUZZ_DISK_SIZE ||
        length > FUZZ_DISK_SIZE - (uint64_t)offset)
        abort(); /* beyond the disk's end */
}

static uint64_t check_buffers(const struct ioq_handle *handle,
                              const struct iovec *iov, int count)
{
    uint64_t length = 0;
    int i;

    if (count < 0 || (unsigned int)count > handle->segments)
        abort();
    for (i = 0; i < count; i++) {
        if (__asan_region_is_poisoned(iov[i].iov_base, iov[i].iov_len))
            abort(); /* a buffer that is not the guest's */
        length += iov[i].iov_len;
    }
    return length;
}

int ioq_handle_readv(struct ioq_handle *handle, int file,
                     const struct iovec *iov, int iovcnt, int64_t offset,
                     uint32_t flags, void *user_data)
{
    uint64_t length = check_buffers(handle, iov, iovcnt);
    int i;

    (void)file;
    (void)flags;
    check_place(offset, length);
    for (i = 0; i < iovcnt; i++)
        memset(iov[i].iov_base, 0x55, iov[i].iov_len);
    return accept_request(handle, (int64_t)length, user_data);
}

int ioq_handle_writev(struct ioq_handle *handle, int file,
                      const struct iovec *iov, int iovcnt, int64_t offset,
                      uint32_t flags, void *user_data)
{
    uint64_t length = check_buffers(handle, iov, iovcnt);

    (void)file;
    (void)flags;
    check_place(offset, length);
    return accept_request(handle, (int64_t)length, user_data);
}

int ioq_handle_flush(struct ioq_handle *handle, int file, uint32_t flags,
                     void *user_data)
{
    (void)file;
    (void)flags;
    return accept_request(handle, 0, user_data);
}

int ioq_handle_discard(struct ioq_handle *handle, int file, int64_t offset,
                       uint64_t len, uint32_t flags, void *user_data)
{
    (void)file;
    (void)flags;
    check_place(offset, len);
    return accept_request(handle, 0, user_data);
}

int ioq_handle_write_zeroes(struct ioq_handle *handle, int file, int64_t offset,
                            uint64_t len, uint32_t flags, void *user_data)
{
    return ioq_handle_discard(handle, file, offset, len, flags, user_data);
}

int ioq_handle_submit(struct ioq_handle *handle)
{
    (void)handle;
    return 0;
}

int ioq_handle_drain(struct ioq_handle *handle, int64_t timeout_ns)
{
    (void)handle;
    (void)timeout_ns;
    return 0;
}

/* Some complete out of order, and not all at once. */
int ioq_handle_reap(struct ioq_handle *handle, struct ioq_completion *ret,
                    unsigned int max)
{
    unsigned int i, n = handle->count < max ? handle->count : max;

    for (i = 0; i < n; i++)
        ret[i] = handle->out[library_choice & 4 ? i : handle->count - 1 - i];
    handle->count -= n;
    if (library_choice & 4)
        memmove(handle->out, handle->out + n,
                handle->count * sizeof(handle->out[0]));
    return (int)n;
}

int ioq_handle_fd(struct ioq_handle *handle)
{
    (void)handle;
    return -1;
}

int ioq_handle_set_notify(struct ioq_handle *handle, int enabled)
{
    (void)handle;
    (void)enabled;
    return 0;
}

enum ioq_engine ioq_handle_engine(struct ioq_handle *handle)
{
    (void)handle;
    return IOQ_ENGINE_THREADS;
}

int ioq_handle_file_info(struct ioq_handle *handle, int file,
                         struct ioq_file_info *ret_info)
{
    (void)handle;
    (void)file;
    (void)ret_info;
    return -EBADF;
}
