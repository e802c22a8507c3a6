/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the library cost on top of the kernel? Random reads of 4 KiB with
 * O_DIRECT, kept at a depth, by loops written by hand on liburing and by the
 * engines of libioq: some wait in the call that submits, some poll an fd, as an
 * event loop does.
 *
 *     uring_loop FILE [ROUNDS [REQUESTS]]
 *
 * FILE is a block device or a file of 64 MiB or more; nothing is written. All
 * take turns, round by round, so that a drift of the machine meets all alike.
 * Printed are medians: thousands of reads a second; microseconds of CPU time,
 * user and system, for each read; and both by those of the plain loop of the
 * same round, the one that waits or the one that polls.
 */
#include <errno.h>
#include <fcntl.h>
#include <ioq/handle.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define DEPTH_MAX 128u
#define ROUNDS_MAX 101u

static int fd;
static uint64_t blocks;
static unsigned int depth;
static unsigned int requests = 40000;
static char *buffers;
static uint64_t seed = 88172645463325252;

struct sample {
    double rate, cpu;
};

static void die(const char *what, int error)
{
    fprintf(stderr, "uring_loop: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t next_offset(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % blocks * BLOCK;
}

static char *buffer_of(unsigned int slot)
{
    return buffers + (size_t)slot * BLOCK;
}

static void check_result(int64_t result)
{
    if (result != BLOCK)
        die("a read", result < 0 ? (int)-result : EIO);
}

/* The loop that a program has at first. */

static void queue_plain(struct io_uring *ring, unsigned int slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    io_uring_prep_read(sqe, fd, buffer_of(slot), BLOCK, next_offset());
    sqe->user_data = slot;
}

/* The same with all that liburing has to offer to a single thread. */
static void queue_tuned(struct io_uring *ring, unsigned int slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    io_uring_prep_read_fixed(sqe, 0, buffer_of(slot), BLOCK, next_offset(), 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = slot;
}

static void tune(struct io_uring *ring)
{
    struct iovec memory = {buffers, (size_t)DEPTH_MAX * BLOCK};

    if (io_uring_register_files(ring, &fd, 1) < 0 ||
        io_uring_register_buffers(ring, &memory, 1) < 0)
        die("io_uring_register", EINVAL);
}

static void poll_fd(int poll_fd)
{
    struct pollfd readable = {.fd = poll_fd, .events = POLLIN};

    if (poll(&readable, 1, -1) < 0)
        die("poll", errno);
}

static void clear(int event_fd)
{
    uint64_t count;

    if (read(event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        die("read", errno);
}

/* Submits, and sleeps until there is something to reap. */
static void submit_and_sleep(struct io_uring *ring, int event_fd)
{
    int rc = event_fd < 0 ? io_uring_submit_and_wait(ring, 1)
                          : io_uring_submit(ring);

    if (rc < 0)
        die("io_uring_submit", -rc);
    if (event_fd < 0)
        return;
    poll_fd(event_fd);
    clear(event_fd);
}

static int set_up_event_fd(struct io_uring *ring)
{
    int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), rc;

    if (event_fd < 0)
        die("eventfd", errno);
    rc = io_uring_register_eventfd(ring, event_fd);
    if (rc < 0)
        die("io_uring_register_eventfd", -rc);
    return event_fd;
}

static void loop(unsigned int flags, bool polls,
                 void (*set_up)(struct io_uring *),
                 void (*queue)(struct io_uring *, unsigned int))
{
    struct io_uring_cqe *cqes[DEPTH_MAX];
    unsigned int sent = 0, done = 0, n, i;
    struct io_uring ring;
    int rc = io_uring_queue_init(depth, &ring, flags), event_fd = -1;

    if (rc < 0)
        die("io_uring_queue_init", -rc);
    if (set_up)
        set_up(&ring);
    if (polls)
        event_fd = set_up_event_fd(&ring);
    while (sent < depth)
        queue(&ring, sent++);
    while (done < requests) {
        submit_and_sleep(&ring, event_fd);
        n = io_uring_peek_batch_cqe(&ring, cqes, depth);
        for (i = 0; i < n; i++) {
            check_result(cqes[i]->res);
            if (sent++ < requests)
                queue(&ring, (unsigned int)cqes[i]->user_data);
        }
        io_uring_cq_advance(&ring, n);
        done += n;
    }
    io_uring_queue_exit(&ring);
    if (polls)
        close(event_fd);
}

static void run_waiting(void)
{
    loop(0, false, NULL, queue_plain);
}

static void run_polling(void)
{
    loop(0, true, NULL, queue_plain);
}

static void run_tuned(void)
{
    loop(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
             IORING_SETUP_DEFER_TASKRUN,
         false, tune, queue_tuned);
}

/* libioq */

static void read_one(struct ioq_handle *handle, uintptr_t slot)
{
    int rc = ioq_handle_read(handle, 0, buffer_of((unsigned int)slot), BLOCK,
                             (int64_t)next_offset(), 0, (void *)slot);

    if (rc < 0)
        die(ioq_last_error(), -rc);
}

static struct ioq_handle *open_handle(enum ioq_engine engine, bool polls,
                                      bool registered)
{
    const struct iovec memory = {buffers, (size_t)DEPTH_MAX * BLOCK};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle;
    int rc;

    options.engine = engine;
    options.depth = depth;
    rc = ioq_handle_open(&options, &handle);
    if (rc == 0)
        rc = ioq_handle_attach(handle, fd, 0);
    if (rc == 0 && registered)
        rc = ioq_handle_register_memory(handle, &memory, 1);
    if (rc == 0 && !polls)
        rc = ioq_handle_set_notify(handle, 0);
    if (rc < 0)
        die(ioq_last_error(), -rc);
    return handle;
}

static unsigned int get_some(struct ioq_handle *handle, bool polls,
                             struct ioq_completion *ret)
{
    int rc;

    if (polls) {
        rc = ioq_handle_submit(handle);
        if (rc < 0)
            die(ioq_last_error(), -rc);
        poll_fd(ioq_handle_fd(handle));
        rc = ioq_handle_reap(handle, ret, DEPTH_MAX);
    } else {
        rc = ioq_handle_wait(handle, ret, 1, DEPTH_MAX, -1);
    }
    if (rc < 0)
        die(ioq_last_error(), -rc);
    return (unsigned int)rc;
}

static void run_ioq(enum ioq_engine engine, bool polls, bool registered)
{
    struct ioq_handle *handle = open_handle(engine, polls, registered);
    struct ioq_completion done_now[DEPTH_MAX];
    unsigned int sent = 0, done = 0, n, i;

    while (sent < depth)
        read_one(handle, sent++);
    while (done < requests) {
        n = get_some(handle, polls, done_now);
        for (i = 0; i < n; i++) {
            check_result(done_now[i].result);
            if (sent++ < requests)
                read_one(handle, (uintptr_t)done_now[i].user_data);
        }
        done += n;
    }
    ioq_handle_close(handle);
}

static void run_ioq_waiting(void)
{
    run_ioq(IOQ_ENGINE_URING, false, false);
}

static void run_ioq_polling(void)
{
    run_ioq(IOQ_ENGINE_URING, true, false);
}

static void run_ioq_registered(void)
{
    run_ioq(IOQ_ENGINE_URING, false, true);
}

static void run_ioq_polling_registered(void)
{
    run_ioq(IOQ_ENGINE_URING, true, true);
}

static void run_ioq_aio(void)
{
    run_ioq(IOQ_ENGINE_AIO, true, false);
}

static void run_ioq_threads(void)
{
    run_ioq(IOQ_ENGINE_THREADS, true, false);
}

static const struct subject {
    const char *name;
    void (*run)(void);
    unsigned int plain; /* number of the subject to compare it with */
} subjects[] = {
    {"liburing, waits", run_waiting, 0},
    {"liburing, polls", run_polling, 1},
    {"liburing, tuned, waits", run_tuned, 0},
    {"libioq, waits", run_ioq_waiting, 0},
    {"libioq, polls", run_ioq_polling, 1},
    {"libioq, registered, waits", run_ioq_registered, 0},
    {"libioq, registered, polls", run_ioq_polling_registered, 1},
    {"libioq, aio, polls", run_ioq_aio, 1},
    {"libioq, threads, polls", run_ioq_threads, 1},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static double seconds(struct timespec time)
{
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sample measure(const struct subject *subject)
{
    struct timespec begin, end, cpu_begin, cpu_end;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_begin);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    subject->run();
    clock_gettime(CLOCK_MONOTONIC, &end);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_end);
    return (struct sample){
        requests / 1e3 / (seconds(end) - seconds(begin)),
        (seconds(cpu_end) - seconds(cpu_begin)) * 1e6 / requests,
    };
}

static int compare(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static double median(const double *values, unsigned int count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), compare);
    return sorted[count / 2];
}

static double median_ratio(const double *values, const double *plain,
                           unsigned int count)
{
    double ratios[ROUNDS_MAX];
    unsigned int i;

    for (i = 0; i < count; i++)
        ratios[i] = values[i] / plain[i];
    return median(ratios, count);
}

/* Who comes i-th in a round. Not always behind the same one. */
static unsigned int turn(unsigned int round, unsigned int i)
{
    unsigned int s = (i + round) % SUBJECTS;

    return round % 2 ? SUBJECTS - 1 - s : s;
}

static void compare_at(unsigned int at_depth, unsigned int rounds)
{
    static double rates[SUBJECTS][ROUNDS_MAX], cpus[SUBJECTS][ROUNDS_MAX];
    unsigned int round, i;

    depth = at_depth;
    for (round = 0; round < rounds; round++)
        for (i = 0; i < SUBJECTS; i++) {
            unsigned int s = turn(round, i);
            struct sample sample = measure(&subjects[s]);

            rates[s][round] = sample.rate;
            cpus[s][round] = sample.cpu;
        }
    printf("depth %-20u %8s %8s %8s %8s\n", depth, "1000/s", "us CPU", "rate",
           "CPU");
    for (i = 0; i < SUBJECTS; i++) {
        unsigned int plain = subjects[i].plain;

        printf("%-26s %8.1f %8.2f %8.2f %8.2f\n", subjects[i].name,
               median(rates[i], rounds), median(cpus[i], rounds),
               median_ratio(rates[i], rates[plain], rounds),
               median_ratio(cpus[i], cpus[plain], rounds));
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 15;
    off_t length;

    if (argc > 3)
        requests = (unsigned int)atoi(argv[3]);
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX || requests < DEPTH_MAX) {
        fprintf(stderr, "usage: uring_loop FILE [ROUNDS [REQUESTS]]\n");
        return 1;
    }
    fd = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        die(argv[1], errno);
    length = lseek(fd, 0, SEEK_END);
    blocks = (uint64_t)length / BLOCK;
    if (blocks < (64u << 20) / BLOCK)
        die("the file is too small", EINVAL);
    buffers = aligned_alloc(BLOCK, (size_t)DEPTH_MAX * BLOCK);
    if (!buffers)
        die("buffers", ENOMEM);
    memset(buffers, 0, (size_t)DEPTH_MAX * BLOCK);
    compare_at(32, rounds);
    compare_at(128, rounds);
    return 0;
}
