/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the io_uring engine makes of each answer to its system call. The linker
 * puts these functions before liburing's; the ring behind them is real.
 */
#include <check.h>
#include <errno.h>
#include <ioq/handle.h>
#include <liburing.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/runner.h"
#include "engine.h"

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

int __real_io_uring_register(unsigned int fd, unsigned int opcode,
                             const void *argument, unsigned int count);
int __wrap_io_uring_register(unsigned int fd, unsigned int opcode,
                             const void *argument, unsigned int count);
unsigned int __real_io_uring_peek_batch_cqe(struct io_uring *ring,
                                            struct io_uring_cqe **cqes,
                                            unsigned int count);
unsigned int __wrap_io_uring_peek_batch_cqe(struct io_uring *ring,
                                            struct io_uring_cqe **cqes,
                                            unsigned int count);

static struct {
    int error;                 /* what the next calls return */
    unsigned int times;        /* how many of them */
    bool after;                /* once the kernel has taken the batch */
    unsigned int most;         /* entries that the kernel takes; 0 for all */
    unsigned int calls;        /* that had something to hand over */
    bool waited;               /* the last of them */
    struct io_uring_sqe entry; /* the last batch's first */
    int refusal;               /* of the set-up */
    uint32_t refused_flags;    /* of it */
    uint32_t lacking_features; /* which it does not report */
    int lacking;               /* an opcode; 0 for none */
    bool no_file_table;
    bool late;             /* no completion is seen for now */
    int result;            /* of completions, instead of their own */
    unsigned int results;  /* how many of them */
    struct io_uring *ring; /* the last one that was set up */
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

    if (sq->sqe_tail != *sq->khead) {
        script.calls++;
        script.waited = call->waits;
        script.entry = sq->sqes[*sq->khead & sq->ring_mask];
    }
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
    int rc;

    if (script.refusal)
        return script.refusal;
    if (params->flags & script.refused_flags)
        return -EINVAL;
    rc = __real_io_uring_queue_init_params(entries, ring, params);
    ring->features &= ~script.lacking_features;
    script.ring = ring;
    return rc;
}

struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
    struct io_uring_probe *probe = __real_io_uring_get_probe_ring(ring);

    if (probe && script.lacking)
        probe->ops[script.lacking].flags = 0;
    return probe;
}

int __wrap_io_uring_register(unsigned int fd, unsigned int opcode,
                             const void *argument, unsigned int count)
{
    if (opcode == IORING_REGISTER_FILES2 && script.no_file_table)
        return -EINVAL;
    return __real_io_uring_register(fd, opcode, argument, count);
}

unsigned int __wrap_io_uring_peek_batch_cqe(struct io_uring *ring,
                                            struct io_uring_cqe **cqes,
                                            unsigned int count)
{
    unsigned int n, i;

    if (script.late)
        return 0;
    n = __real_io_uring_peek_batch_cqe(ring, cqes, count);
    for (i = 0; i < n && script.results > 0; i++, script.results--)
        cqes[i]->res = script.result;
    return n;
}

static struct ioq_handle *handle;
static FILE *file;
static int event_fd; /* of an engine without a handle */
static char buffers[COUNT][BLOCK];

static void open_deep(uint32_t depth, uint32_t flags)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    int rc;

    options.engine = IOQ_ENGINE_URING;
    options.depth = depth;
    options.max_segments = 1;
    options.flags = flags;
    rc = ioq_handle_open(&options, &handle);
    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    ck_assert_int_eq(ioq_handle_attach(handle, fileno(file), 0), 0);
}

static void open_handle(uint32_t flags)
{
    open_deep(COUNT, flags);
}

static void set_up(void)
{
    unsigned int i;

    memset(&script, 0, sizeof(script));
    handle = NULL;
    file = tmpfile();
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(event_fd, 0);
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
    close(event_fd);
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

/* Each once, with its own bytes. */
static void check_results(const struct ioq_completion *done)
{
    unsigned int seen = 0, i;

    for (i = 0; i < COUNT; i++) {
        uintptr_t number = (uintptr_t)done[i].user_data;

        ck_assert_int_eq(done[i].result, BLOCK);
        ck_assert_int_eq(buffers[number][BLOCK - 1], 'a' + (int)number);
        seen |= 1u << number;
    }
    ck_assert_uint_eq(seen, (1u << COUNT) - 1);
}

static void check_reads(void)
{
    struct ioq_completion done[COUNT + 1];
    int n = ioq_handle_wait(handle, done, COUNT, COUNT + 1, 20 * SECOND);

    ck_assert_int_eq(n, COUNT);
    check_results(done);
    ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT + 1), 0);
}

