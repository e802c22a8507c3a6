/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who refuses an engine, and what becomes of it: the next engine, or an error
 * that names the remedy. Each test runs in a process of its own, as Check
 * forks; those that have to end a process fork once more.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ioq/handle.h>
#include <libaio.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/runner.h"
#include "../support/sandbox.h"

#define SECOND INT64_C(1000000000)
#define NOBODY 65534
#define SWITCH "/proc/sys/kernel/io_uring_disabled"
#define LENGTH 65536

static bool has_uring;
static char text[LENGTH];

/* What IOQ_ENGINE_AUTO becomes where nobody refuses anything. */
static enum ioq_engine best(void)
{
    return has_uring ? IOQ_ENGINE_URING : IOQ_ENGINE_AIO;
}

static void refuse(const char *first, const char *second, int error)
{
    int numbers[2] = {sandbox_number(first), -1};

    if (second)
        numbers[1] = sandbox_number(second);
    ck_assert_int_eq(sandbox_refuse(numbers, second ? 2 : 1, error), 0);
}

static int open_engine(enum ioq_engine engine, uint32_t depth,
                       struct ioq_handle **ret_handle)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    options.engine = engine;
    options.depth = depth;
    return ioq_handle_open(&options, ret_handle);
}

static void expect_refusal(enum ioq_engine engine, uint32_t depth, int error,
                           const char *word)
{
    struct ioq_handle *handle = NULL;
    int rc = open_engine(engine, depth, &handle);

    ck_assert_msg(rc == error, "open: %d, not %d: %s", rc, error,
                  ioq_last_error());
    ck_assert_ptr_null(handle);
    ck_assert_msg(strstr(ioq_last_error(), word), "\"%s\" has no %s",
                  ioq_last_error(), word);
    if (depth == 1) {
        ck_assert_int_eq(ioq_engine_available(engine), error);
        ck_assert_ptr_nonnull(strstr(ioq_last_error(), word));
    }
}

static int make_file(void)
{
    FILE *file = tmpfile();
    size_t i;

    ck_assert_ptr_nonnull(file);
    for (i = 0; i < LENGTH; i++)
        text[i] = (char)(i * 7 + i / 251);
    ck_assert_int_eq(pwrite(fileno(file), text, LENGTH, 0), LENGTH);
    ck_assert_int_eq(ftruncate(fileno(file), 2 * LENGTH), 0);
    return fileno(file);
}

/* Reads, and has a hole punched, which no engine does without a worker. */
static void use(struct ioq_handle *handle, int fd)
{
    struct ioq_completion done[2];
    char buf[LENGTH];

    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    ck_assert_int_eq(ioq_handle_read(handle, 0, buf, LENGTH, 0, 0, buf), 0);
    ck_assert_int_eq(ioq_handle_wait(handle, done, 1, 2, 20 * SECOND), 1);
    ck_assert_int_eq(done[0].result, LENGTH);
    ck_assert_mem_eq(buf, text, LENGTH);
    ck_assert_int_eq(ioq_handle_discard(handle, 0, LENGTH, 4096, 0, done), 0);
    ck_assert_int_eq(ioq_handle_wait(handle, done, 1, 2, 20 * SECOND), 1);
    ck_assert_int_eq(done[0].result, 0);
}

static void expect_engine(enum ioq_engine asked, enum ioq_engine engine, int fd)
{
    struct ioq_handle *handle;
    int rc = open_engine(asked, 16, &handle);

    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    ck_assert_str_eq(ioq_engine_name(ioq_handle_engine(handle)),
                     ioq_engine_name(engine));
    use(handle, fd);
    ioq_handle_close(handle);
}

/*
 * One test sets kernel.io_uring_disabled for a moment, maybe that of another
 * run on this machine; those that would notice lock it out. Until the end.
 */
static void lock_switch(int how)
{
    int lock = open("/proc/sys/kernel", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(lock, 0);
    flock(lock, how);
}

static void expect_only(enum ioq_engine engine, int fd)
{
    ck_assert_int_eq(ioq_engine_available(engine), 0);
    expect_engine(engine, engine, fd);
}

static void become_nobody(void)
{
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setgid(NOBODY), 0);
    ck_assert_int_eq(setuid(NOBODY), 0);
}

