/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <ioq.h>: the pool of iocbs, and how requests get onto the queue.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define DEPTH 8

/* P6: not an assertion. */
START_TEST(one_more_than_there_are_is_null_and_eagain)
{
    struct iovec iov = {NULL, 0};

    fx_open(DEPTH);
    fx_write_n(DEPTH);
    errno = 0;
    ck_assert_ptr_null(ioq_get_iocb(&fx.ioq));
    ck_assert_int_eq(errno, EAGAIN);
    errno = 0;
    ck_assert_ptr_null(ioq_rdwr(&fx.ioq, true, &iov, 1, 0));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    fx_wait(DEPTH);
}
END_TEST

/* P42: not rounded to a power of two. */
START_TEST(depth_100_admits_exactly_100)
{
    struct iocb spare;
    unsigned int i;

    fx_open(100);
    errno = 0;
    ioq_put_iocb(&fx.ioq, &spare);
    ck_assert_int_eq(errno, ENOSPC);
    for (i = 0; i < 100; i++)
        fx_write(i);
    ck_assert_ptr_null(ioq_get_iocb(&fx.ioq));
    ck_assert_int_eq(ioq_submit(&fx.ioq), 100);
    ck_assert_uint_eq(sk_in_flight(), 100);
    fx_wait(100);
}
END_TEST

static void assert_refused(int error)
{
    static struct iocb spare;
    unsigned int pool = fx.ioq.freelist_idx;

    errno = 0;
    ioq_put_iocb(&fx.ioq, &spare);
    ck_assert_int_eq(errno, error);
    ck_assert_uint_eq(fx.ioq.freelist_idx, pool);
}

/* Wherever the others are: in the pool, queued, parked, in flight, refused. */
START_TEST(a_put_beyond_max_reqs_is_refused)
{
    static const int answers[] = {SK_ALL, 1, -EAGAIN};

    fx_open(DEPTH);
    assert_refused(ENOSPC);
    fx_bad(-EBADF);
    fx_write_n(4);
    assert_refused(ENOSPC);
    sk_answers(answers, 3);
    ioq_submit(&fx.ioq);
    assert_refused(ENOSPC);
    fx_write_n(2);
    assert_refused(ENOSPC);
    ioq_submit(&fx.ioq);
    assert_refused(ENOSPC);
    fx_wait(7);
    assert_refused(ENOSPC);
}
END_TEST

START_TEST(a_put_of_null_is_einval)
{
    fx_open(DEPTH);
    fx_write_n(1);
    errno = 0;
    ioq_put_iocb(&fx.ioq, NULL);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 1);
}
END_TEST

START_TEST(a_put_that_succeeds_leaves_errno_alone)
{
    struct iocb iocb;

    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, 1), 0);
    errno = EXDEV;
    ioq_put_iocb(&fx.ioq, &iocb);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_ptr_eq(ioq_get_iocb(&fx.ioq), &iocb);
}
END_TEST

START_TEST(fewer_iocbs_than_max_reqs_will_do)
{
    struct iocb iocbs[2];

    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, DEPTH), 0);
    ioq_put_iocb(&fx.ioq, &iocbs[0]);
    ioq_put_iocb(&fx.ioq, &iocbs[1]);
    ck_assert_ptr_nonnull(ioq_get_iocb(&fx.ioq));
    ck_assert_ptr_nonnull(ioq_get_iocb(&fx.ioq));
    ck_assert_ptr_null(ioq_get_iocb(&fx.ioq));
}
END_TEST

/* P7: what is on the queue is ready to go, at any time. */
START_TEST(ioq_rdwr_queues_what_it_prepared)
{
    struct iovec iov[3] = {{NULL, 0}};
    struct iocb *iocb;

    fx_open(DEPTH);
    iocb = ioq_rdwr(&fx.ioq, true, iov, 3, 0x123456789aLL);
    ck_assert_ptr_eq(fx.ioq.queue[0], iocb);
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 1);
    ck_assert_int_eq(iocb->aio_lio_opcode, IO_CMD_PREADV);
    ck_assert_int_eq((int)iocb->aio_fildes, sk.fd);
    ck_assert_ptr_eq(iocb->u.c.buf, iov);
    ck_assert_uint_eq(iocb->u.c.nbytes, 3);
    ck_assert_int_eq(iocb->u.c.offset, 0x123456789aLL);
    iocb = ioq_rdwr(&fx.ioq, false, iov, 1, 0);
    ck_assert_int_eq(iocb->aio_lio_opcode, IO_CMD_PWRITEV);
    ck_assert_ptr_eq(fx.ioq.queue[1], iocb);
}
END_TEST