/* As an event loop, which looks only when the fd tells it to. */
static void poll_and_check_reads(void)
{
    struct pollfd fd = {.fd = ioq_handle_fd(handle), .events = POLLIN};
    struct ioq_completion done[COUNT + 1];
    unsigned int seen = 0;
    int n;

    while (seen < COUNT) {
        do {
            n = poll(&fd, 1, 20000);
        } while (n < 0 && errno == EINTR);
        ck_assert_msg(n == 1, "stalls after %u", seen);
        n = ioq_handle_reap(handle, done + seen, COUNT + 1 - seen);
        ck_assert_int_ge(n, 0);
        seen += (unsigned int)n;
    }
    ck_assert_uint_eq(seen, COUNT);
    check_results(done);
}

/* The ways to hand over a batch and to learn what became of it. */
enum way { SUBMIT_AND_WAIT, WAIT_ALONE, SUBMIT_AND_POLL, WAYS };

static void read_all(int way)
{
    if (way == WAIT_ALONE)
        queue_reads(COUNT);
    else
        submit_reads();
    if (way == SUBMIT_AND_POLL)
        poll_and_check_reads();
    else
        check_reads();
}

static struct ioq_stats stats(void)
{
    struct ioq_stats counters = {.size = sizeof(counters)};

    ck_assert_int_eq(ioq_handle_stats(handle, &counters), 0);
    return counters;
}

/* Until the handle knows that reads of this file do not sleep. */
static void open_and_warm_up(void)
{
    uint64_t before, learned = 0;

    open_handle(0);
    do {
        before = learned;
        submit_reads();
        check_reads();
        learned = stats().worker_learned;
    } while (learned > before);
    script.calls = 0;
}

START_TEST(one_call_for_a_batch)
{
    struct ioq_stats before;

    open_and_warm_up();
    before = stats();
    submit_reads();
    check_reads();
    ck_assert_uint_eq(script.calls, 1);
    ck_assert_uint_eq(stats().kernel_submits - before.kernel_submits, 1);
}
END_TEST

/* Wherever they lie: the rings of 16 have no seam that would cut a batch. */
START_TEST(one_call_for_batches_of_any_size)
{
    struct ioq_completion done[COUNT];
    unsigned int round, size;

    open_and_warm_up();
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
    struct ioq_stats before;
    unsigned int round;

    open_and_warm_up();
    before = stats();
    for (round = 1; round <= 10; round++) {
        queue_reads(COUNT);
        check_reads();
        ck_assert_uint_eq(script.calls, round);
        ck_assert(script.waited);
    }
    ck_assert_uint_eq(stats().kernel_submits - before.kernel_submits, 10);
    ck_assert_uint_eq(stats().worker_learned, before.worker_learned);
}
END_TEST

/*
 * If a completion is there already, nobody waits, and the rest goes out; if the
 * kernel does not want it, by another way.
 */
START_TEST(held_no_longer_than_the_wait)
{
    struct pollfd fd = {.events = POLLIN};
    struct ioq_completion done[COUNT];
    int seen, n;

    open_and_warm_up();
    fd.fd = ioq_handle_fd(handle);
    queue_reads(1);
    ck_assert_int_eq(ioq_handle_submit(handle), 1);
    ck_assert_int_eq(poll(&fd, 1, 20000), 1);
    script.error = -EBUSY;
    script.times = _i ? 10 : 0;
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

/* What is left over for want of room is told of. */
START_TEST(more_than_there_is_room_for)
{
    struct ioq_completion done[COUNT];
    struct pollfd fd = {.events = POLLIN};
    int seen, n;

    open_and_warm_up();
    fd.fd = ioq_handle_fd(handle);
    script.late = true;
    submit_reads();
    script.late = false;
    for (seen = 0; seen < (int)COUNT; seen += n) {
        ck_assert_msg(poll(&fd, 1, 20000) == 1, "stalls after %d", seen);
        n = ioq_handle_reap(handle, done, 3);
        ck_assert_int_ge(n, 0);
    }
    ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT), 0);
}
END_TEST

