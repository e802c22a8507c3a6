/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <ioq.h>: ioq_submit, and what becomes of what the kernel does not take.
 */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"

#define DEPTH 8

/* The order in which requests were taken, seen when the oldest completes. */
static struct request *taken_order[64];
static unsigned int taken_count;

static void note_order(struct iocb *iocb, ssize_t result)
{
    (void)result;
    taken_order[taken_count++] = fx_request_of(iocb);
}

static void open_noting_order(unsigned int depth)
{
    fx_open(depth);
    taken_count = 0;
    sk.on_done = note_order;
}

/* Requests leave the pool from its end: the i-th queued is at depth - 1 - i. */
static struct request *queued_as(unsigned int i)
{
    return &fx.requests[fx.depth - 1 - i];
}

static void assert_all_once(unsigned int count)
{
    unsigned int i;

    fx_wait(count);
    ck_assert_uint_eq(taken_count, count);
    for (i = 0; i < count; i++) {
        ck_assert_uint_eq(queued_as(i)->completed, 1);
        ck_assert_int_eq(queued_as(i)->ret, BLOCK);
        ck_assert(fx_holds(i, queued_as(i)));
        ck_assert_ptr_eq(taken_order[i], queued_as(i));
    }
}

/* P12: a batch is one system call. */
START_TEST(submit_takes_the_whole_batch_and_returns_its_size)
{
    unsigned int count;

    for (count = 0; count <= 32; count++) {
        open_noting_order(32);
        fx_write_n(count);
        ck_assert_uint_eq(ioq_num_queued(&fx.ioq), count);
        sk.submits = 0;
        ck_assert_int_eq(ioq_submit(&fx.ioq), (int)count);
        ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 0);
        ck_assert_uint_eq(sk.submits, count > 0);
        ck_assert_int_eq(ioq_submit(&fx.ioq), 0);
        assert_all_once(count);
        fx_close();
    }
    fx_open(1);
}
END_TEST

START_TEST(a_batch_that_is_taken_allocates_nothing)
{
    unsigned long before;

    fx_open(DEPTH);
    before = allocations;
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    fx_run();
    ck_assert_uint_eq(allocations, before);
}
END_TEST

/* P1, P44: every short count; the rest goes out at once, in order. */
START_TEST(every_short_count_loses_nothing)
{
    unsigned int n, k;

    for (n = 2; n <= DEPTH; n++) {
        for (k = 1; k < n; k++) {
            int answers[1] = {(int)k};

            open_noting_order(DEPTH);
            sk_answers(answers, 1);
            fx_write_n(n);
            ck_assert_int_eq(ioq_submit(&fx.ioq), (int)n);
            ck_assert_uint_eq(sk_in_flight(), n);
            assert_all_once(n);
            fx_close();
        }
    }
    fx_open(1);
}
END_TEST

/* P1, P2, P44, P45: every short count, then no room until events are reaped. */
START_TEST(what_is_left_after_every_short_count_goes_out_later)
{
    unsigned int n, k;

    for (n = 2; n <= DEPTH; n++) {
        for (k = 1; k < n; k++) {
            int answers[2] = {(int)k, -EAGAIN};

            open_noting_order(DEPTH);
            sk_answers(answers, 2);
            fx_write_n(n);
            ck_assert_int_eq(ioq_submit(&fx.ioq), (int)n);
            ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 0);
            ck_assert_uint_eq(sk_in_flight(), k);
            assert_all_once(n);
            fx_close();
        }
    }
    fx_open(1);
}
END_TEST

