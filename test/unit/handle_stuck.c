/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that cannot go in, and requests that never complete: what io_submit
 * refuses, what waits for room, and what the caller can do about the rest.
 */
#include <poll.h>
#include <semaphore.h>
#include <time.h>

#include "handle_fixture.h"

#define DEPTH 8

static unsigned char before[SK_DISK_SIZE];

static void start(void)
{
    sf_reset(LENGTH);
    sf_make_direct(BLOCK);
    hx_pattern();
    hx_open(DEPTH, 1);
    memcpy(before, sk_disk, sizeof(before));
}

/* One block each, at its own place. */
static void write_n(unsigned int count)
{
    unsigned int i;

    for (i = 0; i < count; i++) {
        hx_write(hx_buf + i * BLOCK, BLOCK, i * BLOCK, 0);
        memcpy(before + i * BLOCK, hx_buf + i * BLOCK, BLOCK);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECONDS + now.tv_nsec;
}

static bool readable(void)
{
    struct pollfd fd = {ioq_handle_fd(hx), POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static struct ioq_pending only_pending(void)
{
    struct ioq_pending pending;

    ck_assert_int_eq(ioq_handle_pending(hx, &pending, 1), 1);
    return pending;
}

/* P1, P44: each count that io_submit may stop at. */
START_TEST(requests_behind_a_short_count_are_not_lost)
{
    int counts[2], first, second;

    for (first = 1; first < DEPTH; first++)
        for (second = 1; second < DEPTH; second++) {
            start();
            counts[0] = first;
            counts[1] = second;
            sk_answers(counts, 2);
            write_n(DEPTH);
            ck_assert_int_eq(hx_results(DEPTH), DEPTH * BLOCK);
            ck_assert_mem_eq(sk_disk, before, sizeof(before));
            ck_assert_uint_eq(sk.taken, DEPTH);
            hx_teardown();
        }
}
END_TEST

static const int full[] = {-EAGAIN, -ENOMEM, 0};

/* P2, P17, P43, P47: nobody would come back, so workers do them. */
START_TEST(no_room_and_nothing_in_flight)
{
    int answer[] = {full[_i]};

    start();
    sk_answers(answer, 1);
    write_n(3);
    ck_assert_int_eq(hx_results(3), 3 * BLOCK);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
    ck_assert_uint_eq(sk.taken, 0);
    ck_assert_uint_eq(hx_stats().worker_busy, 3);
    ck_assert_uint_eq(hx_stats().retries, 1);
}
END_TEST

/* P2, P43, P45, P61: they wait, in order, for one that completes. */
START_TEST(no_room_with_something_in_flight)
{
    int answers[9] = {1}, i;

    for (i = 1; i < 9; i++)
        answers[i] = full[_i];
    start();
    sk_answers(answers, 9);
    write_n(4);
    ck_assert_int_eq(ioq_handle_submit(hx), 4);
    ck_assert_uint_eq(sk_in_flight(), 1);
    ck_assert_int_eq(ioq_handle_pending(hx, NULL, 0), 4);
    ck_assert(!readable());
    ck_assert_int_eq(ioq_handle_submit(hx), 0); /* still no room */
    ck_assert_uint_eq(sk_in_flight(), 1);
    sk_answers(NULL, 0);
    ck_assert_int_eq(hx_results(4), 4 * BLOCK);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
    ck_assert_uint_eq(hx_stats().worker_busy, 0);
}
END_TEST

/* P49, and a storm of signals that does not end. */
START_TEST(interruptions_are_tried_again)
{
    int storm[500], i;

    for (i = 0; i < 500; i++)
        storm[i] = -EINTR;
    start();
    sk_answers(storm, 3);
    write_n(2);
    ck_assert_int_eq(hx_results(2), 2 * BLOCK);
    ck_assert_uint_eq(sk.taken, 2);
    sk_answers(storm, 500);
    write_n(2);
    ck_assert_int_eq(hx_results(2), 2 * BLOCK);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
    ck_assert_uint_gt(hx_stats().retries, 3);
}
END_TEST

/* P15, P16: wherever it is in the batch, the others go in. */
START_TEST(a_request_that_is_rejected_fails_alone)
{
    struct ioq_completion done[DEPTH];
    int answers[2] = {_i ? _i : -EPERM, -EPERM}, i, n = 0;

    start();
    sk_answers(answers, _i ? 2 : 1);
    write_n(DEPTH);
    ck_assert_int_eq(ioq_handle_submit(hx), DEPTH);
    ck_assert(readable());
    sk_complete_all();
    n = ioq_handle_wait(hx, done, DEPTH, DEPTH, TOO_LONG);
    ck_assert_int_eq(n, DEPTH);
    for (i = 0; i < n; i++)
        ck_assert_int_eq(done[i].result,
                         done[i].user_data == hx_buf + _i * BLOCK ? -EPERM
                                                                  : BLOCK);
    ck_assert_uint_eq(sk.taken, DEPTH - 1);
}
END_TEST

/* P62: the context disappears, and no request is at fault. */
START_TEST(a_context_that_is_gone_loses_no_request)
{
    struct ioq_completion done[3];
    int i;

    start();
    sk_lose_context();
    write_n(3);
    ck_assert_int_eq(ioq_handle_submit(hx), 3);
    ck_assert(readable());
    ck_assert_int_eq(ioq_handle_reap(hx, done, 3), 3);
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(done[i].result, -EIDRM);
    /* What needs no context goes on. */
    ck_assert_int_eq(hx_write_now(hx_buf, 100, 3, 0), 100);
}
END_TEST

/* P56 */
START_TEST(drain_returns_at_its_deadline)
{
    struct ioq_pending pending;
    int64_t begin;

    start();
    write_n(3);
    begin = now_ns();
    ck_assert_int_eq(ioq_handle_drain(hx, SECONDS / 50), 3);
    ck_assert_int_ge(now_ns() - begin, SECONDS / 50);
    ck_assert_int_eq(ioq_handle_drain(hx, 0), 3);
    sk_complete_at(0);
    sk_complete_at(0);
    ck_assert_int_eq(ioq_handle_drain(hx, SECONDS / 100), 1);
    ck_assert(readable());
    pending = only_pending();
    ck_assert_uint_eq(pending.stage, IOQ_STAGE_KERNEL);
    ck_assert_uint_eq(pending.kind, IOQ_KIND_WRITE);
    ck_assert_int_eq(pending.length, BLOCK);
    ck_assert_int_ge(pending.age_ns, SECONDS / 50);
    ck_assert_int_le(pending.age_ns, now_ns() - begin);
    sk_complete_all();
    ck_assert_int_eq(ioq_handle_drain(hx, -1), 0);
    ck_assert_int_eq(hx_results(3), 3 * BLOCK);
}
END_TEST

/* Whenever that is: also between two looks at the clock. */
START_TEST(drain_tells_of_what_it_leaves)
{
    int64_t ns;

    start();
    write_n(2);
    ck_assert_int_eq(ioq_handle_submit(hx), 2);
    sk_complete_at(0);
    for (ns = 0; ns < 20000; ns += 10) {
        ck_assert_int_eq(ioq_handle_drain(hx, ns), 1);
        if (!readable())
            ck_abort_msg("unreadable after %d ns", (int)ns);
    }
}
END_TEST

START_TEST(what_never_completes_holds_its_file_and_no_more)
{
    struct ioq_completion done;

    start();
    hx_write(hx_buf, BLOCK, 0, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 1);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf), -EALREADY);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), -EBUSY);
    ck_assert_int_eq(ioq_handle_wait(hx, &done, 1, 1, SECONDS / 100), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 1);
    ck_assert_int_eq(ioq_handle_detach(hx, 1), 0);
    sk_complete_all();
    /* Completed, but not given out. */
    ck_assert_int_eq(ioq_handle_drain(hx, 0), 0);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf), -ENOENT);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), -EBUSY);
    ck_assert_int_eq(ioq_handle_reap(hx, &done, 1), 1);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), 0);
}
END_TEST

