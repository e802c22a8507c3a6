/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the io_uring engine makes of each answer to its system call. The linker
 * puts these functions before liburing's; the ring behind them is real.
 */
#include <check.h>
#include <errno.h>
#include <ioq/handle.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/runner.h"

#define SECOND INT64_C(1000000000)
#define BLOCK 512u
#define COUNT 16u

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring,
                                            struct io_uring_cqe **cqe,
                                            unsigned int count,
                                            struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring,
                                            struct io_uring_cqe **cqe,
                                            unsigned int count,
                                            struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __real_io_uring_queue_init_params(unsigned int entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned int entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params);
struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);

static struct {
    int error;          /* what the next calls return */
    unsigned int times; /* how many of them */
    bool after;         /* once the kernel has taken the batch */
    unsigned int most;  /* entries that the kernel takes; 0 for all */
    unsigned int calls;
    int opcode;             /* of the last batch's first entry */
    uint32_t refused_flags; /* of the set-up */
    int lacking;            /* an opcode; 0 for none */
} script;

/* A call of the library's, and what it asks the kernel to do. */
struct call {
    struct io_uring *ring;
    bool waits;
    struct __kernel_timespec *timeout;
};

static int pass_on(const struct call *call)
{
    struct io_uring_cqe *cqe;

    if (!call->waits)
        return __real_io_uring_submit(call->ring);
    return __real_io_uring_submit_and_wait_timeout(call->ring, &cqe, 1,
                                                   call->timeout, NULL);
}

/* The kernel stops in the middle: it sees a part of the batch only. */
static int submit_part(const struct call *call)
{
    struct io_uring *ring = call->ring;
    unsigned int tail = ring->sq.sqe_tail, head = *ring->sq.khead;
    int rc;

    if (tail - head <= script.most)
        return pass_on(call);
    ring->sq.sqe_tail = head + script.most;
    rc = pass_on(call);
    ring->sq.sqe_tail = tail;
    return rc;
}

static int answer(const struct call *call)
{
    const struct io_uring_sq *sq = &call->ring->sq;

    script.calls++;
    if (sq->sqe_tail != *sq->khead)
        script.opcode = sq->sqes[*sq->khead & sq->ring_mask].opcode;
    if (script.times > 0) {
        script.times--;
        if (script.after)
            pass_on(call);
        return script.error;
    }
    return script.most ? submit_part(call) : pass_on(call);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    const struct call call = {.ring = ring};

    return answer(&call);
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring,
                                            struct io_uring_cqe **cqe,
                                            unsigned int count,
                                            struct __kernel_timespec *timeout,
                                            sigset_t *mask)
{
    const struct call call = {ring, true, timeout};

    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(mask);
    *cqe = NULL;
    return answer(&call);
}

int __wrap_io_uring_queue_init_params(unsigned int entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params)
{
    if (params->flags & script.refused_flags)
        return -EINVAL;
    return __real_io_uring_queue_init_params(entries, ring, params);
}

struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
    struct io_uring_probe *probe = __real_io_uring_get_probe_ring(ring);

    if (probe && script.lacking)
        probe->ops[script.lacking].flags = 0;
    return probe;
}

static struct ioq_handle *handle;
static FILE *file;
static char buffers[COUNT][BLOCK];

static void open_handle(uint32_t flags)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    int rc;

    options.engine = IOQ_ENGINE_URING;
    options.depth = COUNT;
    options.flags = flags;
    rc = ioq_handle_open(&options, &handle);
    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    ck_assert_int_eq(ioq_handle_attach(handle, fileno(file), 0), 0);
}

static void set_up(void)
{
    unsigned int i;

    memset(&script, 0, sizeof(script));
    handle = NULL;
    file = tmpfile();
    ck_assert_ptr_nonnull(file);
    for (i = 0; i < COUNT; i++) {
        memset(buffers[i], 'a' + (int)i, BLOCK);
        ck_assert_int_eq(
            pwrite(fileno(file), buffers[i], BLOCK, (off_t)i * BLOCK), BLOCK);
    }
}

static void tear_down(void)
{
    ioq_handle_close(handle);
    fclose(file);
}

static void queue_reads(unsigned int count)
{
    uintptr_t i;

    memset(buffers, 0, sizeof(buffers));
    for (i = 0; i < count; i++)
        ck_assert_int_eq(ioq_handle_read(handle, 0, buffers[i], BLOCK,
                                         (int64_t)(i * BLOCK), 0, (void *)i),
                         0);
}

static void submit_reads(void)
{
    queue_reads(COUNT);
    ck_assert_int_eq(ioq_handle_submit(handle), COUNT);
}

/* By a call of its own, or with the wait that check_reads begins with. */
static void hand_over(int with_the_wait)
{
    if (with_the_wait)
        queue_reads(COUNT);
    else
        submit_reads();
}