START_TEST(short_counts_of_one_each)
{
    int answers[2 * DEPTH];
    unsigned int i;

    for (i = 0; i < DEPTH; i++) {
        answers[2 * i] = 1;
        answers[2 * i + 1] = -EAGAIN;
    }
    open_noting_order(DEPTH);
    sk_answers(answers, 2 * DEPTH);
    fx_write_n(DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_uint_eq(sk_in_flight(), 1);
    assert_all_once(DEPTH);
}
END_TEST

/* Queues one of three iovecs that lie on this function's stack alone. */
static struct request *submit_from_the_stack(bool read, unsigned int count)
{
    struct iovec iov[DEPTH][3];
    struct request *request = NULL;
    unsigned int i;

    for (i = 0; i < count; i++) {
        struct iocb *iocb = ioq_rdwr(&fx.ioq, read, iov[i], 3, i * BLOCK);

        request = fx_request_of(iocb);
        memset(request->buf, read ? 0xee : (int)i + 1, BLOCK);
        iov[i][0] = (struct iovec){request->buf, 10};
        iov[i][1] = (struct iovec){request->buf + 10, 1};
        iov[i][2] = (struct iovec){request->buf + 11, BLOCK - 11};
    }
    ck_assert_int_eq(ioq_submit(&fx.ioq), (int)count);
    memset(iov, 0x5a, sizeof(iov)); /* as the caller's next call would */
    __asm__ volatile("" : : "r"(iov) : "memory");
    return request;
}

/* P3 */
START_TEST(iovecs_of_writes_are_dead_once_submit_returns)
{
    unsigned int k, i;

    for (k = 0; k <= DEPTH; k++) {
        int answers[2] = {(int)k, -EAGAIN};

        open_noting_order(DEPTH);
        sk_answers(answers, 2);
        submit_from_the_stack(false, DEPTH);
        fx_wait(DEPTH);
        for (i = 0; i < DEPTH; i++) {
            ck_assert_int_eq(queued_as(i)->ret, BLOCK);
            ck_assert_uint_eq(sk_disk[i * BLOCK], i + 1);
            ck_assert_uint_eq(sk_disk[i * BLOCK + 10], i + 1);
            ck_assert_uint_eq(sk_disk[(i + 1) * BLOCK - 1], i + 1);
        }
        fx_close();
    }
    fx_open(1);
}
END_TEST

/* P3 */
START_TEST(iovecs_of_reads_are_dead_once_submit_returns)
{
    unsigned int k, i;

    for (i = 0; i < DEPTH * BLOCK; i++)
        sk_disk[i] = (unsigned char)(i * 7);
    for (k = 0; k <= DEPTH; k++) {
        int answers[2] = {(int)k, -EAGAIN};

        open_noting_order(DEPTH);
        sk_answers(answers, 2);
        submit_from_the_stack(true, DEPTH);
        fx_wait(DEPTH);
        for (i = 0; i < DEPTH; i++)
            ck_assert_mem_eq(queued_as(i)->buf, sk_disk + i * BLOCK, BLOCK);
        fx_close();
    }
    fx_open(1);
}
END_TEST

/* P3: also if it takes many tries, and however long the others took. */
START_TEST(iovecs_are_kept_through_many_refusals)
{
    int answers[50];
    unsigned int i;

    for (i = 0; i < 50; i++)
        answers[i] = i % 3 ? -EAGAIN : 1;
    fx_open(DEPTH);
    sk_answers(answers, 50);
    submit_from_the_stack(false, DEPTH);
    fx_wait(DEPTH);
    for (i = 0; i < DEPTH; i++)
        ck_assert_uint_eq(sk_disk[(i + 1) * BLOCK - 1], i + 1);
}
END_TEST

START_TEST(a_parked_iocb_comes_back_as_it_was_prepared)
{
    static const int answers[] = {-EAGAIN};
    struct request *request;

    fx_open(DEPTH);
    sk_answers(answers, 1);
    request = fx_write(3);
    ioq_submit(&fx.ioq);
    fx_wait(1);
    ck_assert_ptr_eq(request->iocb.u.c.buf, &request->iov);
    ck_assert_uint_eq(request->iocb.u.c.nbytes, 1);
    ck_assert_int_eq(request->iocb.u.c.offset, 3 * BLOCK);
}
END_TEST

START_TEST(a_parked_bare_request_needs_no_iovecs)
{
    static const int answers[] = {-EAGAIN};

    fx_open(DEPTH);
    sk_answers(answers, 1);
    fx_bare();
    fx_write(0);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 2);
    fx_wait(2);
    ck_assert_int_eq(queued_as(0)->ret, 0);
    ck_assert_int_eq(queued_as(1)->ret, BLOCK);
}
END_TEST

