/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and writes of the handle that the kernel does in part, refuses, or
 * fails: "Short transfers are the library's business."
 */
#include "handle_fixture.h"

#define WHOLE (4 * BLOCK)

static unsigned char before[SK_DISK_SIZE];

/* The engine's attempt gets so much. */
static ssize_t first_result;

static ssize_t one_result(struct iocb *iocb, ssize_t wanted)
{
    (void)iocb;
    return first_result < wanted ? first_result : wanted;
}

/* What workers' calls get, in turn; SF_ALL when none is left. */
static const int *answers;
static unsigned int answers_left;

static int next_answer(const struct sf_transfer *transfer)
{
    (void)transfer;
    if (answers_left == 0)
        return SF_ALL;
    answers_left--;
    return *answers++;
}

static void play(const int *script, unsigned int count)
{
    answers = script;
    answers_left = count;
    sf.on_transfer = next_answer;
}

static void start(bool direct)
{
    sf_reset(LENGTH);
    if (direct)
        sf_make_direct(BLOCK);
    hx_pattern();
    hx_open(8, 2);
    memcpy(before, sk_disk, sizeof(before));
    sf.reads = sf.writes = 0;
}

static unsigned char *read_buf(void)
{
    static unsigned char buf[LENGTH] __attribute__((aligned(4096)));

    memset(buf, 0xee, sizeof(buf));
    return buf;
}

/* P21, P22, P44 */
START_TEST(a_short_read_is_continued_wherever_it_ended)
{
    unsigned char *buf;

    for (first_result = 0; first_result <= WHOLE;
         first_result += _i ? 512 : 97) {
        start(_i);
        sk.on_result = one_result;
        buf = read_buf();
        ck_assert_int_eq(hx_read_now(buf, WHOLE, BLOCK), WHOLE);
        ck_assert_mem_eq(buf, before + BLOCK, WHOLE);
        ck_assert_int_eq(buf[WHOLE], 0xee);
        hx_teardown();
    }
}
END_TEST

/* P23 */
START_TEST(a_short_write_is_continued_wherever_it_ended)
{
    for (first_result = 0; first_result <= WHOLE;
         first_result += _i ? 512 : 97) {
        start(_i);
        sk.on_result = one_result;
        ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, BLOCK, 0), WHOLE);
        memcpy(before + BLOCK, hx_buf, WHOLE);
        ck_assert_mem_eq(sk_disk, before, sizeof(before));
        ck_assert_int_eq(sf_length(), LENGTH);
        hx_teardown();
    }
}
END_TEST

/* P22, P23 */
START_TEST(many_short_transfers_in_a_row_add_up)
{
    static const int script[] = {100, 1, 511, 512, 3, -EINTR, 700};
    unsigned char *buf = read_buf();

    start(false);
    sk.on_result = one_result;
    first_result = 5;
    play(script, 7);
    ck_assert_int_eq(hx_read_now(buf, WHOLE, 3), WHOLE);
    ck_assert_mem_eq(buf, before + 3, WHOLE);
    play(script, 7);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 77, 0), WHOLE);
    memcpy(before + 77, hx_buf, WHOLE);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* P57: the file rejects what is not whole blocks, and gives 512 at a time. */
START_TEST(a_direct_read_goes_on_at_a_block)
{
    static const int script[] = {512, 700, 1024, 512, 512, 513, 1000};
    unsigned char *buf = read_buf();

    start(true);
    sk.on_result = one_result;
    first_result = 700;
    play(script, 7);
    ck_assert_int_eq(hx_read_now(buf, WHOLE, BLOCK), WHOLE);
    ck_assert_mem_eq(buf, before + BLOCK, WHOLE);
    play(script, 7);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, BLOCK, 0), WHOLE);
    memcpy(before + BLOCK, hx_buf, WHOLE);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
    /* Not by way of a refusal, after which all would be copied. */
    ck_assert_uint_eq(hx_stats().bounced_bytes, 0);
}
END_TEST

