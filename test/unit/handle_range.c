/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flush, discard and write-zeroes: each way that the kernel refuses leads to
 * the next one, once; errors that are none of refusal are the result.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "handle_fixture.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static unsigned char before[SK_DISK_SIZE];
static int punch_answer, zero_range_answer;
static unsigned int punches, zero_ranges;

static int answer(int mode)
{
    if (mode == PUNCH) {
        punches++;
        return punch_answer;
    }
    ck_assert_int_eq(mode, FALLOC_FL_ZERO_RANGE);
    zero_ranges++;
    return zero_range_answer;
}

static void start(bool device)
{
    sf_reset(LENGTH);
    if (device)
        sf_make_device(BLOCK);
    hx_pattern();
    hx_open(8, 1);
    memcpy(before, sk_disk, sizeof(before));
    sf.on_fallocate = answer;
    punch_answer = zero_range_answer = 0;
    punches = zero_ranges = 0;
    sf.writes = 0;
}

static int64_t zero_now(int64_t offset, uint64_t len, uint32_t flags)
{
    hx_zero(offset, len, flags);
    return hx_result();
}

static int64_t discard_now(int64_t offset, uint64_t len)
{
    hx_discard(offset, len);
    return hx_result();
}

static int64_t flush_now(void)
{
    hx_flush();
    return hx_result();
}

static void check_zeroed(int64_t offset, size_t len)
{
    memset(before + offset, 0, len);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}

/* P20 */
START_TEST(a_flush_that_the_kernel_lacks_is_done_by_a_worker)
{
    start(false);
    ck_assert_int_eq(flush_now(), 0);
    ck_assert_uint_eq(sf.datasyncs, 0);
    sk.no_fdsync = true;
    ck_assert_int_eq(flush_now(), 0);
    ck_assert_uint_eq(sf.datasyncs, 1);
    sk.submits = 0;
    ck_assert_int_eq(flush_now(), 0);
    ck_assert_uint_eq(sf.datasyncs, 2);
    ck_assert_uint_eq(sk.submits, 0); /* it was learned */
    sf.datasync_error = -EIO;
    ck_assert_int_eq(flush_now(), -EIO);
    ck_assert_uint_eq(hx_stats().worker_unable, 3);
}
END_TEST

/* The others of the batch do not suffer. */
START_TEST(a_flush_that_is_refused_spoils_no_other)
{
    start(false);
    sk.no_fdsync = true;
    hx_read(hx_buf, BLOCK, 0);
    hx_flush();
    hx_write(hx_buf + BLOCK, BLOCK, BLOCK, 0);
    hx_flush();
    ck_assert_int_eq(hx_results(4), 2 * BLOCK);
}
END_TEST

static const int refusals[] = {-EOPNOTSUPP, -ENOSYS, -ENOTTY};

START_TEST(a_file_discards_by_a_hole_or_not_at_all)
{
    start(false);
    ck_assert(hx_file_flags() & IOQ_FILE_DISCARD);
    ck_assert_int_eq(discard_now(100, 1000), 0);
    check_zeroed(100, 1000);
    punch_answer = refusals[_i];
    ck_assert_int_eq(discard_now(0, 1000), -EOPNOTSUPP);
    ck_assert_int_eq(discard_now(0, 1000), -EOPNOTSUPP);
    ck_assert_uint_eq(punches, 2); /* it was remembered */
    ck_assert_uint_eq(sf.discards, 0);
    ck_assert(!(hx_file_flags() & IOQ_FILE_DISCARD));
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* P58 */
START_TEST(a_device_discards_by_fallocate_then_by_ioctl)
{
    start(true);
    ck_assert_int_eq(discard_now(BLOCK, BLOCK), 0);
    check_zeroed(BLOCK, BLOCK);
    ck_assert_uint_eq(sf.discards, 0);
    punch_answer = refusals[_i];
    ck_assert_int_eq(discard_now(2 * BLOCK, BLOCK), 0);
    ck_assert_int_eq(discard_now(3 * BLOCK, BLOCK), 0);
    check_zeroed(2 * BLOCK, 2 * BLOCK);
    ck_assert_uint_eq(punches, 2);
    ck_assert_uint_eq(sf.discards, 2);
    sf.discard_error = refusals[_i];
    ck_assert_int_eq(discard_now(0, BLOCK), -EOPNOTSUPP);
    ck_assert_int_eq(discard_now(0, BLOCK), -EOPNOTSUPP);
    ck_assert_uint_eq(sf.discards, 3);
    ck_assert(!(hx_file_flags() & IOQ_FILE_DISCARD));
}
END_TEST

START_TEST(parts_of_a_devices_blocks_are_not_discarded)
{
    start(true);
    ck_assert_int_eq(discard_now(100, 300), 0);
    ck_assert_int_eq(discard_now(100, BLOCK), 0);
    ck_assert_uint_eq(punches, 0);
    ck_assert_int_eq(discard_now(100, 2 * BLOCK), 0);
    check_zeroed(BLOCK, BLOCK);
}
END_TEST

START_TEST(an_error_that_is_no_refusal_ends_it)
{
    static const int errors[] = {-EIO, -ENOSPC, -EPERM, -EINVAL};

    start(true);
    punch_answer = zero_range_answer = errors[_i];
    ck_assert_int_eq(discard_now(0, BLOCK), errors[_i]);
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_MAY_UNMAP), errors[_i]);
    ck_assert_int_eq(zero_now(0, BLOCK, 0), errors[_i]);
    ck_assert_uint_eq(sf.discards + sf.zeroes + sf.writes, 0);
    ck_assert(hx_file_flags() & IOQ_FILE_DISCARD);
    ck_assert(hx_file_flags() & IOQ_FILE_ZEROES);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