/* P59: what the kernel would say when it is asked, a parked one gets, too. */
START_TEST(bad_iovecs_are_rejected_whether_parked_or_not)
{
    static const int parked[] = {-EAGAIN};
    static struct iovec many[IOV_MAX + 1];
    unsigned int turn, i;

    for (turn = 0; turn < 2; turn++) {
        fx_open(DEPTH);
        sk_answers(parked, turn);
        ioq_rdwr(&fx.ioq, false, many, IOV_MAX + 1, 0);
        ioq_rdwr(&fx.ioq, false, NULL, 1, 0);
        ioq_rdwr(&fx.ioq, true, NULL, UINT_MAX, 0);
        ioq_rdwr(&fx.ioq, true, NULL, 0, 0);
        ioq_rdwr(&fx.ioq, true, many, IOV_MAX, 0);
        fx_write(5);
        ck_assert_int_eq(ioq_submit(&fx.ioq), 6);
        fx_wait(6);
        for (i = 0; i < 6; i++) {
            static const ssize_t expected[] = {-EINVAL, -EFAULT, -EINVAL,
                                               0,       0,       BLOCK};

            ck_assert_uint_eq(queued_as(i)->completed, 1);
            ck_assert_int_eq(queued_as(i)->ret, expected[i]);
        }
        fx_close();
    }
    fx_open(1);
}
END_TEST

/* The one that cannot be kept fails; nothing else does. */
START_TEST(no_memory_for_a_parked_request_fails_it_alone)
{
    static const int answers[] = {3, -EAGAIN};
    unsigned int i;

    fx_open(DEPTH);
    sk_answers(answers, 2);
    fx_write_n(4);
    fx_bare();
    allocations_fail = true;
    ck_assert_int_eq(ioq_submit(&fx.ioq), 5);
    allocations_fail = false;
    ck_assert(fx_readable());
    fx_wait(5);
    for (i = 0; i < 5; i++) {
        ck_assert_uint_eq(queued_as(i)->completed, 1);
        ck_assert_int_eq(queued_as(i)->ret, i == 3   ? -ENOMEM
                                            : i == 4 ? 0
                                                     : BLOCK);
    }
}
END_TEST

/* P2: EAGAIN, k times over, with requests in flight; P43: likewise ENOMEM. */
START_TEST(no_room_for_a_while_loses_nothing)
{
    static const int errors[] = {-EAGAIN, -ENOMEM, 0};
    unsigned int e, k, i;

    for (e = 0; e < 3; e++) {
        for (k = 1; k < 12; k++) {
            int answers[13] = {2};

            for (i = 1; i <= k; i++)
                answers[i] = errors[e];
            open_noting_order(DEPTH);
            sk_answers(answers, k + 1);
            fx_write_n(DEPTH);
            ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
            ck_assert_uint_eq(sk_in_flight(), 2);
            assert_all_once(DEPTH);
            ck_assert_uint_eq(sk_answers_left(), 0);
            fx_close();
        }
    }
    fx_open(1);
}
END_TEST

/*
 * P17, P43, P47: no completion will wake the caller, so the notifier does, for
 * as long as it takes.
 */
START_TEST(no_room_with_nothing_in_flight_wakes_the_caller)
{
    static const int errors[] = {-EAGAIN, -ENOMEM, 0};
    int answers[20];
    unsigned int e, i;

    for (e = 0; e < 3; e++) {
        for (i = 0; i < 20; i++)
            answers[i] = errors[e];
        open_noting_order(DEPTH);
        sk_answers(answers, 20);
        fx_write_n(3);
        ck_assert_int_eq(ioq_submit(&fx.ioq), 3);
        ck_assert_uint_eq(sk_in_flight(), 0);
        while (sk_answers_left() > 0) {
            ck_assert(fx_clear());
            ck_assert_int_eq(fx_run(), 0);
        }
        assert_all_once(3);
        fx_close();
    }
    fx_open(1);
}
END_TEST

/* P17: the last one in flight is reaped, and still there is no room. */
START_TEST(the_last_completion_leaves_the_notifier_armed)
{
    static const int answers[] = {1, -EAGAIN, -EAGAIN, -EAGAIN};

    fx_open(DEPTH);
    sk_answers(answers, 4);
    fx_write_n(3);
    ioq_submit(&fx.ioq);
    ck_assert(!fx_readable()); /* the one in flight will say */
    sk_complete_all();
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 1);
    ck_assert(fx_readable());
    fx_wait(3);
}
END_TEST

/* P45: no room until events are reaped by system call. */
START_TEST(no_room_until_events_are_reaped)
{
    open_noting_order(DEPTH);
    fx_write_n(3);
    ioq_submit(&fx.ioq);
    sk.full_until_getevents = true;
    submit_from_the_stack(false, 4);
    sk_complete_all();
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 3);
    ck_assert_uint_eq(sk_in_flight(), 4);
    fx_wait(7);
}
END_TEST