START_TEST(auto_takes_the_best)
{
    expect_engine(IOQ_ENGINE_AUTO, best(), make_file());
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AUTO), 0);
}
END_TEST

/* As in a container: EPERM from a filter. */
START_TEST(filter_forbids_io_uring)
{
    int fd = make_file();

    refuse("io_uring_setup", NULL, EPERM);
    expect_refusal(IOQ_ENGINE_URING, 1, -EPERM, "seccomp");
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_AIO, fd);
}
END_TEST

START_TEST(filter_forbids_both)
{
    int fd = make_file();

    refuse("io_uring_setup", "io_setup", EPERM);
    expect_refusal(IOQ_ENGINE_AIO, 1, -EPERM, "seccomp");
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_THREADS, fd);
}
END_TEST

/* As with old kernels and emulators. */
START_TEST(kernel_has_neither)
{
    int fd = make_file();

    refuse("io_uring_setup", "io_setup", ENOSYS);
    expect_refusal(IOQ_ENGINE_URING, 1, -ENOSYS, "another engine");
    expect_refusal(IOQ_ENGINE_AIO, 1, -ENOSYS, "another engine");
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_THREADS, fd);
}
END_TEST

START_TEST(filter_kills_for_io_uring)
{
    int fd = make_file();

    refuse("io_uring_setup", NULL, 0);
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AUTO), 0);
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_AIO, fd);
    expect_only(IOQ_ENGINE_AIO, fd);
    expect_only(IOQ_ENGINE_THREADS, fd);
}
END_TEST

/* That the filter bites at all; only the engine that was asked for dies. */
START_TEST(filter_kills_who_insists)
{
    struct ioq_handle *handle;
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        refuse("io_uring_setup", NULL, 0);
        open_engine(IOQ_ENGINE_URING, 1, &handle);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST

/* An engine that was chosen leaves the others' interfaces alone. */
START_TEST(choice_excludes)
{
    static const char *const of_aio[] = {"io_setup", "io_submit",
                                         "io_getevents", "io_destroy"};
    static const char *const of_uring[] = {"io_uring_setup", "io_uring_enter",
                                           "io_uring_register"};
    enum ioq_engine engine = (enum ioq_engine)_i;
    int fd = make_file();
    unsigned int i;

    for (i = 0; engine != IOQ_ENGINE_AIO && i < 4; i++)
        refuse(of_aio[i], NULL, 0);
    for (i = 0; engine != IOQ_ENGINE_URING && i < 3; i++)
        refuse(of_uring[i], NULL, 0);
    if (engine != IOQ_ENGINE_URING || has_uring)
        expect_only(engine, fd);
}
END_TEST

/* The options of io_uring alone are not answered with another engine. */
START_TEST(auto_with_options_of_io_uring)
{
    static const uint32_t flags[] = {IOQ_OPT_SQPOLL, IOQ_OPT_IOPOLL};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle = NULL;

    refuse("io_uring_setup", NULL, EPERM);
    options.flags = flags[_i];
    ck_assert_int_eq(ioq_handle_open(&options, &handle),
                     has_uring ? -EPERM : -ENOSYS);
    ck_assert_ptr_null(handle);
}
END_TEST

static void put(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t ignored = write(fd, value, strlen(value));

        (void)ignored;
        close(fd);
    }
}

/* Sets the switch back whatever becomes of this process. Returns its pipe. */
static int guard_switch(const char *value, pid_t *ret_guard)
{
    int ends[2];
    char byte;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    *ret_guard = fork();
    ck_assert_int_ge(*ret_guard, 0);
    if (*ret_guard == 0) {
        setsid();
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
            ;
        put(SWITCH, value);
        _exit(0);
    }
    close(ends[0]);
    return ends[1];
}

static void run_as_nobody(int fd)
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        become_nobody();
        expect_refusal(IOQ_ENGINE_URING, 1, -EPERM,
                       "kernel.io_uring_disabled is 1");
        expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_AIO, fd);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

/*
 * The switch is the whole machine's, so it is set to 1, which does not concern
 * root, and to that for a moment.
 */
