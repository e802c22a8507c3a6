/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads and writes: ioq_handle_read, write, readv, writev. */
#include "contract.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* "Queues a read of len bytes at offset. Goes out with ioq_handle_submit." */
TEST(read_goes_out_with_submit, "")
{
    struct ioq_completion done;
    struct ioq_pending pending;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(
        ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 2 * BLOCK, 0, &rig), 0);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, &pending, 1), 1);
    ck_assert_uint_eq(pending.stage, IOQ_STAGE_QUEUED);
    ck_assert_int_eq(pending.offset, 2 * BLOCK);
    ck_assert_int_eq(pending.length, BLOCK);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    ck_assert_int_eq(result_of(&rig, &rig), BLOCK);
    rig_close(&rig);
}

/* "As ioq_handle_read, but writes." What is read is what was written. */
TEST(write_is_read_back, "")
{
    struct rig rig;
    unsigned int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 4; i++) {
        write_filled(&rig, 3 * BLOCK, i * BLOCK, i);
        read_afresh(&rig, 3 * BLOCK, i * BLOCK);
        ck_assert(is_filled(rig.buf, 3 * BLOCK, i));
    }
    rig_close(&rig);
}

/*
 * "user_data comes back with the completion." "One request that is over."
 * "the caller's, from when the request was queued"
 */
TEST(user_data_comes_back, "")
{
    struct ioq_completion done[8];
    bool seen[8] = {false};
    uintptr_t i, which;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 8; i++)
        ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf + i * BLOCK,
                                         BLOCK, 0, 0, (void *)(i + 100)),
                         0);
    take(&rig, done, 8);
    for (i = 0; i < 8; i++) {
        which = (uintptr_t)done[i].user_data - 100;
        ck_assert_uint_lt(which, 8);
        ck_assert(!seen[which]);
        seen[which] = true;
    }
    rig_close(&rig);
}

/* "bytes of a read or write, 0 of others, or -errno" */
TEST(results_are_bytes_or_0, "")
{
    struct rig rig;
    int64_t result;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, BLOCK, 0, 0), BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 2 * BLOCK, 0), 2 * BLOCK);
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    result = do_discard(&rig, 0, 0, BLOCK, 0);
    ck_assert(result == 0 || result == -EOPNOTSUPP);
    ck_assert_int_eq(do_read(&rig, 0, (void *)(uintptr_t)BLOCK, BLOCK, 0),
                     -EFAULT);
    rig_close(&rig);
}

/*
 * "The completion's result is the number of bytes that came from the file. The
 * rest of the buffer, beyond the end of the file, is filled with zeroes."
 */
TEST(read_over_the_end_is_filled_with_zeroes, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    write_filled(&rig, BLOCK, PLACE_SIZE - BLOCK, 1);
    memset(rig.buf, 0xff, 4 * BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 3 * BLOCK, PLACE_SIZE - BLOCK),
                     BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 1));
    ck_assert(is_all(rig.buf + BLOCK, 2 * BLOCK, 0));
    ck_assert(is_all(rig.buf + 3 * BLOCK, BLOCK, 0xff));
    rig_close(&rig);
}

/* "The rest of the buffer, beyond the end of the file, is filled with zeroes."
 * Even if that is all of it, however odd the place. */
TEST(read_beyond_the_end_is_all_zeroes, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    memset(rig.buf, 0xff, BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, PLACE_SIZE), 0);
    ck_assert(is_all(rig.buf, BLOCK, 0));
    memset(rig.buf, 0xff, BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + 1, 1000, PLACE_SIZE + 12345),
                     0);
    ck_assert_uint_eq(rig.buf[0], 0xff);
    ck_assert(is_all(rig.buf + 1, 1000, 0));
    ck_assert_uint_eq(rig.buf[1001], 0xff);
    memset(rig.buf, 0xff, BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, INT64_C(1) << 50), 0);
    ck_assert(is_all(rig.buf, BLOCK, 0));
    rig_close(&rig);
}

/* "The completion's result is the number of bytes that came from the file."
 * Files end anywhere. */