/* P50: what the call did not take is neither lost nor stranded. */
START_TEST(nothing_in_flight_and_no_room)
{
    static const int errors[] = {-EAGAIN, -EBUSY, -ENOMEM, -EINTR, -EPERM};
    unsigned int i;

    open_and_warm_up();
    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        script.error = errors[i];
        script.times = 10;
        read_all(_i);
        script.times = 0;
        read_all(_i);
    }
}
END_TEST

/* P49: a call that was interrupted may have done its work. */
START_TEST(interrupted_after_the_fact)
{
    uint64_t reads;

    open_and_warm_up();
    reads = stats().succeeded[IOQ_KIND_READ];
    script.error = -EINTR;
    script.times = 1;
    script.after = true;
    read_all(_i);
    ck_assert_uint_eq(stats().succeeded[IOQ_KIND_READ], reads + COUNT);
}
END_TEST

/* P1, P44, P51: the kernel takes a part of the batch, of every size. */
START_TEST(part_of_a_batch)
{
    unsigned int most;

    open_and_warm_up();
    for (most = 1; most < COUNT; most++) {
        script.most = most;
        read_all(_i);
    }
}
END_TEST

/* Whoever refuses, the words name the remedy; here and where one only asks. */
START_TEST(refusals_name_the_remedy)
{
    static const struct {
        int error;
        const char *word;
    } refusals[] = {
        {-ENOSYS, "another engine"}, {-EPERM, "seccomp"},
        {-EACCES, "seccomp"},        {-ENOMEM, "RLIMIT_MEMLOCK"},
        {-EMFILE, "RLIMIT_NOFILE"},  {-ENFILE, "Too many open files"},
    };
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int i;

    options.engine = IOQ_ENGINE_URING;
    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        script.refusal = refusals[i].error;
        ck_assert_int_eq(ioq_handle_open(&options, &handle), script.refusal);
        ck_assert_ptr_nonnull(strstr(ioq_last_error(), refusals[i].word));
        ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_URING),
                         script.refusal);
        ck_assert_ptr_nonnull(strstr(ioq_last_error(), refusals[i].word));
        ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AUTO), 0);
    }
    ck_assert_ptr_null(handle);
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

/* Without a wait that has a time limit, one waits on the fd. */
START_TEST(old_kernel_cannot_wait_for_a_time)
{
    unsigned int round;

    script.lacking_features = IORING_FEAT_EXT_ARG;
    open_handle(0);
    for (round = 0; round < 10; round++) {
        read_all(_i);
    }
}
END_TEST

/* Linux before 5.19 has no table of files that begins empty. */
START_TEST(old_kernel_lacks_file_tables)
{
    script.no_file_table = true;
    open_handle(0);
    submit_reads();
    check_reads();
    ck_assert_uint_eq(script.entry.flags & IOSQE_FIXED_FILE, 0);
    ck_assert_int_eq(script.entry.fd, fileno(file));
    ck_assert_int_eq(ioq_handle_detach(handle, 0), 0);
}
END_TEST

/* P24: what is no answer is asked again, by a worker; P22: a part, too. */
START_TEST(strange_results)
{
    static const int results[] = {-EAGAIN,     -EINTR,    -ENOMEM, -ECANCELED,
                                  -EOPNOTSUPP, BLOCK / 2, 1,       0};
    unsigned int i;

    for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        script.results = 0;
        ioq_handle_close(handle);
        open_and_warm_up();
        script.result = results[i];
        script.results = COUNT;
        submit_reads();
        check_reads();
        ck_assert_uint_eq(script.results, 0);
    }
}
END_TEST

/* Errors reach the requests that they are of, and no others. */
START_TEST(errors_are_passed_on)
{
    struct ioq_completion done[COUNT];
    unsigned int i, failed = 0;

    open_and_warm_up();
    script.result = -EIO;
    script.results = 3;
    submit_reads();
    ck_assert_int_eq(ioq_handle_wait(handle, done, COUNT, COUNT, 20 * SECOND),
                     COUNT);
    for (i = 0; i < COUNT; i++) {
        failed += done[i].result == -EIO;
        ck_assert(done[i].result == -EIO || done[i].result == BLOCK);
    }
    ck_assert_uint_eq(failed, 3);
}
END_TEST

