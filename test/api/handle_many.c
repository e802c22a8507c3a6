/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "One queue for many files": 64 of them, and 128 requests at a time that go
 * to all of them, each block read as it was last written.
 *
 *     handle_many [ENGINE [REQUESTS]]
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines.h"

#define FILES 64
#define BLOCKS 32 /* of each file */
#define DEPTH 128

struct block {
    unsigned char stamp; /* what it is full of */
    bool busy;
};

struct task {
    struct block *block; /* NULL while it is free */
    bool writes;
    unsigned char *buf;
};

static enum ioq_engine engine;
static unsigned long usual = 100000;
static struct ioq_handle *handle;
static int fds[FILES], numbers[FILES];
static bool same; /* all are one device */
static struct block blocks[FILES][BLOCKS];
static struct task tasks[DEPTH];
static unsigned long done_of[FILES], begun_of[FILES];
static uint64_t state = 1;

static unsigned int pick(unsigned int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(state >> 33) % below;
}

static int64_t place_of(unsigned int file, unsigned int block)
{
    return (int64_t)((same ? file * BLOCKS : 0) + block) * PLACE_BLOCK;
}

static bool queue_one(struct task *task)
{
    unsigned int file = pick(FILES), block = pick(BLOCKS);
    int64_t offset = place_of(file, block);
    int rc;

    if (task->block || blocks[file][block].busy)
        return false;
    task->block = &blocks[file][block];
    task->block->busy = true;
    task->writes = pick(2) == 0;
    memset(task->buf, task->writes ? (int)pick(256) : 0xee, PLACE_BLOCK);
    if (task->writes)
        rc = ioq_handle_write(handle, numbers[file], task->buf, PLACE_BLOCK,
                              offset, 0, task);
    else
        rc = ioq_handle_read(handle, numbers[file], task->buf, PLACE_BLOCK,
                             offset, 0, task);
    MUST(rc == 0, "queue: %d, %s", rc, ioq_last_error());
    begun_of[file]++;
    return true;
}

static void done(void *user_data, int64_t result, void *opaque)
{
    unsigned char want[PLACE_BLOCK];
    struct task *task = user_data;
    struct block *block = task->block;

    MUST(block, "completed twice");
    MUST(result == PLACE_BLOCK, "a result of %" PRId64, result);
    if (task->writes)
        block->stamp = task->buf[0];
    memset(want, block->stamp, sizeof(want));
    MUST(memcmp(task->buf, want, sizeof(want)) == 0, "%d read, not %d",
         task->buf[0], block->stamp);
    block->busy = false;
    task->block = NULL;
    done_of[(block - blocks[0]) / BLOCKS]++;
    ++*(unsigned long *)opaque;
}

/* Some, so that the queue is kept full. */
static void reap(unsigned long *ended)
{
    struct ioq_completion completions[DEPTH];
    int n =
        ioq_handle_wait(handle, completions, 1, DEPTH, INT64_C(60000000000));
    int i;

    MUST(n >= 1, "stalled after %lu", *ended);
    for (i = 0; i < n; i++)
        done(completions[i].user_data, completions[i].result, ended);
}

static void attach_all(void)
{
    static unsigned char zeroes[BLOCKS * PLACE_BLOCK]
        __attribute__((aligned(PLACE_BLOCK)));
    struct stat st;
    unsigned int i;

    for (i = 0; i < FILES; i++) {
        fds[i] = place_open_another(i);
        ck_assert_int_eq(fstat(fds[i], &st), 0);
        same = S_ISBLK(st.st_mode);
        ck_assert_int_eq(pwrite(fds[i], zeroes, sizeof(zeroes), place_of(i, 0)),
                         sizeof(zeroes));
        numbers[i] = ioq_handle_attach(handle, fds[i], 0);
        ck_assert_int_eq(numbers[i], (int)i);
    }
}

static void detach_all(void)
{
    struct ioq_file_info info = {.size = sizeof(info)};
    unsigned int i;

    for (i = 0; i < FILES; i++) {
        ck_assert_int_eq(ioq_handle_file_info(handle, numbers[i], &info), 0);
        ck_assert_uint_eq(info.requests, 0);
        ck_assert_uint_eq(done_of[i], begun_of[i]);
        ck_assert_uint_gt(done_of[i], 0);
        ck_assert_int_eq(ioq_handle_detach(handle, numbers[i]), 0);
        close(fds[i]);
    }
}

START_TEST(requests_to_64_files_reach_the_right_one_each)
{
    unsigned long requests = number_of("IOQ_TEST_REQUESTS", usual);
    unsigned long begun = 0, ended = 0;
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int i;

    options.engine = engine;
    options.depth = DEPTH;
    handle = patient_open(&options);
    attach_all();
    for (i = 0; i < DEPTH; i++)
        tasks[i].buf = place_buffer(PLACE_BLOCK);
    while (ended < requests) {
        for (i = 0; i < DEPTH && begun < requests; i++)
            begun += queue_one(&tasks[i]);
        ioq_handle_submit(handle);
        reap(&ended);
    }
    ck_assert_uint_eq(ended, requests);
    detach_all();
    for (i = 0; i < DEPTH; i++)
        free(tasks[i].buf);
    ioq_handle_close(handle);
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create(place_kind());

    engine = engine_called(argv[1]);
    if (argc > 2)
        usual = strtoul(argv[2], NULL, 10);
    tcase_add_test(tcase, requests_to_64_files_reach_the_right_one_each);
    tcase_set_timeout(tcase, 600);
    return engine_suite(engine, "handle_many", tcase);
}