START_TEST(holes_are_made_only_if_they_may)
{
    start(false);
    ck_assert_int_eq(zero_now(100, 1000, 0), 0);
    ck_assert_uint_eq(punches, 0);
    ck_assert_uint_eq(zero_ranges, 1);
    ck_assert_int_eq(zero_now(2000, 1000, IOQ_F_MAY_UNMAP), 0);
    ck_assert_uint_eq(punches, 1);
    ck_assert_uint_eq(zero_ranges, 1);
    memset(before + 100, 0, 1000);
    check_zeroed(2000, 1000);
}
END_TEST

/* Beyond the end a hole would not make the file grow. */
START_TEST(zeroes_beyond_the_end_make_the_file_grow)
{
    start(false);
    ck_assert_int_eq(zero_now(LENGTH - 100, 300, IOQ_F_MAY_UNMAP), 0);
    ck_assert_int_eq(sf_length(), LENGTH + 200);
    ck_assert_uint_eq(punches, 0);
    zero_range_answer = -EOPNOTSUPP;
    ck_assert_int_eq(zero_now(LENGTH + 1000, 300, 0), 0);
    ck_assert_int_eq(sf_length(), LENGTH + 1300);
}
END_TEST

/* The whole ladder of a file: hole, zero range, plain zeroes. */
START_TEST(a_file_without_either_gets_plain_zeroes)
{
    start(false);
    punch_answer = refusals[_i];
    ck_assert_int_eq(zero_now(100, 1000, IOQ_F_MAY_UNMAP), 0);
    ck_assert_uint_eq(zero_ranges, 1);
    zero_range_answer = refusals[_i];
    ck_assert_int_eq(zero_now(1100, 1000, IOQ_F_MAY_UNMAP | IOQ_F_NO_FALLBACK),
                     -EOPNOTSUPP);
    ck_assert_uint_eq(sf.writes, 0);
    ck_assert_int_eq(zero_now(1100, 1000, IOQ_F_MAY_UNMAP), 0);
    ck_assert_int_eq(zero_now(2100, 1000, 0), 0);
    ck_assert_int_eq(zero_now(0, 100, IOQ_F_NO_FALLBACK), -EOPNOTSUPP);
    check_zeroed(100, 3000);
    ck_assert_uint_eq(sf.writes, 2);
    ck_assert_uint_eq(punches, 1);
    ck_assert_uint_eq(zero_ranges, 2);
    ck_assert(!(hx_file_flags() & IOQ_FILE_ZEROES));
}
END_TEST

/* The ladder of a device: hole, zero range, BLKZEROOUT, plain zeroes. */
START_TEST(a_device_without_any_gets_plain_zeroes)
{
    start(true);
    punch_answer = zero_range_answer = refusals[_i];
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_MAY_UNMAP), 0);
    ck_assert_uint_eq(sf.zeroes, 1);
    sf.zero_error = refusals[_i];
    ck_assert_int_eq(zero_now(BLOCK, BLOCK, IOQ_F_NO_FALLBACK), -EOPNOTSUPP);
    ck_assert_int_eq(zero_now(BLOCK, BLOCK, 0), 0);
    ck_assert_int_eq(zero_now(2 * BLOCK, BLOCK, 0), 0);
    check_zeroed(0, 3 * BLOCK);
    ck_assert_uint_eq(sf.zeroes, 2);
    ck_assert_uint_eq(punches, 1);
    ck_assert_uint_eq(zero_ranges, 1);
    ck_assert_uint_eq(sf.writes, 2);
}
END_TEST

/* These would have the kernel write them, which NO_FALLBACK forbids. */
START_TEST(a_device_that_writes_zeroes_itself_is_told_apart)
{
    sf_reset(LENGTH);
    sf_make_device(BLOCK);
    sf.info.zero_offload = false;
    hx_open(8, 1);
    sf.on_fallocate = answer;
    punch_answer = -EOPNOTSUPP;
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_NO_FALLBACK), -EOPNOTSUPP);
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_NO_FALLBACK | IOQ_F_MAY_UNMAP),
                     -EOPNOTSUPP);
    ck_assert_int_eq(zero_now(0, BLOCK, 0), 0);
}
END_TEST