TEST(read_knows_odd_ends, "")
{
    static const int ends[] = {1, 511, 512, 513, 4095, 4097, 10000};
    unsigned int i;
    struct rig rig;
    int fd, file;

    if (place_is_block())
        DOES_NOT_APPLY("a device has no odd end");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, &fd);
    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        int end = ends[i], block = (end - 1) / BLOCK * BLOCK;

        ck_assert_int_eq(ftruncate(fd, 0), 0);
        fill(rig.buf, (size_t)end, i);
        ck_assert_int_eq(do_write(&rig, file, rig.buf, (uint64_t)end, 0, 0),
                         end);
        ck_assert_int_eq(info_of(&rig, file).length, end);
        memset(rig.buf, 0xff, 8 * BLOCK);
        ck_assert_int_eq(do_read(&rig, file, rig.buf, 4 * BLOCK, 0), end);
        ck_assert(is_filled(rig.buf, (size_t)end, i));
        ck_assert(is_all(rig.buf + end, (size_t)(4 * BLOCK - end), 0));
        memset(rig.buf, 0xff, 8 * BLOCK);
        ck_assert_int_eq(do_read(&rig, file, rig.buf, BLOCK, block),
                         end - block);
        ck_assert_int_eq(do_read(&rig, file, rig.buf, 100, end), 0);
    }
    rig_close(&rig);
}

static void transfer_at(struct rig *rig, size_t shift, uint64_t len,
                        int64_t offset, unsigned int seed)
{
    unsigned char *buf = rig->buf + BLOCK + shift;

    memset(rig->buf, 0xa5, MIB);
    fill(buf, len, seed);
    ck_assert_int_eq(do_write(rig, 0, buf, len, offset, 0), (int64_t)len);
    ck_assert(is_filled(buf, len, seed));
    memset(rig->buf, 0xa5, MIB);
    ck_assert_int_eq(do_read(rig, 0, buf, len, offset), (int64_t)len);
    ck_assert(is_filled(buf, len, seed));
    ck_assert(is_all(rig->buf, BLOCK + shift, 0xa5));
    ck_assert(is_all(buf + len, BLOCK, 0xa5));
}

/* "Any alignment will do" of the buffer. */
TEST(buffers_have_any_alignment, "")
{
    static const size_t shifts[] = {0, 1, 4, 8, 511, 512, 4095};
    unsigned int i;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++)
        transfer_at(&rig, shifts[i], 2 * BLOCK, 8 * BLOCK, i);
    rig_close(&rig);
}

/* "Any alignment will do" of the offset. */
TEST(offsets_have_any_alignment, "")
{
    static const int64_t offsets[] = {1, 4, 511, 512, 513, 4095, 12345};
    unsigned int i;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        transfer_at(&rig, 0, 2 * BLOCK, offsets[i], i);
    rig_close(&rig);
}

/* "Any alignment will do" of the length. */
TEST(lengths_have_any_alignment, "")
{
    static const uint64_t lengths[] = {0,    1,    511,   512,   513,
                                       4095, 4097, 70001, 600000};
    unsigned int i;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        transfer_at(&rig, 0, lengths[i], 8 * BLOCK, i);
    rig_close(&rig);
}

/*
 * "what O_DIRECT would refuse is copied through a buffer of the library's."
 * "copied for alignment" And nothing else is.
 */
TEST(bounces_what_direct_files_refuse, "")
{
    uint64_t before;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 8 * BLOCK, 0), 8 * BLOCK);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 8 * BLOCK, 0, 0), 8 * BLOCK);
    ck_assert_uint_eq(stats_of(&rig).bounced_bytes, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + 1, 1000, 3), 1000);
    before = stats_of(&rig).bounced_bytes;
    ck_assert_uint_eq(before, place_is_direct() ? 1000 : 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf + 1, 1000, 3, 0), 1000);
    ck_assert_uint_eq(stats_of(&rig).bounced_bytes, 2 * before);
    rig_close(&rig);
}

/*
 * "Returns 0 if accepted"
 * "-EAGAIN depth requests were accepted and not yet given out: reap first"
 */
