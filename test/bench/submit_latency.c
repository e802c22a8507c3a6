/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long does a submit of 32 requests of 64 KiB hold its caller? The loops
 * that stand beside libioq's engines are the plain ones: io_submit(2), and
 * io_uring_enter(2) by liburing where that was there to build with.
 *
 *     submit_latency FOLDER [RUNS [NAME...]]
 *
 * FOLDER is on the file system in question. A run is 24 submits, each waited
 * for before the next, timed without the preparing; the longest of a run
 * counts. All take turns, run by run, so that a drift of the machine meets all
 * alike. Printed are, a column for each, the medians of the maxima in
 * microseconds; then the medians of all the submits; then how many in a hundred
 * requests libioq gave to its workers.
 * test/bench/submit_latency.sh runs it on ext4, xfs and btrfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <ioq/handle.h>
#include <libaio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#define BATCH 32u
#define LENGTH 65536u
#define SUBMITS 24u
#define FILE_BYTES ((off_t)BATCH * LENGTH * SUBMITS)
#define RUNS_MAX 101u

struct batch {
    int fd;
    bool read;
    off_t offsets[BATCH];
};

static char *buffers[BATCH];

static void die(const char *what, int error)
{
    fprintf(stderr, "submit_latency: %s: %s\n", what, strerror(error));
    exit(1);
}

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check_result(long result)
{
    if (result != LENGTH)
        die("a request", result < 0 ? (int)-result : EIO);
}

/* Subjects: each submits a batch, tells how long that took, waits for it. */

static double aio_batch(const struct batch *batch)
{
    static io_context_t context;
    struct iocb iocbs[BATCH], *pointers[BATCH];
    struct io_event events[BATCH];
    unsigned int i, done = 0;
    double begin, spent;

    if (!context && io_setup(BATCH, &context) < 0)
        die("io_setup", EAGAIN);
    for (i = 0; i < BATCH; i++) {
        pointers[i] = &iocbs[i];
        if (batch->read)
            io_prep_pread(&iocbs[i], batch->fd, buffers[i], LENGTH,
                          batch->offsets[i]);
        else
            io_prep_pwrite(&iocbs[i], batch->fd, buffers[i], LENGTH,
                           batch->offsets[i]);
    }
    begin = now_us();
    while (done < BATCH) {
        int n = io_submit(context, BATCH - done, pointers + done);

        if (n <= 0)
            die("io_submit", -n);
        done += (unsigned int)n;
    }
    spent = now_us() - begin;
    for (done = 0; done < BATCH;) {
        int n = io_getevents(context, 1, BATCH - done, events, NULL);

        for (i = 0; (int)i < n; i++)
            check_result((long)events[i].res);
        done += n > 0 ? (unsigned int)n : 0;
    }
    return spent;
}

#ifdef HAVE_LIBURING
static double uring_batch(const struct batch *batch)
{
    static struct io_uring ring;
    static bool open;
    struct io_uring_cqe *cqe;
    double begin, spent;
    unsigned int i;
    int n;

    if (!open && (n = io_uring_queue_init(BATCH, &ring, 0)) < 0)
        die("io_uring_queue_init", -n);
    open = true;
    for (i = 0; i < BATCH; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

        if (batch->read)
            io_uring_prep_read(sqe, batch->fd, buffers[i], LENGTH,
                               (uint64_t)batch->offsets[i]);
        else
            io_uring_prep_write(sqe, batch->fd, buffers[i], LENGTH,
                                (uint64_t)batch->offsets[i]);
    }
    begin = now_us();
    n = io_uring_submit(&ring);
    spent = now_us() - begin;
    if (n != BATCH)
        die("io_uring_submit", n < 0 ? -n : EIO);
    for (i = 0; i < BATCH; i++) {
        io_uring_wait_cqe(&ring, &cqe);
        check_result(cqe->res);
        io_uring_cqe_seen(&ring, cqe);
    }
    return spent;
}
#endif

static struct ioq_handle *handles[IOQ_ENGINE_THREADS + 1];
static int file_of[IOQ_ENGINE_THREADS + 1];

