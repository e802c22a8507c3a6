/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options, ioq_handle_open and ioq_handle_close. */
#include "contract.h"

#include <fcntl.h>
#include <sys/resource.h>

static int open_result(const struct ioq_options *options)
{
    struct ioq_handle *handle = NULL;
    int rc, tries = 0;

    /* Others may have used fs.aio-max-nr up for a moment. */
    while ((rc = ioq_handle_open(options, &handle)) == -EAGAIN &&
           options->depth < 65536 && tries++ < 1000)
        usleep(10000);
    if (rc == 0)
        ioq_handle_close(handle);
    else
        MUST(handle == NULL, "a handle in spite of the error");
    return rc;
}

/*
 * "Opens a handle." "Returns 0 and the handle, which the caller closes"
 * "sizeof(struct ioq_options)" "enum ioq_engine"
 */
TEST(open_gives_a_handle, "")
{
    struct ioq_options options = engine_options(8, 0);
    struct ioq_handle *handle = patient_open(&options);

    ck_assert_ptr_nonnull(handle);
    ioq_handle_close(handle);
}

/* "options may be NULL for the defaults." */
TEST(open_takes_no_options, "io_setup io_submit io_getevents io_destroy "
                            "io_uring_setup io_uring_enter io_uring_register")
{
    struct ioq_handle *handle = patient_open(NULL);

    ck_assert_int_ne(ioq_handle_engine(handle), IOQ_ENGINE_AUTO);
    ioq_handle_close(handle);
}

/* Queues flushes until one is refused. */
static unsigned int depth_of(struct rig *rig)
{
    unsigned int n = 0;

    while (ioq_handle_flush(rig->handle, rig->file, 0, NULL) == 0)
        n++;
    return n;
}

/* "requests at a time; 128 by default" */
TEST(open_depth_is_128_by_default, "")
{
    struct rig rig;

    rig_open(&rig, 0, 0);
    ck_assert_uint_eq(depth_of(&rig), 128);
    rig_close(&rig);
    rig_open(&rig, 7, 0);
    ck_assert_uint_eq(depth_of(&rig), 7);
    rig_close(&rig);
}

/* "iovecs in one request; 128 by default" */
TEST(open_max_segments_is_128_by_default, "")
{
    struct ioq_options options = engine_options(8, 0);
    struct iovec iov[129];
    struct rig rig;
    int i;

    rig_open_with(&rig, &options);
    for (i = 0; i < 129; i++)
        iov[i] = (struct iovec){rig.buf + i * BLOCK, BLOCK};
    ck_assert_int_eq(
        ioq_handle_readv(rig.handle, rig.file, iov, 128, 0, 0, NULL), 0);
    ck_assert_int_eq(
        ioq_handle_readv(rig.handle, rig.file, iov, 129, 0, 0, NULL), -E2BIG);
    ck_assert_int_eq(result_of(&rig, NULL), 128 * BLOCK);
    rig_close(&rig);

    options.max_segments = 2;
    rig_open_with(&rig, &options);
    for (i = 0; i < 3; i++)
        iov[i] = (struct iovec){rig.buf + i * BLOCK, BLOCK};
    ck_assert_int_eq(ioq_handle_readv(rig.handle, rig.file, iov, 2, 0, 0, NULL),
                     0);
    ck_assert_int_eq(ioq_handle_readv(rig.handle, rig.file, iov, 3, 0, 0, NULL),
                     -E2BIG);
    ck_assert_int_eq(result_of(&rig, NULL), 2 * BLOCK);
    rig_close(&rig);
}

/* "threads at most; 4 by default, 64 at most" */
TEST(open_workers_are_64_at_most, "")
{
    struct ioq_options options = engine_options(8, 0);

    options.workers = 64;
    ck_assert_int_eq(open_result(&options), 0);
    options.workers = 65;
    ck_assert_int_eq(open_result(&options), -EINVAL);
}

