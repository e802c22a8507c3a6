/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's loop: what wakes it, what a nested one sees, and how the threads
 * behind it behave.
 */
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

#include "handle_fixture.h"

static bool readable(void)
{
    struct pollfd fd = {ioq_handle_fd(hx), POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static void start(unsigned int depth, unsigned int workers)
{
    sf_reset(LENGTH);
    sf_make_direct(BLOCK);
    hx_pattern();
    hx_open(depth, workers);
}

static unsigned long cycles(void)
{
    const char *requests = getenv("IOQ_TEST_REQUESTS");

    return requests ? strtoul(requests, NULL, 10) : 1000000;
}

/* P52: "no wake-up is lost", with the fd watched or not. */
START_TEST(a_million_times_suppressed_and_enabled)
{
    unsigned long i, count = cycles();
    struct ioq_completion done[4];
    int n;

    start(4, 1);
    for (i = 0; i < count; i++) {
        if (i % 3)
            ioq_handle_set_notify(hx, 0);
        if (ioq_handle_read(hx, 0, hx_buf, BLOCK, 0, 0, NULL) < 0)
            ck_abort_msg("not accepted");
        if (i % 2)
            ioq_handle_read(hx, 0, hx_buf + BLOCK, BLOCK, 0, 0, NULL);
        ioq_handle_submit(hx);
        if (i % 5)
            sk_complete_all();
        if (i % 7 == 0)
            ioq_handle_reap(hx, done, 1);
        ioq_handle_set_notify(hx, 1);
        sk_complete_all();
        if (ioq_handle_pending(hx, NULL, 0) > 0 && !readable())
            ck_abort_msg("asleep in cycle %lu", i);
        do {
            n = ioq_handle_reap(hx, done, 1 + i % 4);
        } while (n == (int)(1 + i % 4));
        if (readable() || ioq_handle_pending(hx, NULL, 0) != 0)
            ck_abort_msg("not over in cycle %lu", i);
    }
}
END_TEST

/* P53 */
START_TEST(many_completions_for_one_wake_up)
{
    struct ioq_completion done[7];
    unsigned int i;
    int n, sum = 0;

    start(600, 1);
    for (i = 0; i < 600; i++)
        hx_read(hx_buf, BLOCK, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 600);
    sk_complete_all();
    ck_assert(readable());
    while ((n = ioq_handle_reap(hx, done, 7)) == 7)
        sum += n;
    ck_assert_int_eq(sum + n, 600);
    ck_assert(!readable());
}
END_TEST

static unsigned int calls, in_callback;

/* Waits in a loop of its own for all the others. P13 */
static void nest(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    ck_assert_int_eq(result, BLOCK);
    calls++;
    if (in_callback++ == 0)
        while (calls < 5) {
            ck_assert_msg(readable(), "asleep after %u calls", calls);
            ioq_handle_run_completion(hx, nest, opaque);
        }
    in_callback--;
}

START_TEST(a_nested_loop_sees_what_was_not_reached)
{
    unsigned int i;

    calls = in_callback = 0;
    start(8, 1);
    for (i = 0; i < 5; i++)
        hx_read(hx_buf + i * BLOCK, BLOCK, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 5);
    sk_complete_all();
    ck_assert_int_eq(ioq_handle_run_completion(hx, nest, NULL), 1);
    ck_assert_uint_eq(calls, 5);
    ck_assert_int_eq(ioq_handle_run_completion(hx, nest, NULL), 0);
    ck_assert(!readable());
}
END_TEST

/* At full depth, too: its place is free before the function runs. P8, P14 */
static void queue_another(void *user_data, int64_t result, void *opaque)
{
    (void)result;
    ck_assert_uint_eq(in_callback++, 0);
    if (++calls < 100)
        hx_read(user_data, BLOCK, 0);
    ck_assert_int_ge(ioq_handle_submit(opaque), 0);
    sk_complete_all(); /* before submit returns, as on some file systems */
    in_callback--;
}

START_TEST(a_callback_may_queue_and_submit_but_not_for_ever)
{
    int n;

    calls = in_callback = 0;
    start(1, 1);
    hx_read(hx_buf, BLOCK, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 1);
    sk_complete_all();
    while (calls < 100) {
        ck_assert(readable());
        n = ioq_handle_run_completion(hx, queue_another, hx);
        ck_assert_int_eq(n, 1); /* then it is the caller's loop's turn */
    }
    ck_assert_uint_eq(calls, 100);
}
END_TEST

static void count_signal(int number)
{
    (void)number;
    calls++;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECONDS + now.tv_nsec;
}

/* P39 */
START_TEST(signals_do_not_end_a_wait)
{
    const struct itimerval storm = {{0, 1000}, {0, 1000}}, none = {0};
    struct sigaction action = {.sa_handler = count_signal};
    struct ioq_completion done[4];
    int64_t begin;

    calls = 0;
    start(4, 1);
    hx_read(hx_buf, BLOCK, 0);
    hx_read(hx_buf + BLOCK, BLOCK, 0);
    ck_assert_int_eq(ioq_handle_submit(hx), 2);
    sk_complete_at(0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &storm, NULL);
    begin = now_ns();
    /* One of the two is there: still it waits for the other, to the end. */
    ck_assert_int_eq(ioq_handle_wait(hx, done, 2, 4, SECONDS / 10), 1);
    ck_assert_int_ge(now_ns() - begin, SECONDS / 10);
    ck_assert_int_eq(ioq_handle_drain(hx, SECONDS / 20), 1);
    ck_assert_int_ge(now_ns() - begin, SECONDS / 10 + SECONDS / 20);
    setitimer(ITIMER_REAL, &none, NULL);
    ck_assert_uint_gt(calls, 5);
}
END_TEST

/* What a worker is like. */

static struct {
    cpu_set_t cpus;
    sigset_t blocked;
    char name[16];
} seen;

static int look_at_thread(const struct sf_transfer *transfer)
{
    (void)transfer;
    sched_getaffinity(0, sizeof(seen.cpus), &seen.cpus);
    pthread_sigmask(SIG_BLOCK, NULL, &seen.blocked);
    prctl(PR_GET_NAME, seen.name);
    return SF_ALL;
}

/* P26: the one that attaches or submits may be pinned, or a guest's CPU. */
START_TEST(a_worker_is_what_the_opener_was_and_blocks_signals)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    cpu_set_t all, one;
    int cpu = 0;

    sched_getaffinity(0, sizeof(all), &all);
    sf_reset(LENGTH);
    sf_make_direct(BLOCK);
    options.engine = IOQ_ENGINE_AIO;
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    sf.on_transfer = look_at_thread;
    ck_assert_int_eq(hx_write_now(hx_buf, 100, 3, 0), 100);
    sched_setaffinity(0, sizeof(all), &all);
    ck_assert(CPU_EQUAL(&seen.cpus, &all));
    ck_assert_str_eq(seen.name, "ioq-worker");
    ck_assert(sigismember(&seen.blocked, SIGALRM));
    ck_assert(sigismember(&seen.blocked, SIGINT));
    ck_assert(sigismember(&seen.blocked, SIGUSR1));
}
END_TEST

static sem_t wake_workers;
static int64_t slow_offset = 4 * BLOCK;

static int sleep_if_slow(const struct sf_transfer *transfer)
{
    if (transfer->offset < slow_offset)
        sem_wait(&wake_workers);
    return SF_ALL;
}

/* P36: a file whose requests hang leaves a worker to the others. */
START_TEST(a_slow_file_does_not_starve_the_others)
{
    struct ioq_completion done[8];
    int file, i;

    start(8, 3);
    file = ioq_handle_attach(hx, sk.fd, 0);
    sem_init(&wake_workers, 0, 0);
    sf.on_transfer = sleep_if_slow;
    for (i = 0; i < 5; i++)
        hx_read(hx_buf + i * BLOCK, 100, 1);
    ck_assert_int_eq(ioq_handle_submit(hx), 5);
    for (i = 0; i < 20; i++) {
        ck_assert_int_eq(ioq_handle_read(hx, file, hx_buf + 7 * BLOCK, 100,
                                         slow_offset + 1, 0, &file),
                         0);
        ck_assert_int_eq(ioq_handle_wait(hx, done, 1, 1, TOO_LONG), 1);
        ck_assert_ptr_eq(done->user_data, &file);
        ck_assert_int_eq(done->result, 100);
    }
    for (i = 0; i < 5; i++)
        sem_post(&wake_workers);
    ck_assert_int_eq(hx_results(5), 500);
}
END_TEST

static unsigned int largest, in_all;

static int note_size(unsigned int count)
{
    in_all += count;
    if (count > largest)
        largest = count;
    return (int)count;
}

/* P19: the batch has a bound of its own, whatever the depth. */
START_TEST(a_large_batch_goes_to_the_kernel_in_pieces)
{
    static const struct {
        uint32_t max_batch, largest;
    } rows[] = {{0, 16}, {1, 1}, {5, 5}, {64, 64}, {1000, 64}};
    unsigned int row, i;

    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        struct ioq_options options = IOQ_OPTIONS_INIT;

        sf_reset(LENGTH);
        sf_make_direct(BLOCK);
        options.engine = IOQ_ENGINE_AIO;
        options.depth = 128;
        options.max_batch = rows[row].max_batch;
        ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
        ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
        largest = in_all = 0;
        sk.on_submit = note_size;
        for (i = 0; i < 128; i++)
            hx_read(hx_buf, BLOCK, 0);
        ck_assert_int_eq(ioq_handle_submit(hx), 128);
        ck_assert_uint_eq(in_all, 128);
        ck_assert_uint_eq(largest, rows[row].largest);
        ck_assert_int_eq(hx_results(128), 128 * BLOCK);
        hx_teardown();
    }
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_loop", &suite);

    tcase_add_test(tcase, a_million_times_suppressed_and_enabled);
    tcase_add_test(tcase, many_completions_for_one_wake_up);
    tcase_add_test(tcase, a_nested_loop_sees_what_was_not_reached);
    tcase_add_test(tcase, a_callback_may_queue_and_submit_but_not_for_ever);
    tcase_add_test(tcase, signals_do_not_end_a_wait);
    tcase_add_test(tcase, a_worker_is_what_the_opener_was_and_blocks_signals);
    tcase_add_test(tcase, a_slow_file_does_not_starve_the_others);
    tcase_add_test(tcase, a_large_batch_goes_to_the_kernel_in_pieces);
    return run_suite(suite);
}
