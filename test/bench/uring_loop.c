/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the library cost on top of the kernel? Random reads of 4 KiB with
 * O_DIRECT, kept at a depth, by two loops written by hand on liburing and by
 * the engines of libioq.
 *
 *     uring_loop FILE [ROUNDS [REQUESTS]]
 *
 * FILE is a block device or a file of 64 MiB or more; nothing is written. All
 * take turns, round by round, so that a drift of the machine meets all alike.
 * Printed are medians: thousands of reads a second, and microseconds of CPU
 * time (user and system) for each read.
 */
#include <errno.h>
#include <fcntl.h>
#include <ioq/handle.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void loop(unsigned int flags, void (*set_up)(struct io_uring *),
                 void (*queue)(struct io_uring *, unsigned int))
{
    struct io_uring_cqe *cqes[DEPTH_MAX];
    unsigned int sent = 0, done = 0, n, i;
    struct io_uring ring;
    int rc = io_uring_queue_init(depth, &ring, flags);

    if (rc < 0)
        die("io_uring_queue_init", -rc);
    if (set_up)
        set_up(&ring);
    while (sent < depth)
        queue(&ring, sent++);
    while (done < requests) {
        rc = io_uring_submit_and_wait(&ring, 1);
        if (rc < 0)
            die("io_uring_submit_and_wait", -rc);
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
}

static void run_plain(void)
{
    loop(0, NULL, queue_plain);
}

static void run_tuned(void)
{
    loop(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
             IORING_SETUP_DEFER_TASKRUN,
         tune, queue_tuned);
}

/* libioq */

static void read_one(struct ioq_handle *handle, uintptr_t slot)
{
    int rc = ioq_handle_read(handle, 0, buffer_of((unsigned int)slot), BLOCK,
                             (int64_t)next_offset(), 0, (void *)slot);

    if (rc < 0)
        die(ioq_last_error(), -rc);
}

static void run_ioq(enum ioq_engine engine, bool registered)
{
    const struct iovec memory = {buffers, (size_t)DEPTH_MAX * BLOCK};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_completion done_now[DEPTH_MAX];
    unsigned int sent = 0, done = 0;
    struct ioq_handle *handle;
    int rc, n, i;

    options.engine = engine;
    options.depth = depth;
    rc = ioq_handle_open(&options, &handle);
    if (rc == 0)
        rc = ioq_handle_attach(handle, fd, 0);
    if (rc == 0 && registered)
        rc = ioq_handle_register_memory(handle, &memory, 1);
    if (rc == 0)
        rc = ioq_handle_set_notify(handle, 0);
    if (rc < 0)
        die(ioq_last_error(), -rc);
    while (sent < depth)
        read_one(handle, sent++);
    while (done < requests) {
        n = ioq_handle_wait(handle, done_now, 1, depth, -1);
        for (i = 0; i < n; i++) {
            check_result(done_now[i].result);
            if (sent++ < requests)
                read_one(handle, (uintptr_t)done_now[i].user_data);
        }
        done += (unsigned int)n;
    }
    ioq_handle_close(handle);
}

static void run_ioq_uring(void)
{
    run_ioq(IOQ_ENGINE_URING, false);
}

static void run_ioq_registered(void)
{
    run_ioq(IOQ_ENGINE_URING, true);
}

static void run_ioq_aio(void)
{
    run_ioq(IOQ_ENGINE_AIO, false);
}

static void run_ioq_threads(void)
{
    run_ioq(IOQ_ENGINE_THREADS, false);
}

static const struct subject {
    const char *name;
    void (*run)(void);
} subjects[] = {
    {"liburing, plain", run_plain},
    {"liburing, tuned", run_tuned},
    {"libioq, io_uring", run_ioq_uring},
    {"libioq, io_uring, registered", run_ioq_registered},
    {"libioq, aio", run_ioq_aio},
    {"libioq, threads", run_ioq_threads},
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

static double median(double *values, unsigned int count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static void compare_at(unsigned int at_depth, unsigned int rounds)
{
    static double rates[SUBJECTS][ROUNDS_MAX], cpus[SUBJECTS][ROUNDS_MAX];
    unsigned int round, i;

    depth = at_depth;
    for (round = 0; round < rounds; round++)
        for (i = 0; i < SUBJECTS; i++) {
            struct sample sample = measure(&subjects[i]);

            rates[i][round] = sample.rate;
            cpus[i][round] = sample.cpu;
        }
    printf("depth %-25u %10s %10s\n", depth, "1000/s", "us CPU");
    for (i = 0; i < SUBJECTS; i++)
        printf("%-31s %10.1f %10.2f\n", subjects[i].name,
               median(rates[i], rounds), median(cpus[i], rounds));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 9;
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