/* How many workers start for many requests that the workers do. */
static uint64_t workers_of(struct rig *rig)
{
    struct ioq_completion done[128];
    unsigned int n = 0;
    uint64_t started;

    while (n < 128 && ioq_handle_write_zeroes(rig->handle, rig->file, 1 + n, 1,
                                              0, NULL) == 0)
        n++;
    ck_assert_int_eq(ioq_handle_submit(rig->handle), (int)n);
    take(rig, done, n);
    started = stats_of(rig).workers_started;
    return started;
}

/* "threads at most; 4 by default" */
TEST(open_workers_are_4_by_default, "")
{
    struct ioq_options options = engine_options(128, 0);
    struct rig rig;

    rig_open_with(&rig, &options);
    ck_assert_uint_le(workers_of(&rig), 4);
    rig_close(&rig);
    options.workers = 1;
    rig_open_with(&rig, &options);
    ck_assert_uint_eq(workers_of(&rig), 1);
    rig_close(&rig);
}

/* "requests in one system call; 16 by default, with io_uring all" */
TEST(open_max_batch_cuts_batches, "")
{
    struct ioq_options options = engine_options(64, 0);
    struct ioq_completion done[64];
    unsigned int i, usual = engine == IOQ_ENGINE_URING ? 1 : 4;
    struct rig rig;

    if (engine == IOQ_ENGINE_THREADS)
        DOES_NOT_APPLY("this engine makes no such system calls");
    rig_open_with(&rig, &options);
    for (i = 0; i < 64; i++)
        ck_assert_int_eq(ioq_handle_flush(rig.handle, rig.file, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 64);
    ck_assert_uint_ge(stats_of(&rig).kernel_submits, usual);
    take(&rig, done, 64);
    rig_close(&rig);

    options.max_batch = 1;
    rig_open_with(&rig, &options);
    for (i = 0; i < 5; i++)
        ck_assert_int_eq(ioq_handle_flush(rig.handle, rig.file, 0, NULL), 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 5);
    ck_assert_uint_ge(stats_of(&rig).kernel_submits, 5);
    take(&rig, done, 5);
    rig_close(&rig);
}

/*
 * "-EINVAL an option is unknown or out of range" "or, leaving ret_handle alone"
 * "IOQ_OPT_*"
 */
TEST(open_refuses_unknown_options, "")
{
    struct ioq_options options = engine_options(8, 1u << 31);

    ck_assert_int_eq(open_result(&options), -EINVAL);
    options = engine_options(65537, 0);
    ck_assert_int_eq(open_result(&options), -EINVAL);
    options = engine_options(8, 0);
    options.max_segments = 65537;
    ck_assert_int_eq(open_result(&options), -EINVAL);
    options = engine_options(8, 0);
    options.engine = 4;
    ck_assert_int_eq(open_result(&options), -EINVAL);
    options.engine = UINT32_MAX;
    ck_assert_int_eq(open_result(&options), -EINVAL);
    options.engine = engine;
    ck_assert_int_eq(ioq_handle_open(&options, NULL), -EINVAL);
}

/* "0 in any member but the first means the default." "0" */
TEST(open_refuses_what_is_reserved, "")
{
    struct ioq_options options = engine_options(8, 0);

    options.reserved = 1;
    ck_assert_int_eq(open_result(&options), -EINVAL);
}

/*
 * "-E2BIG options come from a newer version, and use what this one lacks"
 * "Start from IOQ_OPTIONS_INIT, so that members of later versions are 0."
 */
TEST(open_knows_newer_options, "")
{
    struct {
        struct ioq_options known;
        uint32_t newer;
    } options = {engine_options(8, 0), 0};

    options.known.size = sizeof(options);
    ck_assert_int_eq(open_result(&options.known), 0);
    options.newer = 1;
    ck_assert_int_eq(open_result(&options.known), -E2BIG);
}

/* "How to open a handle." "0 in any member but the first means the default." */
TEST(open_knows_older_options, "")
{
    struct ioq_options options = engine_options(8, 0);

    options.size = 3 * sizeof(uint32_t);
    options.flags = UINT32_MAX; /* was not there yet */
    options.reserved = 1;
    ck_assert_int_eq(open_result(&options), 0);
    options.size = 0;
    ck_assert_int_eq(open_result(&options), -EINVAL);
}

/* "-EMFILE, -ENFILE no file descriptor left" */
TEST(open_wants_a_descriptor, "prlimit64")
{
    struct rlimit limit = {0, 0};
    struct ioq_options options = engine_options(8, 0);

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(open_result(&options), -EMFILE);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(open_result(&options), 0);
}

/* The address sanitizer would end the program instead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* "-ENOMEM no memory" */
TEST(open_wants_memory, "")
{
    struct ioq_options options = engine_options(65536, 0);
    int rc;

    if (sizeof(size_t) < 8)
        DOES_NOT_APPLY("so much memory has no address here");
    options.max_segments = 65536;
    rc = open_result(&options);
    /* 64 GiB, which a system that overcommits may grant. */
    if (rc == 0 || rc == -EAGAIN)
        DOES_NOT_APPLY("this machine gives whatever is asked for");
    ck_assert_int_eq(rc, -ENOMEM);
}

/* "NULL does nothing." */
TEST(close_takes_null, "")
{
    ioq_handle_close(NULL);
}

/*
 * "Waits for the requests that the kernel or a worker is working on, without a
 * time limit, and releases everything."
 */
TEST(close_waits_for_requests, "")
{
    struct rig rig, again;
    unsigned char *buf = place_buffer(64 * BLOCK);
    int i, begun = 0;

    rig_open(&rig, 64, 0);
    fill(buf, 64 * BLOCK, 1);
    for (i = 0; i < 64; i++)
        ck_assert_int_eq(ioq_handle_write(rig.handle, rig.file, buf + i * BLOCK,
                                          BLOCK, i * BLOCK, 0, NULL),
                         0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 64);
    rig_close(&rig);

    /* Nobody writes from the buffer any more: what is not there never comes. */
    memset(buf, 0xff, 64 * BLOCK);
    rig_open(&again, 64, 0);
    ck_assert_int_eq(do_read(&again, 0, again.buf, 64 * BLOCK, 0), 64 * BLOCK);
    fill(buf, 64 * BLOCK, 1);
    for (i = 0; i < 64; i++)
        if (memcmp(again.buf + i * BLOCK, buf + i * BLOCK, BLOCK) == 0)
            begun++;
        else
            ck_assert(!is_all(again.buf + i * BLOCK, BLOCK, 0xff));
    ck_assert_int_le(begun, 64);
    rig_close(&again);
    free(buf);
}

/*
 * "Those not begun are dropped, and no completion is given out; see
 * ioq_handle_drain."
 */
TEST(close_drops_what_has_not_begun, "")
{
    struct rig rig, again;

    rig_open(&rig, 8, 0);
    write_filled(&rig, BLOCK, 0, 2);
    fill(rig.buf, BLOCK, 3);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL), 0);
    rig_close(&rig);

    rig_open(&again, 8, 0);
    ck_assert_int_eq(do_read(&again, 0, again.buf, BLOCK, 0), BLOCK);
    ck_assert(is_filled(again.buf, BLOCK, 2));
    rig_close(&again);
}

/* "Attached file descriptors stay the caller's." */
TEST(close_leaves_descriptors_open, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    ioq_handle_close(rig.handle);
    ck_assert_int_ge(fcntl(rig.fd, F_GETFL), 0);
    ck_assert_int_eq(close(rig.fd), 0);
    free(rig.buf);
}

/* The number that the next descriptor gets. */
static int next_descriptor(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    return fd;
}

/* "releases everything" */
TEST(close_leaves_no_descriptor_behind, "")
{
    struct rig rig;
    int next, i;

    next = next_descriptor();
    for (i = 0; i < 3; i++) {
        rig_open(&rig, 8, 0);
        ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
        rig_close(&rig);
    }
    ck_assert_int_eq(next_descriptor(), next);
}
