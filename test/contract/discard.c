/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_discard. */
#include "contract.h"

#include <fcntl.h>

static bool knows_discard(struct rig *rig, int file)
{
    return do_discard(rig, file, 15 * MIB, BLOCK, 0) == 0;
}

/*
 * "Queues a discard: the len bytes at offset are no longer needed, and their
 * space may be freed." "Completes with 0, or with -EOPNOTSUPP if the file
 * cannot, or -errno."
 */
TEST(discard_frees_space, "")
{
    long long before;
    struct rig rig;
    int fd, file;

    if (place_is_block())
        DOES_NOT_APPLY("a device does not tell");
    rig_open(&rig, 8, 0);
    file = rig_attach_allocated(&rig, &fd);
    before = blocks_of(&rig, file, fd);
    ck_assert_int_eq(do_discard(&rig, file, 0, MIB, 0), 0);
    ck_assert_int_lt(blocks_of(&rig, file, fd), before);
    ck_assert_int_eq(info_of(&rig, file).length, MIB);
    rig_close(&rig);
}

/* "Completes with 0" also on a device whose kernel has a hole for it. */
TEST(discard_works_on_devices, "")
{
    struct rig rig;

    if (!place_is_block())
        DOES_NOT_APPLY("not a device");
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_discard(&rig, 0, 0, MIB, 0), 0);
    ck_assert_int_eq(do_discard(&rig, 0, MIB, BLOCK, IOQ_F_FUA), 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, BLOCK, 0, 0), BLOCK);
    rig_close(&rig);
}

/*
 * "What they read as afterwards is not defined, and parts of blocks at both
 * ends may stay." What is outside stays anyhow.
 */
TEST(discard_leaves_its_neighbours, "")
{
    static const struct {
        int64_t offset;
        uint64_t len;
    } ranges[] = {{BLOCK, 2 * BLOCK}, {1, 100},       {BLOCK - 1, 2},
                  {513, 3 * BLOCK},   {2 * BLOCK, 1}, {BLOCK, 0}};
    static unsigned char want[8 * BLOCK];
    unsigned int i;
    struct rig rig;

    rig_open(&rig, 8, 0);
    fill(want, sizeof(want), 3);
    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        size_t start = (size_t)ranges[i].offset, end = start + ranges[i].len;
        int64_t result;

        memcpy(rig.buf, want, sizeof(want));
        ck_assert_int_eq(do_write(&rig, 0, rig.buf, sizeof(want), 0, 0),
                         sizeof(want));
        result = do_discard(&rig, 0, ranges[i].offset, ranges[i].len,
                            i % 2 ? IOQ_F_FUA : 0);
        ck_assert(result == 0 || result == -EOPNOTSUPP);
        read_afresh(&rig, sizeof(want), 0);
        ck_assert(memcmp(rig.buf, want, start) == 0);
        ck_assert(memcmp(rig.buf + end, want + end, sizeof(want) - end) == 0);
    }
    rig_close(&rig);
}

/* "their space may be freed" A file does not get longer or shorter by that. */
TEST(discard_keeps_the_length, "")
{
    struct rig rig;
    int file;

    if (place_is_block())
        DOES_NOT_APPLY("a device has one length");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, NULL);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, 1000, 0, 0), 1000);
    ck_assert_int_eq(do_discard(&rig, file, 0, 4 * BLOCK, 0), 0);
    ck_assert_int_eq(info_of(&rig, file).length, 1000);
    ck_assert_int_eq(do_discard(&rig, file, MIB, MIB, 0), 0);
    ck_assert_int_eq(info_of(&rig, file).length, 1000);
    ck_assert_int_eq(do_read(&rig, file, rig.buf, BLOCK, 0), 1000);
    rig_close(&rig);
}

/* "flags may hold IOQ_F_FUA." "Returns as ioq_handle_write." */
TEST(discard_is_checked_as_a_write, "")
{
    struct rig rig;
    int file;

    rig_open(&rig, 8, 0);
    file = rig_attach_place(&rig, O_RDONLY);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, file, 0, BLOCK, 0, NULL),
                     -EBADF);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, 0, -1, BLOCK, 0, NULL),
                     -EINVAL);
    ck_assert_int_eq(
        ioq_handle_discard(rig.handle, 0, 0, BLOCK, IOQ_F_MAY_UNMAP, NULL),
        -EINVAL);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, 9, 0, BLOCK, 0, NULL),
                     -EBADF);
    if (knows_discard(&rig, 0))
        ck_assert_int_eq(do_discard(&rig, 0, 0, BLOCK, IOQ_F_FUA), 0);
    rig_close(&rig);
}

/* "bytes of a read or write, 0 of others, or -errno" Of many at once, too. */
TEST(discard_of_many_ranges, "")
{
    struct ioq_completion done[32];
    struct rig rig;
    int i;

    rig_open(&rig, 32, 0);
    for (i = 0; i < 32; i++)
        ck_assert_int_eq(ioq_handle_discard(rig.handle, 0, i * 8 * BLOCK,
                                            4 * BLOCK, 0, NULL),
                         0);
    take(&rig, done, 32);
    for (i = 0; i < 32; i++)
        ck_assert(done[i].result == 0 || done[i].result == -EOPNOTSUPP);
    rig_close(&rig);
}
