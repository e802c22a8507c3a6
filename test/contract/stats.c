/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_stats. */
#include "late.h"

static uint64_t sum(const uint64_t *counts, unsigned int n)
{
    uint64_t total = 0;

    while (n-- > 0)
        total += counts[n];
    return total;
}

/*
 * "Fetches the counters." "Counters since the handle was opened. Times are in
 * nanoseconds." "sizeof(struct ioq_stats), set by the caller"
 */
TEST(stats_begin_with_the_handle, "")
{
    struct ioq_options options = engine_options(8, 0);
    struct rig rig = {.handle = patient_open(&options)};
    struct ioq_stats stats = stats_of(&rig);

    ck_assert_uint_eq(sum(stats.requests, IOQ_KINDS), 0);
    ck_assert_uint_eq(sum(stats.succeeded, IOQ_KINDS), 0);
    ck_assert_uint_eq(sum(stats.failed, IOQ_KINDS), 0);
    ck_assert_uint_eq(sum(stats.latency, IOQ_LATENCY_BUCKETS), 0);
    ck_assert_uint_eq(stats.batches, 0);
    ck_assert_uint_eq(stats.submit_total_ns, 0);
    ck_assert_uint_eq(stats.submit_longest_ns, 0);
    ck_assert_uint_eq(stats.size, sizeof(stats));
    ck_assert_uint_eq(stats.reserved, 0);
    ioq_handle_close(rig.handle);
}

/* "accepted, by enum ioq_kind" */
TEST(stats_count_requests, "")
{
    struct ioq_completion done[8];
    struct ioq_stats stats;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 2; i++)
        ioq_handle_write(rig.handle, 0, rig.buf + i * BLOCK, BLOCK, i * BLOCK,
                         0, NULL);
    for (i = 0; i < 3; i++)
        ioq_handle_flush(rig.handle, 0, 0, NULL);
    ioq_handle_read(rig.handle, 0, rig.buf + 8 * BLOCK, BLOCK, 8 * BLOCK, 0,
                    NULL);
    ioq_handle_discard(rig.handle, 0, 4 * BLOCK, BLOCK, 0, NULL);
    ioq_handle_write_zeroes(rig.handle, 0, 5 * BLOCK, BLOCK, 0, NULL);
    /* None of these is accepted. */
    ck_assert_int_lt(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_int_lt(ioq_handle_read(rig.handle, 9, rig.buf, 1, 0, 0, NULL), 0);
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.requests[IOQ_KIND_READ], 1);
    ck_assert_uint_eq(stats.requests[IOQ_KIND_WRITE], 2);
    ck_assert_uint_eq(stats.requests[IOQ_KIND_FLUSH], 3);
    ck_assert_uint_eq(stats.requests[IOQ_KIND_DISCARD], 1);
    ck_assert_uint_eq(stats.requests[IOQ_KIND_WRITE_ZEROES], 1);
    ck_assert_uint_eq(sum(stats.succeeded, IOQ_KINDS), 0);
    take(&rig, done, 8);
    stats = stats_of(&rig);
    ck_assert_uint_eq(sum(stats.requests, IOQ_KINDS), 8);
    ck_assert_uint_eq(stats.succeeded[IOQ_KIND_READ], 1);
    ck_assert_uint_eq(stats.succeeded[IOQ_KIND_WRITE], 2);
    ck_assert_uint_eq(stats.succeeded[IOQ_KIND_FLUSH], 3);
    ck_assert_uint_eq(stats.succeeded[IOQ_KIND_WRITE_ZEROES], 1);
    ck_assert_uint_eq(
        stats.succeeded[IOQ_KIND_DISCARD] + stats.failed[IOQ_KIND_DISCARD], 1);
    ck_assert_uint_eq(sum(stats.latency, IOQ_LATENCY_BUCKETS), 8);
    rig_close(&rig);
}

/* "with -ECANCELED, too" */
TEST(stats_count_failures, "")
{
    struct ioq_stats stats;
    struct rig rig;

    rig_open(&rig, 8, 0);
    queue_zeroes(&rig, 1, &rig);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &rig), 1);
    ck_assert_int_eq(result_of(&rig, &rig), -ECANCELED);
    ck_assert_int_eq(do_read(&rig, 0, (void *)(uintptr_t)BLOCK, BLOCK, 0),
                     -EFAULT);
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.failed[IOQ_KIND_WRITE_ZEROES], 1);
    ck_assert_uint_eq(stats.failed[IOQ_KIND_READ], 1);
    ck_assert_uint_eq(sum(stats.failed, IOQ_KINDS), 2);
    ck_assert_uint_eq(sum(stats.succeeded, IOQ_KINDS), 0);
    ck_assert_uint_eq(stats.bytes_read, 0);
    rig_close(&rig);
}