/* P55: the kernel ends them; their buffers are the caller's again. */
START_TEST(close_waits_for_what_is_in_flight)
{
    start();
    write_n(4);
    ck_assert_int_eq(ioq_handle_submit(hx), 4);
    hx_write(hx_buf, 100, 3, 0); /* never submitted */
    hx_close();
    ck_assert_uint_eq(sk.destroys, 1);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

START_TEST(what_waits_for_room_can_be_cancelled)
{
    int answers[] = {1, -EAGAIN, -EAGAIN, -EAGAIN};
    struct ioq_completion done[4];
    int i;

    start();
    sk_answers(answers, 4);
    write_n(3);
    ck_assert_int_eq(ioq_handle_submit(hx), 3);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf), -EALREADY);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf + BLOCK), 1);
    ck_assert(readable());
    sk_complete_all();
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(ioq_handle_wait(hx, done, 1, 1, TOO_LONG), 1);
        ck_assert_int_eq(done->result, done->user_data == hx_buf + BLOCK
                                           ? -ECANCELED
                                           : BLOCK);
        sk_complete_all();
    }
    memset(hx_buf, 0, LENGTH);
    ck_assert_mem_eq(sk_disk + 2 * BLOCK, before + 2 * BLOCK, BLOCK);
    ck_assert_mem_ne(sk_disk + BLOCK, before + BLOCK, BLOCK);
}
END_TEST

