/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which engine it is: names, choice, refusals; and the words of errors. */
#include "late.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "../support/sandbox.h"

/* Those that are not the one that is tested may be called, too. */
#define ANY_ENGINE                              \
    "io_setup io_submit io_getevents "          \
    "io_destroy io_uring_setup io_uring_enter " \
    "io_uring_register "

/* "Returns the engine in use; IOQ_ENGINE_AUTO, which none is, if handle is
 * NULL." */
TEST(engine_is_told, ANY_ENGINE)
{
    struct ioq_handle *any = patient_open(NULL);
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq((int)ioq_handle_engine(rig.handle), (int)engine);
    rig_close(&rig);
    ck_assert_int_gt((int)ioq_handle_engine(any), IOQ_ENGINE_AUTO);
    ck_assert_int_le((int)ioq_handle_engine(any), IOQ_ENGINE_THREADS);
    ioq_handle_close(any);
    ck_assert_int_eq((int)ioq_handle_engine(NULL), IOQ_ENGINE_AUTO);
}

/*
 * "Returns the engine's name, as aio, for messages and options; NULL if there
 * is no such engine. A constant."
 */
TEST(engine_has_a_name, "")
{
    const char *name = ioq_engine_name(engine);

    ck_assert_int_eq((int)engine_called(name), (int)engine);
    ck_assert_str_eq(ioq_engine_name(IOQ_ENGINE_AIO), "aio");
    ck_assert_ptr_nonnull(ioq_engine_name(IOQ_ENGINE_AUTO));
    ck_assert_ptr_null(ioq_engine_name((enum ioq_engine)4));
    ck_assert_ptr_null(ioq_engine_name((enum ioq_engine) - 1));
    ck_assert_ptr_eq(ioq_engine_name(engine), name);
}

#define NO_FILTERS "there are no filters on this architecture"

/* A call of its own that the engine cannot do without; NULL if none. */
static const char *own_call(void)
{
    switch (engine) {
    case IOQ_ENGINE_AIO:
        return "io_setup";
    case IOQ_ENGINE_URING:
        return "io_uring_setup";
    default:
        return NULL;
    }
}

/* Returns false if this architecture has no filters. */
static bool refuse(const char *name, int error)
{
    const int number = sandbox_number(name);
    int rc = sandbox_refuse(&number, 1, error);

    ck_assert_int_ge(number, 0);
    ck_assert(rc == 0 || rc == -ENOSYS);
    return rc == 0;
}

static int open_result(const struct ioq_options *options)
{
    struct ioq_handle *handle = NULL;
    int rc = ioq_handle_open(options, &handle);

    ck_assert((rc == 0) == (handle != NULL));
    ioq_handle_close(handle);
    return rc;
}

/*
 * "Tries whether an engine can be used here. Returns 0, or the -errno that
 * refuses it: -ENOSYS, -EPERM, -EAGAIN, ... or -EINVAL if there is no such
 * engine. For IOQ_ENGINE_AUTO, 0."
 */
TEST(engine_is_available, ANY_ENGINE)
{
    ck_assert_int_eq(patient_available(), 0);
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AUTO), 0);
    ck_assert_int_eq(ioq_engine_available((enum ioq_engine)4), -EINVAL);
    ck_assert_int_eq(ioq_engine_available((enum ioq_engine) - 1), -EINVAL);
}

static void see_refused(int error)
{
    struct ioq_options options = engine_options(8, 0);

    if (!refuse(own_call(), error))
        DOES_NOT_APPLY(NO_FILTERS);
    ck_assert_int_eq(ioq_engine_available(engine), -error);
    ck_assert_int_eq(open_result(&options), -error);
    ck_assert_str_ne(ioq_last_error(), "");
    /* Nor is there another in its place. */
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_THREADS), 0);
}

/*
 * "-ENOSYS, -EPERM the engine does not exist here, or is forbidden"
 * "Any other value is that engine or none."
 */
TEST(engine_may_be_forbidden, "")
{
    if (!own_call())
        DOES_NOT_APPLY("there is nothing to forbid");
    see_refused(EPERM);
}

/* "-ENOSYS, -EPERM the engine does not exist here, or is forbidden" */
TEST(engine_may_not_exist, "")
{
    if (!own_call())
        DOES_NOT_APPLY("nothing is lacking anywhere");
    see_refused(ENOSYS);
}

/* Until allow_threads: sanitizers need one at the end. */
static struct rlimit threads;

static void forbid_threads(void)
{
    struct rlimit none;

    ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &threads), 0);
    none = (struct rlimit){0, threads.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &none), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setresuid(65532, 65532, 65532), 0);
}

static void allow_threads(void)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &threads), 0);
}

