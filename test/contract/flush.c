/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flush and IOQ_F_FUA. That data survives a crash is shown by test/vm/kill.sh;
 * here, that the kernel was told.
 */
#include "contract.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EXTENTS 64

/* Whether all of the file has a place on the disk by now. */
static bool is_allocated(int fd)
{
    struct fiemap *map =
        calloc(1, sizeof(*map) + EXTENTS * sizeof(struct fiemap_extent));
    bool all = true;
    uint32_t i;

    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_extent_count = EXTENTS;
    if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
        map->fm_mapped_extents = 0;
    for (i = 0; i < map->fm_mapped_extents; i++)
        all = all && !(map->fm_extents[i].fe_flags & FIEMAP_EXTENT_DELALLOC);
    free(map);
    return all;
}

static bool allocates_late(void)
{
    return !place_is_block() && strcmp(place_kind(), "tmpfs") != 0;
}

/* How many flushes the device under the place has done, or -1. */
static long long device_flushes(void)
{
    const char *name = strrchr(getenv("IOQ_TEST_PLACE"), '/');
    char path[128], text[512] = "";
    long long count = -1;
    int fd;

    snprintf(path, sizeof(path), "/sys/block%s/stat", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
        sscanf(text,
               "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
               "%lld",
               &count);
    close(fd);
    return count;
}

/*
 * "Queues a flush: when it completes with 0, all writes, discards and
 * write-zeroes of the file that had completed before it was queued are on
 * stable storage."
 */
TEST(flush_writes_files_out, "")
{
    struct rig rig;
    int fd, file;

    if (!allocates_late())
        DOES_NOT_APPLY("nothing here is allocated late");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, &fd);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, MIB, 0, 0), MIB);
    ck_assert_int_eq(do_zeroes(&rig, file, MIB, MIB, 0), 0);
    ck_assert_int_eq(do_flush(&rig, file), 0);
    ck_assert(is_allocated(fd));
    rig_close(&rig);
}

/* "all writes, discards and write-zeroes of the file" Those of a device. */
TEST(flush_reaches_the_device, "")
{
    long long before;
    struct rig rig;

    if (!place_is_block())
        DOES_NOT_APPLY("not a device");
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, BLOCK, 0, 0), BLOCK);
    before = device_flushes();
    ck_assert_int_ge(before, 0);
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    ck_assert_int_gt(device_flushes(), before);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    before = device_flushes();
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    ck_assert_int_gt(device_flushes(), before);
    rig_close(&rig);
}

/*
 * "It says nothing of those that were in flight." "flags is 0."
 * It does not wait for them, either.
 */
TEST(flush_waits_for_no_write, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;

    rig_open(&rig, 8, 0);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_write(&stuck, &rig, 0, 100);
    if (place_is_direct())
        ck_assert_int_eq(do_flush(&rig, 0), 0);
    stuck_end(&stuck, &rig);
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    rig_close(&rig);
}

/* "A file opened without write access is fine." "Returns as ioq_handle_read."
 */
TEST(flush_needs_no_write_access, "")
{
    struct rig rig;
    int file;

    rig_open(&rig, 8, 0);
    file = rig_attach_place(&rig, O_RDONLY);
    ck_assert_int_eq(file, 1);
    ck_assert_int_eq(do_flush(&rig, file), 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 2, 0, NULL), -EBADF);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 1, NULL), -EINVAL);
    rig_close(&rig);
}

/* "in bytes; 0 for a flush" */
TEST(flush_has_no_range, "")
{
    struct ioq_pending pending;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &rig), 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, &pending, 1), 1);
    ck_assert_uint_eq(pending.kind, IOQ_KIND_FLUSH);
    ck_assert_int_eq(pending.offset, 0);
    ck_assert_int_eq(pending.length, 0);
    ck_assert_int_eq(result_of(&rig, &rig), 0);
    rig_close(&rig);
}

/*
 * "A write, discard or write-zeroes is on stable storage when it completes."
 * "flags may hold IOQ_F_FUA."
 */
TEST(fua_reaches_the_device, "")
{
    long long before;
    struct rig rig;
    int odd, i;

    if (!place_is_block())
        DOES_NOT_APPLY("not a device");
    rig_open(&rig, 8, 0);
    /*
     * Aligned, and then in a way that has a worker do it. More than once, as an
     * engine may refuse the first and learn.
     */
    for (i = 0; i < 16; i++) {
        odd = i >= 8;
        before = device_flushes();
        ck_assert_int_ge(before, 0);
        ck_assert_int_eq(
            do_write(&rig, 0, rig.buf + odd, BLOCK, odd, IOQ_F_FUA), BLOCK);
        ck_assert_int_gt(device_flushes(), before);
        before = device_flushes();
        ck_assert_int_eq(do_zeroes(&rig, 0, odd, BLOCK, IOQ_F_FUA), 0);
        ck_assert_int_gt(device_flushes(), before);
    }
    before = device_flushes();
    ck_assert_int_eq(do_discard(&rig, 0, 0, MIB, IOQ_F_FUA), 0);
    ck_assert_int_gt(device_flushes(), before);
    rig_close(&rig);
}

/* "A write, discard or write-zeroes is on stable storage when it completes." */
TEST(fua_writes_files_out, "")
{
    struct rig rig;
    int fd, file;

    if (!allocates_late())
        DOES_NOT_APPLY("nothing here is allocated late");
    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, &fd);
    ck_assert_int_eq(do_write(&rig, file, rig.buf, BLOCK, 0, IOQ_F_FUA), BLOCK);
    ck_assert(is_allocated(fd));
    ck_assert_int_eq(
        do_write(&rig, file, rig.buf + 1, MIB / 2, BLOCK + 3, IOQ_F_FUA),
        MIB / 2);
    ck_assert(is_allocated(fd));
    ck_assert_int_eq(do_zeroes(&rig, file, MIB, MIB, IOQ_F_FUA), 0);
    ck_assert(is_allocated(fd));
    rig_close(&rig);
}

/* "flags may hold IOQ_F_FUA." The data is the same with it. */
TEST(fua_writes_the_same, "")
{
    static const size_t lengths[] = {BLOCK, 100, 64 * BLOCK};
    unsigned int i, odd;
    struct rig rig;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 3; i++)
        for (odd = 0; odd < 2; odd++) {
            fill(rig.buf + odd, lengths[i], i);
            ck_assert_int_eq(
                do_write(&rig, 0, rig.buf + odd, lengths[i], odd, IOQ_F_FUA),
                (int64_t)lengths[i]);
            memset(rig.buf, 0xff, MIB);
            ck_assert_int_eq(do_read(&rig, 0, rig.buf + odd, lengths[i], odd),
                             (int64_t)lengths[i]);
            ck_assert(is_filled(rig.buf + odd, lengths[i], i));
        }
    rig_close(&rig);
}