/* Each once, with its own bytes. */
static void check_reads(void)
{
    struct ioq_completion done[COUNT + 1];
    unsigned int seen = 0, i;
    int n = ioq_handle_wait(handle, done, COUNT, COUNT + 1, 20 * SECOND);

    ck_assert_int_eq(n, COUNT);
    for (i = 0; i < COUNT; i++) {
        uintptr_t number = (uintptr_t)done[i].user_data;

        ck_assert_int_eq(done[i].result, BLOCK);
        ck_assert_int_eq(buffers[number][BLOCK - 1], 'a' + (int)number);
        seen |= 1u << number;
    }
    ck_assert_uint_eq(seen, (1u << COUNT) - 1);
    ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT + 1), 0);
}

static struct ioq_stats stats(void)
{
    struct ioq_stats counters = {.size = sizeof(counters)};

    ck_assert_int_eq(ioq_handle_stats(handle, &counters), 0);
    return counters;
}

START_TEST(one_call_for_a_batch)
{
    open_handle(0);
    submit_reads();
    check_reads();
    ck_assert_uint_eq(script.calls, 1);
    ck_assert_uint_eq(stats().kernel_submits, 1);
}
END_TEST

/* Wherever they lie: the rings of 16 have no seam that would cut a batch. */
START_TEST(one_call_for_batches_of_any_size)
{
    struct ioq_completion done[COUNT];
    unsigned int round, size;

    open_handle(0);
    for (round = 1; round <= 50; round++) {
        size = 1 + round * 7 % COUNT;
        queue_reads(size);
        ck_assert_int_eq(ioq_handle_submit(handle), (int)size);
        ck_assert_uint_eq(script.calls, round);
        ck_assert_int_eq(ioq_handle_drain(handle, 20 * SECOND), 0);
        ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT), (int)size);
    }
}
END_TEST

/* It hands over what is queued, and waits for it, at once. */
START_TEST(one_call_for_a_batch_and_the_wait)
{
    unsigned int round;

    open_handle(0);
    for (round = 1; round <= 10; round++) {
        queue_reads(COUNT);
        check_reads();
        /* All of them are in the page cache, so one wait is enough. */
        ck_assert_uint_eq(script.calls, round);
    }
    ck_assert_uint_eq(stats().kernel_submits, 10);
    ck_assert_uint_eq(stats().kernel_reaps, 0);
}
END_TEST

/* If a completion is there already, nobody waits, and the rest goes out. */
START_TEST(held_no_longer_than_the_wait)
{
    struct pollfd fd = {.events = POLLIN};
    struct ioq_completion done[COUNT];
    int seen, n;

    open_handle(0);
    fd.fd = ioq_handle_fd(handle);
    queue_reads(1);
    ck_assert_int_eq(ioq_handle_submit(handle), 1);
    ck_assert_int_eq(poll(&fd, 1, 20000), 1);
    queue_reads(COUNT - 1);
    seen = ioq_handle_wait(handle, done, 1, COUNT, -1);
    ck_assert_uint_eq(script.calls, 2);
    for (; seen < (int)COUNT; seen += n) {
        ck_assert_int_eq(poll(&fd, 1, 20000), 1);
        n = ioq_handle_reap(handle, done, COUNT);
        ck_assert_int_ge(n, 0);
    }
    ck_assert_int_eq(seen, COUNT);
}
END_TEST

/* P50: what the call did not take is neither lost nor stranded. */
START_TEST(nothing_in_flight_and_no_room)
{
    static const int errors[] = {-EAGAIN, -EBUSY, -ENOMEM, -EINTR, -EPERM};
    unsigned int i;

    open_handle(0);
    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        script.error = errors[i];
        script.times = 10;
        hand_over(_i);
        check_reads();
        script.times = 0;
        hand_over(_i);
        check_reads();
    }
}
END_TEST

/* P49: a call that was interrupted may have done its work. */
START_TEST(interrupted_after_the_fact)
{
    open_handle(0);
    script.error = -EINTR;
    script.times = 1;
    script.after = true;
    hand_over(_i);
    check_reads();
    ck_assert_uint_eq(stats().succeeded[IOQ_KIND_READ], COUNT);
}
END_TEST

/* P1, P44, P51: the kernel takes a part of the batch, of every size. */
START_TEST(part_of_a_batch)
{
    unsigned int most;

    open_handle(0);
    for (most = 1; most < COUNT; most++) {
        script.most = most;
        hand_over(_i);
        check_reads();
    }
    ck_assert_uint_eq(stats().succeeded[IOQ_KIND_READ], COUNT * (COUNT - 1));
}
END_TEST

/* Flags that are optional are left out where the kernel is older. */
START_TEST(old_kernel_lacks_flags)
{
    script.refused_flags = IORING_SETUP_SUBMIT_ALL;
    open_handle(0);
    submit_reads();
    check_reads();
}
END_TEST

START_TEST(old_kernel_lacks_operations)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    options.engine = IOQ_ENGINE_URING;
    script.lacking = IORING_OP_READ;
    ck_assert_int_eq(ioq_handle_open(&options, &handle), -ENOSYS);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "another engine"));
    script.lacking = IORING_OP_URING_CMD;
    open_handle(0);
    submit_reads();
    check_reads();
}
END_TEST