static void ioq_start(enum ioq_engine engine, int fd)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    int rc;

    options.engine = engine;
    rc = ioq_handle_open(&options, &handles[engine]);
    if (rc < 0)
        die(ioq_last_error(), -rc);
    file_of[engine] = ioq_handle_attach(handles[engine], fd, 0);
    if (file_of[engine] < 0)
        die(ioq_last_error(), -file_of[engine]);
}

static double ioq_batch(enum ioq_engine engine, const struct batch *batch)
{
    struct ioq_handle *handle = handles[engine];
    struct ioq_completion done[BATCH];
    double begin, spent;
    unsigned int i;
    int n;

    for (i = 0; i < BATCH; i++)
        if (batch->read)
            ioq_handle_read(handle, file_of[engine], buffers[i], LENGTH,
                            batch->offsets[i], 0, NULL);
        else
            ioq_handle_write(handle, file_of[engine], buffers[i], LENGTH,
                             batch->offsets[i], 0, NULL);
    begin = now_us();
    n = ioq_handle_submit(handle);
    spent = now_us() - begin;
    if (n != BATCH)
        die("ioq_handle_submit", EIO);
    n = ioq_handle_wait(handle, done, BATCH, BATCH, -1);
    if (n != BATCH)
        die("ioq_handle_wait", EIO);
    for (i = 0; i < BATCH; i++)
        check_result((long)done[i].result);
    return spent;
}

static double ioq_aio_batch(const struct batch *batch)
{
    return ioq_batch(IOQ_ENGINE_AIO, batch);
}

static double ioq_uring_batch(const struct batch *batch)
{
    return ioq_batch(IOQ_ENGINE_URING, batch);
}

static double ioq_threads_batch(const struct batch *batch)
{
    return ioq_batch(IOQ_ENGINE_THREADS, batch);
}

