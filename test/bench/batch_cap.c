/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does one io_submit for a large batch cost speed against several smaller ones?
 * 4 KiB O_DIRECT reads in the loop of an emulator: poll, reap all, queue as
 * many, submit. Caps take turns, round by round, so that a drift of the
 * machine meets all alike; the median of the rounds is printed.
 *
 *     batch_cap random|sequential FILE [SECONDS_A_ROUND [ROUNDS]]
 *
 * A cap of 128 is none. At depth 32 it is the same as a cap of 32: what these
 * two rows differ by is noise, and so is any difference of that size.
 *
 * FILE is to be larger than any cache of the device, and without holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <ioq.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define DEPTH_MAX 128u
#define ROUNDS_MAX 51

struct request {
    struct iocb iocb;
    struct iovec iov;
};

static struct request requests[DEPTH_MAX];
static char (*buffers)[BLOCK];
static bool sequential;
static uint64_t state = 88172645463325252u;

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void read_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    (void)iocb;
    (void)opaque;
    if (ret == BLOCK)
        return;
    fprintf(stderr, "a read returned %zd\n", ret);
    exit(1);
}

static long long next_offset(uint64_t blocks)
{
    static uint64_t position;

    return (long long)((sequential ? position++ : random_number()) % blocks *
                       BLOCK);
}

/* Fills the queue up, with one ioq_submit for each cap requests. */
static void queue_reads(IOQueue *ioq, int fd, unsigned int cap, uint64_t blocks)
{
    struct iocb *iocb;

    while ((iocb = ioq_get_iocb(ioq))) {
        struct request *request = (struct request *)(void *)iocb;

        io_prep_preadv(iocb, fd, &request->iov, 1, next_offset(blocks));
        if (ioq_num_queued(ioq) == cap)
            ioq_submit(ioq);
    }
    if (ioq_num_queued(ioq) > 0)
        ioq_submit(ioq);
}

/* Returns reads per second. */
static double run(int fd, uint64_t blocks, unsigned int depth, unsigned int cap,
                  double seconds)
{
    double start, elapsed;
    uint64_t reads = 0;
    unsigned int i;
    IOQueue ioq;
    int rc = ioq_try_init(&ioq, fd, depth);

    if (rc < 0) {
        fprintf(stderr, "ioq_try_init: %s\n", strerror(-rc));
        exit(1);
    }
    for (i = 0; i < depth; i++) {
        requests[i].iov = (struct iovec){buffers[i], BLOCK};
        ioq_put_iocb(&ioq, &requests[i].iocb);
    }
    start = now();
    do {
        struct pollfd polled = {event_notifier_get_fd(ioq_get_notifier(&ioq)),
                                POLLIN, 0};

        queue_reads(&ioq, fd, cap, blocks);
        poll(&polled, 1, -1);
        event_notifier_test_and_clear(ioq_get_notifier(&ioq));
        reads += (uint64_t)ioq_run_completion(&ioq, read_done, NULL);
        elapsed = now() - start;
    } while (elapsed < seconds);
    ioq_cleanup(&ioq);
    return (double)reads / elapsed;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void compare(int fd, uint64_t blocks, unsigned int depth, double seconds,
                    int rounds)
{
    static const unsigned int caps[] = {1, 4, 8, 16, 32, DEPTH_MAX};
    enum { CAPS = sizeof(caps) / sizeof(caps[0]) };
    double rate[CAPS][ROUNDS_MAX];
    int round, i;

    for (round = 0; round < rounds; round++)
        for (i = 0; i < CAPS; i++) /* not always in the same order */
            rate[(i + round) % CAPS][round] =
                run(fd, blocks, depth, caps[(i + round) % CAPS], seconds);
    for (i = 0; i < CAPS; i++) {
        qsort(rate[i], (size_t)rounds, sizeof(double), ascending);
        printf("%5u %5u %9.0f %9.0f %9.0f\n", depth, caps[i],
               rate[i][rounds / 2], rate[i][0], rate[i][rounds - 1]);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    const char *pattern = argc > 2 ? argv[1] : "";
    double seconds = argc > 3 ? atof(argv[3]) : 1;
    int rounds = argc > 4 ? atoi(argv[4]) : 7;
    int fd = open(argc > 2 ? argv[2] : "", O_RDONLY | O_DIRECT | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

    sequential = strcmp(pattern, "sequential") == 0;
    if (size < BLOCK || rounds < 1 || rounds > ROUNDS_MAX ||
        (!sequential && strcmp(pattern, "random") != 0)) {
        fprintf(stderr, "usage: batch_cap random|sequential FILE "
                        "[SECONDS_A_ROUND [ROUNDS]]\n");
        return 1;
    }
    buffers = aligned_alloc(BLOCK, sizeof(*buffers) * DEPTH_MAX);
    if (!buffers)
        return 1;
    printf("%s reads of 4 KiB, each second\n", pattern);
    printf("depth   cap    median    lowest   highest\n");
    compare(fd, (uint64_t)size / BLOCK, 32, seconds, rounds);
    compare(fd, (uint64_t)size / BLOCK, DEPTH_MAX, seconds, rounds);
    free(buffers);
    close(fd);
    return 0;
}