/* P42: as deep as asked for, to the request. P53: one wake-up for all. */
START_TEST(as_deep_as_was_asked_for)
{
    static const unsigned int depths[] = {1, 100, 600};
    unsigned int depth = depths[_i], i;
    struct pollfd fd = {.events = POLLIN};
    struct ioq_completion done[600];

    open_deep(depth, 0);
    fd.fd = ioq_handle_fd(handle);
    for (i = 0; i < depth; i++)
        ck_assert_int_eq(ioq_handle_read(handle, 0, buffers, 1, 0, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_read(handle, 0, buffers, 1, 0, 0, NULL),
                     -EAGAIN);
    ck_assert_int_eq(ioq_handle_submit(handle), (int)depth);
    ck_assert_int_eq(ioq_handle_drain(handle, 60 * SECOND), 0);
    ck_assert_int_eq(poll(&fd, 1, 0), 1);
    ck_assert_int_eq(ioq_handle_reap(handle, done, 600), (int)depth);
}
END_TEST

static void ignore(int signal)
{
    (void)signal;
}

/* P39, P49: signals that end each sleep change nothing. */
START_TEST(storm_of_signals)
{
    const struct itimerval storm = {{0, 100}, {0, 100}},
                           none = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = ignore};
    unsigned int round;

    open_handle(0);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &storm, NULL), 0);
    for (round = 0; round < 1000; round++) {
        read_all(_i);
    }
    setitimer(ITIMER_REAL, &none, NULL);
    ck_assert_uint_eq(stats().succeeded[IOQ_KIND_READ], 1000 * COUNT);
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
    ck_assert_int_eq(script.entry.opcode, opcode);
}

/* A read of nothing into registered memory is a bug of some kernels. */
START_TEST(empty_buffer_in_registered_memory)
{
    struct iovec memory = {buffers, sizeof(buffers)};

    open_handle(0);
    ck_assert_int_eq(ioq_handle_register_memory(handle, &memory, 1), 0);
    read_registered(BLOCK, IORING_OP_READ_FIXED);
    script.entry.opcode = IORING_OP_READ_FIXED;
    read_registered(0, IORING_OP_READ);
}
END_TEST

static struct ioq__engine *open_engine(unsigned int depth,
                                       struct ioq__file *target)
{
    const struct ioq__engine_params params = {
        .depth = depth, .files = 1, .event_fd = event_fd};
    struct ioq__engine *engine;
    int rc = ioq__engine_uring.open(&params, &engine);

    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    *target = (struct ioq__file){.fd = fileno(file), .direct = true};
    ck_assert_int_eq(ioq__engine_uring.attach(engine, target), 0);
    return engine;
}

static void close_engine(struct ioq__engine *engine, struct ioq__file *target)
{
    ioq__engine_uring.detach(engine, target);
    ioq__engine_uring.close(engine, false);
}

/* Takes all there is, some at a time; each is marked by what it read. */
static void reap_all(struct ioq__engine *engine, unsigned int count)
{
    struct ioq__attempt attempts[32];
    unsigned int n, i;

    for (; count > 0; count -= n) {
        n = ioq__engine_uring.reap(engine, attempts, 32);
        ck_assert_uint_le(n, count);
        if (n == 0)
            ioq__engine_uring.wait(engine, SECOND);
        for (i = 0; i < n; i++) {
            ck_assert_int_eq(attempts[i].result, 1);
            ck_assert_uint_eq(attempts[i].request->done++, 0);
        }
    }
    ck_assert_uint_eq(ioq__engine_uring.reap(engine, attempts, 32), 0);
}

/*
 * Completions of all that may be out have room, so that none can overflow. P51:
 * 40000 entries are more than the ring has, which cuts the batch, and leaves
 * nothing behind.
 */
START_TEST(room_for_all)
{
    static const unsigned int depths[] = {1, 100, 600, 40000};
    struct iovec iov = {buffers, 1};
    unsigned int depth = depths[_i], i;
    struct ioq__request *requests = calloc(depth, sizeof(*requests));
    struct ioq__request **batch = calloc(depth, sizeof(struct ioq__request *));
    struct ioq__file target;
    struct ioq__engine *engine = open_engine(depth, &target);

    ck_assert(requests && batch);
    for (i = 0; i < depth; i++) {
        requests[i] = (struct ioq__request){
            .file = &target, .iov = &iov, .iovcnt = 1, .length = 1};
        batch[i] = &requests[i];
    }
    ck_assert_uint_eq(ioq__engine_uring.submit(engine, batch, depth), depth);
    ck_assert_uint_eq(script.calls, depth > 32768 ? 2 : 1);
    ck_assert_uint_eq(ioq__engine_uring.in_flight(engine), depth);
    ck_assert_uint_ge(script.ring->cq.ring_entries, depth);
    ck_assert_uint_eq(*script.ring->cq.koverflow, 0);
    reap_all(engine, depth);
    close_engine(engine, &target);
    free(requests);
    free(batch);
}
END_TEST

