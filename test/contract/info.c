/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_file_info. */
#include "contract.h"

#include <fcntl.h>

/*
 * "Tells what is known of an attached file."
 * "What the library knows of an attached file." "bytes, as of now"
 */
TEST(info_tells_the_length, "")
{
    struct rig rig;
    int fd, other;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(info_of(&rig, 0).length, PLACE_SIZE);
    if (!place_is_block()) {
        other = rig_attach_another(&rig, &fd);
        ck_assert_int_eq(info_of(&rig, other).length, 0);
        ck_assert_int_eq(do_write(&rig, other, rig.buf, BLOCK, BLOCK, 0),
                         BLOCK);
        ck_assert_int_eq(info_of(&rig, other).length, 2 * BLOCK);
        ck_assert_int_eq(ftruncate(fd, 100), 0);
        ck_assert_int_eq(info_of(&rig, other).length, 100);
    }
    rig_close(&rig);
}

/* "accepted and not yet given out" */
TEST(info_counts_requests, "")
{
    struct ioq_completion done[2];
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 2);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 2);
    take(&rig, done, 1);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 1);
    take(&rig, done, 1);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 0);
    rig_close(&rig);
}

/*
 * "else a regular file" "O_DIRECT that the file honours" "IOQ_FILE_*"
 * "Bits of ioq_file_info.flags."
 */
TEST(info_tells_the_kind, "")
{
    struct ioq_file_info info;
    struct rig rig;

    rig_open(&rig, 8, 0);
    info = info_of(&rig, 0);
    ck_assert_int_eq(!!(info.flags & IOQ_FILE_BLOCK_DEVICE), place_is_block());
    ck_assert_int_eq(!!(info.flags & IOQ_FILE_DIRECT), place_is_direct());
    ck_assert_uint_lt(info.flags, 2 * IOQ_FILE_ZEROES);
    rig_close(&rig);
}

static uint32_t flags_of(int mode)
{
    struct ioq_file_info info;
    struct rig rig;
    int file;

    rig_open(&rig, 8, 0);
    file = rig_attach_place(&rig, mode);
    ck_assert_int_eq(file, 1);
    info = info_of(&rig, file);
    rig_close(&rig);
    return info.flags;
}

/* "opened without write access" "opened without read access" */
TEST(info_tells_the_access, "")
{
    const uint32_t both = IOQ_FILE_READ_ONLY | IOQ_FILE_WRITE_ONLY;

    ck_assert_uint_eq(flags_of(O_RDONLY) & both, IOQ_FILE_READ_ONLY);
    ck_assert_uint_eq(flags_of(O_WRONLY) & both, IOQ_FILE_WRITE_ONLY);
    ck_assert_uint_eq(flags_of(O_RDWR) & both, 0);
}

/* "no discard was refused so far" "nor a write-zeroes by the kernel" */
TEST(info_tells_what_was_refused, "")
{
    struct rig rig;
    int64_t result;

    ck_assert_uint_eq(flags_of(O_RDONLY) & (IOQ_FILE_DISCARD | IOQ_FILE_ZEROES),
                      0);
    rig_open(&rig, 8, 0);
    ck_assert_uint_ne(info_of(&rig, 0).flags & IOQ_FILE_DISCARD, 0);
    result = do_discard(&rig, 0, 0, BLOCK, 0);
    ck_assert(result == 0 || result == -EOPNOTSUPP);
    ck_assert_int_eq(!!(info_of(&rig, 0).flags & IOQ_FILE_DISCARD),
                     result == 0);
    ck_assert_uint_ne(info_of(&rig, 0).flags & IOQ_FILE_ZEROES, 0);
    result = do_zeroes(&rig, 0, 0, BLOCK, IOQ_F_NO_FALLBACK);
    ck_assert(result == 0 || result == -EOPNOTSUPP);
    if (result == 0)
        ck_assert_uint_ne(info_of(&rig, 0).flags & IOQ_FILE_ZEROES, 0);
    rig_close(&rig);
}

