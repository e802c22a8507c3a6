/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <ioq.h>: ioq_run_completion and the notifier.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define DEPTH 8

static struct request *submit_one(void)
{
    struct request *request = fx_write(0);

    ck_assert_int_eq(ioq_submit(&fx.ioq), 1);
    return request;
}

static void submit_n(unsigned int count)
{
    fx_write_n(count);
    ck_assert_int_eq(ioq_submit(&fx.ioq), (int)count);
}

/* P10, P21, P23, P34: what the kernel said, whatever it is, is what is told. */
START_TEST(ret_is_the_bytes_or_the_error)
{
    static const ssize_t results[] = {
        0,  1,     BLOCK - 1, BLOCK,   -EIO,   -ENOSPC,    -EAGAIN,
        -1, -4095, -EINTR,    -EINVAL, 100000, 0x7fffffff,
    };
    size_t i;

    fx_open(1);
    for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct request *request = submit_one();

        sk_complete_with(&request->iocb, results[i]);
        ck_assert_int_eq(fx_run(), 1);
        ck_assert_int_eq(request->ret, results[i]);
    }
}
END_TEST

/* P9: res2 has no part in it, in whatever bits it is. */
START_TEST(res2_does_not_change_the_result)
{
    static const unsigned long res2[] = {1, 0x80000000ul, -1ul};
    struct request *request;
    unsigned int i;

    fx_open(1);
    for (i = 0; i < 3; i++) {
        sk.res2 = res2[i];
        request = submit_one();
        sk_complete_with(&request->iocb, -EIO);
        fx_run();
        ck_assert_int_eq(request->ret, -EIO);
        request = submit_one();
        sk_complete(&request->iocb);
        fx_run();
        ck_assert_int_eq(request->ret, BLOCK);
    }
}
END_TEST

START_TEST(a_short_transfer_is_reported_as_it_is)
{
    struct request *request;

    fx_open(1);
    memset(sk_disk, 0x77, BLOCK);
    request = fx_read(0);
    ioq_submit(&fx.ioq);
    sk_complete_with(&request->iocb, 10);
    fx_run();
    ck_assert_int_eq(request->ret, 10);
    ck_assert_uint_eq(request->buf[9], 0x77);
    ck_assert_uint_eq(request->buf[10], 0xee); /* not zero-filled */
}
END_TEST

START_TEST(each_request_is_called_back_once_in_any_order)
{
    unsigned int turn, i;

    fx_open(64);
    srand(7);
    for (turn = 1; turn <= 20; turn++) {
        submit_n(64);
        while (sk_in_flight() > 0) {
            sk_complete_at((unsigned int)rand() % sk_in_flight());
            if (rand() % 4 == 0)
                fx_run();
        }
        fx_run();
        for (i = 0; i < 64; i++) {
            ck_assert_uint_eq(fx.requests[i].completed, turn);
            ck_assert_int_eq(fx.requests[i].ret, BLOCK);
        }
    }
}
END_TEST

START_TEST(run_returns_the_number_of_its_calls)
{
    unsigned int k;

    fx_open(DEPTH);
    for (k = 0; k <= DEPTH; k++) {
        submit_n(DEPTH);
        for (fx.completed = 0; sk_in_flight() > DEPTH - k;)
            sk_complete_at(0);
        ck_assert_int_eq(fx_run(), (int)k);
        ck_assert_uint_eq(fx.completed, k);
        sk_complete_all();
        ck_assert_int_eq(fx_run(), DEPTH - (int)k);
        ck_assert_int_eq(fx_run(), 0);
    }
}
END_TEST

/* P5, P53: all of them in one call, not a ring-full or a fetch-full. */
START_TEST(all_of_600_complete_after_one_wake_up)
{
    fx_open(600);
    submit_n(600);
    sk_complete_all();
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 600);
}
END_TEST

START_TEST(reaping_makes_no_system_call_with_the_ring)
{
    fx_open(DEPTH);
    submit_n(DEPTH);
    sk_complete_all();
    fx_run();
    fx_run();
    if (fx_ring())
        ck_assert_uint_eq(sk.getevents, 0);
    else
        ck_assert_uint_gt(sk.getevents, 0);
}
END_TEST

START_TEST(the_notifier_fires_for_each_completion)
{
    fx_open(DEPTH);
    submit_n(DEPTH);
    while (sk_in_flight() > 0) {
        ck_assert(!fx_readable());
        sk_complete_at(0);
        ck_assert(fx_clear());
        ck_assert_int_eq(fx_run(), 1);
    }
    ck_assert(!fx_readable());
}
END_TEST

