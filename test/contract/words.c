/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_last_error, and what the library never does. */
#include "late.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

static void see_words(void)
{
    const char *words = ioq_last_error();

    ck_assert_ptr_nonnull(words);
    ck_assert_int_gt((int)strlen(words), 8);
    ck_assert_ptr_null(strchr(words, '\n'));
}

static void nothing(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    (void)result;
    (void)opaque;
}

/* Each of these calls fails, and says why. */
static void fail_all(struct rig *rig, void (*see)(void))
{
    struct ioq_options options = engine_options(8, 1u << 31);
    struct ioq_handle *h = rig->handle, *other;
    struct ioq_completion done;
    struct ioq_stats stats = {.size = 0};

    ck_assert_int_lt(ioq_handle_open(&options, &other), 0);
    see();
    ck_assert_int_lt(ioq_handle_attach(h, -1, 0), 0);
    see();
    ck_assert_int_lt(ioq_handle_detach(h, 77), 0);
    see();
    ck_assert_int_lt(ioq_handle_read(h, 0, NULL, 1, 0, 0, NULL), 0);
    see();
    ck_assert_int_lt(ioq_handle_write(h, 0, rig->buf, 1, -1, 0, NULL), 0);
    see();
    ck_assert_int_lt(ioq_handle_flush(h, 77, 0, NULL), 0);
    see();
    ck_assert_int_lt(ioq_handle_cancel(h, rig), 0);
    see();
    ck_assert_int_lt(ioq_handle_reap(h, NULL, 0), 0);
    see();
    ck_assert_int_lt(ioq_handle_wait(h, &done, 2, 1, 0), 0);
    see();
    ck_assert_int_lt(ioq_handle_run_completion(h, NULL, NULL), 0);
    see();
    ck_assert_int_lt(ioq_handle_pending(h, NULL, 1), 0);
    see();
    ck_assert_int_lt(ioq_handle_stats(h, &stats), 0);
    see();
    ck_assert_int_lt(ioq_handle_register_memory(h, NULL, 0), 0);
    see();
    ck_assert_int_lt(ioq_engine_available((enum ioq_engine)77), 0);
    see();
    ck_assert_int_lt(ioq_handle_run_completion(NULL, nothing, NULL), 0);
    see();
}

/*
 * "Results: functions return 0 or a count, or -errno. After a negative result,
 * ioq_last_error() gives the cause and the remedy in words."
 * "Returns what went wrong in this thread's last libioq call that returned an
 * error, and what can be done about it, as one line of text."
 */
TEST(words_come_with_each_error, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    fail_all(&rig, see_words);
    rig_close(&rig);
}

static void *see_none_then_some(void *opaque)
{
    struct rig *rig = opaque;

    MUST(ioq_last_error() != NULL, "no words");
    MUST(strcmp(ioq_last_error(), "") == 0, "another thread's words");
    MUST(ioq_handle_detach(rig->handle, 999) == -EBADF, "detach");
    MUST(strstr(ioq_last_error(), "999"), "not its own words");
    return NULL;
}

/* "Never NULL; empty if nothing went wrong yet." "this thread's" */
TEST(words_are_each_threads_own, "")
{
    struct rig rig;
    pthread_t thread;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 888), -EBADF);
    MUST(pthread_create(&thread, NULL, see_none_then_some, &rig) == 0,
         "no thread");
    pthread_join(thread, NULL);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "888"));
    rig_close(&rig);
}

/* "Valid until the thread's next such call." Those that succeed leave it. */
TEST(words_stay, "")
{
    const char *words;
    struct rig rig;
    char copy[300];

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 888), -EBADF);
    words = ioq_last_error();
    snprintf(copy, sizeof(copy), "%s", words);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
    ck_assert_int_eq(do_zeroes(&rig, 0, 1, 1, 0), 0);
    ck_assert_str_eq(words, copy);
    ck_assert_str_eq(ioq_last_error(), copy);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 777), -EBADF);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "777"));
    rig_close(&rig);
}

static void see_nothing(void)
{
}

static void remember(struct sigaction *actions)
{
    int i;

    for (i = 1; i < 32; i++)
        ck_assert_int_eq(sigaction(i, NULL, &actions[i]), 0);
}

/*
 * "The library never exits, aborts or prints, and installs no signal handler."
 */
TEST(library_keeps_quiet, "pipe2 dup")
{
    struct sigaction before[32], after[32];
    int ends[2], out, err, i;
    struct rig rig;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    out = dup(STDOUT_FILENO);
    err = dup(STDERR_FILENO);
    close(STDOUT_FILENO);
    ck_assert_int_eq(dup(ends[1]), STDOUT_FILENO);
    close(STDERR_FILENO);
    ck_assert_int_eq(dup(ends[1]), STDERR_FILENO);
    remember(before);
    rig_open(&rig, 8, 0);
    fail_all(&rig, see_nothing);
    ck_assert_int_eq(do_read(&rig, 0, (void *)(uintptr_t)BLOCK, BLOCK, 0),
                     -EFAULT);
    ck_assert_int_eq(do_zeroes(&rig, 0, 0, BLOCK, 0), 0);
    ck_assert(!is_readable(ends[0]));
    remember(after);
    rig_close(&rig);
    for (i = 1; i < 32; i++)
        ck_assert(before[i].sa_handler == after[i].sa_handler);
    close(STDOUT_FILENO);
    ck_assert_int_eq(dup(out), STDOUT_FILENO);
    close(STDERR_FILENO);
    ck_assert_int_eq(dup(err), STDERR_FILENO);
}
