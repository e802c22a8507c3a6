/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_drain and ioq_handle_pending. */
#include "late.h"

/*
 * "Submits what is queued and sleeps until all requests have completed, at most
 * timeout_ns nanoseconds; forever if it is negative."
 * "Their completions wait to be reaped as usual."
 * "0 if the handle is quiet"
 */
TEST(drain_submits_and_sleeps, "")
{
    static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, LONG};
    struct ioq_completion done[8];
    struct rig rig;
    int round, i;

    rig_open(&rig, 8, 0);
    for (round = 0; round < 4; round++) {
        ck_assert_int_eq(ioq_handle_drain(rig.handle, times[round]), 0);
        settle(&rig);
        for (i = 0; i < 8; i++)
            queue_zeroes(&rig, (unsigned int)i, &rig);
        ck_assert_int_eq(ioq_handle_drain(rig.handle, times[round]), 0);
        ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
        ck_assert(is_readable(ioq_handle_fd(rig.handle)));
        ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 8), 8);
        for (i = 0; i < 8; i++)
            ck_assert(done[i].user_data == &rig && done[i].result == 0);
    }
    rig_close(&rig);
}

/*
 * "at most timeout_ns nanoseconds"
 * "Returns the number of requests that are still out" "ioq_handle_pending names
 * them"
 */
TEST(drain_ends_with_the_time, STUCK_CALLS)
{
    struct ioq_completion done;
    struct ioq_pending pending[2];
    struct stuck stuck;
    struct rig rig;
    int64_t begin;

    if (!rig_open_stuck(&rig, &stuck))
        SKIP("no userfaultfd");
    ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &rig), 0);
    begin = now_ns();
    while (ioq_handle_drain(rig.handle, 30 * MILLISECOND) > 1)
        ck_assert_int_lt(now_ns(), begin + LONG);
    ck_assert_int_ge(now_ns() - begin, 30 * MILLISECOND);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, 0), 1);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 2), 1);
    ck_assert_ptr_eq(pending[0].user_data, &stuck);
    /* What did end can be reaped, and the fd says so. */
    await_readable(ioq_handle_fd(rig.handle));
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 1);
    ck_assert_ptr_eq(done.user_data, &rig);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "sleeps until all requests have completed" */
TEST(drain_is_woken, STUCK_CALLS)
{
    struct stuck stuck;
    struct later later;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 2; i++) {
        if (!stuck_open(&stuck))
            SKIP("no userfaultfd");
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, i), 0);
        stuck_read(&stuck, &rig, 0, 0);
        later_begin(&later, &stuck);
        ck_assert_int_eq(ioq_handle_drain(rig.handle, -1), 0);
        ck_assert_int_eq(result_of(&rig, &stuck), STUCK_BYTES);
        later_join(&later);
        stuck_close(&stuck);
    }
    rig_close(&rig);
}

static const struct ioq_pending *find(const struct ioq_pending *pending, int n,
                                      const void *user_data)
{
    int i;

    for (i = 0; i < n; i++)
        if (pending[i].user_data == user_data)
            return &pending[i];
    ck_abort_msg("it is not listed");
    return NULL;
}

/*
 * "Lists up to max of the requests that did not complete yet, in no order."
 * "Returns how many there are, which may be more than max."
 * "ret may be NULL if max is 0."
 */
TEST(pending_lists_up_to_max, "")
{
    struct ioq_pending pending[8];
    struct ioq_completion done[6];
    struct rig rig;
    int a[6], i;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 8), 0);
    for (i = 0; i < 6; i++)
        ck_assert_int_eq(ioq_handle_flush(rig.handle, 0, 0, &a[i]), 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 6);
    memset(pending, 0xa5, sizeof(pending));
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 4), 6);
    ck_assert(is_all(&pending[4], sizeof(pending[4]), 0xa5));
    for (i = 0; i < 4; i++)
        ck_assert(pending[i].user_data >= (void *)&a[0] &&
                  pending[i].user_data <= (void *)&a[5]);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 8), 6);
    for (i = 0; i < 6; i++)
        find(pending, 6, &a[i]);

    /* Those whose completion was not given out yet did complete. */
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 8), 0);
    take(&rig, done, 6);
    rig_close(&rig);
}

/*
 * "One request that did not complete yet." "in bytes; 0 for a flush"
 * "enum ioq_kind" "enum ioq_stage" "What a request is." "not submitted yet"
 * "since it was submitted; 0 if it was not yet"
 */