/* P52: a hint, many times over, with no stall and no event lost. */
START_TEST(clear_and_run_never_stalls)
{
    unsigned int i;

    fx_open(2);
    for (i = 1; i <= 20000; i++) {
        submit_one();
        sk_complete_at(0);
        if (i % 3 == 0)
            continue; /* two for one wake-up */
        ck_assert(fx_clear());
        fx_run();
        ck_assert_uint_eq(fx.completed, i);
    }
}
END_TEST

START_TEST(clearing_with_nothing_to_do_is_harmless)
{
    fx_open(DEPTH);
    event_notifier_set(ioq_get_notifier(&fx.ioq));
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 0);
    submit_n(3);
    event_notifier_set(ioq_get_notifier(&fx.ioq));
    ck_assert_int_eq(fx_run(), 0);
    fx_wait(3);
}
END_TEST

/* The eventfd's counter at its end: still readable, and nothing blocks. */
START_TEST(a_full_counter_is_as_readable_as_any)
{
    const uint64_t most = UINT64_MAX - 1;

    fx_open(DEPTH);
    ck_assert_int_eq(write(ioq_get_notifier(&fx.ioq)->wfd, &most, sizeof(most)),
                     8);
    ck_assert_int_eq(event_notifier_set(ioq_get_notifier(&fx.ioq)), 0);
    fx_bad(-EBADF);
    fx_write_n(3);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    ck_assert_int_eq(fx_run(), 4);
}
END_TEST

/* Callbacks. */

static unsigned int depth_now, inner_calls;

/* What a nested event loop does: sleeps until the notifier wakes it. */
static void nested_loop_until_all_done(struct request *request)
{
    (void)request;
    if (depth_now > 0)
        return;
    depth_now++;
    while (fx.completed < DEPTH) {
        if (!fx_clear()) {
            ck_assert_msg(sk_in_flight() > 0, "the nested loop sleeps");
            sk_complete_at(0);
            continue;
        }
        inner_calls += (unsigned int)fx_run();
    }
    depth_now--;
}

static void assert_nested(unsigned int completed_before)
{
    depth_now = inner_calls = 0;
    fx_open(DEPTH);
    submit_n(DEPTH);
    while (sk_in_flight() > DEPTH - completed_before)
        sk_complete_at(0);
    fx.in_completion = nested_loop_until_all_done;
    ck_assert(fx_clear());
    /* The calls of the nested run are not the outer one's. */
    ck_assert_int_eq(fx_run(), 1);
    ck_assert_uint_eq(inner_calls, DEPTH - 1);
    ck_assert_uint_eq(fx.completed, DEPTH);
    fx_close();
}

/* P13: the first callback waits for the others, which the outer run holds. */
START_TEST(a_nested_loop_that_polls_gets_what_the_outer_run_holds)
{
    unsigned int completed;

    for (completed = 1; completed <= DEPTH; completed++)
        assert_nested(completed);
    fx_open(1);
}
END_TEST

/* P13: refused ones, which no eventfd of the kernel's announces. */
START_TEST(a_nested_loop_gets_rejected_requests)
{
    unsigned int i;

    fx_open(DEPTH);
    for (i = 0; i < DEPTH; i++)
        fx_bad(-EBADF);
    ioq_submit(&fx.ioq);
    depth_now = inner_calls = 0;
    fx.in_completion = nested_loop_until_all_done;
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 1);
    ck_assert_uint_eq(fx.completed, DEPTH);
}
END_TEST

/* P13, P17: parked, with nothing in flight that would wake the nested loop. */
START_TEST(a_nested_loop_gets_parked_requests)
{
    static const int answers[] = {1,       -EAGAIN, -EAGAIN, -EAGAIN,
                                  -EAGAIN, -EAGAIN, -EAGAIN};
    fx_open(DEPTH);
    sk_answers(answers, 7);
    submit_n(DEPTH);
    ck_assert_uint_eq(sk_in_flight(), 1);
    sk_complete_all();
    depth_now = inner_calls = 0;
    fx.in_completion = nested_loop_until_all_done;
    ck_assert(fx_clear());
    /* The outer callback's loop is in charge until all is done. */
    ck_assert_int_eq(fx_run(), 1);
    ck_assert_uint_eq(fx.completed, DEPTH);
}
END_TEST