static const struct subject {
    const char *name;
    double (*batch)(const struct batch *batch);
    enum ioq_engine engine; /* AUTO: not libioq */
} subjects[] = {
    {"io_submit", aio_batch, IOQ_ENGINE_AUTO},
#ifdef HAVE_LIBURING
    {"io_uring", uring_batch, IOQ_ENGINE_AUTO},
#endif
    {"ioq-aio", ioq_aio_batch, IOQ_ENGINE_AIO},
    {"ioq-uring", ioq_uring_batch, IOQ_ENGINE_URING},
    {"ioq-threads", ioq_threads_batch, IOQ_ENGINE_THREADS},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static const struct situation {
    const char *name;
    bool read, direct, holes;
} situations[] = {
    {"cold buffered reads", true, false, false},
    {"buffered writes", false, false, false},
    {"O_DIRECT reads", true, true, false},
    {"O_DIRECT into holes", false, true, true},
    {"O_DIRECT overwrites", false, true, false},
};
#define SITUATIONS (sizeof(situations) / sizeof(situations[0]))

/* The file as it is to be before a run: written and cold, or one hole. */
static int make_file(const char *folder, const struct situation *situation)
{
    int fd, direct = situation->direct ? O_DIRECT : 0;
    char name[4096];
    off_t at;

    snprintf(name, sizeof(name), "%s/submit_latency.XXXXXX", folder);
    fd = mkstemp(name);
    if (fd < 0 || ftruncate(fd, FILE_BYTES) < 0)
        die(name, errno);
    for (at = 0; !situation->holes && at < FILE_BYTES; at += LENGTH)
        if (pwrite(fd, buffers[0], LENGTH, at) != LENGTH)
            die(name, errno);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    fd = open(name, O_RDWR | direct);
    if (fd < 0)
        die(name, errno);
    unlink(name);
    return fd;
}

static void shuffle(off_t *offsets, unsigned int count)
{
    unsigned int i;

    for (i = 0; i < count; i++)
        offsets[i] = (off_t)i * LENGTH;
    for (i = count - 1; i > 0; i--) {
        unsigned int j = (unsigned int)rand() % (i + 1);
        off_t other = offsets[j];

        offsets[j] = offsets[i];
        offsets[i] = other;
    }
}

static bool wanted(const struct subject *subject, char **names)
{
    if (subject->engine && ioq_engine_available(subject->engine) < 0)
        return false;
    if (!*names)
        return true;
    while (*names && strcmp(*names, subject->name) != 0)
        names++;
    return *names;
}

static uint64_t at_workers(enum ioq_engine engine)
{
    struct ioq_stats stats = {.size = sizeof(stats)};

    ioq_handle_stats(handles[engine], &stats);
    return stats.worker_busy + stats.worker_learned + stats.worker_copy +
           stats.worker_unable + stats.worker_short + stats.worker_misaligned;
}

struct result {
    double longest[RUNS_MAX];
    double all[RUNS_MAX * SUBMITS];
    double at_workers;
};

static struct result results[SITUATIONS][SUBJECTS];

static void run(const char *folder, const struct situation *situation,
                const struct subject *subject, unsigned int number,
                struct result *result)
{
    struct batch batch = {make_file(folder, situation), situation->read, {0}};
    off_t offsets[BATCH * SUBMITS];
    unsigned int i;

    shuffle(offsets, BATCH * SUBMITS);
    if (subject->engine)
        ioq_start(subject->engine, batch.fd);
    for (i = 0; i < SUBMITS; i++) {
        double spent;

        memcpy(batch.offsets, offsets + (size_t)i * BATCH,
               sizeof(batch.offsets));
        spent = subject->batch(&batch);
        result->all[number * SUBMITS + i] = spent;
        if (spent > result->longest[number])
            result->longest[number] = spent;
    }
    if (subject->engine) {
        result->at_workers += (double)at_workers(subject->engine);
        ioq_handle_close(handles[subject->engine]);
    }
    close(batch.fd);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *values, unsigned int count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static void measure(const char *folder, unsigned int situation,
                    unsigned int runs, char **names)
{
    unsigned int i, s;

    for (i = 0; i < runs; i++)
        for (s = 0; s < SUBJECTS; s++)
            if (wanted(&subjects[s], names))
                run(folder, &situations[situation], &subjects[s], i,
                    &results[situation][s]);
}

static double longest(struct result *result, unsigned int runs)
{
    return median(result->longest, runs);
}

static double usual(struct result *result, unsigned int runs)
{
    return median(result->all, runs * SUBMITS);
}

static double share_of_workers(struct result *result, unsigned int runs)
{
    return 100 * result->at_workers / runs / SUBMITS / BATCH;
}

static void print(const char *title,
                  double (*figure)(struct result *result, unsigned int runs),
                  unsigned int runs, char **names)
{
    unsigned int i, s;

    printf("%-24s", title);
    for (s = 0; s < SUBJECTS; s++)
        if (wanted(&subjects[s], names))
            printf("%13s", subjects[s].name);
    for (i = 0; i < SITUATIONS; i++) {
        printf("\n%-24s", situations[i].name);
        for (s = 0; s < SUBJECTS; s++)
            if (wanted(&subjects[s], names))
                printf("%13.0f", figure(&results[i][s], runs));
    }
    printf("\n\n");
}

int main(int argc, char **argv)
{
    unsigned int runs = argc > 2 ? (unsigned int)atoi(argv[2]) : 11, i;
    char **names;

    if (argc < 2 || runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: submit_latency FOLDER [RUNS [NAME...]]\n");
        return 2;
    }
    for (i = 0; i < BATCH; i++) {
        buffers[i] = aligned_alloc(4096, LENGTH);
        if (!buffers[i])
            die("memory", ENOMEM);
        memset(buffers[i], (int)i + 1, LENGTH);
    }
    names = argv + (argc > 3 ? 3 : argc);
    for (i = 0; i < SITUATIONS; i++)
        measure(argv[1], i, runs, names);
    print("longest, us", longest, runs, names);
    print("median, us", usual, runs, names);
    print("at workers, %", share_of_workers, runs, names);
    return 0;
}
