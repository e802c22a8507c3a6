/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does a request cost if it goes to one of 64 files, beside what it costs
 * if there is only one? 4 KiB reads, depth 128, in the loop of an emulator:
 * poll, reap all, queue as many, submit. Both take turns, round by round, so
 * that a drift of the machine meets both alike; medians are printed.
 *
 *     many_files FOLDER [REQUESTS_A_ROUND [ROUNDS [ENGINE [FILES]]]]
 *
 * The files are made in FOLDER: on tmpfs each read is a copy in memory (by
 * workers), on others O_DIRECT where they have it. What the library itself
 * costs is told best by counting instructions:
 *
 *     valgrind --tool=callgrind many_files FOLDER 20000 1 aio 64
 *     valgrind --tool=callgrind many_files FOLDER 20000 1 aio 1
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <ioq/handle.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS 64 /* of each file */
#define FILES 64
#define DEPTH 128
#define ROUNDS_MAX 101

static int fds[FILES];
static char (*buffers)[BLOCK];
static enum ioq_engine engine = IOQ_ENGINE_AIO;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "many_files: %s: %s\n", what, why);
    exit(1);
}

static uint64_t random_number(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double seconds(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_files(const char *folder)
{
    static char data[BLOCK * BLOCKS] __attribute__((aligned(BLOCK)));
    char path[4096];
    int i;

    for (i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/many_files.%d.%d", folder, getpid(),
                 i);
        fds[i] = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
        if (fds[i] < 0 && errno == EINVAL)
            fds[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fds[i] < 0)
            fail(path, strerror(errno));
        unlink(path);
        if (write(fds[i], data, sizeof(data)) != (ssize_t)sizeof(data) ||
            fsync(fds[i]) < 0)
            fail(path, strerror(errno));
    }
}

static void queue_read(struct ioq_handle *handle, unsigned int files,
                       void *buffer)
{
    uint64_t number = random_number();
    int file = (int)(number % files);
    int64_t offset = (int64_t)(number / FILES % BLOCKS) * BLOCK;

    if (ioq_handle_read(handle, file, buffer, BLOCK, offset, 0, buffer) < 0)
        fail("ioq_handle_read", ioq_last_error());
}

static struct ioq_handle *open_handle(unsigned int files)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle;
    unsigned int i;

    options.engine = engine;
    options.depth = DEPTH;
    if (ioq_handle_open(&options, &handle) < 0)
        fail("ioq_handle_open", ioq_last_error());
    for (i = 0; i < files; i++)
        if (ioq_handle_attach(handle, fds[i], 0) < 0)
            fail("ioq_handle_attach", ioq_last_error());
    return handle;
}

static void loop(struct ioq_handle *handle, unsigned int files, long requests)
{
    struct pollfd polled = {ioq_handle_fd(handle), POLLIN, 0};
    struct ioq_completion done[DEPTH];
    long queued = 0, ended = 0;
    int i, n;

    for (; queued < DEPTH; queued++)
        queue_read(handle, files, buffers[queued]);
    while (ended < requests) {
        ioq_handle_submit(handle);
        poll(&polled, 1, -1);
        n = ioq_handle_reap(handle, done, DEPTH);
        for (i = 0; i < n; i++) {
            if (done[i].result != BLOCK)
                fail("a read", strerror((int)-done[i].result));
            if (queued++ < requests)
                queue_read(handle, files, done[i].user_data);
        }
        ended += n;
    }
}

struct cost {
    double wall, cpu; /* ns a request */
};

static struct cost run(unsigned int files, long requests)
{
    struct ioq_handle *handle = open_handle(files);
    struct cost cost = {-seconds(CLOCK_MONOTONIC),
                        -seconds(CLOCK_THREAD_CPUTIME_ID)};

    loop(handle, files, requests);
    cost.wall += seconds(CLOCK_MONOTONIC);
    cost.cpu += seconds(CLOCK_THREAD_CPUTIME_ID);
    cost.wall *= 1e9 / (double)requests;
    cost.cpu *= 1e9 / (double)requests;
    ioq_handle_close(handle);
    return cost;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(double), ascending);
    return values[count / 2];
}

static void compare(long requests, int rounds)
{
    static const unsigned int files[] = {1, FILES};
    double wall[2][ROUNDS_MAX], cpu[2][ROUNDS_MAX];
    int round, i, which;

    for (round = 0; round < rounds; round++)
        for (i = 0; i < 2; i++) { /* not always in the same order */
            struct cost cost;

            which = (i + round) % 2;
            cost = run(files[which], requests);
            wall[which][round] = cost.wall;
            cpu[which][round] = cost.cpu;
        }
    printf("files   ns a request   of them CPU of the caller's thread\n");
    for (i = 0; i < 2; i++)
        printf("%5u %14.0f %15.0f\n", files[i], median(wall[i], rounds),
               median(cpu[i], rounds));
}

static enum ioq_engine engine_called(const char *name)
{
    int i;

    for (i = 0; ioq_engine_name((enum ioq_engine)i); i++)
        if (strcmp(name, ioq_engine_name((enum ioq_engine)i)) == 0)
            return (enum ioq_engine)i;
    fail(name, "no such engine");
    return IOQ_ENGINE_AUTO;
}

int main(int argc, char **argv)
{
    long requests = argc > 2 ? atol(argv[2]) : 1000000;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    unsigned int files = argc > 5 ? (unsigned int)atoi(argv[5]) : 0;

    if (argc < 2 || requests < DEPTH || rounds < 1 || rounds > ROUNDS_MAX ||
        files > FILES) {
        fprintf(stderr, "usage: many_files FOLDER [REQUESTS_A_ROUND "
                        "[ROUNDS [ENGINE [FILES]]]]\n");
        return 1;
    }
    if (argc > 4)
        engine = engine_called(argv[4]);
    buffers = aligned_alloc(BLOCK, sizeof(*buffers) * DEPTH);
    if (!buffers)
        return 1;
    make_files(argv[1]);
    if (files)
        run(files, requests);
    else
        compare(requests, rounds);
    free(buffers);
    return 0;
}
