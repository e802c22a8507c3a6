/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

struct ioq_options engine_options(unsigned int depth, uint32_t flags)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    options.engine = engine;
    options.depth = depth;
    options.flags = flags;
    return options;
}

int patient_available(void)
{
    int tries = 0, rc;

    while ((rc = ioq_engine_available(engine)) == -EAGAIN && tries++ < 1000)
        usleep(10000);
    return rc;
}

void rig_open_with(struct rig *rig, const struct ioq_options *options)
{
    rig->handle = patient_open(options);
    rig->fd = place_open();
    rig->file = ioq_handle_attach(rig->handle, rig->fd, 0);
    MUST(rig->file == 0, "attach: %d, %s", rig->file, ioq_last_error());
    rig->buf = place_buffer(MIB);
    rig->other_count = 0;
}

void rig_open(struct rig *rig, unsigned int depth, uint32_t flags)
{
    struct ioq_options options = engine_options(depth, flags);

    rig_open_with(rig, &options);
}

void rig_close(struct rig *rig)
{
    ioq_handle_close(rig->handle);
    close(rig->fd);
    while (rig->other_count > 0)
        close(rig->others[--rig->other_count]);
    free(rig->buf);
}

/* The fd is the rig's from now on. */
static int attach_other(struct rig *rig, int fd)
{
    int file = ioq_handle_attach(rig->handle, fd, 0);

    MUST(file > 0, "attach: %d, %s", file, ioq_last_error());
    MUST(rig->other_count < RIG_OTHERS_MAX, "too many files");
    rig->others[rig->other_count++] = fd;
    return file;
}

int rig_attach_another(struct rig *rig, int *ret_fd)
{
    int fd = place_open_another(1 + (unsigned int)rig->other_count);

    if (ret_fd)
        *ret_fd = fd;
    return attach_other(rig, fd);
}

int rig_attach_place(struct rig *rig, int mode)
{
    int flags = mode | O_CLOEXEC | (place_is_direct() ? O_DIRECT : 0);
    int fd = open(getenv("IOQ_TEST_PLACE"), flags);

    ck_assert_int_ge(fd, 0);
    return attach_other(rig, fd);
}

int rig_attach_allocated(struct rig *rig, int *ret_fd)
{
    int file = rig_attach_another(rig, ret_fd);

    fill(rig->buf, MIB, 1);
    ck_assert_int_eq(do_write(rig, file, rig->buf, MIB, 0, 0), MIB);
    return file;
}

long long blocks_of(struct rig *rig, int file, int fd)
{
    struct stat st;

    ck_assert_int_eq(do_flush(rig, file), 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    return (long long)st.st_blocks;
}

bool place_is_block(void)
{
    return strncmp(place_kind(), "loop", 4) == 0;
}

void take(struct rig *rig, struct ioq_completion *done, unsigned int count)
{
    int n = ioq_handle_wait(rig->handle, done, count, count, LONG);

    MUST(n == (int)count, "%d completions of %u: %s", n, count,
         ioq_last_error());
}

int64_t result_of(struct rig *rig, const void *user_data)
{
    struct ioq_completion done;

    take(rig, &done, 1);
    MUST(done.user_data == user_data, "another request's completion");
    return done.result;
}

/* For what was just queued; rc says how that went. */
static int64_t finish(struct rig *rig, int rc, const void *user_data)
{
    MUST(rc == 0, "queueing: %d, %s", rc, ioq_last_error());
    return result_of(rig, user_data);
}

int64_t do_read(struct rig *rig, int file, void *buf, uint64_t len,
                int64_t offset)
{
    return finish(
        rig, ioq_handle_read(rig->handle, file, buf, len, offset, 0, &file),
        &file);
}

int64_t do_write(struct rig *rig, int file, const void *buf, uint64_t len,
                 int64_t offset, uint32_t flags)
{
    return finish(
        rig,
        ioq_handle_write(rig->handle, file, buf, len, offset, flags, &file),
        &file);
}

int64_t do_readv(struct rig *rig, const struct iovec *iov, int iovcnt,
                 int64_t offset)
{
    return finish(rig,
                  ioq_handle_readv(rig->handle, 0, iov, iovcnt, offset, 0, rig),
                  rig);
}

int64_t do_writev(struct rig *rig, const struct iovec *iov, int iovcnt,
                  int64_t offset, uint32_t flags)
{
    return finish(
        rig, ioq_handle_writev(rig->handle, 0, iov, iovcnt, offset, flags, rig),
        rig);
}

int64_t do_flush(struct rig *rig, int file)
{
    return finish(rig, ioq_handle_flush(rig->handle, file, 0, &file), &file);
}

int64_t do_discard(struct rig *rig, int file, int64_t offset, uint64_t len,
                   uint32_t flags)
{
    return finish(
        rig, ioq_handle_discard(rig->handle, file, offset, len, flags, &file),
        &file);
}

int64_t do_zeroes(struct rig *rig, int file, int64_t offset, uint64_t len,
                  uint32_t flags)
{
    return finish(
        rig,
        ioq_handle_write_zeroes(rig->handle, file, offset, len, flags, &file),
        &file);
}

static unsigned char byte_of(size_t at, unsigned int seed)
{
    uint32_t word = (uint32_t)(at / 4 + 1) * 2654435761u + seed * 40503u;

    return (unsigned char)(word >> (at % 4 * 8));
}

void fill(void *buf, size_t len, unsigned int seed)
{
    unsigned char *bytes = buf;
    size_t i;

    for (i = 0; i < len; i++)
        bytes[i] = byte_of(i, seed);
}

bool is_filled(const void *buf, size_t len, unsigned int seed)
{
    const unsigned char *bytes = buf;
    size_t i;

    for (i = 0; i < len; i++)
        if (bytes[i] != byte_of(i, seed))
            return false;
    return true;
}

bool is_all(const void *buf, size_t len, unsigned char byte)
{
    const unsigned char *bytes = buf;
    size_t i;

    for (i = 0; i < len; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

void write_filled(struct rig *rig, size_t len, int64_t offset,
                  unsigned int seed)
{
    fill(rig->buf, len, seed);
    ck_assert_int_eq(do_write(rig, 0, rig->buf, len, offset, 0), (int64_t)len);
}

void read_afresh(struct rig *rig, size_t len, int64_t offset)
{
    memset(rig->buf, 0xff, len);
    ck_assert_int_eq(do_read(rig, 0, rig->buf, len, offset), (int64_t)len);
}

struct ioq_file_info info_of(struct rig *rig, int file)
{
    struct ioq_file_info info = {.size = sizeof(info)};

    MUST(ioq_handle_file_info(rig->handle, file, &info) == 0, "file_info: %s",
         ioq_last_error());
    return info;
}

struct ioq_stats stats_of(struct rig *rig)
{
    struct ioq_stats stats = {.size = sizeof(stats)};

    MUST(ioq_handle_stats(rig->handle, &stats) == 0, "stats: %s",
         ioq_last_error());
    return stats;
}

bool is_readable(int fd)
{
    const struct timespec now = {0, 0};
    struct pollfd wanted = {fd, POLLIN, 0};
    int rc;

    do {
        rc = ppoll(&wanted, 1, &now, NULL);
    } while (rc < 0 && errno == EINTR);
    return rc == 1 && (wanted.revents & POLLIN);
}