/* P21, P57: less than before is no end either, wherever it is read. */
START_TEST(a_read_that_is_shorter_than_the_last_is_not_the_end)
{
    static const int again[] = {100, 50, 187}, skipped[] = {50, 60, 99, 511},
                     edges[] = {200, 100, 50};
    unsigned char *buf = read_buf();

    start(true);
    sk.on_result = one_result;
    first_result = 700;
    play(again, 3);
    ck_assert_int_eq(hx_read_now(buf, WHOLE, BLOCK), WHOLE);
    ck_assert_mem_eq(buf, before + BLOCK, WHOLE);
    play(skipped, 4);
    ck_assert_int_eq(hx_read_now(buf, WHOLE, BLOCK + 100), WHOLE);
    ck_assert_mem_eq(buf, before + BLOCK + 100, WHOLE);
    play(edges, 3);
    memcpy(before + BLOCK + 5, hx_buf, 10);
    ck_assert_int_eq(hx_write_now(hx_buf, 10, BLOCK + 5, 0), 10);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* P21: only a read that gives nothing more is the end. */
START_TEST(beyond_the_end_there_are_zeroes)
{
    static const unsigned char zeroes[WHOLE];
    unsigned char *buf = read_buf();
    int end;

    for (end = 0; end < WHOLE; end += 111) {
        start(_i);
        sf_set_length(end);
        sk.on_result = one_result;
        first_result = end;
        ck_assert_int_eq(hx_read_now(buf, WHOLE, 0), end);
        ck_assert_mem_eq(buf, before, (size_t)end);
        ck_assert_mem_eq(buf + end, zeroes, (size_t)(WHOLE - end));
        hx_teardown();
    }
}
END_TEST

START_TEST(a_write_that_cannot_go_on_says_why)
{
    static const int full[] = {BLOCK, -ENOSPC}, stuck[] = {BLOCK, 0},
                     broken[] = {-EIO};

    start(_i);
    sk.on_result = one_result;
    first_result = BLOCK;
    play(full, 2);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), -ENOSPC);
    play(stuck, 2);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), -ENOSPC);
    play(broken, 1);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), -EIO);
    play(broken, 1);
    ck_assert_int_eq(hx_read_now(hx_buf, WHOLE, 0), -EIO);
}
END_TEST

/* P24: refusals of an attempt that must not sleep, and stray ones. */
START_TEST(what_the_engine_refuses_a_worker_does)
{
    static const ssize_t refusals[] = {-EAGAIN, -EOPNOTSUPP, -EINVAL, -EINTR,
                                       -ENOMEM};
    unsigned char *buf = read_buf();
    unsigned int i;

    for (i = 0; i < 5; i++) {
        start(_i);
        sk.on_result = one_result;
        first_result = refusals[i];
        ck_assert_int_eq(hx_read_now(buf, WHOLE, 0), WHOLE);
        ck_assert_mem_eq(buf, before, WHOLE);
        ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), WHOLE);
        ck_assert_mem_eq(sk_disk, hx_buf, WHOLE);
        ck_assert_uint_gt(hx_stats().worker_busy, 0);
        hx_teardown();
    }
}
END_TEST

START_TEST(other_errors_of_the_engine_are_the_result)
{
    static const ssize_t errors[] = {-EIO, -ENOSPC, -EFAULT, -EDQUOT, -EFBIG};
    unsigned int i;

    start(_i);
    sk.on_result = one_result;
    for (i = 0; i < 5; i++) {
        first_result = errors[i];
        ck_assert_int_eq(hx_read_now(hx_buf, WHOLE, 0), errors[i]);
        ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), errors[i]);
    }
    ck_assert_uint_eq(sf.reads + sf.writes, 0);
    ck_assert_uint_eq(hx_stats().failed[IOQ_KIND_WRITE], 5);
}
END_TEST

/* P37: a file that always refuses is asked ever less often. */
START_TEST(a_file_that_refuses_is_left_in_peace)
{
    unsigned int i;

    start(false);
    sk.on_result = one_result;
    first_result = -EAGAIN;
    for (i = 0; i < 400; i++)
        ck_assert_int_eq(hx_read_now(hx_buf, BLOCK, 0), BLOCK);
    ck_assert_uint_lt(sk.taken, 40);
    /* One that does not know the flag at all is asked once. */
    hx_teardown();
    start(false);
    sk.on_result = one_result;
    first_result = -EOPNOTSUPP;
    for (i = 0; i < 50; i++)
        ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
    ck_assert_uint_eq(sk.taken, 1);
}
END_TEST

/* P24: a worker could sleep, and is told EAGAIN all the same. */
START_TEST(a_stray_eagain_is_tried_again_but_not_for_ever)
{
    static const int few[] = {-EAGAIN, -EAGAIN, -EAGAIN};
    int many[100], i;

    for (i = 0; i < 100; i++)
        many[i] = -EAGAIN;
    start(false);
    sk.on_result = one_result;
    first_result = -EAGAIN;
    play(few, 3);
    ck_assert_int_eq(hx_read_now(hx_buf, WHOLE, 0), WHOLE);
    play(many, 100);
    ck_assert_int_eq(hx_read_now(hx_buf, WHOLE, 0), -EAGAIN);
    ck_assert_uint_gt(answers_left, 0);
}
END_TEST

