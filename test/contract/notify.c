/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The completion fd: ioq_handle_fd, ioq_handle_reap, ioq_handle_set_notify. */
#include "late.h"

#include <fcntl.h>

/* "Returns the completion fd: poll it for reading, level- or edge-triggered" */
TEST(fd_is_polled_for_its_level, "")
{
    struct ioq_completion done[4];
    struct rig rig;
    int i, n;

    rig_open(&rig, 4, 0);
    ck_assert(!is_readable(ioq_handle_fd(rig.handle)));
    for (i = 0; i < 50; i++) {
        queue_reads(&rig, 4);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 4);
        for (n = 0; n < 4;) {
            await_readable(ioq_handle_fd(rig.handle));
            n += ioq_handle_reap(rig.handle, done, 1 + (unsigned int)i % 4);
        }
    }
    rig_close(&rig);
}

/*
 * "level- or edge-triggered" "It is a hint. When it becomes readable, reap
 * until fewer than max completions come back."
 */
TEST(fd_is_polled_for_its_edges, EDGES_CALLS)
{
    struct ioq_completion done[2];
    struct rig rig;
    int edges, i, out;

    rig_open(&rig, 4, 0);
    edges = open_edges(&rig);
    for (i = 0; i < 200; i++) {
        queue_reads(&rig, 1 + i % 4);
        out = ioq_handle_submit(rig.handle);
        reap_by_edges(&rig, edges, done, 2, out);
    }
    rig_close(&rig);
    close(edges);
}

/* "Only reaping makes it unreadable again; the caller never reads it." */
TEST(fd_is_cleared_by_reaping_alone, "")
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_completion done[4];
    struct rig rig;
    int fd, round;

    rig_open(&rig, 8, 0);
    fd = ioq_handle_fd(rig.handle);
    for (round = 0; round < 3; round++) {
        queue_reads(&rig, 3);
        ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
        ck_assert(is_readable(fd));
        ck_assert_int_eq(ioq_handle_stats(rig.handle, &stats), 0);
        ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 0);
        ck_assert_int_eq(ioq_handle_drain(rig.handle, 0), 0);
        ck_assert_int_eq(ioq_handle_cancel(rig.handle, done), -ENOENT);
        ck_assert(is_readable(fd));
        ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 2), 2);
        ck_assert(is_readable(fd));
        ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 4), 1);
        settle(&rig);
    }
    rig_close(&rig);
}

/* "It stays the same, and the library's, until ioq_handle_close." */
TEST(fd_stays_the_same, "")
{
    struct ioq_completion done[4];
    struct rig rig;
    int fd;

    rig_open(&rig, 8, 0);
    fd = ioq_handle_fd(rig.handle);
    ck_assert_int_ge(fd, 0);
    queue_reads(&rig, 4);
    ck_assert_int_eq(ioq_handle_fd(rig.handle), fd);
    ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
    ck_assert_int_eq(ioq_handle_fd(rig.handle), fd);
    take(&rig, done, 4);
    ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 1), 0);
    ck_assert_int_eq(ioq_handle_fd(rig.handle), fd);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    rig_close(&rig);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_eq(errno, EBADF);
}

/* "Takes up to max completions." "Returns how many there were." */
TEST(reap_takes_up_to_max, "")
{
    struct ioq_completion done[8];
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 8), 0);
    queue_reads(&rig, 7);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    memset(done, 0xa5, sizeof(done));
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 3), 3);
    ck_assert(is_all(&done[3], sizeof(done[3]), 0xa5));
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 8), 4);
    ck_assert(is_all(&done[4], sizeof(done[4]), 0xa5));
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 8), 0);
    rig_close(&rig);
}

/*
 * "Does not sleep." "Fewer than max means that there are no more, and that the
 * fd becomes readable when there are."
 */
TEST(reap_does_not_sleep, STUCK_CALLS)
{
    struct ioq_completion done[2];
    struct stuck stuck;
    struct rig rig;
    int i;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open(&rig, 8, 0);
    for (i = 0; i < 3; i++) {
        stuck_read(&stuck, &rig, 0, 0);
        ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 2), 0);
        settle(&rig);
        ck_assert_int_eq(do_flush(&rig, 0), 0);
        settle(&rig);
        stuck_let_go(&stuck);
        await_readable(ioq_handle_fd(rig.handle));
        ck_assert_int_eq(result_of(&rig, &stuck), STUCK_BYTES);
        stuck_close(&stuck);
        ck_assert(stuck_open(&stuck));
    }
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "-EINVAL if ret is NULL or max is 0" */
TEST(reap_wants_room, "")
{
    struct ioq_completion done;
    struct rig rig;

    rig_open_ready(&rig, 1);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, NULL, 1), -EINVAL);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_reap(NULL, &done, 1), -EINVAL);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 1);
    rig_close(&rig);
}

/*
 * "With enabled 0, tells the library that the caller does not poll the fd for
 * now but reaps on its own, which then costs no system call on the fd."
 * "The fd may be readable or not meanwhile."
 */
TEST(notify_off_costs_nothing, "")
{
    uint64_t before;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
    before = stats_of(&rig).kernel_notifies;
    for (i = 0; i < 20; i++) {
        queue_reads(&rig, 1);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
        ck_assert_int_eq(reap_one(&rig).result, BLOCK);
    }
    ck_assert_uint_eq(stats_of(&rig).kernel_notifies, before);
    rig_close(&rig);
}

/*
 * "With 1, as after opening, the fd is right again: it is readable if there is
 * anything to reap." "Returns 0 or -ECHILD."
 */
TEST(notify_on_tells_of_what_is_there, "")
{
    struct ioq_completion done[4];
    struct rig rig;
    int fd, i;

    rig_open(&rig, 8, 0);
    fd = ioq_handle_fd(rig.handle);
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
        queue_reads(&rig, 4);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 4);
        ck_assert_int_eq(reap_one(&rig).result, BLOCK);
        while (ioq_handle_pending(rig.handle, NULL, 0) > 0)
            ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 1), 0);
        ck_assert(is_readable(fd));
        ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 4), 3);
        settle(&rig);
    }
    rig_close(&rig);
}

/* "it is readable if there is anything to reap" What ends only afterwards. */
TEST(notify_on_tells_of_what_comes, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
    stuck_read(&stuck, &rig, 0, 0);
    ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 1), 0);
    settle(&rig);
    stuck_let_go(&stuck);
    await_readable(ioq_handle_fd(rig.handle));
    ck_assert_int_eq(result_of(&rig, &stuck), STUCK_BYTES);
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "With 1, as after opening" Twice makes no difference. */
TEST(notify_does_not_count, "")
{
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 0), 0);
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 1), 0);
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 7), 0);
        queue_reads(&rig, 1);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
        await_readable(ioq_handle_fd(rig.handle));
        ck_assert_int_eq(reap_one(&rig).result, BLOCK);
    }
    rig_close(&rig);
}