TEST(queue_takes_depth_requests, "")
{
    struct ioq_completion done[4];
    struct rig rig;
    int i;

    rig_open(&rig, 4, 0);
    for (i = 0; i < 4; i++)
        ck_assert_int_eq(
            ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL), -EAGAIN);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), -EAGAIN);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, 0, 0, BLOCK, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(ioq_handle_write_zeroes(rig.handle, 0, 0, BLOCK, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), -EAGAIN);
    take(&rig, done, 1);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), -EAGAIN);
    take(&rig, done, 4);
    rig_close(&rig);
}

/* "-EBADF no such file is attached, or not open for this" */
TEST(queue_wants_a_file_open_for_it, "")
{
    struct rig rig;
    int reads, writes;

    rig_open(&rig, 8, 0);
    reads = rig_attach_place(&rig, O_RDONLY);
    writes = rig_attach_place(&rig, O_WRONLY);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 7, rig.buf, BLOCK, 0, 0, NULL),
                     -EBADF);
    ck_assert_int_eq(
        ioq_handle_read(rig.handle, -1, rig.buf, BLOCK, 0, 0, NULL), -EBADF);
    ck_assert_int_eq(
        ioq_handle_read(rig.handle, writes, rig.buf, BLOCK, 0, 0, NULL),
        -EBADF);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, reads, rig.buf, BLOCK, 0, 0, NULL),
        -EBADF);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, reads, 0, BLOCK, 0, NULL),
                     -EBADF);
    ck_assert_int_eq(
        ioq_handle_write_zeroes(rig.handle, reads, 0, BLOCK, 0, NULL), -EBADF);
    ck_assert_int_eq(do_read(&rig, reads, rig.buf, BLOCK, 0), BLOCK);
    ck_assert_int_eq(do_write(&rig, writes, rig.buf, BLOCK, 0, 0), BLOCK);
    rig_close(&rig);
}

static int read_at(struct rig *rig, uint64_t len, int64_t offset)
{
    return ioq_handle_read(rig->handle, 0, rig->buf, len, offset, 0, NULL);
}

/* "-EINVAL offset negative, offset + len too large, or unknown flags" */
TEST(queue_wants_a_sound_range, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(read_at(&rig, BLOCK, -1), -EINVAL);
    ck_assert_int_eq(read_at(&rig, BLOCK, INT64_MIN), -EINVAL);
    ck_assert_int_eq(read_at(&rig, BLOCK, INT64_MAX), -EINVAL);
    ck_assert_int_eq(read_at(&rig, UINT64_MAX, BLOCK), -EINVAL);
    ck_assert_int_eq(read_at(&rig, UINT64_MAX / 2, BLOCK), -EINVAL);
    ck_assert_int_eq(
        ioq_handle_discard(rig.handle, 0, BLOCK, UINT64_MAX, 0, NULL), -EINVAL);
    ck_assert_int_eq(
        ioq_handle_write_zeroes(rig.handle, 0, INT64_MAX, 1, 0, NULL), -EINVAL);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
    rig_close(&rig);
}

/* "or unknown flags" "flags is 0." "flags may hold IOQ_F_FUA." */
TEST(queue_knows_its_flags, "")
{
    const uint32_t zeroes = IOQ_F_FUA | IOQ_F_MAY_UNMAP | IOQ_F_NO_FALLBACK;
    struct ioq_completion done[2];
    unsigned int bit;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (bit = 0; bit < 32; bit++) {
        uint32_t f = 1u << bit;
        struct ioq_handle *h = rig.handle;

        ck_assert_int_eq(ioq_handle_read(h, 0, rig.buf, BLOCK, 0, f, NULL),
                         -EINVAL);
        ck_assert_int_eq(ioq_handle_flush(h, 0, f, NULL), -EINVAL);
        if (f == IOQ_F_FUA)
            continue;
        ck_assert_int_eq(ioq_handle_write(h, 0, rig.buf, BLOCK, 0, f, NULL),
                         -EINVAL);
        ck_assert_int_eq(ioq_handle_discard(h, 0, 0, BLOCK, f, NULL), -EINVAL);
        if (!(f & zeroes))
            ck_assert_int_eq(ioq_handle_write_zeroes(h, 0, 0, BLOCK, f, NULL),
                             -EINVAL);
    }
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf, BLOCK, 0, IOQ_F_FUA, NULL), 0);
    ck_assert_int_eq(
        ioq_handle_discard(rig.handle, 0, BLOCK, BLOCK, IOQ_F_FUA, NULL), 0);
    take(&rig, done, 2);
    rig_close(&rig);
}