/* Each callback runs completions itself, as deep as there are requests. */
static void run_again(struct request *request)
{
    (void)request;
    fx_run();
}

START_TEST(runs_nest_as_deep_as_there_are_requests)
{
    unsigned int i;

    fx_open(64);
    submit_n(64);
    sk_complete_all();
    fx.in_completion = run_again;
    ck_assert_int_eq(fx_run(), 1);
    ck_assert_uint_eq(fx.completed, 64);
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(fx.requests[i].completed, 1);
    ck_assert_uint_eq(fx.ioq.freelist_idx, 64);
}
END_TEST

static void complete_another(struct request *request)
{
    (void)request;
    if (sk_in_flight() > 0)
        sk_complete_at(0);
}

/* Seen by this call or by the next, for which the notifier is readable. */
START_TEST(what_completes_meanwhile_is_not_lost)
{
    fx_open(DEPTH);
    submit_n(DEPTH);
    fx.in_completion = complete_another;
    sk_complete_at(0);
    ck_assert(fx_clear());
    while (fx.completed < DEPTH) {
        fx_run();
        ck_assert(fx.completed == DEPTH || fx_clear());
    }
}
END_TEST

static void resubmit_and_complete(struct request *request)
{
    (void)request;
    ck_assert_uint_lt(fx.completed, 1000);
    fx_write(0);
    ioq_submit(&fx.ioq);
    sk_complete_at(0); /* on some files it is done at once */
}

START_TEST(a_callback_that_resubmits_does_not_hold_run_for_ever)
{
    fx_open(2);
    submit_one();
    sk_complete_at(0);
    fx.in_completion = resubmit_and_complete;
    ck_assert(fx_clear());
    ck_assert_int_gt(fx_run(), 0);
    ck_assert(fx_readable());
    fx.in_completion = NULL;
    ck_assert_int_eq(fx_run(), 1);
}
END_TEST

static void resubmit_bad(struct request *request)
{
    (void)request;
    ck_assert_uint_lt(fx.completed, 1000);
    fx_bad(-EBADF);
    ioq_submit(&fx.ioq);
}

START_TEST(a_callback_that_resubmits_what_is_rejected_does_not_either)
{
    fx_open(2);
    fx_bad(-EBADF);
    ioq_submit(&fx.ioq);
    fx.in_completion = resubmit_bad;
    ck_assert(fx_clear());
    ck_assert_int_gt(fx_run(), 0);
    ck_assert(fx_readable());
    fx.in_completion = NULL;
    ck_assert_int_eq(fx_run(), 1);
}
END_TEST

static void *kick_from_a_thread(void *notifier)
{
    event_notifier_set(notifier);
    return NULL;
}

static void kick_once(struct request *request)
{
    static pthread_t thread;

    (void)request;
    if (fx.completed != 1)
        return;
    ck_assert_int_eq(pthread_create(&thread, NULL, kick_from_a_thread,
                                    ioq_get_notifier(&fx.ioq)),
                     0);
    pthread_join(thread, NULL);
}

/* Any thread may set the notifier, at any time, to wake the caller's loop. */
START_TEST(a_wake_up_from_another_thread_is_not_swallowed)
{
    fx_open(DEPTH);
    submit_n(DEPTH);
    sk_complete_all();
    fx.in_completion = kick_once;
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), DEPTH);
    ck_assert(fx_readable());
}
END_TEST

START_TEST(a_batch_leaves_no_wake_up_for_nothing)
{
    fx_open(DEPTH);
    submit_n(DEPTH);
    sk_complete_all();
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), DEPTH);
    ck_assert(!fx_readable());
}
END_TEST

/* Reaping faults, as seen through the queue. */

/* P39 */
START_TEST(interrupted_and_short_getevents_lose_nothing)
{
    fx_open(100);
    sk.getevents_max = 3;
    submit_n(100);
    sk_complete_all();
    sk.getevents_eintr = 7;
    fx_run();
    fx_wait(100);
}
END_TEST

/* P29 */
START_TEST(an_absurd_tail_duplicates_and_loses_nothing)
{
    static const uint32_t tails[] = {DEPTH, 2 * DEPTH + 1, 1000, 0x80000000,
                                     -1};
    unsigned int t, i;

    for (t = 0; t < 5; t++) {
        fx_open(DEPTH);
        submit_n(5);
        sk_complete_at(0);
        sk_complete_at(0);
        sk_bend_tail(tails[t]);
        ck_assert_int_eq(fx_run(), 2);
        fx_wait(5);
        for (i = 0; i < DEPTH; i++)
            ck_assert_uint_eq(fx.requests[i].completed, i >= DEPTH - 5);
        fx_close();
    }
    fx_open(1);
}
END_TEST