/* Odd ranges and buffers on a file in blocks. */

START_TEST(a_part_of_a_block_is_written_and_no_more)
{
    int64_t offset;
    size_t len;

    start(true);
    for (offset = 0; offset < 2 * BLOCK; offset += 173)
        for (len = 0; len < 3 * BLOCK; len += 211) {
            memcpy(before + offset, hx_buf + 1, len);
            ck_assert_int_eq(hx_write_now(hx_buf + 1, len, offset, 0),
                             (int64_t)len);
            ck_assert_mem_eq(sk_disk, before, sizeof(before));
        }
    ck_assert_int_eq(sf_length(), LENGTH);
}
END_TEST

START_TEST(short_transfers_of_a_block_that_is_rewritten_are_continued)
{
    static const int script[] = {200, 512, 600, 512, 100, 512};

    start(true);
    play(script, 6);
    memcpy(before + 700, hx_buf + 1, 1000);
    ck_assert_int_eq(hx_write_now(hx_buf + 1, 1000, 700, 0), 1000);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* The last block is written whole; the file's end is where it should be. */
START_TEST(a_write_at_the_end_makes_the_file_as_long_as_it_says)
{
    static const struct {
        int64_t length, offset, len, result;
    } cases[] = {
        {1000, 1000, 10, 1010}, {1000, 900, 50, 1000}, {1024, 1024, 1, 1025},
        {1024, 1000, 24, 1024}, {100, 3000, 7, 3007},  {0, 0, 511, 511},
    };
    unsigned int i;

    for (i = 0; i < 6; i++) {
        start(true);
        sf_set_length(cases[i].length);
        memset(sk_disk + cases[i].length, 0, LENGTH);
        memcpy(before, sk_disk, sizeof(before));
        memcpy(before + cases[i].offset, hx_buf, (size_t)cases[i].len);
        ck_assert_int_eq(
            hx_write_now(hx_buf, (uint64_t)cases[i].len, cases[i].offset, 0),
            cases[i].len);
        ck_assert_int_eq(sf_length(), cases[i].result);
        ck_assert_mem_eq(sk_disk, before, sizeof(before));
        hx_teardown();
    }
}
END_TEST

static int grow_meanwhile(const struct sf_transfer *transfer)
{
    if (!transfer->read && sf_length() < LENGTH + 8 * BLOCK)
        sf_set_length(LENGTH + 8 * BLOCK);
    return SF_ALL;
}

START_TEST(what_others_append_meanwhile_is_not_cut_off)
{
    start(true);
    sf.on_transfer = grow_meanwhile;
    ck_assert_int_eq(hx_write_now(hx_buf, 100, LENGTH - 700, 0), 100);
    ck_assert_int_eq(sf_length(), LENGTH + 8 * BLOCK);
    /* Nor if both append. */
    sf_set_length(LENGTH);
    ck_assert_int_eq(hx_write_now(hx_buf, 200, LENGTH - 100, 0), 200);
    ck_assert_int_eq(sf_length(), LENGTH + 8 * BLOCK);
    ck_assert_uint_eq(sf.truncates, 0);
}
END_TEST

/* Two that rewrite the same block keep each other's bytes. */
START_TEST(neighbours_in_a_block_are_held_in_order)
{
    unsigned int i;

    start(true);
    for (i = 0; i < 8; i++) {
        memcpy(before + BLOCK + i * 60, hx_buf + i * 60, 60);
        hx_write(hx_buf + i * 60, 60, BLOCK + i * 60, 0);
    }
    ck_assert_int_eq(hx_results(8), 8 * 60);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
    ck_assert_uint_eq(hx_stats().held, 7);
}
END_TEST

static int refuse_dsync(const struct sf_transfer *transfer)
{
    return transfer->flags & RWF_DSYNC ? -EOPNOTSUPP : SF_ALL;
}

START_TEST(fua_without_the_flag_is_a_flush_afterwards)
{
    start(false);
    sk.on_result = one_result;
    first_result = -EOPNOTSUPP;
    sf.on_transfer = refuse_dsync;
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, IOQ_F_FUA), WHOLE);
    ck_assert_uint_eq(sf.datasyncs, 1);
    ck_assert_uint_eq(sf.writes, 2);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, IOQ_F_FUA), WHOLE);
    ck_assert_uint_eq(sf.writes, 3); /* not asked again */
    ck_assert_uint_eq(sf.datasyncs, 2);
    sf.datasync_error = -EIO;
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, IOQ_F_FUA), -EIO);
    ck_assert_int_eq(hx_write_now(hx_buf, WHOLE, 0, 0), WHOLE);
}
END_TEST