TEST(pending_describes_requests, "")
{
    static const struct {
        int64_t offset, length;
        uint32_t kind;
    } want[5] = {
        {BLOCK, 100, IOQ_KIND_READ},
        {2 * BLOCK + 1, 200, IOQ_KIND_WRITE},
        {0, 0, IOQ_KIND_FLUSH},
        {3 * BLOCK, 2 * BLOCK, IOQ_KIND_DISCARD},
        {6 * BLOCK, BLOCK, IOQ_KIND_WRITE_ZEROES},
    };
    struct iovec iov[2];
    struct ioq_pending pending[5];
    struct ioq_completion done[5];
    struct rig rig;
    int a[5], file, i;

    rig_open(&rig, 8, 0);
    file = rig_attach_another(&rig, NULL);
    iov[0] = (struct iovec){rig.buf + BLOCK, 150};
    iov[1] = (struct iovec){rig.buf + 2 * BLOCK, 50};
    ioq_handle_read(rig.handle, 0, rig.buf, 100, BLOCK, 0, &a[0]);
    ioq_handle_writev(rig.handle, 0, iov, 2, 2 * BLOCK + 1, 0, &a[1]);
    ioq_handle_flush(rig.handle, file, 0, &a[2]);
    ioq_handle_discard(rig.handle, 0, 3 * BLOCK, 2 * BLOCK, 0, &a[3]);
    ioq_handle_write_zeroes(rig.handle, 0, 6 * BLOCK, BLOCK, 0, &a[4]);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 5), 5);
    for (i = 0; i < 5; i++) {
        const struct ioq_pending *one = find(pending, 5, &a[i]);

        ck_assert_int_eq(one->offset, want[i].offset);
        ck_assert_int_eq(one->length, want[i].length);
        ck_assert_uint_eq(one->kind, want[i].kind);
        ck_assert_uint_eq(one->stage, IOQ_STAGE_QUEUED);
        ck_assert_int_eq(one->age_ns, 0);
        ck_assert_int_eq(one->file, i == 2 ? file : 0);
        ck_assert_uint_eq(one->reserved, 0);
    }
    take(&rig, done, 5);
    rig_close(&rig);
}

/*
 * "Where a request is that did not complete yet." "a worker has it, or will"
 * "since it was submitted"
 */
TEST(pending_tells_where_requests_are, STUCK_CALLS)
{
    struct ioq_pending pending[4];
    struct ioq_completion done[2];
    const struct ioq_pending *one;
    struct stuck stuck;
    struct rig rig;
    int64_t begin;
    int a;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open_narrow(&rig, 8);
    stuck_read(&stuck, &rig, 0, BLOCK);
    begin = now_ns();
    queue_zeroes(&rig, 200, &a);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    while (now_ns() < begin + 3 * MILLISECOND)
        ;
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 4), 2);
    one = find(pending, 2, &stuck);
    ck_assert_uint_eq(one->stage, IOQ_STAGE_WORKER);
    ck_assert_int_ge(one->age_ns, 3 * MILLISECOND);
    ck_assert_int_le(one->age_ns, now_ns() - begin + LONG);
    ck_assert_int_eq(one->length, STUCK_BYTES);
    ck_assert_int_eq(one->offset, BLOCK);
    one = find(pending, 2, &a);
    ck_assert_uint_eq(one->stage, IOQ_STAGE_WORKER);
    ck_assert_int_gt(one->age_ns, 0);
    ck_assert_int_le(one->age_ns, now_ns() - begin);
    stuck_let_go(&stuck);
    take(&rig, done, 2);
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "behind a write to the same block" */
TEST(pending_tells_of_the_held, STUCK_CALLS)
{
    struct ioq_pending pending[4];
    struct ioq_completion done[2];
    struct stuck stuck;
    struct rig rig;
    int a;

    rig_open(&rig, 8, 0);
    if (info_of(&rig, 0).offset_align == 1) {
        rig_close(&rig);
        DOES_NOT_APPLY("no block is ever rewritten");
    }
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_write(&stuck, &rig, 0, 1);
    ck_assert_int_eq(ioq_handle_write(rig.handle, 0, rig.buf, 8, 100, 0, &a),
                     0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 4), 2);
    ck_assert_uint_eq(find(pending, 2, &a)->stage, IOQ_STAGE_HELD);
    ck_assert_uint_eq(find(pending, 2, &stuck)->stage, IOQ_STAGE_WORKER);
    stuck_let_go(&stuck);
    take(&rig, done, 2);
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "-EINVAL, -ECHILD." */
TEST(pending_wants_room, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 1), -EINVAL);
    ck_assert_int_eq(ioq_handle_pending(NULL, NULL, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_drain(NULL, 0), -EINVAL);
    rig_close(&rig);
}