/* A worker that sleeps in the kernel until the test says so. */
static sem_t worker_sleeps, wake_worker;

static int sleep_in_the_kernel(const struct sf_transfer *transfer)
{
    if (!transfer->read) {
        sem_post(&worker_sleeps);
        sem_wait(&wake_worker);
    }
    return SF_ALL;
}

static void start_asleep(void)
{
    start();
    sem_init(&worker_sleeps, 0, 0);
    sem_init(&wake_worker, 0, 0);
    sf.on_transfer = sleep_in_the_kernel;
    hx_write(hx_buf, 100, 5, 0); /* rewrites a block */
    ck_assert_int_eq(ioq_handle_submit(hx), 1);
    sem_wait(&worker_sleeps);
}

START_TEST(a_worker_that_sleeps_is_seen_and_not_waited_for)
{
    struct ioq_completion done[DEPTH];
    struct ioq_pending pending;
    int i;

    start_asleep();
    pending = only_pending();
    ck_assert_uint_eq(pending.stage, IOQ_STAGE_WORKER);
    ck_assert_ptr_eq(pending.user_data, hx_buf);
    ck_assert_int_eq(pending.offset, 5);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf), -EALREADY);
    ck_assert_int_eq(ioq_handle_drain(hx, SECONDS / 100), 1);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), -EBUSY);
    /* The only worker has not begun this, and that is held behind the first. */
    hx_write(hx_buf + BLOCK, 100, 3 * BLOCK + 5, 0);
    hx_write(hx_buf + 2 * BLOCK, 100, 300, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 2);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf + BLOCK), 1);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf + 2 * BLOCK), 1);
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(ioq_handle_wait(hx, done, 1, 1, TOO_LONG), 1);
        ck_assert_int_eq(done->result, -ECANCELED);
    }
    sem_post(&wake_worker);
    ck_assert_int_eq(hx_result(), 100);
    memcpy(before + 5, hx_buf, 100);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* The second is released by the first, and is cancelled all the same. */
START_TEST(all_that_bear_the_name_are_cancelled)
{
    struct ioq_completion done[3];
    int i;

    start_asleep();
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(ioq_handle_write(hx, 0, hx_buf + BLOCK, 100,
                                          3 * BLOCK + 5 + 100 * i, 0, &done),
                         0);
    ck_assert_int_eq(ioq_handle_submit(hx), 3);
    ck_assert_int_eq(ioq_handle_cancel(hx, &done), 3);
    ck_assert_int_eq(ioq_handle_reap(hx, done, 3), 3);
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(done[i].result, -ECANCELED);
    sem_post(&wake_worker);
    ck_assert_int_eq(hx_result(), 100);
    memcpy(before + 5, hx_buf, 100);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

START_TEST(close_waits_for_a_worker)
{
    start_asleep();
    memcpy(before + 5, hx_buf, 100);
    sem_post(&wake_worker);
    hx_close();
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* The rewriting of a block holds its neighbours, and releases each. */
START_TEST(a_neighbour_goes_on_when_the_first_is_over)
{
    struct ioq_pending pending[2];

    start_asleep();
    hx_write(hx_buf + BLOCK, 100, 300, 0);
    hx_write(hx_buf + 2 * BLOCK, BLOCK, 0, 0);
    ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf + 2 * BLOCK), 1);
    ck_assert_int_eq(ioq_handle_submit(hx), 1);
    ck_assert_int_eq(ioq_handle_pending(hx, pending, 2), 2);
    ck_assert(pending[0].stage == IOQ_STAGE_HELD ||
              pending[1].stage == IOQ_STAGE_HELD);
    sem_post(&wake_worker);
    sem_post(&wake_worker);
    ck_assert_int_eq(ioq_handle_drain(hx, TOO_LONG), 0);
    memcpy(before + 5, hx_buf, 100);
    memcpy(before + 300, hx_buf + BLOCK, 100);
    ck_assert_mem_eq(sk_disk, before, sizeof(before));
}
END_TEST

