/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_wait. */
#include "late.h"

#include <signal.h>
#include <sys/time.h>

/*
 * "Submits what is queued and sleeps until there are min completions, no
 * request is left, or timeout_ns nanoseconds have passed; forever if it is
 * negative."
 */
TEST(wait_submits_and_sleeps, "")
{
    struct ioq_completion done[8];
    struct rig rig;
    int i, n;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 20; i++) {
        queue_reads(&rig, 8);
        n = ioq_handle_wait(rig.handle, done, 3, 8, -1);
        ck_assert_int_ge(n, 3);
        ck_assert_int_le(n, 8);
        if (n < 8)
            ck_assert_int_eq(ioq_handle_wait(rig.handle, done + n,
                                             8 - (unsigned int)n,
                                             8 - (unsigned int)n, -1),
                             8 - n);
        for (n = 0; n < 8; n++)
            ck_assert_int_eq(done[n].result, BLOCK);
    }
    rig_close(&rig);
}

/* "up to max" What is beyond stays for the next call. */
TEST(wait_takes_up_to_max, "")
{
    struct ioq_completion done[8];
    struct rig rig;

    rig_open_ready(&rig, 8);
    memset(done, 0xa5, sizeof(done));
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 1, 3, LONG), 3);
    ck_assert(is_all(&done[3], sizeof(done[3]), 0xa5));
    ck_assert(is_readable(ioq_handle_fd(rig.handle)));
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 2, 2, 0), 2);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 8, 8, -1), 3);
    rig_close(&rig);
}

/*
 * "no request is left" "Returns how many completions it took: up to max, fewer
 * than min after the time-out or if there was no request left."
 */
TEST(wait_ends_with_the_last_request, "")
{
    struct ioq_completion done[8];
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 8, 8, -1), 0);
    queue_reads(&rig, 3);
    queue_zeroes(&rig, 9, NULL);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 8, 8, -1), 4);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 1, 8, -1), 0);
    rig_close(&rig);
}

/* "or timeout_ns nanoseconds have passed" "fewer than min after the time-out"
 */
TEST(wait_ends_with_the_time, STUCK_CALLS)
{
    struct ioq_completion done[8];
    struct stuck stuck;
    struct rig rig;
    int64_t begin;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    begin = now_ns();
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 1, 8, 30 * MILLISECOND),
                     0);
    ck_assert_int_ge(now_ns() - begin, 30 * MILLISECOND);

    /* What there is comes then, too. */
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &rig), 0);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, 0) > 0, 1);
    while (ioq_handle_pending(rig.handle, NULL, 0) > 1)
        ck_assert_int_ge(ioq_handle_drain(rig.handle, MILLISECOND), 1);
    begin = now_ns();
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 2, 8, 30 * MILLISECOND),
                     1);
    ck_assert_int_ge(now_ns() - begin, 30 * MILLISECOND);
    ck_assert_ptr_eq(done[0].user_data, &rig);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "timeout_ns nanoseconds have passed" With 0, and with min 0, at once. */
TEST(wait_need_not_sleep, STUCK_CALLS)
{
    struct ioq_completion done[8];
    struct stuck stuck;
    struct rig rig;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 8, 8, 0), 0);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 0, 8, -1), 0);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 0, 8, LONG), 0);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "sleeps until there are min completions" "forever if it is negative" */
TEST(wait_is_woken, STUCK_CALLS)
{
    static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, LONG};
    struct ioq_completion done;
    struct stuck stuck;
    struct later later;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 4; i++) {
        if (!stuck_open(&stuck))
            SKIP("no userfaultfd");
        /* Nor does it take a caller that wants to hear of completions. */
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, i % 2), 0);
        stuck_read(&stuck, &rig, 0, 0);
        later_begin(&later, &stuck);
        ck_assert_int_eq(ioq_handle_wait(rig.handle, &done, 1, 1, times[i]), 1);
        ck_assert_ptr_eq(done.user_data, &stuck);
        later_join(&later);
        stuck_close(&stuck);
    }
    rig_close(&rig);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void set_alarms(long us)
{
    const struct itimerval each = {{0, us}, {0, us}};

    ck_assert_int_eq(setitimer(ITIMER_REAL, &each, NULL), 0);
}

/* "Signals do not end it." */
TEST(wait_outlasts_signals, STUCK_CALLS "setitimer rt_sigreturn")
{
    struct sigaction action = {.sa_handler = count_alarm};
    struct ioq_completion done;
    struct stuck stuck;
    struct later later;
    struct rig rig;
    int64_t begin;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    set_alarms(2000);
    begin = now_ns();
    ck_assert_int_eq(ioq_handle_wait(rig.handle, &done, 1, 1, 30 * MILLISECOND),
                     0);
    ck_assert_int_ge(now_ns() - begin, 30 * MILLISECOND);
    later_begin(&later, &stuck);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, &done, 1, 1, -1), 1);
    set_alarms(0);
    ck_assert_int_gt(alarms, 0);
    later_join(&later);

    /* Nor where the kernel has the request. */
    set_alarms(2000);
    queue_reads(&rig, 1);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, &done, 1, 1, -1), 1);
    set_alarms(0);
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "-EINVAL as ioq_handle_reap, or if min exceeds max." */
TEST(wait_wants_room, "")
{
    struct ioq_completion done[2];
    struct rig rig;

    rig_open(&rig, 8, 0);
    queue_reads(&rig, 2);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, NULL, 0, 1, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 0, 0, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 2, 1, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_wait(NULL, done, 1, 1, 0), -EINVAL);
    /* Nor was anything submitted. */
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 2);
    take(&rig, done, 2);
    rig_close(&rig);
}