/* "-EFAULT buf is NULL and len is not 0" */
TEST(queue_wants_a_buffer, "")
{
    const struct iovec hole = {NULL, BLOCK}, empty = {NULL, 0};
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 0, NULL, BLOCK, 0, 0, NULL),
                     -EFAULT);
    ck_assert_int_eq(ioq_handle_write(rig.handle, 0, NULL, 1, 0, 0, NULL),
                     -EFAULT);
    ck_assert_int_eq(ioq_handle_readv(rig.handle, 0, &hole, 1, 0, 0, NULL),
                     -EFAULT);
    ck_assert_int_eq(do_read(&rig, 0, NULL, 0, 0), 0);
    ck_assert_int_eq(do_write(&rig, 0, NULL, 0, 0, 0), 0);
    ck_assert_int_eq(do_readv(&rig, &empty, 1, 0), 0);
    rig_close(&rig);
}

/*
 * "The completion's result is len, or -errno if not all could be written."
 */
TEST(write_is_whole_or_an_error, "prlimit64")
{
    const struct rlimit limit = {8 * BLOCK, RLIM_INFINITY};
    int file = 0, error = -ENOSPC;
    int64_t end = PLACE_SIZE;
    struct rig rig;

    rig_open(&rig, 8, 0);
    if (!place_is_block()) {
        file = rig_attach_another(&rig, NULL);
        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        end = 8 * BLOCK;
        error = -EFBIG;
    }
    ck_assert_int_eq(do_write(&rig, file, rig.buf, 2 * BLOCK, end - BLOCK, 0),
                     error);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, BLOCK, end, 0), error);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, BLOCK, end - BLOCK, 0),
                     BLOCK);
    rig_close(&rig);
}

/* "Parts of blocks are written by reading and rewriting the block." */
TEST(write_leaves_the_rest_of_a_block, "")
{
    static unsigned char want[8 * BLOCK];
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    fill(want, sizeof(want), 1);
    memcpy(rig.buf, want, sizeof(want));
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, sizeof(want), 0, 0),
                     sizeof(want));
    for (i = 1; i < 6; i++) {
        int64_t offset = i * BLOCK - 7 * i;
        size_t len = (size_t)(i * 1111);

        memset(rig.buf, i, len);
        memset(want + offset, i, len);
        ck_assert_int_eq(do_write(&rig, 0, rig.buf, len, offset, 0),
                         (int64_t)len);
    }
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, sizeof(want), 0), sizeof(want));
    ck_assert(memcmp(rig.buf, want, sizeof(want)) == 0);
    rig_close(&rig);
}

/* "Parts of blocks are written by reading and rewriting the block." And a file
 * does not get longer than the last byte that was written. */
TEST(write_of_a_part_ends_the_file_there, "")
{
    struct rig rig;
    int file;

    if (place_is_block())
        DOES_NOT_APPLY("a device has one length");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, NULL);
    fill(rig.buf, BLOCK, 1);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, 10, 5, 0), 10);
    ck_assert_int_eq(info_of(&rig, file).length, 15);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, 10, BLOCK, 0), 10);
    ck_assert_int_eq(info_of(&rig, file).length, BLOCK + 10);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, 10, 0, 0), 10);
    ck_assert_int_eq(info_of(&rig, file).length, BLOCK + 10);
    memset(rig.buf, 0xff, 2 * BLOCK);
    ck_assert_int_eq(do_read(&rig, file, rig.buf, 2 * BLOCK, 0), BLOCK + 10);
    ck_assert(is_filled(rig.buf, 10, 1));
    ck_assert(is_all(rig.buf + 15, BLOCK - 15, 0));
    ck_assert(is_filled(rig.buf + BLOCK, 10, 1));
    rig_close(&rig);
}

