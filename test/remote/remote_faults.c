/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of requests when the storage behind them is slow, fails, or is
 * gone: each completes once, with an error where there was one, and nothing
 * hangs. Run by remote.sh.
 *
 *     remote_faults ENGINE
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ioq/handle.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/place.h"
#include "../support/runner.h"

#define SECOND INT64_C(1000000000)
#define COUNT 64u
#define BLOCK 4096

static enum ioq_engine engine = IOQ_ENGINE_AUTO;
static struct ioq_handle *handle;
static int fd;
static char *buffers;
static unsigned int completed[COUNT];
static int64_t results[COUNT];

static void set_up(void)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    int rc;

    options.engine = engine;
    options.depth = COUNT;
    rc = ioq_handle_open(&options, &handle);
    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    fd = place_open();
    rc = ioq_handle_attach(handle, fd, 0);
    ck_assert_msg(rc == 0, "attach: %d, %s", rc, ioq_last_error());
    buffers = place_buffer(COUNT * BLOCK);
}

static void tear_down(void)
{
    ioq_handle_close(handle);
    close(fd);
    free(buffers);
}

/* Writes and, with reads, as many of those, from a region of their own. */
static void submit_all(unsigned int region, bool reads)
{
    int64_t base = (int64_t)region * 1048576;
    uintptr_t i;

    memset(completed, 0, sizeof(completed));
    for (i = 0; i < COUNT; i++) {
        char *buf = buffers + i * BLOCK;
        int64_t offset = base + (int64_t)i * BLOCK;
        int rc;

        if (reads && i % 2)
            rc = ioq_handle_read(handle, 0, buf, BLOCK, offset, 0, (void *)i);
        else
            rc = ioq_handle_write(handle, 0, buf, BLOCK, offset, 0, (void *)i);
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_int_eq(ioq_handle_submit(handle), COUNT);
}

static void note(const struct ioq_completion *done, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        uintptr_t number = (uintptr_t)done[i].user_data;

        ck_assert_uint_lt(number, COUNT);
        completed[number]++;
        results[number] = done[i].result;
    }
}

/* By the fd, as an event loop would. */
static void await_all(void)
{
    struct ioq_completion done[COUNT + 1];
    unsigned int i;
    int n = ioq_handle_wait(handle, done, COUNT, COUNT + 1, 30 * SECOND);

    ck_assert_int_eq(n, COUNT);
    note(done, n);
    ck_assert_int_eq(ioq_handle_reap(handle, done, COUNT + 1), 0);
    ck_assert_int_eq(ioq_handle_drain(handle, 0), 0);
    for (i = 0; i < COUNT; i++)
        ck_assert_uint_eq(completed[i], 1);
}

static void check_results(int64_t result)
{
    unsigned int i;

    for (i = 0; i < COUNT; i++)
        ck_assert_int_eq(results[i], result);
}

START_TEST(errors_reach_their_requests)
{
    const char *errors = getenv("IOQ_TEST_ERRORS");
    int switched;

    submit_all(0, true);
    await_all();
    check_results(BLOCK);

    switched = open(errors, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(switched, 0);
    close(switched);
    submit_all(1, false);
    await_all();
    check_results(-EIO);

    ck_assert_int_eq(unlink(errors), 0);
    submit_all(2, true);
    await_all();
    check_results(BLOCK);
}
END_TEST

/* Only with IOQ_TEST_SLOW: what is under way can be told, and is not lost. */
START_TEST(slow_requests_are_pending)
{
    struct ioq_pending pending[COUNT];
    int n, out, i;

    if (strcmp(getenv("IOQ_TEST_SLOW"), "1") != 0)
        return;
    submit_all(3, true);
    out = ioq_handle_drain(handle, SECOND / 100);
    ck_assert_int_gt(out, 0);
    n = ioq_handle_pending(handle, pending, COUNT);
    ck_assert_int_le(n, out);
    for (i = 0; i < n; i++)
        ck_assert_int_gt(pending[i].age_ns, 0);
    await_all();
    check_results(BLOCK);
}
END_TEST

START_TEST(server_is_killed)
{
    const char *server = getenv("IOQ_TEST_SERVER");
    unsigned int i, failed = 0;

    submit_all(4, true);
    ck_assert_int_eq(kill((pid_t)atoi(server), SIGKILL), 0);
    await_all();
    for (i = 0; i < COUNT; i++)
        ck_assert(results[i] == BLOCK || results[i] < 0);

    submit_all(5, false);
    await_all();
    for (i = 0; i < COUNT; i++)
        failed += results[i] < 0;
    ck_assert_uint_eq(failed, COUNT);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("remote");
    TCase *tcase = tcase_create("faults");
    int i;

    for (i = 1; argc == 2 && ioq_engine_name((enum ioq_engine)i); i++)
        if (strcmp(ioq_engine_name((enum ioq_engine)i), argv[1]) == 0)
            engine = (enum ioq_engine)i;
    if (engine == IOQ_ENGINE_AUTO || !getenv("IOQ_TEST_SERVER"))
        return 1;
    if (ioq_engine_available(engine) < 0)
        return skip_all(ioq_last_error());
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, errors_reach_their_requests);
    tcase_add_test(tcase, slow_requests_are_pending);
    tcase_add_test(tcase, server_is_killed); /* the last one, by nature */
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