/* Attempts that came to nothing must not count as under way for ever. */
START_TEST(attempts_that_were_not_made_are_not_counted)
{
    static const int none[] = {-EAGAIN};
    int i;

    sf_reset(LENGTH); /* buffered: few attempts are allowed at a time */
    hx_open(DEPTH, 1);
    for (i = 0; i < 100; i++) {
        sk_answers(none, 1);
        ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
    }
    ck_assert_uint_eq(sk.taken, 0);
    for (i = 0; i < 100; i++)
        ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
    ck_assert_uint_gt(sk.taken, 0);
}
END_TEST

START_TEST(cancelled_attempts_are_not_counted)
{
    static const int none[] = {1, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN};
    struct ioq_completion done[2];
    int i;

    sf_reset(LENGTH);
    hx_open(DEPTH, 1);
    for (i = 0; i < 20; i++) {
        sk_answers(none, 5);
        hx_flush(); /* in flight, so that the other one waits for it */
        hx_write(hx_buf, BLOCK, 0, 0);
        ck_assert_int_eq(ioq_handle_submit(hx), 2);
        ck_assert_int_eq(ioq_handle_cancel(hx, hx_buf), 1);
        sk_complete_all();
        ck_assert_int_eq(ioq_handle_wait(hx, done, 2, 2, TOO_LONG), 2);
    }
    sk_answers(NULL, 0);
    sk.taken = 0;
    ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
    ck_assert_uint_eq(sk.taken, 1);
}
END_TEST

/* P51 */
START_TEST(what_is_beyond_the_depth_is_refused_whole)
{
    start();
    write_n(DEPTH);
    ck_assert_int_eq(ioq_handle_write(hx, 0, hx_buf, BLOCK, 0, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(ioq_handle_flush(hx, 0, 0, NULL), -EAGAIN);
    ck_assert_int_eq(ioq_handle_pending(hx, NULL, 0), DEPTH);
    ck_assert_int_eq(ioq_handle_submit(hx), DEPTH);
    ck_assert_uint_eq(sk_in_flight(), DEPTH);
    ck_assert_int_eq(ioq_handle_write(hx, 0, hx_buf, BLOCK, 0, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(hx_results(DEPTH), DEPTH * BLOCK);
    ck_assert_uint_eq(hx_stats().requests[IOQ_KIND_WRITE], DEPTH);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_stuck", &suite);

    tcase_add_test(tcase, requests_behind_a_short_count_are_not_lost);
    tcase_add_loop_test(tcase, no_room_and_nothing_in_flight, 0, 3);
    tcase_add_loop_test(tcase, no_room_with_something_in_flight, 0, 3);
    tcase_add_test(tcase, interruptions_are_tried_again);
    tcase_add_loop_test(tcase, a_request_that_is_rejected_fails_alone, 0,
                        DEPTH);
    tcase_add_test(tcase, a_context_that_is_gone_loses_no_request);
    tcase_add_test(tcase, drain_returns_at_its_deadline);
    tcase_add_test(tcase, drain_tells_of_what_it_leaves);
    tcase_add_test(tcase, what_never_completes_holds_its_file_and_no_more);
    tcase_add_test(tcase, close_waits_for_what_is_in_flight);
    tcase_add_test(tcase, what_waits_for_room_can_be_cancelled);
    tcase_add_test(tcase, a_worker_that_sleeps_is_seen_and_not_waited_for);
    tcase_add_test(tcase, all_that_bear_the_name_are_cancelled);
    tcase_add_test(tcase, close_waits_for_a_worker);
    tcase_add_test(tcase, a_neighbour_goes_on_when_the_first_is_over);
    tcase_add_test(tcase, attempts_that_were_not_made_are_not_counted);
    tcase_add_test(tcase, cancelled_attempts_are_not_counted);
    tcase_add_test(tcase, what_is_beyond_the_depth_is_refused_whole);
    return run_suite(suite);
}