/* With notification off the fd does not tell, but waiting works (P52). */
START_TEST(wait_and_drain_without_notification)
{
    uint32_t flags;

    for (flags = 0; flags <= IOQ_OPT_SHARED; flags += IOQ_OPT_SHARED) {
        struct ioq_completion done[COUNT];

        ioq_handle_close(handle);
        open_handle(flags);
        ck_assert_int_eq(ioq_handle_set_notify(handle, 0), 0);
        submit_reads();
        check_reads();
        submit_reads();
        ck_assert_int_eq(ioq_handle_drain(handle, 20 * SECOND), 0);
        ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT), COUNT);
    }
}
END_TEST

/* P52: switched off and on again, the fd tells of what ended meanwhile. */
START_TEST(no_stall_when_switched)
{
    struct pollfd fd = {.events = POLLIN};
    struct ioq_completion done[COUNT];
    unsigned int round, out;
    int n;

    open_handle(0);
    fd.fd = ioq_handle_fd(handle);
    for (round = 0; round < 20000; round++) {
        ck_assert_int_eq(ioq_handle_set_notify(handle, 0), 0);
        for (out = 0; out < 4; out++)
            ck_assert_int_eq(ioq_handle_read(handle, 0, buffers[out], BLOCK,
                                             out * BLOCK, 0, NULL),
                             0);
        ck_assert_int_eq(ioq_handle_submit(handle), 4);
        ck_assert_int_eq(ioq_handle_set_notify(handle, 1), 0);
        while (out > 0) {
            ck_assert_msg(poll(&fd, 1, 20000) == 1, "round %u stalls", round);
            n = ioq_handle_reap(handle, done, COUNT);
            ck_assert_int_ge(n, 0);
            out -= (unsigned int)n;
        }
    }
}
END_TEST

/* The child closes, and the parent's ring goes on. */
START_TEST(child_leaves_the_ring_alone)
{
    struct iovec memory = {buffers, sizeof(buffers)};
    int status;
    pid_t child;

    open_handle(0);
    ck_assert_int_eq(ioq_handle_register_memory(handle, &memory, 1), 0);
    submit_reads();
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int rc = ioq_handle_submit(handle);

        ioq_handle_close(handle);
        _exit(rc == -ECHILD ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    check_reads();
    submit_reads();
    check_reads();
}
END_TEST

static void read_registered(uint64_t length, int opcode)
{
    struct ioq_completion done;

    ck_assert_int_eq(
        ioq_handle_read(handle, 0, buffers[1], length, BLOCK, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_wait(handle, &done, 1, 1, 20 * SECOND), 1);
    ck_assert_int_eq(done.result, (int64_t)length);
    ck_assert_int_eq(script.opcode, opcode);
}

/* A read of nothing into registered memory is a bug of some kernels. */
START_TEST(empty_buffer_in_registered_memory)
{
    struct iovec memory = {buffers, sizeof(buffers)};

    open_handle(0);
    ck_assert_int_eq(ioq_handle_register_memory(handle, &memory, 1), 0);
    read_registered(BLOCK, IORING_OP_READ_FIXED);
    script.opcode = IORING_OP_READ;
    read_registered(0, IORING_OP_READ);
}
END_TEST

START_TEST(kernel_thread_submits)
{
    unsigned int i;

    open_handle(IOQ_OPT_SQPOLL);
    for (i = 0; i < 100; i++) {
        submit_reads();
        check_reads();
    }
}
END_TEST

/* Not every device can be polled; what cannot be is done all the same. */
START_TEST(polled_completions)
{
    open_handle(IOQ_OPT_IOPOLL);
    submit_reads();
    check_reads();
    ck_assert_int_eq(ioq_handle_flush(handle, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_drain(handle, 20 * SECOND), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uring");
    TCase *tcase = tcase_create("answers");

    if (ioq_engine_available(IOQ_ENGINE_URING) < 0)
        return skip_all(ioq_last_error());
    tcase_set_timeout(tcase, 100);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, one_call_for_a_batch);
    tcase_add_test(tcase, one_call_for_batches_of_any_size);
    tcase_add_test(tcase, one_call_for_a_batch_and_the_wait);
    tcase_add_test(tcase, held_no_longer_than_the_wait);
    tcase_add_loop_test(tcase, nothing_in_flight_and_no_room, 0, 2);
    tcase_add_loop_test(tcase, interrupted_after_the_fact, 0, 2);
    tcase_add_loop_test(tcase, part_of_a_batch, 0, 2);
    tcase_add_test(tcase, old_kernel_lacks_flags);
    tcase_add_test(tcase, old_kernel_lacks_operations);
    tcase_add_test(tcase, wait_and_drain_without_notification);
    tcase_add_test(tcase, no_stall_when_switched);
    tcase_add_test(tcase, child_leaves_the_ring_alone);
    tcase_add_test(tcase, empty_buffer_in_registered_memory);
    tcase_add_test(tcase, kernel_thread_submits);
    tcase_add_test(tcase, polled_completions);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