START_TEST(switched_off_for_users)
{
    int fd = make_file();
    char before[8] = "";
    int seen = open(SWITCH, O_RDONLY | O_CLOEXEC), guard;
    pid_t pid;

    if (seen < 0 || geteuid() != 0 || !has_uring)
        return;
    lock_switch(LOCK_EX);
    ck_assert_int_gt(read(seen, before, sizeof(before) - 1), 0);
    guard = guard_switch(before, &pid);
    put(SWITCH, "1");
    run_as_nobody(fd);
    close(guard);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* Off for all would harm others here: a copy of the switch, and the answer. */
START_TEST(switched_off_for_all)
{
    char path[] = "./switch.XXXXXX";
    int fd = make_file(), copy = mkstemp(path);

    if (geteuid() != 0 || !has_uring || unshare(CLONE_NEWNS) < 0) {
        unlink(path);
        return;
    }
    ck_assert_int_eq(write(copy, "2\n", 2), 2);
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    ck_assert_int_eq(mount(path, SWITCH, NULL, MS_BIND, NULL), 0);
    unlink(path);
    refuse("io_uring_setup", NULL, EPERM);
    expect_refusal(IOQ_ENGINE_URING, 1, -EPERM,
                   "kernel.io_uring_disabled is 2");
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_AIO, fd);
}
END_TEST

static long long number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    long long number = -1;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lld", &number), 1);
    fclose(file);
    return number;
}

/* Takes so much that 65536 requests exceed what is left, and little more. */
static void use_up_aio(void)
{
    long long left;

    do {
        io_context_t held = NULL;

        left = number_in("/proc/sys/fs/aio-max-nr") -
               number_in("/proc/sys/fs/aio-nr");
        if (left >= 65536)
            io_setup(left >= 2 * 65536 ? 65536 : (int)(left - 65535), &held);
    } while (left >= 65536);
}

/*
 * Others here give back what they had and take more, at any time. So tries
 * again, until one try was in between. Returns what the last one got.
 */
static int open_without_aio(enum ioq_engine engine,
                            struct ioq_handle **ret_handle)
{
    unsigned int tries = 100;
    bool used_up;
    int rc;

    do {
        use_up_aio();
        rc = open_engine(engine, 65536, ret_handle);
        used_up = rc < 0 || ioq_handle_engine(*ret_handle) != IOQ_ENGINE_AIO;
        if (!used_up)
            ioq_handle_close(*ret_handle);
    } while (!used_up && --tries > 0);
    ck_assert(used_up);
    return rc;
}

static void expect_without_aio(enum ioq_engine engine)
{
    struct ioq_handle *handle;

    ck_assert_int_eq(open_without_aio(IOQ_ENGINE_AUTO, &handle), 0);
    ck_assert_str_eq(ioq_engine_name(ioq_handle_engine(handle)),
                     ioq_engine_name(engine));
    use(handle, make_file());
    ioq_handle_close(handle);
}

/*
 * Takes contexts, which go with this process, and leaves fs.aio-max-nr as it
 * is. All but the largest depth can still be had by whoever runs beside it.
 */
START_TEST(aio_used_up)
{
    struct ioq_handle *handle = NULL;

    ck_assert_int_eq(open_without_aio(IOQ_ENGINE_AIO, &handle), -EAGAIN);
    ck_assert_ptr_null(handle);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "fs.aio-max-nr"));
    expect_without_aio(has_uring ? IOQ_ENGINE_URING : IOQ_ENGINE_THREADS);
    refuse("io_uring_setup", NULL, EPERM);
    expect_without_aio(IOQ_ENGINE_THREADS);
}
END_TEST

