/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/aio.c: one AIO context, on the scripted kernel.
 */
#include "aio.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../support/runner.h"
#include "../support/scripted_kernel.h"

#define DEPTH 8

static struct ioq__aio aio;
static struct iocb iocbs[DEPTH], *list[DEPTH];
static int event_fd;
static int errors[DEPTH]; /* by iocb, 0 if not rejected */

static void set_up(void)
{
    unsigned int i;

    event_fd = eventfd(0, EFD_NONBLOCK);
    ck_assert_int_ge(event_fd, 0);
    for (i = 0; i < DEPTH; i++) {
        io_prep_fdsync(&iocbs[i], sk.fd);
        io_set_eventfd(&iocbs[i], event_fd);
        list[i] = &iocbs[i];
        errors[i] = 0;
    }
}

static void tear_down(void)
{
    ioq__aio_close(&aio);
    close(event_fd);
    sk_reset();
}

static void open_context(void)
{
    ck_assert_int_eq(ioq__aio_open(&aio, DEPTH), 0);
}

static void reject(void *opaque, struct iocb *iocb, int error)
{
    ck_assert_ptr_eq(opaque, &aio);
    ck_assert_int_eq(errors[iocb - iocbs], 0);
    errors[iocb - iocbs] = error;
}

static unsigned int push(unsigned int first, unsigned int count)
{
    return ioq__aio_push(&aio, list + first, count, reject, &aio);
}

static unsigned int reap(void)
{
    struct io_event event;
    unsigned int count = 0;

    while (ioq__aio_next(&aio, &event))
        count++;
    return count;
}