/*
 * "-EAGAIN Linux AIO: depth exceeds what is left of fs.aio-max-nr; threads:
 * none can be started"
 */
TEST(engine_may_be_used_up, "prlimit64 geteuid setresuid")
{
    struct ioq_options options = engine_options(8, 0);

    if (engine == IOQ_ENGINE_URING)
        DOES_NOT_APPLY("it has no such limit");
    if (engine == IOQ_ENGINE_AIO) {
        /* The limit itself is everybody's. */
        if (!refuse("io_setup", EAGAIN))
            DOES_NOT_APPLY(NO_FILTERS);
        ck_assert_int_eq(open_result(&options), -EAGAIN);
        ck_assert_ptr_nonnull(strstr(ioq_last_error(), "fs.aio-max-nr"));
        return;
    }
    forbid_threads();
    ck_assert_int_eq(open_result(&options), -EAGAIN);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "RLIMIT_NPROC"));
    ck_assert_int_eq(ioq_engine_available(engine), -EAGAIN);
    allow_threads();
}

/*
 * "done by the caller's thread: no worker" And so "Every request that was
 * accepted completes exactly once"
 */
TEST(engine_does_without_workers, "prlimit64 geteuid setresuid")
{
    struct ioq_options options = engine_options(8, 0);
    struct rig rig = {.fd = place_open(), .buf = place_buffer(MIB)};

    if (engine == IOQ_ENGINE_THREADS) {
        close(rig.fd);
        free(rig.buf);
        DOES_NOT_APPLY("it does not open then");
    }
    forbid_threads();
    rig.handle = patient_open(&options);
    ck_assert_int_eq(ioq_handle_attach(rig.handle, rig.fd, 0), 0);
    write_filled(&rig, BLOCK, 0, 1);
    ck_assert_int_eq(do_zeroes(&rig, 0, 10, 100, 0), 0);
    ck_assert_uint_ge(stats_of(&rig).worker_none, 1);
    ck_assert_uint_eq(stats_of(&rig).workers_started, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + BLOCK, BLOCK, 0), BLOCK);
    ck_assert(memcmp(rig.buf, rig.buf + BLOCK, 10) == 0);
    ck_assert(is_all(rig.buf + BLOCK + 10, 100, 0));
    rig_close(&rig);
    allow_threads();
}

/*
 * "EAGAIN, EINTR and the like when handing over" And still: "What the kernel
 * has no room for stays with the library and goes out as soon as there is room"
 */
static void see_retries(int error)
{
    struct ioq_completion done[8];
    struct ioq_stats stats;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    if (!refuse(engine == IOQ_ENGINE_AIO ? "io_submit" : "io_uring_enter",
                error))
        DOES_NOT_APPLY(NO_FILTERS);
    queue_reads(&rig, 8);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 8);
    take(&rig, done, 8);
    for (i = 0; i < 8; i++)
        ck_assert_int_eq(done[i].result, BLOCK);
    stats = stats_of(&rig);
    if (stats.worker_learned < 8)
        ck_assert_uint_ge(stats.retries, 1);
    rig_close(&rig);
}

/* "EAGAIN, EINTR and the like when handing over" */
TEST(engine_outlasts_eagain, "")
{
    if (engine == IOQ_ENGINE_THREADS)
        DOES_NOT_APPLY("it hands over nothing");
    see_retries(EAGAIN);
}

/* "EAGAIN, EINTR and the like when handing over" */
TEST(engine_outlasts_enomem, "")
{
    if (engine == IOQ_ENGINE_THREADS)
        DOES_NOT_APPLY("it hands over nothing");
    see_retries(ENOMEM);
}

static enum ioq_engine chosen(void)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle = patient_open(&options);
    enum ioq_engine which = ioq_handle_engine(handle);

    ioq_handle_close(handle);
    return which;
}

/* What IOQ_ENGINE_AUTO becomes while nobody uses fs.aio-max-nr up. */
static bool becomes(enum ioq_engine which)
{
    int tries = 0;

    while (chosen() != which && tries++ < 1000)
        usleep(20000);
    return tries < 1000;
}

/*
 * "What carries the requests. IOQ_ENGINE_AUTO tries io_uring, Linux AIO and
 * threads, in this order, until one comes up" "the best one that this system
 * allows"
 */
TEST(engine_auto_takes_the_best, ANY_ENGINE)
{
    if (prctl(PR_GET_SECCOMP) != 0)
        DOES_NOT_APPLY("there is a filter");
    if (ioq_engine_available(IOQ_ENGINE_URING) == 0)
        ck_assert_int_eq(chosen(), IOQ_ENGINE_URING);
    else
        ck_assert(becomes(IOQ_ENGINE_AIO));
}

