/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads: IOQ_OPT_SHARED, and handles without it. */
#include "late.h"

#include <signal.h>
#include <stdatomic.h>

#define THREADS 4
#define EACH 60

/* What the threads share. */
static struct rig rig;
static atomic_int given[THREADS * EACH]; /* completions of each request */
static atomic_int total;

static void start(pthread_t *thread, void *(*run)(void *), void *opaque)
{
    MUST(pthread_create(thread, NULL, run, opaque) == 0, "no thread");
}

static void *submit_many(void *opaque)
{
    atomic_int *first = opaque;
    int i, rc;

    for (i = 0; i < EACH;) {
        int64_t offset = (first - given + i) * INT64_C(512);

        if (i % 2)
            rc = ioq_handle_read(rig.handle, 0,
                                 rig.buf + (first - given + i) * 512, 512,
                                 offset, 0, first + i);
        else
            rc = ioq_handle_flush(rig.handle, 0, 0, first + i);
        MUST(rc == 0 || rc == -EAGAIN, "queueing: %d", rc);
        MUST(ioq_handle_submit(rig.handle) >= 0, "submit");
        if (rc == 0)
            i++;
        else
            usleep(100);
    }
    return NULL;
}

static void give(void *user_data, int64_t result, void *opaque)
{
    atomic_int *one = user_data;

    (void)opaque;
    MUST(result == ((one - given) % EACH % 2 ? 512 : 0), "result %ld",
         (long)result);
    atomic_fetch_add(one, 1);
    atomic_fetch_add(&total, 1);
}

static void *reap_many(void *opaque)
{
    struct ioq_completion done[8];
    int n, i;

    (void)opaque;
    while (atomic_load(&total) < THREADS * EACH) {
        n = ioq_handle_wait(rig.handle, done, 1, 8, 5 * MILLISECOND);
        MUST(n >= 0, "wait: %d", n);
        for (i = 0; i < n; i++)
            give(done[i].user_data, done[i].result, NULL);
    }
    return NULL;
}

static void check_all(void)
{
    int i;

    for (i = 0; i < THREADS * EACH; i++)
        ck_assert_int_eq(atomic_load(&given[i]), 1);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
    ck_assert_uint_eq(info_of(&rig, 0).requests, 0);
}

/*
 * "Any thread may queue and submit, while one reaps." "A request may then
 * complete, and another thread have its completion, before the call that queued
 * it returns."
 */
TEST(shared_threads_submit_while_one_reaps, "")
{
    pthread_t threads[THREADS];
    int i;

    rig_open(&rig, 16, IOQ_OPT_SHARED);
    for (i = 0; i < THREADS; i++)
        start(&threads[i], submit_many, &given[i * EACH]);
    while (atomic_load(&total) < THREADS * EACH) {
        await_readable(ioq_handle_fd(rig.handle));
        ioq_handle_run_completion(rig.handle, give, NULL);
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_all();
    rig_close(&rig);
}

/* "Completions are each given out once, so let one thread reap." */
TEST(shared_completions_are_given_out_once, "")
{
    pthread_t threads[THREADS], reapers[2];
    int i;

    rig_open(&rig, 16, IOQ_OPT_SHARED);
    for (i = 0; i < 2; i++)
        start(&reapers[i], reap_many, NULL);
    for (i = 0; i < THREADS; i++)
        start(&threads[i], submit_many, &given[i * EACH]);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (i = 0; i < 2; i++)
        pthread_join(reapers[i], NULL);
    check_all();
    rig_close(&rig);
}

static void *meddle(void *opaque)
{
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_pending pending[16];
    int file;

    (void)opaque;
    while (atomic_load(&total) < THREADS * EACH) {
        file = ioq_handle_attach(rig.handle, rig.fd, 0);
        MUST(file == 1, "attach: %d", file);
        MUST(ioq_handle_detach(rig.handle, file) == 0, "detach");
        MUST(ioq_handle_file_info(rig.handle, 0, &info) == 0, "file_info");
        MUST(ioq_handle_stats(rig.handle, &stats) == 0, "stats");
        MUST(ioq_handle_pending(rig.handle, pending, 16) >= 0, "pending");
        MUST(ioq_handle_drain(rig.handle, MILLISECOND / 10) >= 0, "drain");
        MUST(ioq_handle_set_notify(rig.handle, 0) == 0, "set_notify");
        MUST(ioq_handle_set_notify(rig.handle, 1) == 0, "set_notify");
        MUST(ioq_handle_cancel(rig.handle, &info) == -ENOENT, "cancel");
        MUST(ioq_last_error()[0] != '\0', "last_error");
        MUST(ioq_handle_engine(rig.handle) == engine, "engine");
    }
    return NULL;
}

/*
 * "unless it was opened with IOQ_OPT_SHARED: then any thread may call any
 * function but ioq_handle_close, at any time."
 */
TEST(shared_any_thread_may_call_anything, "")
{
    pthread_t threads[THREADS], other;
    int i;

    rig_open(&rig, 16, IOQ_OPT_SHARED);
    start(&other, meddle, NULL);
    for (i = 0; i < THREADS; i++)
        start(&threads[i], submit_many, &given[i * EACH]);
    reap_many(NULL);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(other, NULL);
    check_all();
    rig_close(&rig);
}

static void *wait_for_two(void *opaque)
{
    struct ioq_completion done[2];

    (void)opaque;
    MUST(ioq_handle_wait(rig.handle, done, 2, 2, -1) == 2, "wait");
    return NULL;
}

/* "at any time" While one sleeps in ioq_handle_wait, another submits. */
TEST(shared_nobody_waits_for_a_waiter, STUCK_CALLS)
{
    struct stuck stuck;
    pthread_t waiter;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open(&rig, 8, IOQ_OPT_SHARED);
    stuck_read(&stuck, &rig, 0, 0);
    start(&waiter, wait_for_two, NULL);
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, NULL), 0);
    ck_assert_int_ge(ioq_handle_submit(rig.handle), 0);
    while (ioq_handle_pending(rig.handle, NULL, 0) > 1)
        ck_assert_int_ge(ioq_handle_drain(rig.handle, MILLISECOND), 1);
    stuck_let_go(&stuck);
    pthread_join(waiter, NULL);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
    stuck_close(&stuck);
    rig_close(&rig);
}

