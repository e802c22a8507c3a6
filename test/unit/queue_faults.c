/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults that reach the caller of <ioq.h>, and reach nobody else.
 */
#include "fixture.h"

#include <string.h>

#define DEPTH 6

/* P20: a kernel, or a file, without IO_CMD_FDSYNC. */
START_TEST(a_flush_that_the_kernel_lacks_fails_alone)
{
    struct iocb *flush;
    unsigned int at;

    for (at = 0; at < DEPTH; at++) {
        sk.no_fdsync = true;
        fx_open(DEPTH);
        fx_write_n(at);
        flush = fx_bare();
        fx_write_n(DEPTH - at - 1);
        ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
        fx_wait(DEPTH);
        ck_assert_int_eq(fx_request_of(flush)->ret, -EINVAL);
        ck_assert_uint_eq(sk.taken, DEPTH - 1);
        fx_teardown();
    }
}
END_TEST

static unsigned int strays;

static ssize_t stray_eagain(struct iocb *iocb, ssize_t wanted)
{
    (void)iocb;
    return strays-- % 2 ? -EAGAIN : wanted;
}

/* P24: it is the caller's to try again, which it can at once. */
START_TEST(a_stray_eagain_is_passed_on_as_it_is)
{
    unsigned int i, failed = 0;

    strays = DEPTH;
    sk.on_result = stray_eagain;
    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    fx_wait(DEPTH);
    for (i = 0; i < DEPTH; i++) {
        ssize_t ret = fx.requests[i].ret;

        ck_assert(ret == BLOCK || ret == -EAGAIN);
        failed += ret == -EAGAIN;
    }
    ck_assert_uint_eq(failed, DEPTH / 2);
    /* All iocbs are back, and good for another try. */
    sk.on_result = NULL;
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    fx_wait(2 * DEPTH);
    for (i = 0; i < DEPTH; i++)
        ck_assert_int_eq(fx.requests[i].ret, BLOCK);
}
END_TEST

static int spoil_at_submit(unsigned int count)
{
    errno = E2BIG;
    return count > 2 ? 2 : -EIO;
}

static ssize_t spoil_at_result(struct iocb *iocb, ssize_t wanted)
{
    (void)iocb;
    (void)wanted;
    errno = ENOTTY;
    return -EDQUOT;
}

static void spoil_in_callback(struct request *request)
{
    (void)request;
    errno = EXDEV;
}

/* P48: what it says by then is somebody else's. */
START_TEST(errno_is_nobodys_result)
{
    unsigned int i, rejected = 0;

    sk.on_submit = spoil_at_submit;
    sk.on_result = spoil_at_result;
    fx_open(4);
    fx.in_completion = spoil_in_callback;
    fx_write_n(4);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 4);
    fx_wait(4);
    for (i = 0; i < 4; i++) {
        ssize_t ret = fx.requests[i].ret;

        ck_assert(ret == -EDQUOT || ret == -EIO);
        rejected += ret == -EIO;
    }
    ck_assert_uint_eq(rejected, 2);
}
END_TEST

/* P48: and whose the caller's is, it keeps. */
START_TEST(errno_stays_the_callers)
{
    int answers[] = {1, -EINTR, -EAGAIN, -EPERM};

    fx_open(DEPTH);
    sk_answers(answers, 4);
    fx_write_n(DEPTH);
    errno = ENOTTY;
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_int_eq(errno, ENOTTY);
    sk_complete_all();
    ck_assert_int_gt(fx_run(), 0);
    ck_assert_int_eq(errno, ENOTTY);
    fx_wait(DEPTH);
}
END_TEST

/* P51: one more than there is room for is refused, and leaves no trace. */
START_TEST(a_batch_beyond_the_capacity_is_never_half_visible)
{
    unsigned int i;
    struct iovec iov = {fx.requests, 1};

    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), DEPTH);
    ck_assert_ptr_null(ioq_rdwr(&fx.ioq, false, &iov, 1, 0));
    ck_assert_ptr_null(ioq_get_iocb(&fx.ioq));
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    ck_assert_uint_eq(sk_in_flight(), DEPTH);
    ck_assert_ptr_null(ioq_rdwr(&fx.ioq, false, &iov, 1, 0));
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 0);
    fx_wait(DEPTH);
    for (i = 0; i < DEPTH; i++)
        ck_assert_uint_eq(fx.requests[i].completed, 1);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_faults", &suite);

    tcase_add_test(tcase, a_flush_that_the_kernel_lacks_fails_alone);
    tcase_add_test(tcase, a_stray_eagain_is_passed_on_as_it_is);
    tcase_add_test(tcase, errno_is_nobodys_result);
    tcase_add_test(tcase, errno_stays_the_callers);
    tcase_add_test(tcase, a_batch_beyond_the_capacity_is_never_half_visible);
    return run_suite(suite);
}