/* One request, as the handle would hand it to the engine. */
static struct io_uring_sqe entry_of(struct ioq__engine *engine,
                                    struct ioq__request *request)
{
    struct ioq__attempt attempt;

    ck_assert_uint_eq(ioq__engine_uring.submit(engine, &request, 1), 1);
    while (ioq__engine_uring.reap(engine, &attempt, 1) == 0)
        ioq__engine_uring.wait(engine, SECOND);
    ck_assert_ptr_eq(attempt.request, request);
    ck_assert_uint_eq(script.entry.user_data, (uintptr_t)request);
    return script.entry;
}

/* P41: each flag gets there, with each of the others. */
static void check_entries(struct ioq__engine *engine, struct ioq__file *target,
                          bool fixed)
{
    struct iovec iov = {buffers, BLOCK};
    unsigned int kind, nowait, fua;

    for (kind = IOQ_KIND_READ; kind <= IOQ_KIND_WRITE; kind++)
        for (nowait = 0; nowait < 2; nowait++)
            for (fua = 0; fua < 2; fua++) {
                struct ioq__request request = {
                    .file = target,
                    .iov = &iov,
                    .iovcnt = 1,
                    .kind = (uint8_t)kind,
                    .nowait = nowait,
                    .flags = fua ? IOQ_F_FUA : 0,
                    .length = BLOCK,
                };
                struct io_uring_sqe entry = entry_of(engine, &request);

                ck_assert_uint_eq(entry.opcode, kind == IOQ_KIND_READ
                                                    ? IORING_OP_READ
                                                    : IORING_OP_WRITE);
                ck_assert_uint_eq(entry.flags, fixed ? IOSQE_FIXED_FILE : 0);
                ck_assert_int_eq(entry.rw_flags, (nowait ? RWF_NOWAIT : 0) |
                                                     (fua ? RWF_DSYNC : 0));
            }
}

START_TEST(flags_of_entries)
{
    struct ioq__request flush = {.kind = IOQ_KIND_FLUSH};
    struct io_uring_sqe entry;
    struct ioq__file target;
    struct ioq__engine *engine;

    script.no_file_table = _i;
    engine = open_engine(4, &target);
    check_entries(engine, &target, !_i);
    flush.file = &target;
    entry = entry_of(engine, &flush);
    ck_assert_uint_eq(entry.opcode, IORING_OP_FSYNC);
    ck_assert_uint_eq(entry.fsync_flags, IORING_FSYNC_DATASYNC);
    ck_assert_uint_eq(entry.flags, _i ? 0 : IOSQE_FIXED_FILE);
    close_engine(engine, &target);
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
    tcase_add_loop_test(tcase, held_no_longer_than_the_wait, 0, 2);
    tcase_add_test(tcase, more_than_there_is_room_for);
    tcase_add_loop_test(tcase, nothing_in_flight_and_no_room, 0, WAYS);
    tcase_add_loop_test(tcase, interrupted_after_the_fact, 0, WAYS);
    tcase_add_loop_test(tcase, part_of_a_batch, 0, WAYS);
    tcase_add_test(tcase, refusals_name_the_remedy);
    tcase_add_test(tcase, old_kernel_lacks_flags);
    tcase_add_test(tcase, old_kernel_lacks_operations);
    tcase_add_loop_test(tcase, old_kernel_cannot_wait_for_a_time, 0, WAYS);
    tcase_add_test(tcase, old_kernel_lacks_file_tables);
    tcase_add_test(tcase, strange_results);
    tcase_add_test(tcase, errors_are_passed_on);
    tcase_add_loop_test(tcase, as_deep_as_was_asked_for, 0, 3);
    tcase_add_loop_test(tcase, room_for_all, 0, 4);
    tcase_add_loop_test(tcase, storm_of_signals, 0, WAYS);
    tcase_add_loop_test(tcase, flags_of_entries, 0, 2);
    tcase_add_test(tcase, wait_and_drain_without_notification);
    tcase_add_test(tcase, no_stall_when_switched);
    tcase_add_test(tcase, child_leaves_the_ring_alone);
    tcase_add_test(tcase, empty_buffer_in_registered_memory);
    tcase_add_test(tcase, kernel_thread_submits);
    tcase_add_test(tcase, polled_completions);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
