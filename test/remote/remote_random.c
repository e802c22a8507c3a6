/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random requests on storage that fails at random, stops and goes on, and goes
 * away for good, against a copy in memory. Each completes once; what succeeds
 * did what it says; what failed may have done anything to its own bytes, and
 * nothing to others. Run by remote.sh.
 *
 *     remote_random ENGINE [REQUESTS]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../api/engines.h"

#define SECOND INT64_C(1000000000)
#define STALLED (40 * SECOND)
#define DEPTH 64u
#define BLOCKS 256u
#define BLOCK ((unsigned int)PLACE_BLOCK)

static enum ioq_engine engine = IOQ_ENGINE_AUTO;
static unsigned int requests = 1500;

/* What a block holds, as far as it is known. */
struct block {
    unsigned char bytes[BLOCK];
    bool unknown;
};

struct task {
    struct block *block; /* NULL while it is free */
    enum ioq_kind kind;
    unsigned int length; /* from the block's start */
    unsigned char *buf;
};

static struct block blocks[BLOCKS];
static bool busy[BLOCKS];
static struct task tasks[DEPTH];
static struct ioq_handle *handle;
static int fd;
static unsigned int out, succeeded, failed;
static uint64_t state;

static unsigned int pick(unsigned int below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned int)((state >> 11) % below);
}

static void set_up(void)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int i;

    options.engine = engine;
    options.depth = DEPTH;
    handle = patient_open(&options);
    fd = place_open();
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    for (i = 0; i < DEPTH; i++)
        tasks[i].buf = place_buffer(BLOCK);
    for (i = 0; i < BLOCKS; i++)
        blocks[i].unknown = true;
    state = number_of("IOQ_TEST_SEED", (unsigned long)getpid()) * 2 + 1;
    fprintf(stderr, "IOQ_TEST_SEED=%lu\n", (unsigned long)(state / 2));
}

static void tear_down(void)
{
    unsigned int i;

    ioq_handle_close(handle);
    close(fd);
    for (i = 0; i < DEPTH; i++)
        free(tasks[i].buf);
}

static int queue(struct task *task, int64_t offset)
{
    uint32_t fua = task->kind == IOQ_KIND_WRITE && pick(4) == 0 ? IOQ_F_FUA : 0;

    switch (task->kind) {
    case IOQ_KIND_READ:
        memset(task->buf, 0xee, BLOCK);
        return ioq_handle_read(handle, 0, task->buf, task->length, offset, 0,
                               task);
    case IOQ_KIND_WRITE:
        memset(task->buf, (int)pick(256), task->length);
        return ioq_handle_write(handle, 0, task->buf, task->length, offset, fua,
                                task);
    case IOQ_KIND_FLUSH:
        return ioq_handle_flush(handle, 0, 0, task);
    default:
        return ioq_handle_write_zeroes(handle, 0, offset, task->length, 0,
                                       task);
    }
}

/* One to a block at a time, some of them on a part of it. */
static void queue_one(void)
{
    static const enum ioq_kind kinds[] = {
        IOQ_KIND_READ,  IOQ_KIND_READ,  IOQ_KIND_READ,  IOQ_KIND_WRITE,
        IOQ_KIND_WRITE, IOQ_KIND_WRITE, IOQ_KIND_FLUSH, IOQ_KIND_WRITE_ZEROES};
    unsigned int at = pick(BLOCKS), i = 0;
    struct task *task;

    while (i < DEPTH && tasks[i].block)
        i++;
    if (i == DEPTH || busy[at])
        return;
    task = &tasks[i];
    task->block = &blocks[at];
    task->kind = kinds[pick(8)];
    task->length = pick(5) ? BLOCK : 1 + pick(BLOCK);
    ck_assert_int_eq(queue(task, (int64_t)at * BLOCK), 0);
    busy[at] = true;
    out++;
}

/* A write has put bytes there, or maybe a part of them. */
static void note_write(const struct task *task, bool done)
{
    struct block *block = task->block;

    if (!done)
        block->unknown = true;
    else if (task->length == BLOCK)
        block->unknown = false;
    if (!done)
        return;
    if (task->kind == IOQ_KIND_WRITE)
        memcpy(block->bytes, task->buf, task->length);
    else
        memset(block->bytes, 0, task->length);
}