/* P4, P49: once each, also if signals keep coming. */
START_TEST(interrupted_submit_goes_on)
{
    static const int answers[] = {-EINTR, 1, -EINTR, -EINTR, 2, -EINTR};

    open_noting_order(DEPTH);
    sk_answers(answers, 6);
    fx_write_n(DEPTH);
    errno = 0;
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_uint_eq(sk_in_flight(), DEPTH);
    assert_all_once(DEPTH);
}
END_TEST

static int always_interrupted(unsigned int count)
{
    (void)count;
    return -EINTR;
}

START_TEST(a_storm_of_signals_delays_but_loses_nothing)
{
    open_noting_order(DEPTH);
    sk.on_submit = always_interrupted;
    fx_write_n(DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 0);
    ck_assert(fx_readable());
    sk.on_submit = NULL;
    assert_all_once(DEPTH);
}
END_TEST

static void assert_one_bad(unsigned int bad, int error, unsigned int short_of)
{
    int answers[2] = {(int)short_of, -EAGAIN};
    struct request *requests[DEPTH];
    unsigned int i;

    fx_open(DEPTH);
    if (short_of < DEPTH)
        sk_answers(answers, 2);
    for (i = 0; i < DEPTH; i++)
        requests[i] = i == bad ? fx_bad(error) : fx_write(i);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_uint_eq(fx.completed, 0);
    fx_wait(DEPTH);
    for (i = 0; i < DEPTH; i++) {
        ck_assert_uint_eq(requests[i]->completed, 1);
        ck_assert_int_eq(requests[i]->ret, i == bad ? error : BLOCK);
        ck_assert(i == bad || fx_holds(i, requests[i]));
    }
    fx_close();
}

/* P15, P16: at each position, each error, parked or not. */
START_TEST(a_bad_request_fails_alone)
{
    static const int errors[] = {-EBADF, -EINVAL, -EFAULT};
    unsigned int e, bad, short_of;

    for (e = 0; e < 3; e++) {
        for (bad = 0; bad < DEPTH; bad++) {
            for (short_of = 0; short_of <= DEPTH; short_of++)
                assert_one_bad(bad, errors[e], short_of);
        }
    }
    fx_open(1);
}
END_TEST

START_TEST(the_notifier_fires_for_a_rejected_request)
{
    struct request *bad;

    fx_open(DEPTH);
    bad = fx_bad(-EBADF);
    ck_assert(!fx_readable());
    ck_assert_int_eq(ioq_submit(&fx.ioq), 1);
    ck_assert(fx_readable());
    ck_assert_uint_eq(bad->completed, 0); /* P14: not from inside submit */
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), 1);
    ck_assert_int_eq(bad->ret, -EBADF);
}
END_TEST

START_TEST(a_batch_of_bad_requests_completes_too)
{
    static const int errors[] = {-EBADF, -EINVAL, -EFAULT};
    unsigned int turn, i;

    fx_open(DEPTH);
    for (turn = 1; turn <= 3; turn++) {
        for (i = 0; i < DEPTH; i++)
            fx_bad(errors[i % 3]);
        ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
        fx_wait(turn * DEPTH);
        ck_assert_uint_eq(sk.taken, 0);
    }
}
END_TEST

/* Whatever a sandbox says to io_submit itself is each request's error. */
START_TEST(an_error_of_another_kind_is_the_heads)
{
    static const int answers[] = {-EPERM, -ENOSYS, -EOPNOTSUPP};
    unsigned int i;

    fx_open(DEPTH);
    sk_answers(answers, 3);
    fx_write_n(4);
    ioq_submit(&fx.ioq);
    fx_wait(4);
    for (i = 0; i < 4; i++)
        ck_assert_int_eq(queued_as(i)->ret, i < 3 ? answers[i] : BLOCK);
}
END_TEST

/* P62: an EINVAL is the request's while the context lives. */
START_TEST(einval_of_a_live_context_is_the_heads)
{
    static const int answers[] = {2, -EINVAL};

    fx_open(DEPTH);
    sk_answers(answers, 2);
    fx_write_n(4);
    ioq_submit(&fx.ioq);
    fx_wait(4);
    ck_assert_int_eq(queued_as(2)->ret, -EINVAL);
    ck_assert_int_eq(queued_as(3)->ret, BLOCK);
}
END_TEST