/*
 * "but where a seccomp filter watches the calling thread, it leaves io_uring
 * alone, as many filters kill for that"
 */
TEST(engine_auto_is_careful, ANY_ENGINE)
{
    if (!refuse("io_uring_setup", 0)) /* kills */
        DOES_NOT_APPLY(NO_FILTERS);
    ck_assert(becomes(IOQ_ENGINE_AIO));
    refuse("io_setup", EPERM);
    ck_assert(becomes(IOQ_ENGINE_THREADS));
    refuse("io_setup", ENOSYS);
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AUTO), 0);
    ck_assert(becomes(IOQ_ENGINE_THREADS));
}

/*
 * "IOQ_OPT_SQPOLL and IOQ_OPT_IOPOLL stand for io_uring." "io_uring only"
 */
TEST(engine_options_choose_io_uring, ANY_ENGINE)
{
    static const uint32_t flags[] = {IOQ_OPT_SQPOLL, IOQ_OPT_IOPOLL};
    struct ioq_handle *handle;
    int i, rc;

    for (i = 0; i < 2; i++) {
        struct ioq_options options = engine_options(8, flags[i]);

        if (engine != IOQ_ENGINE_URING) {
            ck_assert_int_eq(open_result(&options), -EINVAL);
            ck_assert_ptr_nonnull(strstr(ioq_last_error(), "io_uring"));
        }
        options.engine = IOQ_ENGINE_AUTO;
        rc = ioq_handle_open(&options, &handle);
        ck_assert(rc == 0 || engine != IOQ_ENGINE_URING);
        if (rc < 0)
            continue;
        ck_assert_int_eq(ioq_handle_engine(handle), IOQ_ENGINE_URING);
        ioq_handle_close(handle);
    }
}

/* All kinds of requests go through, with these flags. */
static void work_with(uint32_t flags)
{
    struct ioq_completion done[16];
    struct rig rig;
    int i;

    rig_open(&rig, 16, flags);
    for (i = 0; i < 2; i++) {
        write_filled(&rig, 16 * BLOCK, 0, (unsigned int)i);
        memset(rig.buf, 0, 16 * BLOCK);
        queue_reads(&rig, 16);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 16);
        await_readable(ioq_handle_fd(rig.handle));
        take(&rig, done, 16);
        ck_assert(is_filled(rig.buf, 16 * BLOCK, (unsigned int)i));
        ck_assert_int_eq(do_write(&rig, 0, rig.buf + 1, 99, 77, IOQ_F_FUA), 99);
        ck_assert_int_eq(do_read(&rig, 0, rig.buf + MIB / 2, 99, 77), 99);
        ck_assert(memcmp(rig.buf + 1, rig.buf + MIB / 2, 99) == 0);
        ck_assert_int_eq(do_flush(&rig, 0), 0);
        ck_assert_int_eq(do_zeroes(&rig, 0, BLOCK, BLOCK, 0), 0);
        ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, BLOCK), BLOCK);
        ck_assert(is_all(rig.buf, BLOCK, 0));
    }
    rig_close(&rig);
}

/* "RWF_NOWAIT on reads with O_DIRECT, too, which seldom sleep." */
TEST(option_never_block_changes_no_result, "")
{
    work_with(IOQ_OPT_NEVER_BLOCK);
    work_with(IOQ_OPT_NEVER_BLOCK | IOQ_OPT_SHARED);
}

/* "io_uring only: a kernel thread polls for submissions." */
TEST(option_sqpoll_changes_no_result, "")
{
    if (engine != IOQ_ENGINE_URING)
        DOES_NOT_APPLY("io_uring alone has it");
    work_with(IOQ_OPT_SQPOLL);
}

/* "io_uring only: completions are polled for; needs O_DIRECT files." Others
 * are done by workers. */
TEST(option_iopoll_changes_no_result, "")
{
    if (engine != IOQ_ENGINE_URING)
        DOES_NOT_APPLY("io_uring alone has it");
    work_with(IOQ_OPT_IOPOLL);
}

/*
 * "Linux AIO, with workers for what would sleep" "io_uring" "workers alone:
 * runs everywhere" With nothing but the system calls of all.
 */
TEST(engine_threads_runs_everywhere, "")
{
    struct rig rig;

    if (engine != IOQ_ENGINE_THREADS)
        DOES_NOT_APPLY("it is another engine");
    if (!refuse("io_setup", 0))
        DOES_NOT_APPLY(NO_FILTERS);
    refuse("io_submit", 0);
    refuse("io_uring_setup", 0);
    refuse("io_uring_enter", 0);
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
    rig_close(&rig);
}
