/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "No wake-up is lost": cycles of set_notify, submit and reap against a fast
 * file, with an epoll instance that is told of edges alone. (P52)
 *
 *     handle_wakeups [ENGINE [CYCLES]]
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engines.h"

#define DEPTH 4
#define STALL_MS 20000

static enum ioq_engine engine;
static unsigned long usual = 100000;

static struct ioq_handle *handle;
static int epoll_fd;
static char *buffers[DEPTH];
static unsigned int out;
static uint64_t state = 1;

static unsigned int pick(unsigned int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(state >> 33) % below;
}

static void done(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    (void)opaque;
    MUST(result == PLACE_BLOCK, "a result of %ld", (long)result);
    out--;
}

/* Until fewer than max come back, as the header says. */
static void reap(void)
{
    struct ioq_completion completions[DEPTH];
    unsigned int max = 1 + pick(DEPTH);
    int n, i;

    if (pick(2)) {
        /* Until there is none. */
        while (ioq_handle_run_completion(handle, done, NULL) > 0)
            ;
        return;
    }
    do {
        n = ioq_handle_reap(handle, completions, max);
        MUST(n >= 0, "reap: %d", n);
        for (i = 0; i < n; i++)
            done(completions[i].user_data, completions[i].result, NULL);
    } while (n == (int)max);
}

static void wait_for_edge(unsigned long cycle)
{
    struct epoll_event event;
    int n;

    do {
        n = epoll_wait(epoll_fd, &event, 1, STALL_MS);
    } while (n < 0 && errno == EINTR);
    MUST(n == 1, "asleep in cycle %lu, %u out", cycle, out);
}

static void run_cycle(unsigned long cycle)
{
    unsigned int count = 1 + pick(DEPTH), i;

    if (pick(2))
        ioq_handle_set_notify(handle, 0);
    for (i = 0; i < count; i++) {
        int rc = ioq_handle_read(handle, 0, buffers[i], PLACE_BLOCK,
                                 (int64_t)pick(16) * PLACE_BLOCK, 0, NULL);

        MUST(rc == 0, "queue: %d", rc);
        out++;
    }
    if (pick(8) == 0)
        ioq_handle_set_notify(handle, 1);
    ioq_handle_submit(handle);
    if (pick(4) == 0)
        reap();
    ioq_handle_set_notify(handle, 1);
    while (out > 0) {
        wait_for_edge(cycle);
        reap();
    }
}

static void set_up(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int i;

    options.engine = engine;
    options.depth = DEPTH;
    handle = patient_open(&options);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_eq(
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, ioq_handle_fd(handle), &event), 0);
    for (i = 0; i < DEPTH; i++)
        buffers[i] = place_buffer(PLACE_BLOCK);
}

START_TEST(the_caller_is_woken_each_time)
{
    unsigned long count = number_of("IOQ_TEST_REQUESTS", usual), i;
    int fd = place_open();

    set_up(fd);
    for (i = 0; i < count; i++)
        run_cycle(i);
    ioq_handle_close(handle);
    for (i = 0; i < DEPTH; i++)
        free(buffers[i]);
    close(epoll_fd);
    close(fd);
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create(place_kind());

    engine = engine_called(argv[1]);
    if (argc > 2)
        usual = strtoul(argv[2], NULL, 10);
    tcase_add_test(tcase, the_caller_is_woken_each_time);
    tcase_set_timeout(tcase, 600);
    return engine_suite(engine, "handle_wakeups", tcase);
}
