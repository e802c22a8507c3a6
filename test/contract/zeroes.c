/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_write_zeroes. */
#include "contract.h"

#include <fcntl.h>

static const struct {
    int64_t offset;
    uint64_t len;
} ranges[] = {{0, BLOCK},       {BLOCK, 5 * BLOCK}, {1, 100},   {BLOCK - 1, 2},
              {513, 3 * BLOCK}, {512, 512},         {BLOCK, 0}, {4095, 8193}};

static void check_ranges(uint32_t flags)
{
    static unsigned char want[8 * BLOCK];
    struct rig rig;
    unsigned int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        fill(want, sizeof(want), i);
        memcpy(rig.buf, want, sizeof(want));
        ck_assert_int_eq(do_write(&rig, 0, rig.buf, sizeof(want), BLOCK, 0),
                         sizeof(want));
        ck_assert_int_eq(
            do_zeroes(&rig, 0, BLOCK + ranges[i].offset, ranges[i].len, flags),
            0);
        memset(want + ranges[i].offset, 0, ranges[i].len);
        read_afresh(&rig, sizeof(want), BLOCK);
        ck_assert(memcmp(rig.buf, want, sizeof(want)) == 0);
    }
    rig_close(&rig);
}

/*
 * "Queues a write of len zeroes at offset, without a buffer, by whichever means
 * the file has." "Completes with 0 or -errno."
 */
TEST(zeroes_are_written, "")
{
    check_ranges(0);
}

/* "Write-zeroes may free the space" The bytes read as zeroes all the same. */
TEST(zeroes_are_written_by_unmapping, "")
{
    check_ranges(IOQ_F_MAY_UNMAP);
}

/* "IOQ_F_FUA as for a write." */
TEST(zeroes_are_written_through, "")
{
    check_ranges(IOQ_F_FUA);
    check_ranges(IOQ_F_FUA | IOQ_F_MAY_UNMAP);
}

/* "A file grows as with a write." */
TEST(zeroes_make_a_file_grow, "")
{
    static const uint32_t flags[] = {0, IOQ_F_MAY_UNMAP, IOQ_F_FUA};
    unsigned int i;
    struct rig rig;
    int fd, file;

    if (place_is_block())
        DOES_NOT_APPLY("a device has one length");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, &fd);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        ck_assert_int_eq(do_zeroes(&rig, file, 0, BLOCK, flags[i]), 0);
        ck_assert_int_eq(info_of(&rig, file).length, BLOCK);
        ck_assert_int_eq(do_zeroes(&rig, file, 5000, 2000, flags[i]), 0);
        ck_assert_int_eq(info_of(&rig, file).length, 7000);
        ck_assert_int_eq(do_zeroes(&rig, file, 100, 1000, flags[i]), 0);
        ck_assert_int_eq(info_of(&rig, file).length, 7000);
        ck_assert_int_eq(do_zeroes(&rig, file, 9000, 0, flags[i]), 0);
        ck_assert_int_eq(info_of(&rig, file).length, 7000);
        memset(rig.buf, 0xff, 2 * BLOCK);
        ck_assert_int_eq(do_read(&rig, file, rig.buf, 2 * BLOCK, 0), 7000);
        ck_assert(is_all(rig.buf, 2 * BLOCK, 0));
    }
    rig_close(&rig);
}

/* The space of a file before and after its zeroes, in 512 bytes. */
static void space(uint32_t flags, long long *ret_before, long long *ret_after)
{
    struct rig rig;
    int fd, file;

    rig_open(&rig, 8, 0);
    file = rig_attach_allocated(&rig, &fd);
    *ret_before = blocks_of(&rig, file, fd);
    ck_assert_int_eq(do_zeroes(&rig, file, 0, MIB, flags), 0);
    *ret_after = blocks_of(&rig, file, fd);
    rig_close(&rig);
}