/* P33: both signs. A positive number is never an error. */
START_TEST(verdict_of_each_answer)
{
    static const struct {
        int rc;
        enum ioq__aio_verdict verdict;
    } rows[] = {
        {1, IOQ__AIO_TAKEN},          {64, IOQ__AIO_TAKEN},
        {EAGAIN, IOQ__AIO_TAKEN},     {EINTR, IOQ__AIO_TAKEN},
        {EINVAL, IOQ__AIO_TAKEN},     {EBADF, IOQ__AIO_TAKEN},
        {ENOMEM, IOQ__AIO_TAKEN},     {INT_MAX, IOQ__AIO_TAKEN},
        {0, IOQ__AIO_FULL},           {-EAGAIN, IOQ__AIO_FULL},
        {-ENOMEM, IOQ__AIO_FULL},     {-EINTR, IOQ__AIO_RETRY},
        {-EINVAL, IOQ__AIO_REJECTED}, {-EBADF, IOQ__AIO_REJECTED},
        {-EFAULT, IOQ__AIO_REJECTED}, {-EPERM, IOQ__AIO_REJECTED},
        {-ENOSYS, IOQ__AIO_REJECTED}, {-EOPNOTSUPP, IOQ__AIO_REJECTED},
        {-EIO, IOQ__AIO_REJECTED},    {INT_MIN, IOQ__AIO_REJECTED},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(ioq__aio_verdict(rows[i].rc) == rows[i].verdict,
                      "io_submit answers %d", rows[i].rc);
}
END_TEST

START_TEST(open_returns_the_kernels_error)
{
    sk.setup_error = -EAGAIN;
    ck_assert_int_eq(ioq__aio_open(&aio, DEPTH), -EAGAIN);
    sk.setup_error = 0;
    open_context();
    ck_assert_uint_eq(aio.in_flight, 0);
}
END_TEST

START_TEST(push_counts_what_is_in_flight)
{
    open_context();
    ck_assert_uint_eq(push(0, 3), 3);
    ck_assert_uint_eq(push(3, 5), 5);
    ck_assert_uint_eq(aio.in_flight, 8);
    ck_assert_uint_eq(sk.submits, 2);
}
END_TEST

/* P4: the error is the return value; errno is not looked at. */
START_TEST(interrupted_push_goes_on)
{
    static const int answers[] = {-EINTR, 2, -EINTR, -EINTR};

    open_context();
    sk_answers(answers, 4);
    errno = EAGAIN;
    ck_assert_uint_eq(push(0, 5), 5);
    ck_assert_uint_eq(sk.taken, 5);
}
END_TEST

/* A storm of signals delays a batch, but never holds the caller up. */
START_TEST(push_gives_up_in_a_storm_of_signals)
{
    int answers[100000];
    unsigned int i;

    for (i = 0; i < 100000; i++)
        answers[i] = -EINTR;
    open_context();
    sk_answers(answers, 100000);
    ck_assert_uint_eq(push(0, 5), 0);
    ck_assert_uint_gt(sk.submits, 1);
    ck_assert_uint_lt(sk.submits, 1001);
    sk.on_submit = NULL;
    ck_assert_uint_eq(push(0, 5), 5);
}
END_TEST

/* P15, P16: the head is blamed for an error, and it alone. */
START_TEST(push_rejects_the_head_and_goes_on)
{
    unsigned int bad, i;

    for (bad = 0; bad < DEPTH; bad++) {
        open_context();
        iocbs[bad].aio_fildes++;
        ck_assert_uint_eq(push(0, DEPTH), DEPTH);
        for (i = 0; i < DEPTH; i++)
            ck_assert_int_eq(errors[i], i == bad ? -EBADF : 0);
        ck_assert_uint_eq(aio.in_flight, DEPTH - 1);
        tear_down();
        set_up();
    }
    open_context();
}
END_TEST

/* P62: EINVAL with a live context blames the request, else the context. */
START_TEST(einval_asks_whether_the_context_lives)
{
    unsigned int i;

    open_context();
    iocbs[0].aio_lio_opcode = 99;
    ck_assert_uint_eq(push(0, 2), 2);
    ck_assert_int_eq(errors[0], -EINVAL);
    ck_assert_int_eq(errors[1], 0);
    sk_complete_all();
    ck_assert_uint_eq(reap(), 1);
    sk_lose_context();
    ck_assert_uint_eq(push(2, DEPTH - 2), DEPTH - 2);
    for (i = 2; i < DEPTH; i++)
        ck_assert_int_eq(errors[i], -EIDRM);
    ck_assert_uint_eq(sk.submits, 3);
    ck_assert_uint_eq(reap(), 0); /* and does not touch its memory */
}
END_TEST

/* P31, P45: no room means that the kernel is asked, and not its ring. */
START_TEST(a_full_kernel_is_asked_for_completions)
{
    struct io_event event;

    open_context();
    ck_assert_uint_eq(push(0, 2), 2);
    sk_complete_all();
    sk.full_until_getevents = true;
    ck_assert_uint_eq(push(2, 1), 0);
    sk.getevents = 0;
    ck_assert(ioq__aio_next(&aio, &event));
    ck_assert_uint_eq(sk.getevents, 1);
    ck_assert_uint_eq(push(2, 1), 1);
}
END_TEST

START_TEST(the_ring_spares_the_system_call)
{
    open_context();
    push(0, DEPTH);
    sk_complete_all();
    ck_assert_uint_eq(reap(), DEPTH);
    if (aio.ring)
        ck_assert_uint_eq(sk.getevents, 0);
    else
        ck_assert_uint_gt(sk.getevents, 0);
    ck_assert_uint_eq(aio.in_flight, 0);
}
END_TEST

START_TEST(nothing_in_flight_asks_nobody)
{
    open_context();
    ck_assert_uint_eq(reap(), 0);
    push(0, 1);
    sk_complete_all();
    ck_assert_uint_eq(reap(), 1);
    sk.getevents = 0;
    ck_assert_uint_eq(reap(), 0);
    ck_assert_uint_eq(sk.getevents, 0);
}
END_TEST

/* P25, P28: such a ring is read by system call. */
START_TEST(a_foreign_ring_is_left_alone)
{
    static const uint32_t headers[] = {32, 0, 20, 5000};
    unsigned int kind;

    for (kind = 0; kind < 6; kind++) {
        if (kind == 0)
            sk.magic++;
        else if (kind == 1)
            sk.incompat = 2;
        else
            sk.header_length = headers[kind - 2];
        open_context();
        push(0, DEPTH);
        sk_complete_all();
        ck_assert_uint_eq(reap(), DEPTH);
        ck_assert(kind == 2 || !aio.ring);
        tear_down();
        set_up();
    }
    open_context();
}
END_TEST

/* P28 */
START_TEST(a_longer_header_is_skipped)
{
    sk.header_length = 192;
    open_context();
    push(0, DEPTH);
    sk_complete_all();
    ck_assert_uint_eq(reap(), DEPTH);
}
END_TEST

/* P29: the kernel's own word is taken if the tail is absurd. */
START_TEST(an_absurd_tail_falls_back_to_the_system_call)
{
    static const uint32_t tails[] = {7, 12, 18, 100000, -1};
    unsigned int i;

    for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        open_context();
        push(0, 3);
        sk_complete_at(0);
        sk_complete_at(0);
        sk_bend_tail(tails[i]);
        ck_assert_uint_eq(reap(), 2);
        ck_assert_uint_eq(aio.in_flight, 1);
        sk_complete_at(0);
        ck_assert_uint_eq(reap(), 1);
        tear_down();
        set_up();
    }
    open_context();
}
END_TEST