/* Cuts len bytes at buf into count pieces, the last of which takes the rest. */
static void cut(struct iovec *iov, int count, unsigned char *buf, size_t len,
                size_t piece)
{
    int i;

    for (i = 0; i < count; i++) {
        iov[i] = (struct iovec){buf, i < count - 1 ? piece : len};
        buf += iov[i].iov_len;
        len -= iov[i].iov_len;
    }
}

/* "As ioq_handle_read, into iovcnt buffers." */
TEST(readv_fills_buffers_in_order, "")
{
    struct iovec iov[7];
    struct rig rig;

    rig_open(&rig, 8, 0);
    write_filled(&rig, 16 * BLOCK, 0, 1);
    memset(rig.buf, 0xff, 16 * BLOCK);
    cut(iov, 7, rig.buf, 16 * BLOCK, BLOCK);
    ck_assert_int_eq(do_readv(&rig, iov, 7, 0), 16 * BLOCK);
    ck_assert(is_filled(rig.buf, 16 * BLOCK, 1));
    memset(rig.buf, 0xff, 16 * BLOCK);
    cut(iov, 7, rig.buf + 3, 16 * BLOCK, 777);
    ck_assert_int_eq(do_readv(&rig, iov, 7, 0), 16 * BLOCK);
    ck_assert(is_filled(rig.buf + 3, 16 * BLOCK, 1));
    rig_close(&rig);
}

/* "As ioq_handle_write, from iovcnt buffers; see ioq_handle_readv." */
TEST(writev_takes_buffers_in_order, "")
{
    struct iovec iov[9];
    struct rig rig;

    rig_open(&rig, 8, 0);
    fill(rig.buf, 16 * BLOCK, 1);
    cut(iov, 9, rig.buf, 16 * BLOCK, BLOCK);
    ck_assert_int_eq(do_writev(&rig, iov, 9, 0, IOQ_F_FUA), 16 * BLOCK);
    read_afresh(&rig, 16 * BLOCK, 0);
    ck_assert(is_filled(rig.buf, 16 * BLOCK, 1));
    fill(rig.buf + 5, 16 * BLOCK, 2);
    cut(iov, 9, rig.buf + 5, 16 * BLOCK, 999);
    ck_assert_int_eq(do_writev(&rig, iov, 9, 77, 0), 16 * BLOCK);
    read_afresh(&rig, 16 * BLOCK, 77);
    ck_assert(is_filled(rig.buf, 16 * BLOCK, 2));
    rig_close(&rig);
}

/* "The array iov is copied: it may be reused at once." */
TEST(readv_copies_the_array, "")
{
    struct iovec iov[4];
    struct rig rig;
    int way;

    rig_open(&rig, 8, 0);
    write_filled(&rig, 4 * BLOCK, 0, 1);
    for (way = 0; way < 2; way++) {
        memset(rig.buf, 0xff, 8 * BLOCK);
        cut(iov, 4, rig.buf + way, 4 * BLOCK, BLOCK);
        ck_assert_int_eq(ioq_handle_readv(rig.handle, 0, iov, 4, 0, 0, NULL),
                         0);
        memset(iov, 0xff, sizeof(iov));
        ck_assert_int_eq(result_of(&rig, NULL), 4 * BLOCK);
        ck_assert(is_filled(rig.buf + way, 4 * BLOCK, 1));
    }
    rig_close(&rig);
}

/*
 * "Also returns -EINVAL if iovcnt is negative, -E2BIG if it exceeds
 * max_segments."
 */
TEST(readv_wants_a_sound_array, "")
{
    struct iovec iov[3];
    struct ioq_options options = engine_options(8, 0);
    struct rig rig;

    options.max_segments = 2;
    rig_open_with(&rig, &options);
    cut(iov, 3, rig.buf, 3 * BLOCK, BLOCK);
    ck_assert_int_eq(ioq_handle_readv(rig.handle, 0, iov, -1, 0, 0, NULL),
                     -EINVAL);
    ck_assert_int_eq(ioq_handle_writev(rig.handle, 0, iov, -1, 0, 0, NULL),
                     -EINVAL);
    ck_assert_int_eq(ioq_handle_readv(rig.handle, 0, NULL, 1, 0, 0, NULL),
                     -EINVAL);
    ck_assert_int_eq(ioq_handle_readv(rig.handle, 0, iov, 3, 0, 0, NULL),
                     -E2BIG);
    ck_assert_int_eq(ioq_handle_writev(rig.handle, 0, iov, 3, 0, 0, NULL),
                     -E2BIG);
    ck_assert_int_eq(do_readv(&rig, NULL, 0, 0), 0);
    rig_close(&rig);
}

