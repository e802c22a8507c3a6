/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_run_completion. */
#include "late.h"

/* What the functions are handed as opaque. */
struct calls {
    struct rig *rig;
    int made, nested, left;
    int *seen; /* by the user_data, which is an index */
};

static void see(void *user_data, int64_t result, void *opaque)
{
    struct calls *calls = opaque;

    ck_assert_int_eq(result, BLOCK);
    calls->seen[(intptr_t)user_data]++;
    calls->made++;
}

/*
 * "Called once for each request that has completed."
 * "Calls fn for each request that has completed by now."
 * "Returns the number of calls made"
 */
TEST(callback_is_called_for_each, "")
{
    int seen[8] = {0}, i;
    struct rig rig;
    struct calls calls = {.rig = &rig, .seen = seen};

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, see, &calls), 0);
    queue_reads(&rig, 8);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, see, &calls), 0);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, see, &calls), 8);
    for (i = 0; i < 8; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, see, &calls), 0);
    ck_assert_int_eq(calls.made, 8);
    settle(&rig);
    rig_close(&rig);
}

static void queue_another(void *user_data, int64_t result, void *opaque)
{
    struct calls *calls = opaque;
    intptr_t block = (intptr_t)user_data;

    ck_assert_int_eq(result, BLOCK);
    calls->made++;
    if (calls->left-- == 0)
        return;
    ck_assert_int_eq(ioq_handle_read(calls->rig->handle, 0,
                                     calls->rig->buf + block * BLOCK, BLOCK,
                                     block * BLOCK, 0, user_data),
                     0);
    ck_assert_int_eq(ioq_handle_submit(calls->rig->handle), 1);
}

/*
 * "The request's place in the queue is free before fn runs, so that it can
 * queue another."
 */
TEST(callback_may_queue_another, "")
{
    struct rig rig;
    struct calls calls = {.rig = &rig, .left = 30};

    rig_open(&rig, 1, 0);
    queue_reads(&rig, 1);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    while (calls.made < 31) {
        await_readable(ioq_handle_fd(rig.handle));
        ioq_handle_run_completion(rig.handle, queue_another, &calls);
    }
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
    rig_close(&rig);
}

/*
 * "by now" One that queues a request each time does not keep the caller, even
 * if those complete at once.
 */
TEST(callback_ends_in_spite_of_more, "")
{
    struct rig rig;
    struct calls calls = {.rig = &rig, .left = 1000000000};
    int i, n;

    rig_open(&rig, 4, 0);
    queue_reads(&rig, 4);
    for (i = 0; i < 20; i++) {
        ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
        n = ioq_handle_run_completion(rig.handle, queue_another, &calls);
        ck_assert_int_ge(n, 4);
        /* Whatever is still there is told. */
        await_readable(ioq_handle_fd(rig.handle));
    }
    rig_close(&rig);
}

static void run_nested(void *user_data, int64_t result, void *opaque)
{
    struct calls *calls = opaque;

    see(user_data, result, opaque);
    if (calls->made > 1)
        return;
    ck_assert(is_readable(ioq_handle_fd(calls->rig->handle)));
    calls->nested =
        ioq_handle_run_completion(calls->rig->handle, run_nested, calls);
}

/*
 * "A nested event loop inside fn sees the completions that were not reached
 * yet." "those of nested calls not counted"
 */
TEST(callback_may_run_an_event_loop, "")
{
    int seen[8] = {0}, i;
    struct rig rig;
    struct calls calls = {.rig = &rig, .seen = seen};

    rig_open_ready(&rig, 8);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, run_nested, &calls),
                     1);
    ck_assert_int_eq(calls.nested, 7);
    for (i = 0; i < 8; i++)
        ck_assert_int_eq(seen[i], 1);
    rig_close(&rig);
}

static void ask(struct ioq_handle *h)
{
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_pending pending[4];

    ck_assert_int_ge(ioq_handle_fd(h), 0);
    ck_assert_int_eq((int)ioq_handle_engine(h), (int)engine);
    ck_assert_int_eq(ioq_handle_stats(h, &stats), 0);
    ck_assert_int_eq(ioq_handle_file_info(h, 0, &info), 0);
    ck_assert_int_ge(ioq_handle_pending(h, pending, 4), 0);
    ck_assert_int_eq(ioq_handle_unregister_memory(h), 0);
}

static void call_all(void *user_data, int64_t result, void *opaque)
{
    struct calls *calls = opaque;
    struct rig *rig = calls->rig;
    struct ioq_handle *h = rig->handle;
    struct ioq_completion done[8];

    (void)user_data;
    ck_assert_int_eq(result, BLOCK);
    if (calls->made++ > 0)
        return;
    ask(h);
    ck_assert_int_eq(ioq_handle_attach(h, rig->fd, 0), 1);
    ck_assert_int_eq(ioq_handle_detach(h, 1), 0);
    ck_assert_int_eq(ioq_handle_flush(h, 0, 0, h), 0);
    ck_assert_int_eq(ioq_handle_cancel(h, h), 1);
    ck_assert_int_eq(ioq_handle_set_notify(h, 0), 0);
    ck_assert_int_eq(ioq_handle_set_notify(h, 1), 0);
    queue_reads(rig, 2);
    ck_assert_int_eq(ioq_handle_submit(h), 2);
    ck_assert_int_eq(ioq_handle_drain(h, LONG), 0);
    /* The three of ours, and the other one of the caller's. */
    ck_assert_int_eq(ioq_handle_reap(h, done, 1), 1);
    ck_assert_int_eq(ioq_handle_wait(h, done, 3, 8, LONG), 3);
}

/* "fn may call any function on the handle but ioq_handle_close." */
TEST(callback_may_call_anything, "")
{
    struct rig rig;
    struct calls calls = {.rig = &rig};

    rig_open_ready(&rig, 2);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, call_all, &calls),
                     1);
    ck_assert_int_eq(calls.made, 1);
    ck_assert_int_eq(info_of(&rig, 0).requests, 0);
    rig_close(&rig);
}

static void detach(void *user_data, int64_t result, void *opaque)
{
    struct calls *calls = opaque;

    (void)user_data;
    ck_assert_int_eq(result, BLOCK);
    ck_assert_int_eq(ioq_handle_detach(calls->rig->handle, 0), 0);
    calls->made++;
}

/* "The request's place in the queue is free before fn runs" So is its file. */
TEST(callback_may_detach_the_file, "")
{
    struct rig rig;
    struct calls calls = {.rig = &rig};

    rig_open_ready(&rig, 1);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, detach, &calls), 1);
    ck_assert_int_eq(calls.made, 1);
    rig_close(&rig);
}

/* "-EINVAL if fn is NULL" */
TEST(callback_wants_a_function, "")
{
    int seen[8] = {0};
    struct rig rig;
    struct calls calls = {.rig = &rig, .seen = seen};

    rig_open_ready(&rig, 1);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, NULL, &calls),
                     -EINVAL);
    ck_assert_int_eq(ioq_handle_run_completion(NULL, see, &calls), -EINVAL);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, see, &calls), 1);
    rig_close(&rig);
}
