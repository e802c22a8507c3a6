/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A completion function may use the queue that called it.
 */
#include <errno.h>
#include <unistd.h>

#include "rig.h"

static int left;

static void queue_another(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    ck_assert_int_eq(ret, PLACE_BLOCK);
    if (left == 0)
        return;
    left--;
    rig_read(rig, left % 1000);
    rig_submit(rig);
}

static void run_chain(struct rig *rig, int expected)
{
    while (rig->completed < expected) {
        rig_wait(rig);
        ioq_run_completion(&rig->ioq, queue_another, rig);
    }
    ck_assert_int_eq(rig->completed, expected);
    ck_assert_uint_eq(rig->ioq.freelist_idx, rig->depth);
}

START_TEST(a_callback_may_queue_and_submit)
{
    struct rig rig;

    choose_ring(_i);
    rig_open(&rig, 4);
    left = 500;
    rig_read(&rig, 0); /* one iocb stays in reserve for each that completes */
    rig_submit(&rig);
    run_chain(&rig, 501);
    rig_close(&rig);
}
END_TEST

static void find_pool_empty(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    errno = 0;
    ck_assert_ptr_null(ioq_get_iocb(&rig->ioq));
    ck_assert_int_eq(errno, EAGAIN);
}

/* P8 */
START_TEST(at_full_depth_the_pool_is_empty_in_the_callback_and_not_after)
{
    struct rig rig;
    int i;

    choose_ring(_i);
    rig_open(&rig, 1);
    for (i = 0; i < 10; i++) {
        rig_read(&rig, i);
        rig_submit(&rig);
        rig_wait(&rig);
        ck_assert_int_eq(ioq_run_completion(&rig.ioq, find_pool_empty, &rig),
                         1);
    }
    rig_close(&rig);
}
END_TEST

static int depth_now, depth_most;

/* Completes all others while it runs; depth first, as a recursion. */
static void wait_for_others(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    if (++depth_now > depth_most)
        depth_most = depth_now;
    while (rig->completed < (int)rig->depth) {
        rig_wait(rig);
        ioq_run_completion(&rig->ioq, wait_for_others, rig);
    }
    depth_now--;
}

/* P13 */
START_TEST(a_callback_may_run_a_nested_event_loop)
{
    struct rig rig;
    int i;

    choose_ring(_i);
    depth_most = 0;
    rig_open(&rig, 20);
    for (i = 0; i < 20; i++)
        rig_read(&rig, i);
    rig_submit(&rig);
    rig_wait(&rig);
    ioq_run_completion(&rig.ioq, wait_for_others, &rig);
    rig_check(&rig, 1, PLACE_BLOCK);
    ck_assert_int_eq(depth_most, 20);
    ck_assert_uint_eq(rig.ioq.freelist_idx, 20);
    rig_close(&rig);
}
END_TEST

static void wait_for_last(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    if (rig->completed < 3)
        rig_complete(rig, 1);
}

static void submit_last(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    rig_read(rig, 2);
    rig_submit(rig);
    usleep(20000); /* so that its signal is cleared with the others' */
    rig_wait(rig);
    ioq_run_completion(&rig->ioq, wait_for_last, rig);
}

/* P13, P52: a signal stands for completions that no call has seen yet. */
START_TEST(a_signal_cleared_in_a_nested_loop_is_not_lost)
{
    struct rig rig;

    choose_ring(_i);
    rig_open(&rig, 3);
    rig_read(&rig, 0);
    rig_read(&rig, 1);
    rig_submit(&rig);
    usleep(20000); /* so that both have completed */
    rig_wait(&rig);
    ioq_run_completion(&rig.ioq, submit_last, &rig);
    rig_check(&rig, 1, PLACE_BLOCK);
    rig_close(&rig);
}
END_TEST

static void reap_in_callback(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    ioq_run_completion(&rig->ioq, rig_done, rig);
}

START_TEST(a_callback_may_reap)
{
    struct rig rig;
    int i, round;

    choose_ring(_i);
    rig_open(&rig, 20);
    for (round = 1; round <= 20; round++) {
        for (i = 0; i < 20; i++)
            rig_read(&rig, i);
        rig_submit(&rig);
        while (rig.completed < 20 * round) {
            rig_wait(&rig);
            ioq_run_completion(&rig.ioq, reap_in_callback, &rig);
        }
        rig_check(&rig, round, PLACE_BLOCK);
    }
    rig_close(&rig);
}
END_TEST

/* On tmpfs, say, the next one has completed before the function returns. */
START_TEST(callbacks_that_always_submit_do_not_trap_the_caller)
{
    struct rig rig;
    int calls;

    choose_ring(_i);
    rig_open(&rig, 4);
    left = 1000000;
    rig_read(&rig, 0);
    rig_submit(&rig);
    rig_wait(&rig);
    calls = ioq_run_completion(&rig.ioq, queue_another, &rig);
    ck_assert_int_le(calls, 4);
    left = 0;
    run_chain(&rig, rig.completed + (int)(4 - rig.ioq.freelist_idx));
    rig_close(&rig);
}
END_TEST

static void queue_bad_one(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *rig = opaque;

    rig_done(iocb, ret, opaque);
    if (left-- <= 0)
        return;
    rig_read(rig, 0)->iocb.aio_fildes = -1;
    rig_submit(rig);
}

/* P14: the error comes in a call of its own, never out of ioq_submit. */
START_TEST(a_request_that_a_callback_submits_may_be_rejected)
{
    struct rig rig;

    choose_ring(_i);
    rig_open(&rig, 4);
    left = 20;
    rig_read(&rig, 0);
    rig_submit(&rig);
    while (rig.completed < 21) {
        rig_wait(&rig);
        ioq_run_completion(&rig.ioq, queue_bad_one, &rig);
    }
    ck_assert_int_eq(rig.completed, 21);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, a_callback_may_queue_and_submit);
    add_ring_test(
        tcase, at_full_depth_the_pool_is_empty_in_the_callback_and_not_after);
    add_ring_test(tcase, a_callback_may_run_a_nested_event_loop);
    add_ring_test(tcase, a_signal_cleared_in_a_nested_loop_is_not_lost);
    add_ring_test(tcase, a_callback_may_reap);
    add_ring_test(tcase, callbacks_that_always_submit_do_not_trap_the_caller);
    add_ring_test(tcase, a_request_that_a_callback_submits_may_be_rejected);
    return run_case("queue_callbacks", tcase);
}