/* "Counters since the handle was opened." The bytes that were transferred. */
TEST(stats_count_bytes, "")
{
    struct ioq_stats stats;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 3 * BLOCK, 0, 0), 3 * BLOCK);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 100, 7, 0), 100);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 1000, 11), 1000);
    /* Beyond the end there is nothing to read. */
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 2 * BLOCK, PLACE_SIZE - BLOCK),
                     BLOCK);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.bytes_written, 3 * BLOCK + 100);
    ck_assert_uint_eq(stats.bytes_read, 1000 + BLOCK);
    rig_close(&rig);
}

/*
 * "submits that had something to hand over"
 * "time inside submits" "the longest of them"
 */
TEST(stats_count_submits, "")
{
    struct ioq_completion done[8];
    struct ioq_stats stats;
    struct rig rig;
    int64_t begin;
    int i;

    rig_open(&rig, 8, 0);
    begin = now_ns();
    for (i = 0; i < 4; i++) {
        queue_reads(&rig, 2);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 2);
        ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 0);
        take(&rig, done, 2);
    }
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.batches, 4);
    ck_assert_uint_gt(stats.submit_longest_ns, 0);
    ck_assert_uint_ge(stats.submit_total_ns, stats.submit_longest_ns);
    ck_assert_uint_le(stats.submit_total_ns, 4 * stats.submit_longest_ns);
    ck_assert_uint_le(stats.submit_total_ns, (uint64_t)(now_ns() - begin));
    rig_close(&rig);
}

/*
 * "system calls that hand requests over" "system calls that fetch completions"
 * "system calls on the completion fd"
 */
TEST(stats_count_system_calls, "")
{
    struct ioq_stats before, stats;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    before = stats_of(&rig);
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &rig), 0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
        await_readable(ioq_handle_fd(rig.handle));
        ck_assert_int_eq(reap_one(&rig).result, 0);
        settle(&rig);
    }
    stats = stats_of(&rig);
    /* Each made the fd unreadable again. */
    ck_assert_uint_ge(stats.kernel_notifies, before.kernel_notifies + 5);
    if (engine == IOQ_ENGINE_THREADS)
        ck_assert_uint_eq(stats.kernel_submits, 0);
    else
        ck_assert_uint_eq(stats.kernel_submits, 5);
    ck_assert_uint_ge(stats.kernel_reaps, before.kernel_reaps);
    rig_close(&rig);
}

/*
 * "to workers: the engine lacks the operation"
 * "to workers: bounced or read-modify-written" "copied for alignment"
 */
TEST(stats_tell_why_workers_do_it, "")
{
    struct ioq_stats stats;
    struct rig rig;
    bool direct;

    rig_open(&rig, 8, 0);
    direct = info_of(&rig, 0).offset_align > 1;
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    ck_assert_uint_eq(stats_of(&rig).worker_unable, 1);
    ck_assert_uint_ge(stats_of(&rig).workers_started, 1);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + 1, BLOCK, 0), BLOCK);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 10, 100, 0), 10);
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.worker_misaligned, direct ? 2 : 0);
    if (direct)
        ck_assert_uint_ge(stats.bounced_bytes, BLOCK + 10);
    else
        ck_assert_uint_eq(stats.bounced_bytes, 0);
    ck_assert_uint_eq(stats.held, 0);
    ck_assert_uint_eq(stats.worker_none, 0);
    rig_close(&rig);
}

/* "to workers: much to copy, which takes time, too" */
TEST(stats_count_long_copies, "")
{
    struct ioq_stats stats;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, MIB, 0, 0), MIB);
    stats = stats_of(&rig);
    ck_assert_uint_eq(stats.worker_copy,
                      info_of(&rig, 0).flags & IOQ_FILE_DIRECT ? 0 : 1);
    rig_close(&rig);
}

/*
 * "to workers: the rest of a short transfer" The end of the file cuts it; on
 * the engines that tried, a worker looks whether that was the end.
 */
TEST(stats_count_short_transfers, "")
{
    struct ioq_stats stats;
    struct rig rig;
    uint64_t why;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 2 * BLOCK, PLACE_SIZE - BLOCK),
                     BLOCK);
    stats = stats_of(&rig);
    why = stats.worker_short + stats.worker_learned + stats.worker_busy +
          stats.worker_unable;
    ck_assert_uint_eq(why, 1);
    rig_close(&rig);
}

/* "to workers: the kernel would have slept, or took long for the others" "to
 * workers: the file is known to sleep" Each request that a worker did went
 * there for one reason. */