/* "without IOQ_F_MAY_UNMAP the space stays allocated." */
TEST(zeroes_keep_the_space, "")
{
    long long before, after;

    if (place_is_block())
        DOES_NOT_APPLY("a device does not tell");
    space(0, &before, &after);
    ck_assert_int_ge(before, MIB / 512);
    ck_assert_int_ge(after, MIB / 512);
}

/*
 * "Write-zeroes may free the space, so that later writes can fail for space."
 */
TEST(zeroes_may_free_the_space, "")
{
    long long before, after;

    if (place_is_block())
        DOES_NOT_APPLY("a device does not tell");
    space(IOQ_F_MAY_UNMAP, &before, &after);
    ck_assert_int_lt(after, before);
}

/*
 * "With IOQ_F_NO_FALLBACK it completes with -EOPNOTSUPP where plain zeroes
 * would have to be written." "Write-zeroes fails with -EOPNOTSUPP rather than
 * write plain zeroes."
 */
TEST(zeroes_need_not_be_plain, "")
{
    bool plain = strcmp(place_kind(), "tmpfs") == 0;
    struct rig rig;
    int64_t result;

    rig_open(&rig, 8, 0);
    write_filled(&rig, BLOCK, 0, 1);
    result = do_zeroes(&rig, 0, 0, place_is_block() ? 100 : BLOCK,
                       IOQ_F_NO_FALLBACK);
    /* No device zeroes a part of a block, and tmpfs has no zero range. */
    ck_assert_int_eq(result, plain || place_is_block() ? -EOPNOTSUPP : 0);
    read_afresh(&rig, BLOCK, 0);
    if (result == 0)
        ck_assert(is_all(rig.buf, BLOCK, 0));
    else
        ck_assert(is_filled(rig.buf, BLOCK, 1));
    rig_close(&rig);
}

/* "With IOQ_F_NO_FALLBACK" and IOQ_F_MAY_UNMAP a hole is as good. */
TEST(zeroes_without_fallback_may_be_a_hole, "")
{
    const uint32_t flags = IOQ_F_NO_FALLBACK | IOQ_F_MAY_UNMAP;
    struct rig rig;

    rig_open(&rig, 8, 0);
    write_filled(&rig, 2 * BLOCK, 0, 1);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, flags), 0);
    read_afresh(&rig, BLOCK, 0);
    ck_assert(is_all(rig.buf, BLOCK, 0));
    rig_close(&rig);
}

/* "Completes with 0 or -errno." Beyond a device's end as a write would. */
TEST(zeroes_end_with_the_device, "")
{
    struct rig rig;

    if (!place_is_block())
        DOES_NOT_APPLY("not a device");
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_zeroes(&rig, 0, PLACE_SIZE, BLOCK, 0), -ENOSPC);
    ck_assert_int_eq(
        do_zeroes(&rig, 0, PLACE_SIZE - BLOCK, 2 * BLOCK, IOQ_F_MAY_UNMAP),
        -ENOSPC);
    ck_assert_int_eq(do_zeroes(&rig, 0, PLACE_SIZE - BLOCK, BLOCK, 0), 0);
    rig_close(&rig);
}

/* "Returns as ioq_handle_write." "flags: without IOQ_F_MAY_UNMAP" */
TEST(zeroes_are_checked_as_a_write, "")
{
    struct rig rig;
    int file;

    rig_open(&rig, 8, 0);
    file = rig_attach_place(&rig, O_RDONLY);
    ck_assert_int_eq(
        ioq_handle_write_zeroes(rig.handle, file, 0, BLOCK, 0, NULL), -EBADF);
    ck_assert_int_eq(ioq_handle_write_zeroes(rig.handle, 0, -1, BLOCK, 0, NULL),
                     -EINVAL);
    ck_assert_int_eq(
        ioq_handle_write_zeroes(rig.handle, 0, 0, BLOCK, 1u << 3, NULL),
        -EINVAL);
    ck_assert_int_eq(ioq_handle_write_zeroes(rig.handle, 9, 0, BLOCK, 0, NULL),
                     -EBADF);
    rig_close(&rig);
}
