/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Children of the process that opened the handle. */
#include "late.h"

#include "../support/child.h"

#define FORK_CALLS "wait4 "

static struct rig rig;
static struct ioq_file_info info;
static struct ioq_stats stats;

static void nothing(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    (void)result;
    (void)opaque;
}

static void queue_all(void)
{
    struct ioq_handle *h = rig.handle;
    const struct iovec iov = {rig.buf, BLOCK};

    require(ioq_handle_read(h, 0, rig.buf, BLOCK, 0, 0, NULL) == -ECHILD);
    require(ioq_handle_write(h, 0, rig.buf, BLOCK, 0, 0, NULL) == -ECHILD);
    require(ioq_handle_readv(h, 0, &iov, 1, 0, 0, NULL) == -ECHILD);
    require(ioq_handle_writev(h, 0, &iov, 1, 0, 0, NULL) == -ECHILD);
    require(ioq_handle_flush(h, 0, 0, NULL) == -ECHILD);
    require(ioq_handle_discard(h, 0, 0, BLOCK, 0, NULL) == -ECHILD);
    require(ioq_handle_write_zeroes(h, 0, 0, BLOCK, 0, NULL) == -ECHILD);
    require(ioq_handle_cancel(h, NULL) == -ECHILD);
    require(ioq_handle_submit(h) == -ECHILD);
}

static void reap_all(void)
{
    struct ioq_handle *h = rig.handle;
    struct ioq_completion done;

    require(ioq_handle_reap(h, &done, 1) == -ECHILD);
    require(ioq_handle_wait(h, &done, 1, 1, -1) == -ECHILD);
    require(ioq_handle_run_completion(h, nothing, NULL) == -ECHILD);
    require(ioq_handle_drain(h, -1) == -ECHILD);
    require(ioq_handle_fd(h) == -ECHILD);
    require(ioq_handle_set_notify(h, 0) == -ECHILD);
    require(ioq_handle_set_notify(h, 1) == -ECHILD);
}

static void call_all(void)
{
    struct ioq_handle *h = rig.handle;
    const struct iovec iov = {rig.buf, MIB};
    struct ioq_pending pending;

    queue_all();
    reap_all();
    require(ioq_last_error()[0] != '\0');
    require(ioq_handle_pending(h, &pending, 1) == -ECHILD);
    require(ioq_handle_attach(h, rig.fd, 0) == -ECHILD);
    require(ioq_handle_detach(h, 0) == -ECHILD);
    require(ioq_handle_file_info(h, 0, &info) == -ECHILD);
    require(ioq_handle_stats(h, &stats) == -ECHILD);
    require(ioq_handle_register_memory(h, &iov, 1) == -ECHILD);
    require(ioq_handle_unregister_memory(h) == -ECHILD);
}

static void call_all_and_close(void)
{
    call_all();
    ioq_handle_close(rig.handle);
}

/*
 * When we fork, no worker may be about to begin: sanitizers take locks then,
 * which nobody gives back in the child. So there is one, and it has worked.
 */
static void set_up(uint32_t flags)
{
    struct ioq_options options = engine_options(8, flags);

    info.size = sizeof(info);
    stats.size = sizeof(stats);
    options.workers = 1;
    rig_open_with(&rig, &options);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
}

/*
 * "After fork(2) the child may call ioq_handle_close and nothing else; what can
 * fail returns -ECHILD there and leaves the parent's requests alone."
 * "-ECHILD called in a child of the process that opened the handle"
 * "Returns how many requests were handed over, or -ECHILD."
 * "-EINVAL if ret is NULL or max is 0; -ECHILD." "-EINVAL if fn is NULL;
 * -ECHILD." "ioq_handle_pending names them. -ECHILD." "-EINVAL, -ECHILD."
 * "Returns 0 or -ECHILD." "-ENOMEM if it exceeds RLIMIT_MEMLOCK; -ECHILD."
 * "Returns 0, -EBUSY, -ECHILD." "-EINVAL if size is too small; -ECHILD."
 */