/* P62: a context that is gone is nobody's fault, and is not asked again. */
START_TEST(a_lost_context_fails_everything_without_a_crash)
{
    unsigned int i;

    fx_open(DEPTH);
    sk_lose_context();
    fx_write_n(DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_uint_eq(sk.submits, 1);
    fx_wait(DEPTH);
    for (i = 0; i < DEPTH; i++)
        ck_assert_int_eq(queued_as(i)->ret, -EIDRM);
}
END_TEST

START_TEST(a_lost_context_fails_what_is_parked)
{
    static const int answers[] = {-EAGAIN};

    fx_open(DEPTH);
    sk_answers(answers, 1);
    submit_from_the_stack(false, 3);
    sk_lose_context();
    fx_wait(3);
    ck_assert_int_eq(queued_as(0)->ret, -EIDRM);
    ck_assert_int_eq(queued_as(2)->ret, -EIDRM);
}
END_TEST

/* In order, and ahead of anything newer. */
START_TEST(newer_requests_do_not_overtake_parked_ones)
{
    static const int answers[] = {1, -EAGAIN, -EAGAIN, 1, -EAGAIN};
    unsigned int i;

    open_noting_order(DEPTH);
    sk_answers(answers, 5);
    fx_write_n(3);
    ioq_submit(&fx.ioq); /* 1 and no more */
    for (i = 3; i < 6; i++)
        fx_write(i);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 3); /* none */
    ck_assert_uint_eq(sk_in_flight(), 1);
    for (i = 6; i < 8; i++)
        fx_write(i);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 2); /* 1 and no more */
    ck_assert_uint_eq(sk_in_flight(), 2);
    assert_all_once(8);
}
END_TEST

START_TEST(a_submit_of_nothing_retries_what_is_parked)
{
    static const int answers[] = {-EAGAIN};

    open_noting_order(DEPTH);
    sk_answers(answers, 1);
    fx_write_n(3);
    ioq_submit(&fx.ioq);
    ck_assert_uint_eq(sk_in_flight(), 0);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 0);
    ck_assert_uint_eq(sk_in_flight(), 3);
    assert_all_once(3);
}
END_TEST

/* The parked ones lie around the end of their array. */
START_TEST(parked_requests_wrap_around)
{
    unsigned int turn, left;

    open_noting_order(5);
    for (turn = 0; turn < 20; turn++) {
        static const int answers[] = {-EAGAIN, 2, -EAGAIN};

        fx.completed = taken_count = 0;
        sk_answers(answers, 3);
        fx_write_n(4);
        ioq_submit(&fx.ioq);
        fx_write(4);
        ioq_submit(&fx.ioq);
        fx_wait(5);
        for (left = 1; left < 5; left++)
            ck_assert_int_eq(taken_order[left]->iocb.u.c.offset, left * BLOCK);
    }
}
END_TEST

static int two_at_once(unsigned int count)
{
    static bool full;

    (void)count;
    full = !full;
    return full ? 2 : -EAGAIN;
}

/* P61: ten times what the kernel takes at once, without waiting in submit. */
START_TEST(a_batch_larger_than_the_kernel_takes_is_split)
{
    unsigned int i;

    open_noting_order(20);
    sk.on_submit = two_at_once;
    fx_write_n(20);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 20);
    ck_assert_uint_eq(sk_in_flight(), 2);
    fx_wait(20);
    for (i = 0; i < 20; i++)
        ck_assert_ptr_eq(taken_order[i], queued_as(i));
}
END_TEST

START_TEST(run_completion_sends_out_what_is_parked)
{
    static const int answers[] = {2, -EAGAIN};

    fx_open(DEPTH);
    sk_answers(answers, 2);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    ck_assert_uint_eq(sk_in_flight(), 2);
    ck_assert_int_eq(fx_run(), 0);
    ck_assert_uint_eq(sk_in_flight(), DEPTH);
    fx_wait(DEPTH);
}
END_TEST

static void submit_more(struct request *request)
{
    (void)request;
    while (fx.ioq.freelist_idx > 0 && fx.completed < 200)
        fx_write(fx.completed % 100);
    ioq_submit(&fx.ioq);
}

static int every_third_fails(unsigned int count)
{
    static const int answers[] = {SK_ALL, -EAGAIN, 1, -ENOMEM, -EINTR, 2, 0};
    static unsigned int calls;

    (void)count;
    return answers[calls++ % 7];
}