static void *submit_and_end(void *opaque)
{
    (void)opaque;
    queue_reads(&rig, 8);
    queue_zeroes(&rig, 50, NULL);
    MUST(ioq_handle_submit(rig.handle) == 9, "submit");
    return NULL;
}

/*
 * "One handle is used by one thread at a time" And may be handed on: what a
 * thread submitted does not end with it.
 */
TEST(threads_hand_the_handle_on, "")
{
    struct ioq_completion done[9];
    pthread_t thread;
    int i, round;

    rig_open(&rig, 16, 0);
    for (round = 0; round < 5; round++) {
        start(&thread, submit_and_end, NULL);
        pthread_join(thread, NULL);
        take(&rig, done, 9);
        for (i = 0; i < 9; i++)
            ck_assert(done[i].result == BLOCK || done[i].result == 0);
    }
    rig_close(&rig);
}

static void *open_it(void *opaque)
{
    (void)opaque;
    rig_open(&rig, 16, 0);
    return NULL;
}

static void *close_it(void *opaque)
{
    (void)opaque;
    rig_close(&rig);
    return NULL;
}

/* "One handle is used by one thread at a time" Each step by another thread. */
TEST(threads_need_not_be_the_same, "")
{
    struct ioq_completion done[9];
    pthread_t thread;

    start(&thread, open_it, NULL);
    pthread_join(thread, NULL);
    start(&thread, submit_and_end, NULL);
    pthread_join(thread, NULL);
    take(&rig, done, 9);
    start(&thread, close_it, NULL);
    pthread_join(thread, NULL);
}

static void *use_another(void *opaque)
{
    struct rig own;
    int i;

    (void)opaque;
    rig_open(&own, 8, 0);
    for (i = 0; i < 10; i++) {
        MUST(do_read(&own, 0, own.buf, BLOCK, 0) == BLOCK, "read");
        MUST(do_flush(&own, 0) == 0, "flush");
        MUST(do_zeroes(&own, 0, 9 * MIB, BLOCK, 0) == 0, "zeroes");
    }
    rig_close(&own);
    return NULL;
}

/* "Threads: different handles are independent." What is stuck in one stops no
 * other. */
TEST(threads_do_not_share_handles, STUCK_CALLS)
{
    pthread_t threads[2];
    struct stuck stuck;
    int i;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open_narrow(&rig, 8);
    stuck_read(&stuck, &rig, 0, 0);
    for (i = 0; i < 2; i++)
        start(&threads[i], use_another, NULL);
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

/* "Workers block all signals." None of them takes it, so we do. */
TEST(threads_of_ours_block_signals, "kill getpid rt_sigreturn")
{
    struct sigaction action = {.sa_handler = count_signal};
    sigset_t ours, before;
    int i;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &ours, &before), 0);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    for (i = 0; i < 10; i++)
        ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    ck_assert_int_eq(signals, 0);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    ck_assert_int_eq(signals, 1);
    rig_close(&rig);
}