START_TEST(nothing_is_checked_until_submit)
{
    fx_open(DEPTH);
    ck_assert_ptr_nonnull(ioq_rdwr(&fx.ioq, true, NULL, 5, -1));
    ck_assert_ptr_nonnull(ioq_rdwr(&fx.ioq, true, NULL, UINT_MAX, LLONG_MIN));
    ck_assert_int_eq(ioq_submit(&fx.ioq), 2);
    fx_wait(2);
    ck_assert_int_lt(fx.requests[DEPTH - 1].ret, 0);
    ck_assert_int_lt(fx.requests[DEPTH - 2].ret, 0);
}
END_TEST

/* P7: of what its last user left in it, nothing reaches the kernel. */
START_TEST(a_bare_request_left_unprepared_completes_with_an_error)
{
    struct iocb *iocb;

    fx_open(1);
    fx_write(0);
    ioq_submit(&fx.ioq);
    fx_wait(1);
    memset(sk_disk, 0, BLOCK);
    iocb = ioq_get_iocb(&fx.ioq);
    ck_assert_ptr_nonnull(iocb);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 1);
    ck_assert_uint_eq(sk.taken, 1);
    fx_wait(2);
    ck_assert_int_lt(fx_request_of(iocb)->ret, 0);
    ck_assert_uint_eq(sk_disk[0], 0);
}
END_TEST

START_TEST(get_iocb_leaves_the_callers_data_pointer)
{
    struct iocb *iocb;

    fx_open(1);
    fx.requests[0].iocb.data = &fx;
    iocb = ioq_get_iocb(&fx.ioq);
    ck_assert_ptr_eq(iocb->data, &fx);
}
END_TEST

/* io_prep_fdsync alone asks for no eventfd. */
START_TEST(the_notifier_fires_for_a_bare_request)
{
    struct iocb *iocb;

    fx_open(DEPTH);
    iocb = fx_bare();
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 1);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 1);
    ck_assert(!fx_readable());
    sk_complete_all();
    ck_assert(fx_readable());
    fx_wait(1);
    ck_assert_int_eq(fx_request_of(iocb)->ret, 0);
}
END_TEST

/* P41: what the caller set beside the eventfd stays set. */
START_TEST(submit_keeps_the_callers_flags)
{
    const unsigned int ioprio = 1u << 1; /* IOCB_FLAG_IOPRIO */
    struct iocb *iocb;

    fx_open(DEPTH);
    iocb = &fx_write(0)->iocb;
    iocb->u.c.flags |= ioprio;
    iocb->aio_reqprio = 7;
    iocb->aio_rw_flags = 2;
    iocb->data = &fx;
    ioq_submit(&fx.ioq);
    ck_assert_uint_eq(iocb->u.c.flags, ioprio | 1);
    ck_assert_int_eq((int)iocb->u.c.resfd, ioq_get_notifier(&fx.ioq)->wfd);
    ck_assert_int_eq(iocb->aio_reqprio, 7);
    ck_assert_int_eq(iocb->aio_rw_flags, 2);
    ck_assert_ptr_eq(iocb->data, &fx);
    fx_wait(1);
}
END_TEST

/* Each position: those before and behind it keep their order. */
START_TEST(a_put_takes_a_queued_request_off_the_queue)
{
    struct request *queued[5];
    unsigned int gone, i, at;

    for (gone = 0; gone < 5; gone++) {
        fx_open(DEPTH);
        for (i = 0; i < 5; i++)
            queued[i] = fx_write(i);
        errno = 0;
        ioq_put_iocb(&fx.ioq, &queued[gone]->iocb);
        ck_assert_int_eq(errno, 0);
        ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 4);
        ck_assert_int_eq(ioq_submit(&fx.ioq), 4);
        ck_assert_uint_eq(sk_in_flight(), 4);
        for (i = at = 0; i < 5; i++) {
            if (i != gone)
                ck_assert_ptr_eq(sk_request(at++), &queued[i]->iocb);
        }
        fx_wait(4);
        ck_assert_uint_eq(queued[gone]->completed, 0);
        ck_assert_uint_eq(fx.ioq.freelist_idx, DEPTH);
        fx_close();
    }
    fx_open(1);
}
END_TEST