/* P14: submitting from a callback while others are parked. */
START_TEST(callbacks_submit_while_requests_are_parked)
{
    unsigned int i, sum = 0;

    fx_open(DEPTH);
    sk.on_submit = every_third_fails;
    fx.in_completion = submit_more;
    fx_write_n(4);
    ioq_submit(&fx.ioq);
    fx_drain();
    ck_assert_uint_ge(fx.completed, 200);
    for (i = 0; i < DEPTH; i++)
        sum += fx.requests[i].completed;
    ck_assert_uint_eq(sum, fx.completed);
}
END_TEST

static unsigned int submits_inside;

static void submit_and_see_that_nobody_is_called(struct request *request)
{
    unsigned int before = fx.completed;

    (void)request;
    if (fx.ioq.freelist_idx > 0)
        fx_bad(-EBADF);
    if (fx.ioq.freelist_idx > 0)
        fx_write(9);
    ioq_submit(&fx.ioq);
    ioq_submit(&fx.ioq);
    ck_assert_uint_eq(fx.completed, before);
    submits_inside++;
}

/* P14: with completions, refusals and parked ones to tell of, in and outside */
START_TEST(submit_never_calls_back)
{
    static const int answers[] = {SK_ALL, SK_ALL, 2, -EAGAIN, 1, -EAGAIN};

    fx_open(DEPTH);
    fx_write_n(2);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    sk_answers(answers, 6);
    fx_bad(-EBADF);
    fx_write_n(4);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 5);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 0);
    ck_assert_uint_eq(fx.completed, 0);
    submits_inside = 0;
    fx.in_completion = submit_and_see_that_nobody_is_called;
    fx_run();
    ck_assert_uint_eq(submits_inside, fx.completed);
    ck_assert_uint_gt(submits_inside, 1);
    fx.in_completion = NULL;
    fx_drain();
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_submit", &suite);

    tcase_add_test(tcase, submit_takes_the_whole_batch_and_returns_its_size);
    tcase_add_test(tcase, a_batch_that_is_taken_allocates_nothing);
    tcase_add_test(tcase, every_short_count_loses_nothing);
    tcase_add_test(tcase, what_is_left_after_every_short_count_goes_out_later);
    tcase_add_test(tcase, short_counts_of_one_each);
    tcase_add_test(tcase, iovecs_of_writes_are_dead_once_submit_returns);
    tcase_add_test(tcase, iovecs_of_reads_are_dead_once_submit_returns);
    tcase_add_test(tcase, iovecs_are_kept_through_many_refusals);
    tcase_add_test(tcase, a_parked_iocb_comes_back_as_it_was_prepared);
    tcase_add_test(tcase, a_parked_bare_request_needs_no_iovecs);
    tcase_add_test(tcase, bad_iovecs_are_rejected_whether_parked_or_not);
    tcase_add_test(tcase, no_memory_for_a_parked_request_fails_it_alone);
    tcase_add_test(tcase, no_room_for_a_while_loses_nothing);
    tcase_add_test(tcase, no_room_with_nothing_in_flight_wakes_the_caller);
    tcase_add_test(tcase, the_last_completion_leaves_the_notifier_armed);
    tcase_add_test(tcase, no_room_until_events_are_reaped);
    tcase_add_test(tcase, interrupted_submit_goes_on);
    tcase_add_test(tcase, a_storm_of_signals_delays_but_loses_nothing);
    tcase_add_test(tcase, a_bad_request_fails_alone);
    tcase_add_test(tcase, the_notifier_fires_for_a_rejected_request);
    tcase_add_test(tcase, a_batch_of_bad_requests_completes_too);
    tcase_add_test(tcase, an_error_of_another_kind_is_the_heads);
    tcase_add_test(tcase, einval_of_a_live_context_is_the_heads);
    tcase_add_test(tcase, a_lost_context_fails_everything_without_a_crash);
    tcase_add_test(tcase, a_lost_context_fails_what_is_parked);
    tcase_add_test(tcase, newer_requests_do_not_overtake_parked_ones);
    tcase_add_test(tcase, a_submit_of_nothing_retries_what_is_parked);
    tcase_add_test(tcase, parked_requests_wrap_around);
    tcase_add_test(tcase, a_batch_larger_than_the_kernel_takes_is_split);
    tcase_add_test(tcase, run_completion_sends_out_what_is_parked);
    tcase_add_test(tcase, callbacks_submit_while_requests_are_parked);
    tcase_add_test(tcase, submit_never_calls_back);
    return run_suite(suite);
}
