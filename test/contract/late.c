/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "late.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#define WHILE_NS (50 * MILLISECOND)

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void nap(int64_t ns)
{
    const struct timespec pause = {0, (long)ns};

    nanosleep(&pause, NULL);
}

void await_readable(int fd)
{
    const struct timespec most = {LONG / SECOND, 0};
    struct pollfd wanted = {fd, POLLIN, 0};
    int rc;

    do {
        rc = ppoll(&wanted, 1, &most, NULL);
    } while (rc < 0 && errno == EINTR);
    MUST(rc == 1 && wanted.revents == POLLIN, "never readable");
}

int open_edges(struct rig *rig)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int edges = epoll_create1(EPOLL_CLOEXEC);

    ck_assert_int_eq(
        epoll_ctl(edges, EPOLL_CTL_ADD, ioq_handle_fd(rig->handle), &event), 0);
    return edges;
}

static void await_edge(int edges)
{
    struct epoll_event event;
    int n;

    do {
        n = epoll_pwait(edges, &event, 1, LONG / MILLISECOND, NULL);
    } while (n < 0 && errno == EINTR);
    ck_assert_int_eq(n, 1);
}

void reap_by_edges(struct rig *rig, int edges, struct ioq_completion *done,
                   unsigned int max, int count)
{
    int n;

    while (count > 0) {
        await_edge(edges);
        do {
            n = ioq_handle_reap(rig->handle, done, max);
            count -= n;
        } while (n == (int)max);
    }
    ck_assert_int_eq(count, 0);
}

void settle(struct rig *rig)
{
    int64_t until = now_ns() + LONG;
    struct ioq_completion done;
    int fd = ioq_handle_fd(rig->handle);

    do {
        MUST(ioq_handle_reap(rig->handle, &done, 1) == 0, "one too many");
        MUST(now_ns() < until, "readable for ever");
        nap(MILLISECOND);
    } while (is_readable(fd));
}

void rig_open_narrow(struct rig *rig, unsigned int depth)
{
    struct ioq_options options = engine_options(depth, 0);

    options.workers = 1;
    rig_open_with(rig, &options);
}

void queue_reads(struct rig *rig, int count)
{
    int i, rc;

    for (i = 0; i < count; i++) {
        rc = ioq_handle_read(rig->handle, 0, rig->buf + i * BLOCK, BLOCK,
                             i * BLOCK, 0, (void *)(intptr_t)i);
        MUST(rc == 0, "queueing: %d, %s", rc, ioq_last_error());
    }
}

void rig_open_ready(struct rig *rig, int count)
{
    rig_open(rig, 8, 0);
    queue_reads(rig, count);
    ck_assert_int_eq(ioq_handle_drain(rig->handle, LONG), 0);
}

void queue_zeroes(struct rig *rig, unsigned int block, void *user_data)
{
    int rc = ioq_handle_write_zeroes(
        rig->handle, rig->file, (int64_t)block * BLOCK, BLOCK, 0, user_data);

    MUST(rc == 0, "queueing: %d, %s", rc, ioq_last_error());
}

static void *let_go(void *opaque)
{
    nap(WHILE_NS);
    stuck_let_go(opaque);
    return NULL;
}

void later_begin(struct later *later, struct stuck *stuck)
{
    sigset_t all, before;

    /* Signals are for the test's own thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    MUST(pthread_create(&later->thread, NULL, let_go, stuck) == 0, "no thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void later_join(struct later *later)
{
    pthread_join(later->thread, NULL);
}

struct ioq_completion reap_one(struct rig *rig)
{
    int64_t until = now_ns() + LONG;
    struct ioq_completion done;
    int n;

    while ((n = ioq_handle_reap(rig->handle, &done, 1)) == 0) {
        MUST(now_ns() < until, "no completion");
        nap(MILLISECOND / 10);
    }
    MUST(n == 1, "reap: %d, %s", n, ioq_last_error());
    return done;
}