START_TEST(parts_of_a_devices_blocks_are_zeroed_all_the_same)
{
    start(true);
    ck_assert_int_eq(zero_now(100, 1000, 0), 0);
    check_zeroed(100, 1000);
    ck_assert_int_eq(zero_now(100, 1000, IOQ_F_NO_FALLBACK), -EOPNOTSUPP);
}
END_TEST

START_TEST(zeroes_beyond_the_end_of_a_device_fail)
{
    start(true);
    ck_assert_int_eq(zero_now(LENGTH - BLOCK, 2 * BLOCK, (uint32_t)_i),
                     -ENOSPC);
    ck_assert_int_eq(zero_now(LENGTH, BLOCK, (uint32_t)_i), -ENOSPC);
    ck_assert_int_eq(zero_now(LENGTH - BLOCK, BLOCK, IOQ_F_MAY_UNMAP), 0);
}
END_TEST

START_TEST(fua_is_a_flush_afterwards)
{
    start(false);
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_FUA), 0);
    ck_assert_uint_eq(sf.datasyncs, 1);
    ck_assert_int_eq(ioq_handle_discard(hx, 0, 0, BLOCK, IOQ_F_FUA, NULL), 0);
    ck_assert_int_eq(hx_result(), 0);
    ck_assert_uint_eq(sf.datasyncs, 2);
    sf.datasync_error = -EIO;
    ck_assert_int_eq(zero_now(0, BLOCK, IOQ_F_FUA), -EIO);
    ck_assert_int_eq(zero_now(0, BLOCK, 0), 0);
}
END_TEST

START_TEST(nothing_is_done_for_no_bytes)
{
    start(_i);
    ck_assert_int_eq(zero_now(LENGTH, 0, 0), 0);
    ck_assert_int_eq(zero_now(LENGTH + BLOCK, 0, IOQ_F_MAY_UNMAP), 0);
    ck_assert_int_eq(discard_now(5, 0), 0);
    ck_assert_int_eq(hx_write_now(hx_buf, 0, LENGTH + BLOCK, 0), 0);
    ck_assert_int_eq(hx_read_now(hx_buf, 0, 7), 0);
    ck_assert_uint_eq(punches + zero_ranges, 0);
    ck_assert_int_eq(sf_length(), LENGTH);
}
END_TEST

static pthread_t owner;
static atomic_uint by_owner, by_others;

static int note_thread(int mode)
{
    (void)mode;
    atomic_fetch_add(
        pthread_equal(pthread_self(), owner) ? &by_owner : &by_others, 1);
    return 0;
}

/* P38: what may sleep is a worker's, not the caller's of submit. */
START_TEST(discards_and_zeroes_are_not_done_inside_submit)
{
    start(_i);
    owner = pthread_self();
    atomic_store(&by_owner, 0);
    atomic_store(&by_others, 0);
    sf.on_fallocate = note_thread;
    ck_assert_int_eq(discard_now(0, 8 * BLOCK), 0);
    ck_assert_int_eq(zero_now(0, 8 * BLOCK, 0), 0);
    ck_assert_int_eq(zero_now(0, 8 * BLOCK, IOQ_F_MAY_UNMAP), 0);
    ck_assert_uint_eq(atomic_load(&by_owner), 0);
    ck_assert_uint_ge(atomic_load(&by_others), 3);
    /* A flush sleeps in the kernel, which does it meanwhile. */
    ck_assert_int_eq(flush_now(), 0);
    ck_assert_uint_eq(sf.datasyncs, 0);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_range", &suite);

    tcase_add_test(tcase, a_flush_that_the_kernel_lacks_is_done_by_a_worker);
    tcase_add_test(tcase, a_flush_that_is_refused_spoils_no_other);
    tcase_add_loop_test(tcase, a_file_discards_by_a_hole_or_not_at_all, 0, 3);
    tcase_add_loop_test(tcase, a_device_discards_by_fallocate_then_by_ioctl, 0,
                        3);
    tcase_add_test(tcase, parts_of_a_devices_blocks_are_not_discarded);
    tcase_add_loop_test(tcase, an_error_that_is_no_refusal_ends_it, 0, 4);
    tcase_add_test(tcase, holes_are_made_only_if_they_may);
    tcase_add_test(tcase, zeroes_beyond_the_end_make_the_file_grow);
    tcase_add_loop_test(tcase, a_file_without_either_gets_plain_zeroes, 0, 3);
    tcase_add_loop_test(tcase, a_device_without_any_gets_plain_zeroes, 0, 3);
    tcase_add_test(tcase, a_device_that_writes_zeroes_itself_is_told_apart);
    tcase_add_test(tcase, parts_of_a_devices_blocks_are_zeroed_all_the_same);
    tcase_add_loop_test(tcase, zeroes_beyond_the_end_of_a_device_fail, 0, 8);
    tcase_add_test(tcase, fua_is_a_flush_afterwards);
    tcase_add_loop_test(tcase, nothing_is_done_for_no_bytes, 0, 2);
    tcase_add_loop_test(tcase, discards_and_zeroes_are_not_done_inside_submit,
                        0, 2);
    return run_suite(suite);
}
