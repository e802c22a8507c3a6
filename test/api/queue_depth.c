/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue of depth n takes n requests, not one more and not one less, however
 * long it runs.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig.h"

/* The library's calls of io_submit come through here, to be counted. */
static unsigned int submits, refused;

/* And all else that it may ask of the kernel while it reaps, likewise. */
static unsigned int notifies;

ssize_t read(int fd, void *buf, size_t count)
{
    notifies++;
    return syscall(SYS_read, fd, buf, count);
}

ssize_t write(int fd, const void *buf, size_t count)
{
    notifies++;
    return syscall(SYS_write, fd, buf, count);
}

int io_submit(io_context_t ctx, long count, struct iocb **iocbs)
{
    long rc = syscall(SYS_io_submit, ctx, count, iocbs);

    submits++;
    if (rc < 0 && errno == EAGAIN)
        refused++;
    return rc < 0 ? -errno : (int)rc;
}

static void fill_and_complete(struct rig *rig)
{
    unsigned int i;

    for (i = 0; i < rig->depth; i++)
        rig_read(rig, i % (PLACE_SIZE / PLACE_BLOCK));
    errno = 0;
    ck_assert_ptr_null(ioq_get_iocb(&rig->ioq));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(ioq_num_queued(&rig->ioq), rig->depth);
    rig_submit(rig);
    rig_complete(rig, (int)rig->depth);
}

/* P6, P40, P42 */
START_TEST(every_depth_admits_exactly_that_many)
{
    static const unsigned int depths[] = {1, 2, 3, 100, 127, 128, 129, 1000};
    unsigned int i;

    choose_ring(_i);
    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct rig rig;

        rig_open(&rig, depths[i]);
        fill_and_complete(&rig);
        fill_and_complete(&rig);
        rig_check(&rig, 2, PLACE_BLOCK);
        rig_close(&rig);
    }
}
END_TEST

/* P31, P40: the kernel must find every slot that we read the event of. */
START_TEST(full_depth_again_and_again_is_never_refused)
{
    struct rig rig;
    int i, count = rounds(400);

    choose_ring(_i);
    rig_open(&rig, 64);
    refused = 0;
    for (i = 0; i < count; i++)
        fill_and_complete(&rig);
    rig_check(&rig, count, PLACE_BLOCK);
    ck_assert_uint_eq(refused, 0);
    rig_close(&rig);
}
END_TEST

/* P12 */
START_TEST(a_batch_costs_one_system_call)
{
    struct rig rig;
    int i;

    choose_ring(_i);
    rig_open(&rig, 40);
    submits = 0;
    for (i = 0; i < 25; i++)
        fill_and_complete(&rig);
    ck_assert_int_eq(rig.completed, 1000);
    ck_assert_uint_eq(submits, 25);
    rig_close(&rig);
}
END_TEST

/* Each completion adds one to the notifier's counter. */
static void wait_for_signals(struct rig *rig, uint64_t count)
{
    struct pollfd wait = {ioq_get_notifier(&rig->ioq)->rfd, POLLIN, 0};
    uint64_t more, sum = 0;

    while (sum < count) {
        ck_assert_int_eq(poll(&wait, 1, 10000), 1);
        ck_assert_int_eq(read(wait.fd, &more, sizeof(more)), 8);
        sum += more;
    }
    ck_assert_uint_eq(sum, count);
}

/* P53 */
START_TEST(one_call_reaps_600_completions)
{
    struct rig rig;
    int i;

    choose_ring(_i);
    rig_open(&rig, 600);
    for (i = 0; i < 600; i++)
        rig_read(&rig, i);
    rig_submit(&rig);
    wait_for_signals(&rig, 600);
    ck_assert_int_eq(ioq_run_completion(&rig.ioq, rig_done, &rig), 600);
    rig_check(&rig, 1, PLACE_BLOCK);
    rig_close(&rig);
}
END_TEST

START_TEST(a_put_beyond_the_depth_is_refused)
{
    struct rig rig;
    struct iocb extra;

    choose_ring(_i);
    rig_open(&rig, 2);
    errno = 0;
    ioq_put_iocb(&rig.ioq, &extra);
    ck_assert_int_eq(errno, ENOSPC);
    rig_read(&rig, 0);
    rig_submit(&rig);
    errno = 0;
    ioq_put_iocb(&rig.ioq, &extra); /* one is out, but it will come back */
    ck_assert_int_eq(errno, ENOSPC);
    rig_complete(&rig, 1);
    fill_and_complete(&rig);
    rig_close(&rig);
}
END_TEST

START_TEST(requests_submitted_while_others_run_all_complete_once)
{
    struct rig rig;
    int i, count = rounds(2000);

    choose_ring(_i);
    rig_open(&rig, 16);
    for (i = 0; i < count; i++) {
        while (ioq_num_queued(&rig.ioq) < 5 && rig.ioq.freelist_idx > 0)
            rig_read(&rig, i % 1000);
        rig_submit(&rig);
        rig_wait(&rig);
        ioq_run_completion(&rig.ioq, rig_done, &rig);
    }
    rig_complete(&rig, (int)(rig.depth - rig.ioq.freelist_idx));
    ck_assert_uint_eq(rig.ioq.freelist_idx, rig.depth);
    fill_and_complete(&rig);
    rig_close(&rig);
}
END_TEST

static unsigned int calls_to_reap(struct rig *rig, int count)
{
    unsigned int before;
    int i;

    for (i = 0; i < count; i++)
        rig_read(rig, i);
    rig_submit(rig);
    wait_for_signals(rig, (uint64_t)count);
    before = notifies;
    ck_assert_int_eq(ioq_run_completion(&rig->ioq, rig_done, rig), count);
    return notifies - before;
}

/* For a batch, two calls keep the notifier right for a nested loop. */
START_TEST(reaping_costs_two_calls_at_most_however_many_there_are)
{
    struct rig rig;

    choose_ring(_i);
    rig_open(&rig, 64);
    ck_assert_uint_eq(calls_to_reap(&rig, 1), 0);
    ck_assert_uint_eq(calls_to_reap(&rig, 2), 2);
    ck_assert_uint_eq(calls_to_reap(&rig, 64), 2);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, every_depth_admits_exactly_that_many);
    add_ring_test(tcase, full_depth_again_and_again_is_never_refused);
    add_ring_test(tcase, a_batch_costs_one_system_call);
    add_ring_test(tcase, one_call_reaps_600_completions);
    add_ring_test(tcase, a_put_beyond_the_depth_is_refused);
    add_ring_test(tcase, requests_submitted_while_others_run_all_complete_once);
    add_ring_test(tcase,
                  reaping_costs_two_calls_at_most_however_many_there_are);
    return run_case("queue_depth", tcase);
}