static bool is_power_of_two(uint32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

/*
 * "buffers aligned to this are not bounced"
 * "nor are offsets and lengths; 1: any"
 */
TEST(info_tells_the_alignment, "")
{
    struct ioq_file_info info;
    uint64_t bounced;
    struct rig rig;

    rig_open(&rig, 8, 0);
    info = info_of(&rig, 0);
    ck_assert(is_power_of_two(info.memory_align));
    ck_assert(is_power_of_two(info.offset_align));
    if (!place_is_direct()) {
        ck_assert_uint_eq(info.memory_align, 1);
        ck_assert_uint_eq(info.offset_align, 1);
    }
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + info.memory_align,
                             info.offset_align, info.offset_align),
                     info.offset_align);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf + info.memory_align,
                              info.offset_align, info.offset_align, 0),
                     info.offset_align);
    bounced = stats_of(&rig).bounced_bytes;
    ck_assert_uint_eq(bounced, 0);
    if (place_is_direct()) {
        ck_assert_int_eq(do_read(&rig, 0, rig.buf, info.offset_align, 1),
                         info.offset_align);
        ck_assert_uint_ge(stats_of(&rig).bounced_bytes, info.offset_align);
    }
    rig_close(&rig);
}

/*
 * "bytes; smallest write of the device"
 * "bytes; smallest write without a penalty" "bytes; 0 if unknown"
 * "bytes; smaller discards may do nothing"
 */
TEST(info_tells_the_limits, "")
{
    struct ioq_file_info info;
    struct rig rig;

    rig_open(&rig, 8, 0);
    info = info_of(&rig, 0);
    if (place_is_block())
        ck_assert_uint_eq(info.logical_block,
                          strtoul(place_kind() + 4, NULL, 10));
    ck_assert(is_power_of_two(info.logical_block));
    ck_assert_uint_ge(info.logical_block, 512);
    ck_assert_uint_ge(info.physical_block, info.logical_block);
    ck_assert_uint_eq(info.optimal_io % 512, 0);
    ck_assert_uint_ge(info.discard_align, info.logical_block);
    ck_assert_uint_eq(info.reserved, 0);
    rig_close(&rig);
}

/* "knows RWF_NOWAIT for reads" */
TEST(info_tells_nowait, "")
{
    struct ioq_file_info info;
    struct rig rig;

    rig_open(&rig, 8, 0);
    info = info_of(&rig, 0);
    /* All file systems that keep data on a disk have known it since 4.13. */
    if (strncmp(place_kind(), "ext4", 4) == 0 ||
        strcmp(place_kind(), "xfs") == 0)
        ck_assert_uint_ne(info.flags & IOQ_FILE_NOWAIT, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
    rig_close(&rig);
}

/*
 * "The caller sets ret_info->size; a shorter struct of an older version is
 * filled as far as it goes." "sizeof(struct ioq_file_info), by the caller"
 */
TEST(info_fills_a_shorter_struct, "")
{
    struct ioq_file_info info;
    struct rig rig;

    rig_open(&rig, 8, 0);
    memset(&info, 0xa5, sizeof(info));
    info.size = 16;
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 0, &info), 0);
    ck_assert_int_eq(info.length, PLACE_SIZE);
    ck_assert_uint_eq(info.size, 16);
    ck_assert(is_all(&info.memory_align, sizeof(info) - 16, 0xa5));
    rig_close(&rig);
}

/* "a shorter struct of an older version" And a longer one of a newer version:
 * what is not known reads as 0. */
TEST(info_fills_a_longer_struct, "")
{
    struct {
        struct ioq_file_info known;
        uint64_t newer;
    } info;
    struct rig rig;

    rig_open(&rig, 8, 0);
    memset(&info, 0xa5, sizeof(info));
    info.known.size = sizeof(info);
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 0, &info.known), 0);
    ck_assert_int_eq(info.known.length, PLACE_SIZE);
    ck_assert_uint_eq(info.newer, 0);
    rig_close(&rig);
}

/*
 * "Returns 0; -EBADF if no such file is attached; -EINVAL if size is too small;
 * or an error of fstat(2)."
 */
TEST(info_refuses_what_is_not_there, "")
{
    struct ioq_file_info info = {.size = sizeof(info)};
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 1, &info), -EBADF);
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, -1, &info), -EBADF);
    info.size = 0;
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 0, &info), -EINVAL);
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 0, NULL), -EINVAL);
    info.size = sizeof(info);
    close(rig.fd);
    ck_assert_int_eq(ioq_handle_file_info(rig.handle, 0, &info), -EBADF);
    ioq_handle_close(rig.handle);
    free(rig.buf);
}