/* P39 */
START_TEST(interrupted_and_short_getevents_lose_nothing)
{
    sk.magic++; /* by system call in either mode */
    open_context();
    push(0, DEPTH);
    sk_complete_all();
    sk.getevents_eintr = 5;
    sk.getevents_max = 3;
    ck_assert_uint_eq(reap(), DEPTH);
    ck_assert_uint_eq(aio.in_flight, 0);
}
END_TEST

START_TEST(a_failing_getevents_returns_nothing_and_loses_nothing)
{
    sk.magic++;
    open_context();
    push(0, DEPTH);
    sk_complete_all();
    sk.getevents_error = -EFAULT;
    ck_assert_uint_eq(reap(), 0);
    sk.getevents_error = 0;
    ck_assert_uint_eq(reap(), DEPTH);
}
END_TEST

START_TEST(ready_is_sure)
{
    struct io_event event;

    open_context();
    ck_assert(!ioq__aio_ready(&aio));
    push(0, 3);
    ck_assert(!ioq__aio_ready(&aio));
    sk_complete_all();
    ck_assert(ioq__aio_ready(&aio));
    ck_assert(ioq__aio_next(&aio, &event));
    ck_assert(ioq__aio_ready(&aio));
    ck_assert(ioq__aio_next(&aio, &event));
    ck_assert(ioq__aio_ready(&aio));
    ck_assert(ioq__aio_next(&aio, &event));
    ck_assert(!ioq__aio_ready(&aio));
}
END_TEST

/* P40: a ring with not one slot to spare, around its end many times. */
START_TEST(the_exact_depth_fits_around_the_end)
{
    unsigned int turn;

    sk.nr = DEPTH + 1;
    open_context();
    for (turn = 0; turn < 5 * DEPTH; turn++) {
        ck_assert_uint_eq(push(0, DEPTH), DEPTH);
        sk_complete_all();
        ck_assert_uint_eq(reap(), DEPTH);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aio");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, verdict_of_each_answer);
    tcase_add_test(tcase, open_returns_the_kernels_error);
    tcase_add_test(tcase, push_counts_what_is_in_flight);
    tcase_add_test(tcase, interrupted_push_goes_on);
    tcase_add_test(tcase, push_gives_up_in_a_storm_of_signals);
    tcase_add_test(tcase, push_rejects_the_head_and_goes_on);
    tcase_add_test(tcase, einval_asks_whether_the_context_lives);
    tcase_add_test(tcase, a_full_kernel_is_asked_for_completions);
    tcase_add_test(tcase, the_ring_spares_the_system_call);
    tcase_add_test(tcase, nothing_in_flight_asks_nobody);
    tcase_add_test(tcase, a_foreign_ring_is_left_alone);
    tcase_add_test(tcase, a_longer_header_is_skipped);
    tcase_add_test(tcase, an_absurd_tail_falls_back_to_the_system_call);
    tcase_add_test(tcase, interrupted_and_short_getevents_lose_nothing);
    tcase_add_test(tcase,
                   a_failing_getevents_returns_nothing_and_loses_nothing);
    tcase_add_test(tcase, ready_is_sure);
    tcase_add_test(tcase, the_exact_depth_fits_around_the_end);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