/* Lets count more descriptors be opened, and no more. */
static void limit_files(unsigned int count)
{
    struct rlimit limit;
    int next = dup(0);

    ck_assert_int_ge(next, 0);
    close(next);
    limit.rlim_cur = limit.rlim_max = (rlim_t)next + count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(no_descriptor_left)
{
    limit_files(0);
    expect_refusal(IOQ_ENGINE_AIO, 16, -EMFILE, "RLIMIT_NOFILE");
    if (has_uring)
        expect_refusal(IOQ_ENGINE_URING, 16, -EMFILE, "RLIMIT_NOFILE");
    expect_refusal(IOQ_ENGINE_THREADS, 16, -EMFILE, "RLIMIT_NOFILE");
    expect_refusal(IOQ_ENGINE_AUTO, 16, -EMFILE, "RLIMIT_NOFILE");
}
END_TEST

START_TEST(one_descriptor_left)
{
    int fd = make_file();

    limit_files(1);
    if (has_uring)
        expect_refusal(IOQ_ENGINE_URING, 1, -EMFILE, "RLIMIT_NOFILE");
    expect_engine(IOQ_ENGINE_AUTO, IOQ_ENGINE_AIO, fd);
}
END_TEST

/* A table of files that is longer than the limit; which stays as it is. */
START_TEST(few_descriptors_left)
{
    struct rlimit limit;
    int fd = make_file();

    limit_files(8);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max = limit.rlim_cur;
    expect_engine(IOQ_ENGINE_AUTO, best(), fd);
    getrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
    ck_assert_uint_lt(limit.rlim_cur, 1024);
}
END_TEST

START_TEST(little_locked_memory)
{
    const struct rlimit limit = {65536, 65536};
    const size_t length = 1 << 20;
    struct iovec memory = {malloc(length), length};
    struct ioq_handle *handle;
    int fd = make_file(), rc;

    if (geteuid() != 0 || !has_uring)
        return;
    lock_switch(LOCK_SH);
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    become_nobody();
    rc = open_engine(IOQ_ENGINE_URING, 128, &handle);
    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    ck_assert_int_eq(ioq_handle_register_memory(handle, &memory, 1), -ENOMEM);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "RLIMIT_MEMLOCK"));
    use(handle, fd);
    ioq_handle_close(handle);
    free(memory.iov_base);
}
END_TEST

/* Workers are threads, and a user may have no more of them. */
START_TEST(no_threads)
{
    const struct rlimit limit = {0, 0};
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_handle *handle;
    int fd = make_file();

    if (geteuid() != 0)
        return;
    lock_switch(LOCK_SH);
    become_nobody();
    ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    expect_refusal(IOQ_ENGINE_THREADS, 1, -EAGAIN, "RLIMIT_NPROC");
    expect_engine(IOQ_ENGINE_AIO, IOQ_ENGINE_AIO, fd);
    fd = make_file();
    ck_assert_int_eq(open_engine(IOQ_ENGINE_AUTO, 16, &handle), 0);
    ck_assert_int_eq(ioq_handle_engine(handle), best());
    use(handle, fd);
    ck_assert_int_eq(ioq_handle_stats(handle, &stats), 0);
    ck_assert_uint_gt(stats.worker_none, 0);
    ioq_handle_close(handle);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refusals");
    TCase *tcase = tcase_create("refusals");

    tcase_set_timeout(tcase, 100);
    has_uring = ioq_engine_available(IOQ_ENGINE_URING) == 0;
    if (!has_uring)
        return skip_all(ioq_last_error());
    tcase_add_test(tcase, auto_takes_the_best);
    tcase_add_test(tcase, filter_forbids_io_uring);
    tcase_add_test(tcase, filter_forbids_both);
    tcase_add_test(tcase, kernel_has_neither);
    tcase_add_test(tcase, filter_kills_for_io_uring);
    tcase_add_test(tcase, filter_kills_who_insists);
    tcase_add_loop_test(tcase, choice_excludes, IOQ_ENGINE_AIO,
                        IOQ_ENGINE_THREADS + 1);
    tcase_add_loop_test(tcase, auto_with_options_of_io_uring, 0, 2);
    tcase_add_test(tcase, switched_off_for_users);
    tcase_add_test(tcase, switched_off_for_all);
    tcase_add_test(tcase, aio_used_up);
    tcase_add_test(tcase, no_descriptor_left);
    tcase_add_test(tcase, one_descriptor_left);
    tcase_add_test(tcase, few_descriptors_left);
    tcase_add_test(tcase, little_locked_memory);
    tcase_add_test(tcase, no_threads);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