static void end(const struct ioq_completion *completion, bool errors_are_eio)
{
    struct task *task = completion->user_data;
    bool done = completion->result >= 0;

    MUST(task->block, "a request completes twice");
    if (done && task->kind <= IOQ_KIND_WRITE)
        ck_assert_int_eq(completion->result, task->length);
    if (!done && errors_are_eio)
        ck_assert_int_eq(completion->result, -EIO);
    if (task->kind == IOQ_KIND_READ && done && !task->block->unknown)
        ck_assert_mem_eq(task->buf, task->block->bytes, task->length);
    if (task->kind == IOQ_KIND_WRITE || task->kind == IOQ_KIND_WRITE_ZEROES)
        note_write(task, done);
    busy[task->block - blocks] = false;
    task->block = NULL;
    out--;
    succeeded += done;
    failed += !done;
}

/* Returns how many there were within the time. */
static int get_some(unsigned int min, int64_t timeout_ns, bool errors_are_eio)
{
    struct ioq_completion done[DEPTH];
    int n = ioq_handle_wait(handle, done, min, DEPTH, timeout_ns), i;

    ck_assert_int_ge(n, 0);
    for (i = 0; i < n; i++)
        end(&done[i], errors_are_eio);
    return n;
}

static void get_all(bool errors_are_eio)
{
    while (out > 0)
        MUST(get_some(1, STALLED, errors_are_eio) > 0, "%u requests hang", out);
    ck_assert_int_eq(ioq_handle_drain(handle, 0), 0);
}

static void submit_some(void)
{
    unsigned int burst = 1 + pick(DEPTH);

    while (burst-- > 0)
        queue_one();
    ck_assert_int_ge(ioq_handle_submit(handle), 0);
}

static void run(unsigned int count)
{
    unsigned int before = succeeded + failed;

    while (succeeded + failed - before < count) {
        submit_some();
        MUST(get_some(1, STALLED, true) > 0, "%u requests hang", out);
    }
    get_all(true);
}

static void signal_server(int number)
{
    ck_assert_int_eq(kill((pid_t)atoi(getenv("IOQ_TEST_SERVER")), number), 0);
}

static void let_fail(bool fail)
{
    const char *path = getenv("IOQ_TEST_ERRORS");
    int switched = fail ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;

    if (switched >= 0)
        close(switched);
    else
        ck_assert_int_eq(unlink(path), 0);
}

/* Some requests fail and others do not; each is told of its own fate. */
START_TEST(errors_at_random)
{
    run(requests);
    ck_assert_uint_eq(failed, 0);
    let_fail(true);
    run(requests);
    ck_assert_uint_gt(failed, 0);
    ck_assert_uint_gt(succeeded, requests);
    let_fail(false);
    failed = 0;
    run(requests);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

/* The server stops in mid-flight: we go on, wait in vain, and lose nothing. */
START_TEST(stopped_and_continued)
{
    struct ioq_pending pending[DEPTH];
    unsigned int round, stuck = 0;
    int left;

    run(200);
    for (round = 0; round < 5; round++) {
        submit_some();
        signal_server(SIGSTOP);
        submit_some();
        get_some(DEPTH, SECOND / 5, true);
        /* Answers that were on their way may still come. */
        left = ioq_handle_drain(handle, SECOND / 20);
        ck_assert_int_le(left, (int)out);
        ck_assert_int_le(ioq_handle_pending(handle, pending, DEPTH), left);
        stuck += left > 0;
        signal_server(SIGCONT);
        run(100);
    }
    ck_assert_uint_gt(stuck, 0);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

/* Whatever the errors then are, each comes once, and soon. */
START_TEST(killed_in_mid_flight)
{
    unsigned int round;

    run(200);
    submit_some();
    signal_server(SIGKILL);
    for (round = 0; round < 20; round++) {
        submit_some();
        get_some(1, STALLED, false);
    }
    get_all(false);
    ck_assert_uint_gt(failed, 0);
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create("faults");

    if (argc < 2 || !getenv("IOQ_TEST_SERVER"))
        return 1;
    engine = engine_called(argv[1]);
    if (argc > 2)
        requests = (unsigned int)atoi(argv[2]);
    tcase_set_timeout(tcase, 200);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, errors_at_random);
    tcase_add_test(tcase, stopped_and_continued);
    tcase_add_test(tcase, killed_in_mid_flight); /* the last one, by nature */
    return engine_suite(engine, "remote_random", tcase);
}
