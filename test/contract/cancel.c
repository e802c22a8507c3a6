/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_cancel. */
#include "late.h"

/* How many of the completions have that user_data and that result. */
static int count_of(const struct ioq_completion *done, int n,
                    const void *user_data, int64_t result)
{
    int i, count = 0;

    for (i = 0; i < n; i++)
        count += done[i].user_data == user_data && done[i].result == result;
    return count;
}

/*
 * "Cancels the requests that were queued with user_data and that nobody has
 * begun." "They complete with -ECANCELED; reap as usual."
 * "Returns how many that were"
 */
TEST(cancel_takes_back_what_is_queued, "")
{
    struct ioq_completion done[5];
    struct rig rig;
    int a, b;

    rig_open(&rig, 8, 0);
    write_filled(&rig, BLOCK, 3 * BLOCK, 1);
    queue_zeroes(&rig, 3, &a);
    queue_zeroes(&rig, 4, &b);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &a), 0);
    ck_assert_int_eq(
        ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 5 * BLOCK, 0, &b), 0);
    ck_assert_int_eq(ioq_handle_discard(rig.handle, 0, 3 * BLOCK, BLOCK, 0, &a),
                     0);

    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), 3);
    await_readable(ioq_handle_fd(rig.handle));
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 5), 3);
    ck_assert_int_eq(count_of(done, 3, &a, -ECANCELED), 3);

    /* The others are not meant. */
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 2);
    take(&rig, done, 2);
    ck_assert_int_eq(count_of(done, 2, &b, 0), 1);
    ck_assert_int_eq(count_of(done, 2, &b, BLOCK), 1);
    read_afresh(&rig, BLOCK, 3 * BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 1));
    rig_close(&rig);
}

/* "that nobody has begun" Submitted, but no worker has come to it. */
TEST(cancel_takes_back_what_waits_for_a_worker, STUCK_CALLS)
{
    struct ioq_completion done;
    struct stuck stuck;
    struct rig rig;
    int a;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open_narrow(&rig, 8);
    write_filled(&rig, BLOCK, 200 * BLOCK, 2);
    stuck_read(&stuck, &rig, 0, 0);
    queue_zeroes(&rig, 200, &a);
    queue_zeroes(&rig, 200, &a);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 2);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), 2);
    done = reap_one(&rig);
    ck_assert(done.user_data == &a && done.result == -ECANCELED);
    done = reap_one(&rig);
    ck_assert(done.user_data == &a && done.result == -ECANCELED);
    stuck_end(&stuck, &rig);
    read_afresh(&rig, BLOCK, 200 * BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 2));
    rig_close(&rig);
}

/*
 * "-EALREADY if there are some and all were begun, which complete as if nothing
 * had happened"
 */
TEST(cancel_leaves_what_has_begun, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &stuck), -EALREADY);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &stuck), -EALREADY);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "Returns how many that were" Of the same user_data, some were begun. */
TEST(cancel_counts_only_what_it_took_back, STUCK_CALLS)
{
    struct ioq_completion done;
    struct stuck stuck;
    struct rig rig;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    queue_zeroes(&rig, 1, &stuck);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &stuck), 1);
    done = reap_one(&rig);
    ck_assert(done.user_data == &stuck && done.result == -ECANCELED);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &stuck), -EALREADY);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "-ENOENT if there is none." Nor is what is over. */
TEST(cancel_finds_nothing, "")
{
    struct ioq_completion done;
    struct rig rig;
    int a, b;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), -ENOENT);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, NULL), -ENOENT);
    ck_assert_int_gt((int)strlen(ioq_last_error()), 0);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &a), 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &b), -ENOENT);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), -ENOENT);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 1);
    ck_assert(done.user_data == &a && done.result == 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), -ENOENT);

    /* Nor is what was cancelled before. */
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, NULL), 1);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, NULL), -ENOENT);
    rig_close(&rig);
}

/*
 * "that nobody has begun" What is held behind a write to the same block, and
 * what is held behind that goes on.
 */
TEST(cancel_takes_back_what_is_held, STUCK_CALLS)
{
    struct ioq_completion done[3];
    struct stuck stuck;
    struct rig rig;
    int a, b;

    rig_open(&rig, 8, 0);
    if (info_of(&rig, 0).offset_align == 1) {
        rig_close(&rig);
        DOES_NOT_APPLY("no block is ever rewritten");
    }
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    write_filled(&rig, BLOCK, 200 * BLOCK, 5);
    stuck_write(&stuck, &rig, 0, 1);
    memset(rig.buf, 0x11, 8);
    ck_assert_int_eq(ioq_handle_write(rig.handle, 0, rig.buf, 8, 100, 0, &a),
                     0);
    memset(rig.buf + 8, 0x22, 8);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf + 8, 8, 104, 0, &b), 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 2);
    ck_assert_uint_eq(stats_of(&rig).held, 2);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), 1);
    stuck_let_go(&stuck);
    take(&rig, done, 3);
    ck_assert_int_eq(count_of(done, 3, &a, -ECANCELED), 1);
    ck_assert_int_eq(count_of(done, 3, &b, 8), 1);
    ck_assert_int_eq(count_of(done, 3, &stuck, STUCK_BYTES), 1);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 16, 100), 16);
    ck_assert(is_all(rig.buf, 4, 0) && is_all(rig.buf + 4, 8, 0x22));
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "They complete with -ECANCELED" Its place is free again once reaped. */
TEST(cancel_frees_the_place, "")
{
    struct rig rig;
    int i;

    rig_open(&rig, 1, 0);
    for (i = 0; i < 20; i++) {
        queue_zeroes(&rig, 1, &rig);
        ck_assert_int_eq(ioq_handle_cancel(rig.handle, &rig), 1);
        ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), -EAGAIN);
        ck_assert_int_eq(result_of(&rig, &rig), -ECANCELED);
    }
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    rig_close(&rig);
}
