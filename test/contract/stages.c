/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where requests are meanwhile, and what may happen to who waits for them. */
#include "contract.h"

#include <sys/epoll.h>

/* Submits reads that take a device its time; whether the kernel has one. */
static bool kernel_has_one(struct rig *rig)
{
    struct ioq_pending pending[16];
    struct ioq_completion done[16];
    bool has = false;
    int i, n;

    for (i = 0; i < 16; i++)
        ck_assert_int_eq(ioq_handle_read(rig->handle, 0, rig->buf + i * 65536,
                                         65536, i * 65536, 0, NULL),
                         0);
    ck_assert_int_eq(ioq_handle_submit(rig->handle), 16);
    n = ioq_handle_pending(rig->handle, pending, 16);
    for (i = 0; i < n; i++) {
        has = has || pending[i].stage == IOQ_STAGE_KERNEL;
        ck_assert_uint_ge(pending[i].stage, IOQ_STAGE_PARKED);
        ck_assert_uint_le(pending[i].stage, IOQ_STAGE_WORKER);
    }
    take(rig, done, 16);
    return has;
}

/* "the kernel has it" "Where a request is that did not complete yet." */
TEST(stages_the_kernel_has_it, "")
{
    struct rig rig;
    int tries = 0;

    /* What FUSE has no answer for at once, a worker waits for. */
    if (!place_is_direct() || engine == IOQ_ENGINE_THREADS ||
        strcmp(place_kind(), "remote-direct") == 0)
        DOES_NOT_APPLY("the kernel is done at once, or never asked");
    rig_open(&rig, 16, 0);
    /* The kernel may be done before anybody looks, but not each time. */
    while (!kernel_has_one(&rig))
        ck_assert_int_lt(tries++, 2000);
    rig_close(&rig);
}

/* Waits for the fd as the header says. Returns how many completions came. */
static int reap_by_epoll(struct rig *rig, int epoll)
{
    struct ioq_completion done[4];
    struct epoll_event event;
    int n, count = 0;

    do {
        n = epoll_wait(epoll, &event, 1, 60000);
    } while (n < 0 && errno == EINTR);
    MUST(n == 1, "the fd did not become readable: %d", n);
    do {
        n = ioq_handle_reap(rig->handle, done, 4);
        count += n;
    } while (n == 4);
    return count;
}

/*
 * "With io_uring, epoll_wait(2) may end with EINTR without a signal, when the
 * kernel has used the thread for its own work: poll again."
 */
TEST(stages_epoll_may_be_interrupted,
     "epoll_create1 epoll_ctl epoll_wait epoll_pwait")
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC), i, round, count;
    struct rig rig;

    rig_open(&rig, 16, 0);
    ck_assert_int_eq(
        epoll_ctl(epoll, EPOLL_CTL_ADD, ioq_handle_fd(rig.handle), &event), 0);
    for (round = 0; round < 50; round++) {
        for (i = 0; i < 16; i++)
            ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf + i * BLOCK,
                                             BLOCK, i * 10 * BLOCK + round, 0,
                                             NULL),
                             0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 16);
        for (count = 0; count < 16;)
            count += reap_by_epoll(&rig, epoll);
        ck_assert_int_eq(count, 16);
    }
    close(epoll);
    rig_close(&rig);
}