START_TEST(a_withdrawn_iocb_can_be_taken_again)
{
    struct request *request;
    unsigned int turn;

    fx_open(1);
    for (turn = 0; turn < 10; turn++) {
        request = fx_write(0);
        ioq_put_iocb(&fx.ioq, &request->iocb);
    }
    ck_assert_int_eq(ioq_submit(&fx.ioq), 0);
    fx_write(0);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 1);
    fx_wait(1);
}
END_TEST

static void take_one(struct request *request)
{
    struct iovec iov = {request->buf, BLOCK};

    errno = 0;
    if (!ioq_rdwr(&fx.ioq, true, &iov, 1, 0))
        ck_assert_int_eq(errno, EAGAIN);
    else
        ck_abort_msg("the iocb was back before its callback returned");
}

/* P8: at full depth the callback gets NULL, and no assertion fails. */
START_TEST(the_iocb_is_back_after_its_callback_not_before)
{
    fx_open(1);
    fx_write(0);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    fx.in_completion = take_one;
    ck_assert_int_eq(fx_run(), 1);
    fx.in_completion = NULL;
    fx_write(0);
    ioq_submit(&fx.ioq);
    fx_wait(2);
}
END_TEST

static void queue_next(struct request *request)
{
    (void)request;
    if (fx.completed < 100) {
        fx_write(fx.completed);
        ioq_submit(&fx.ioq);
    }
}

/* P8: one in reserve, and the callback can always go on. */
START_TEST(with_one_in_reserve_the_callback_queues_the_next)
{
    fx_open(2);
    fx.in_completion = queue_next;
    fx_write(0);
    ioq_submit(&fx.ioq);
    fx_wait(100);
}
END_TEST

static void give_back(struct request *request)
{
    errno = 0;
    ioq_put_iocb(&fx.ioq, &request->iocb);
    ck_assert_int_eq(errno, ENOSPC);
}

/* The iocb whose callback is running counts as one of the max_reqs. */
START_TEST(a_put_inside_the_callback_does_not_overfill_the_pool)
{
    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    fx.in_completion = give_back;
    ck_assert_int_eq(fx_run(), DEPTH);
    ck_assert_uint_eq(fx.ioq.freelist_idx, DEPTH);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_pool", &suite);

    tcase_add_test(tcase, one_more_than_there_are_is_null_and_eagain);
    tcase_add_test(tcase, depth_100_admits_exactly_100);
    tcase_add_test(tcase, a_put_beyond_max_reqs_is_refused);
    tcase_add_test(tcase, a_put_of_null_is_einval);
    tcase_add_test(tcase, a_put_that_succeeds_leaves_errno_alone);
    tcase_add_test(tcase, fewer_iocbs_than_max_reqs_will_do);
    tcase_add_test(tcase, ioq_rdwr_queues_what_it_prepared);
    tcase_add_test(tcase, nothing_is_checked_until_submit);
    tcase_add_test(tcase,
                   a_bare_request_left_unprepared_completes_with_an_error);
    tcase_add_test(tcase, get_iocb_leaves_the_callers_data_pointer);
    tcase_add_test(tcase, the_notifier_fires_for_a_bare_request);
    tcase_add_test(tcase, submit_keeps_the_callers_flags);
    tcase_add_test(tcase, a_put_takes_a_queued_request_off_the_queue);
    tcase_add_test(tcase, a_withdrawn_iocb_can_be_taken_again);
    tcase_add_test(tcase, the_iocb_is_back_after_its_callback_not_before);
    tcase_add_test(tcase, with_one_in_reserve_the_callback_queues_the_next);
    tcase_add_test(tcase, a_put_inside_the_callback_does_not_overfill_the_pool);
    return run_suite(suite);
}