START_TEST(fua_of_a_bounced_write_is_a_flush_afterwards)
{
    start(true);
    ck_assert_int_eq(hx_write_now(hx_buf + 1, WHOLE, 3, IOQ_F_FUA), WHOLE);
    ck_assert_uint_eq(sf.datasyncs, 1);
    ck_assert_int_eq(hx_write_now(hx_buf + 1, WHOLE, 3, 0), WHOLE);
    ck_assert_uint_eq(sf.datasyncs, 1);
}
END_TEST

/* P48 */
static ssize_t spoil_errno(struct iocb *iocb, ssize_t wanted)
{
    (void)iocb;
    (void)wanted;
    errno = E2BIG;
    return -EIO;
}

static int spoil_errno_too(const struct sf_transfer *transfer)
{
    (void)transfer;
    errno = E2BIG;
    return -EDQUOT;
}

START_TEST(errno_is_nobodys_result)
{
    start(true);
    sk.on_result = spoil_errno;
    ck_assert_int_eq(hx_read_now(hx_buf, WHOLE, 0), -EIO);
    sf.on_transfer = spoil_errno_too;
    ck_assert_int_eq(hx_read_now(hx_buf + 1, WHOLE, 0), -EDQUOT);
}
END_TEST

/* P59 */
START_TEST(more_pieces_than_the_kernel_takes_are_split)
{
    static struct iovec iov[4096];
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned char *buf = read_buf();
    unsigned int i, n;

    sf_reset(LENGTH);
    hx_pattern();
    options.engine = IOQ_ENGINE_AIO;
    options.max_segments = 4096;
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    for (n = 1025; n <= 4096; n += 3071) {
        for (i = 0; i < n; i++)
            iov[i] = (struct iovec){buf + i * 7, 7};
        ck_assert_int_eq(ioq_handle_readv(hx, 0, iov, (int)n, 5, 0, NULL), 0);
        memset(iov, 0xff, sizeof(iov));
        ck_assert_int_eq(hx_result(), n * 7);
        ck_assert_mem_eq(buf, sk_disk + 5, n * 7);
    }
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_transfer", &suite);

    tcase_add_loop_test(tcase, a_short_read_is_continued_wherever_it_ended, 0,
                        2);
    tcase_add_loop_test(tcase, a_short_write_is_continued_wherever_it_ended, 0,
                        2);
    tcase_add_test(tcase, many_short_transfers_in_a_row_add_up);
    tcase_add_test(tcase, a_direct_read_goes_on_at_a_block);
    tcase_add_test(tcase, a_read_that_is_shorter_than_the_last_is_not_the_end);
    tcase_add_loop_test(tcase, beyond_the_end_there_are_zeroes, 0, 2);
    tcase_add_loop_test(tcase, a_write_that_cannot_go_on_says_why, 0, 2);
    tcase_add_loop_test(tcase, what_the_engine_refuses_a_worker_does, 0, 2);
    tcase_add_loop_test(tcase, other_errors_of_the_engine_are_the_result, 0, 2);
    tcase_add_test(tcase, a_file_that_refuses_is_left_in_peace);
    tcase_add_test(tcase, a_stray_eagain_is_tried_again_but_not_for_ever);
    tcase_add_test(tcase, a_part_of_a_block_is_written_and_no_more);
    tcase_add_test(tcase,
                   short_transfers_of_a_block_that_is_rewritten_are_continued);
    tcase_add_test(tcase, a_write_at_the_end_makes_the_file_as_long_as_it_says);
    tcase_add_test(tcase, what_others_append_meanwhile_is_not_cut_off);
    tcase_add_test(tcase, neighbours_in_a_block_are_held_in_order);
    tcase_add_test(tcase, fua_without_the_flag_is_a_flush_afterwards);
    tcase_add_test(tcase, fua_of_a_bounced_write_is_a_flush_afterwards);
    tcase_add_test(tcase, errno_is_nobodys_result);
    tcase_add_test(tcase, more_pieces_than_the_kernel_takes_are_split);
    return run_suite(suite);
}