/* "As ioq_handle_read, into iovcnt buffers." Even more than the kernel takes
 * in one call. */
TEST(readv_takes_more_buffers_than_the_kernel, "")
{
    struct ioq_options options = engine_options(4, 0);
    const int count = 1500;
    const size_t piece = 512, all = count * piece;
    struct iovec *iov = calloc((size_t)count, sizeof(*iov));
    struct rig rig;

    options.max_segments = (uint32_t)count;
    rig_open_with(&rig, &options);
    fill(rig.buf, all, 1);
    cut(iov, count, rig.buf, all, piece);
    ck_assert_int_eq(do_writev(&rig, iov, count, 0, 0), (int64_t)all);
    memset(rig.buf, 0xff, all);
    ck_assert_int_eq(do_readv(&rig, iov, count, 0), (int64_t)all);
    ck_assert(is_filled(rig.buf, all, 1));
    free(iov);
    rig_close(&rig);
}

/* "As ioq_handle_read, into iovcnt buffers." Some may be empty. */
TEST(readv_takes_empty_buffers, "")
{
    struct iovec iov[5];
    struct rig rig;

    rig_open(&rig, 8, 0);
    write_filled(&rig, 2 * BLOCK, 0, 1);
    memset(rig.buf, 0xff, 2 * BLOCK);
    iov[0] = iov[2] = iov[4] = (struct iovec){NULL, 0};
    iov[1] = (struct iovec){rig.buf, BLOCK};
    iov[3] = (struct iovec){rig.buf + BLOCK, BLOCK};
    ck_assert_int_eq(do_readv(&rig, iov, 5, 0), 2 * BLOCK);
    ck_assert(is_filled(rig.buf, 2 * BLOCK, 1));
    rig_close(&rig);
}

/* "Queues a read of len bytes at offset." A hole has bytes, too. */
TEST(read_of_a_hole_is_zeroes, "")
{
    struct rig rig;
    int fd, file;

    if (place_is_block())
        DOES_NOT_APPLY("a device tells of no holes");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, &fd);
    ck_assert_int_eq(ftruncate(fd, 10 * BLOCK), 0);
    memset(rig.buf, 0xff, 10 * BLOCK);
    ck_assert_int_eq(do_read(&rig, file, rig.buf, 8 * BLOCK, BLOCK), 8 * BLOCK);
    ck_assert(is_all(rig.buf, 8 * BLOCK, 0));
    ck_assert_int_eq(do_read(&rig, file, rig.buf + 1, 100, 17), 100);
    ck_assert(is_all(rig.buf + 1, 100, 0));
    rig_close(&rig);
}

/*
 * "Every request that was accepted completes exactly once, whatever the kernel
 * does."
 */
TEST(each_request_completes_once, "")
{
    struct ioq_completion done[64];
    unsigned int times[64] = {0}, i;
    struct rig rig;

    rig_open(&rig, 64, 0);
    for (i = 0; i < 64; i++) {
        int64_t offset = i * 2 * BLOCK + (i % 3 == 0 ? 7 : 0);

        ck_assert_int_eq(ioq_handle_write(rig.handle, 0, rig.buf + i * BLOCK,
                                          BLOCK, offset, i % 5 == 0, &times[i]),
                         0);
    }
    take(&rig, done, 64);
    for (i = 0; i < 64; i++) {
        ck_assert_int_eq(done[i].result, BLOCK);
        ++*(unsigned int *)done[i].user_data;
    }
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(times[i], 1);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 64), 0);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 1, 64, -1), 0);
    rig_close(&rig);
}