TEST(stats_give_each_worker_request_a_reason, "")
{
    struct ioq_completion done[64];
    struct ioq_stats stats;
    uint64_t why;
    struct rig rig;
    int i;

    rig_open(&rig, 64, 0);
    for (i = 0; i < 16; i++) {
        ioq_handle_read(rig.handle, 0, rig.buf + i * BLOCK, BLOCK, i * BLOCK, 0,
                        NULL);
        ioq_handle_write(rig.handle, 0, rig.buf + (100 + i) * BLOCK, BLOCK,
                         (100 + i) * BLOCK, 0, NULL);
        ioq_handle_write(rig.handle, 0, rig.buf + (200 + i) * BLOCK, BLOCK,
                         (200 + i) * BLOCK, IOQ_F_FUA, NULL);
        ioq_handle_write_zeroes(rig.handle, 0, (300 + i) * BLOCK, BLOCK, 0,
                                NULL);
    }
    take(&rig, done, 64);
    stats = stats_of(&rig);
    why = stats.worker_busy + stats.worker_learned + stats.worker_copy +
          stats.worker_unable + stats.worker_short + stats.worker_misaligned;
    ck_assert_uint_ge(why, 16);
    ck_assert_uint_le(why, 64);
    if (engine == IOQ_ENGINE_THREADS)
        ck_assert_uint_eq(why, 64);
    ck_assert_uint_eq(stats.worker_misaligned, 0);
    rig_close(&rig);
}

/* "behind a write to the same block" */
TEST(stats_count_the_held, STUCK_CALLS)
{
    struct ioq_completion done[2];
    struct stuck stuck;
    struct rig rig;
    bool rewrites;
    int a;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open(&rig, 8, 0);
    rewrites = info_of(&rig, 0).offset_align > 1;
    stuck_write(&stuck, &rig, 0, 1);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf, 8, STUCK_BYTES + 2, 0, &a), 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    ck_assert_uint_eq(stats_of(&rig).held, rewrites ? 1 : 0);
    stuck_let_go(&stuck);
    take(&rig, done, 2);
    stuck_close(&stuck);
    rig_close(&rig);
}

/*
 * "latency[i] counts requests that took 2^i ns or more, less than twice."
 * "Buckets of ioq_stats.latency."
 */
TEST(stats_sort_latencies, STUCK_CALLS)
{
    struct ioq_stats stats;
    struct stuck stuck;
    struct rig rig;
    int64_t begin, took;
    unsigned int i;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open(&rig, 8, 0);
    begin = now_ns();
    stuck_read(&stuck, &rig, 0, 0);
    while (now_ns() < begin + 3 * MILLISECOND)
        ;
    stuck_let_go(&stuck);
    ck_assert_int_eq(result_of(&rig, &stuck), STUCK_BYTES);
    took = now_ns() - begin;
    stats = stats_of(&rig);
    for (i = 0; stats.latency[i] == 0;)
        ck_assert_uint_lt(++i, IOQ_LATENCY_BUCKETS);
    ck_assert_uint_eq(stats.latency[i], 1);
    ck_assert_int_le(INT64_C(1) << i, took);
    ck_assert_uint_eq(sum(stats.latency, IOQ_LATENCY_BUCKETS), 1);
    /* From the submit on, which was not long after begin. */
    ck_assert_uint_ge(i, 10);
    rig_close(&rig);
    stuck_close(&stuck);
}

/*
 * "The caller sets ret_stats->size; a shorter struct of an older version is
 * filled as far as it goes." "Returns 0; -EINVAL if size is too small;
 * -ECHILD."
 */
TEST(stats_fill_a_shorter_struct, "")
{
    struct ioq_stats stats;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    memset(&stats, 0xa5, sizeof(stats));
    stats.size = offsetof(struct ioq_stats, succeeded);
    ck_assert_int_eq(ioq_handle_stats(rig.handle, &stats), 0);
    ck_assert_uint_eq(stats.size, offsetof(struct ioq_stats, succeeded));
    ck_assert_uint_eq(stats.requests[IOQ_KIND_FLUSH], 1);
    ck_assert(is_all(stats.succeeded,
                     sizeof(stats) - offsetof(struct ioq_stats, succeeded),
                     0xa5));
    stats.size = 0;
    ck_assert_int_eq(ioq_handle_stats(rig.handle, &stats), -EINVAL);
    stats.size = 3;
    ck_assert_int_eq(ioq_handle_stats(rig.handle, &stats), -EINVAL);
    ck_assert_int_eq(ioq_handle_stats(rig.handle, NULL), -EINVAL);
    stats.size = sizeof(stats);
    ck_assert_int_eq(ioq_handle_stats(NULL, &stats), -EINVAL);
    rig_close(&rig);
}

/* "a shorter struct of an older version" And a longer one of a newer: what is
 * not known reads as 0. */
TEST(stats_fill_a_longer_struct, "")
{
    struct {
        struct ioq_stats known;
        uint64_t newer[2];
    } stats;
    struct rig rig;

    rig_open(&rig, 8, 0);
    memset(&stats, 0xa5, sizeof(stats));
    stats.known.size = sizeof(stats);
    ck_assert_int_eq(ioq_handle_stats(rig.handle, &stats.known), 0);
    ck_assert(is_all(stats.newer, sizeof(stats.newer), 0));
    rig_close(&rig);
}