TEST(fork_child_may_only_close, FORK_CALLS)
{
    struct ioq_completion done[8];
    int i, round, got[8];

    set_up(0);
    for (round = 0; round < 3; round++) {
        memset(got, 0, sizeof(got));
        /* Some are queued, some at work or done; the child sees them all. */
        queue_reads(&rig, 4);
        if (round == 1)
            ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), round == 1 ? 0 : 4);
        for (i = 4; i < 8; i++)
            queue_zeroes(&rig, (unsigned int)i, (void *)(intptr_t)i);
        run_in_child(call_all_and_close);
        take(&rig, done, 8);
        for (i = 0; i < 8; i++)
            got[(intptr_t)done[i].user_data]++;
        for (i = 0; i < 8; i++)
            ck_assert_int_eq(got[i], 1);
        for (i = 0; i < 8; i++)
            ck_assert_int_eq(done[i].result,
                             (intptr_t)done[i].user_data < 4 ? BLOCK : 0);
    }
    ck_assert_int_eq(do_flush(&rig, 0), 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), 0);
    rig_close(&rig);
}

/* "the child may call ioq_handle_close and nothing else" With
 * IOQ_OPT_SHARED, too, where the lock is another matter. */
TEST(fork_child_may_close_a_shared_handle, FORK_CALLS)
{
    set_up(IOQ_OPT_SHARED);
    queue_reads(&rig, 4);
    run_in_child(call_all_and_close);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_run_completion(rig.handle, nothing, NULL), 4);
    rig_close(&rig);
}

static void close_at_once(void)
{
    ioq_handle_close(rig.handle);
}

/* "the child may call ioq_handle_close" What is stuck is the parent's. */
TEST(fork_child_waits_for_nothing, FORK_CALLS STUCK_CALLS)
{
    struct stuck stuck;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    set_up(0);
    stuck_read(&stuck, &rig, 0, 0);
    run_in_child(close_at_once);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 1);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

static void work_in_child(void)
{
    struct ioq_options options = engine_options(8, 0);
    struct ioq_handle *own;
    struct ioq_completion done;

    close_at_once();
    own = patient_open(&options);
    require(ioq_handle_attach(own, rig.fd, 0) == 0);
    require(ioq_handle_read(own, 0, rig.buf, BLOCK, 0, 0, &own) == 0);
    require(ioq_handle_wait(own, &done, 1, 1, LONG) == 1);
    require(done.result == BLOCK && is_filled(rig.buf, BLOCK, 1));
    require(ioq_handle_flush(own, 0, 0, &own) == 0);
    require(ioq_handle_wait(own, &done, 1, 1, LONG) == 1);
    require(done.result == 0);
    ioq_handle_close(own);
}

/* "the child may call ioq_handle_close and nothing else" On that handle: its
 * own are as good as anybody's. */
TEST(fork_child_may_open_its_own, FORK_CALLS)
{
#ifdef __SANITIZE_THREAD__
    DOES_NOT_APPLY("its sanitizer ends a child that starts threads");
#endif
    set_up(0);
    write_filled(&rig, BLOCK, 0, 1);
    memset(rig.buf, 0, BLOCK);
    queue_reads(&rig, 1);
    run_in_child(work_in_child);
    ck_assert_int_eq(result_of(&rig, NULL), BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 1));
    rig_close(&rig);
}

static void do_nothing(void)
{
}

/* "leaves the parent's requests alone" Also one that ends without a word. */
TEST(fork_child_may_just_end, FORK_CALLS)
{
    struct ioq_completion done[4];
    int i;

    set_up(0);
    for (i = 0; i < 5; i++) {
        queue_reads(&rig, 4);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 4);
        run_in_child(do_nothing);
        take(&rig, done, 4);
    }
    rig_close(&rig);
}