/* P25, P28 */
START_TEST(a_queue_works_on_rings_of_every_kind)
{
    unsigned int kind;

    for (kind = 0; kind < 5; kind++) {
        if (kind == 1)
            sk.magic = 0;
        else if (kind == 2)
            sk.incompat = 1;
        else if (kind == 3)
            sk.header_length = 256;
        else if (kind == 4)
            sk.header_length = 7;
        fx_open(DEPTH);
        submit_n(DEPTH);
        fx_wait(DEPTH);
        fx_close();
        sk_reset();
    }
    fx_open(1);
}
END_TEST

/* P40: filled to exactly the depth again and again, no slot to spare. */
START_TEST(the_exact_depth_around_the_end_of_the_ring)
{
    unsigned int depth, turn, i;

    for (depth = 1; depth <= 9; depth++) {
        sk.nr = depth + 1;
        fx_open(depth);
        for (turn = 1; turn <= 3 * depth; turn++) {
            submit_n(depth);
            sk_complete_all();
            ck_assert_int_eq(fx_run(), (int)depth);
            for (i = 0; i < depth; i++)
                ck_assert_uint_eq(fx.requests[i].completed, turn);
        }
        fx_close();
        sk_reset();
    }
    fx_open(1);
}
END_TEST

/* P31, P45: no slot is lost over a long time, with EAGAIN now and then. */
START_TEST(the_depth_does_not_drift)
{
    unsigned int turn;

    fx_open(DEPTH);
    for (turn = 1; turn <= 2000; turn++) {
        sk.full_until_getevents = turn % 5 == 0 && turn > 1;
        fx_write_n(DEPTH / 2);
        ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH / 2);
        sk.full_until_getevents = false;
        fx_drain();
        fx_write_n(DEPTH);
        ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
        ck_assert_uint_eq(sk_in_flight(), DEPTH);
        fx_drain();
        ck_assert_uint_eq(fx.completed, turn * (DEPTH + DEPTH / 2));
    }
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_reap", &suite);

    tcase_add_test(tcase, ret_is_the_bytes_or_the_error);
    tcase_add_test(tcase, res2_does_not_change_the_result);
    tcase_add_test(tcase, a_short_transfer_is_reported_as_it_is);
    tcase_add_test(tcase, each_request_is_called_back_once_in_any_order);
    tcase_add_test(tcase, run_returns_the_number_of_its_calls);
    tcase_add_test(tcase, all_of_600_complete_after_one_wake_up);
    tcase_add_test(tcase, reaping_makes_no_system_call_with_the_ring);
    tcase_add_test(tcase, the_notifier_fires_for_each_completion);
    tcase_add_test(tcase, clear_and_run_never_stalls);
    tcase_add_test(tcase, clearing_with_nothing_to_do_is_harmless);
    tcase_add_test(tcase, a_full_counter_is_as_readable_as_any);
    tcase_add_test(tcase,
                   a_nested_loop_that_polls_gets_what_the_outer_run_holds);
    tcase_add_test(tcase, a_nested_loop_gets_rejected_requests);
    tcase_add_test(tcase, a_nested_loop_gets_parked_requests);
    tcase_add_test(tcase, runs_nest_as_deep_as_there_are_requests);
    tcase_add_test(tcase, what_completes_meanwhile_is_not_lost);
    tcase_add_test(tcase, a_callback_that_resubmits_does_not_hold_run_for_ever);
    tcase_add_test(tcase,
                   a_callback_that_resubmits_what_is_rejected_does_not_either);
    tcase_add_test(tcase, a_wake_up_from_another_thread_is_not_swallowed);
    tcase_add_test(tcase, a_batch_leaves_no_wake_up_for_nothing);
    tcase_add_test(tcase, interrupted_and_short_getevents_lose_nothing);
    tcase_add_test(tcase, an_absurd_tail_duplicates_and_loses_nothing);
    tcase_add_test(tcase, a_queue_works_on_rings_of_every_kind);
    tcase_add_test(tcase, the_exact_depth_around_the_end_of_the_ring);
    tcase_add_test(tcase, the_depth_does_not_drift);
    return run_suite(suite);
}
