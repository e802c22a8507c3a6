/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Memory for depth requests is set aside here; queueing, submitting and
 * reaping allocate nothing afterwards."
 *
 *     handle_memory [ENGINE]
 *
 * malloc and its kin are this program's, for the library and the C library,
 * too. A worker that starts has a stack, and a buffer once it needs one: these
 * are counted apart.
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines.h"

#define DEPTH 64
#define WORKERS 3

/* What glibc's own are called. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *memory);

static atomic_ulong calls; /* that give memory */
static atomic_long live;   /* blocks */

static void *counted(void *memory)
{
    atomic_fetch_add(&calls, 1);
    if (memory)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *malloc(size_t size)
{
    return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    atomic_fetch_sub(&live, memory != NULL);
    return counted(__libc_realloc(memory, size));
}

void *memalign(size_t align, size_t size)
{
    return counted(__libc_memalign(align, size));
}

void *aligned_alloc(size_t align, size_t size)
{
    return counted(__libc_memalign(align, size));
}

int posix_memalign(void **ret_memory, size_t align, size_t size)
{
    *ret_memory = counted(__libc_memalign(align, size));
    return *ret_memory ? 0 : ENOMEM;
}

void free(void *memory)
{
    atomic_fetch_sub(&live, memory != NULL);
    __libc_free(memory);
}

static enum ioq_engine engine;
static struct ioq_handle *handle;
static int fd;
static char *buffer; /* DEPTH blocks and one more */

static void open_handle(void)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    options.engine = engine;
    options.depth = DEPTH;
    options.workers = WORKERS;
    handle = patient_open(&options);
    MUST(ioq_handle_attach(handle, fd, 0) == 0, "attach");
}

static struct ioq_stats stats(void)
{
    struct ioq_stats now = {.size = sizeof(now)};

    MUST(ioq_handle_stats(handle, &now) == 0, "stats");
    return now;
}

static void queue(unsigned int i, int64_t shift)
{
    char *buf = buffer + (size_t)i * PLACE_BLOCK + shift;
    int64_t offset = (int64_t)i * PLACE_BLOCK + shift;
    struct iovec iov[2] = {{buf, PLACE_BLOCK / 2}, {NULL, PLACE_BLOCK / 2}};
    int rc;

    iov[1].iov_base = buf + PLACE_BLOCK / 2;
    if (i % 3 == 0)
        rc = ioq_handle_read(handle, 0, buf, PLACE_BLOCK, offset, 0, buf);
    else if (i % 3 == 1)
        rc = ioq_handle_write(handle, 0, buf, PLACE_BLOCK, offset, 0, buf);
    else
        rc = ioq_handle_readv(handle, 0, iov, 2, offset, 0, buf);
    MUST(rc == 0, "queue: %d", rc);
}

static void done(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    MUST(result == PLACE_BLOCK || result == -ECANCELED, "%ld", (long)result);
    ++*(unsigned int *)opaque;
}

/* All that a caller does between open and close. */
static void use_once(unsigned int round, int64_t shift)
{
    struct ioq_completion completions[8];
    struct ioq_pending pending[8];
    unsigned int i, completed = 0;
    int n, k;

    for (i = 0; i < DEPTH - 1; i++)
        queue(i, shift);
    /* Refusals have words, which must not take memory either. */
    MUST(ioq_handle_read(handle, 9, buffer, 1, 0, 0, NULL) == -EBADF, "refuse");
    if (round % 4 == 0)
        ioq_handle_cancel(handle, buffer + shift);
    ioq_handle_submit(handle);
    ioq_handle_pending(handle, pending, 8);
    ioq_handle_set_notify(handle, round % 2 == 0);
    while (completed < DEPTH - 1) {
        n = round % 2 ? ioq_handle_wait(handle, completions, 1, 8, -1)
                      : ioq_handle_run_completion(handle, done, &completed);
        for (k = 0; round % 2 && k < n; k++)
            done(completions[k].user_data, completions[k].result, &completed);
        if (round % 8 == 6)
            ioq_handle_drain(handle, -1);
    }
    ioq_handle_set_notify(handle, 1);
}

static void use(unsigned int rounds, int64_t shift)
{
    unsigned int i;

    for (i = 0; i < rounds; i++)
        use_once(i, shift);
}

static void set_up(void)
{
    fd = place_open();
    buffer = place_buffer((DEPTH + 1) * PLACE_BLOCK);
    open_handle();
}

static void tear_down(void)
{
    ioq_handle_close(handle);
    free(buffer);
    close(fd);
}

static uint64_t to_workers(void)
{
    struct ioq_stats now = stats();

    return now.worker_busy + now.worker_learned + now.worker_unable +
           now.worker_short + now.worker_misaligned;
}

/*
 * How often memory was taken in the rounds, but for what workers need that were
 * started meanwhile. They come and go with the work.
 */
static unsigned long taken(unsigned int rounds, int64_t shift)
{
    unsigned long before, after;
    uint64_t started;
    int tries = 0;

    do {
        started = stats().workers_started;
        before = atomic_load(&calls);
        use(rounds, shift);
        after = atomic_load(&calls);
    } while (stats().workers_started > started && tries++ < 20);
    MUST(tries <= 20, "workers never stay");
    return after - before;
}

START_TEST(the_fast_path_takes_no_memory)
{
    set_up();
    ck_assert_uint_eq(taken(500, 0), 0);
    if (engine == IOQ_ENGINE_AIO && place_is_direct())
        ck_assert_msg(to_workers() * 20 < 500 * DEPTH,
                      "%lu of %u requests did not go the fast path",
                      (unsigned long)to_workers(), 500 * DEPTH);
    tear_down();
}
END_TEST

/* Nor does the slow one, once a worker has its buffer. */
START_TEST(workers_take_memory_when_they_start_only)
{
    unsigned long first;

    set_up();
    first = atomic_load(&calls);
    use(20, 1);
    first = atomic_load(&calls) - first;
    ck_assert_uint_le(first, 4 * stats().workers_started);
    ck_assert_uint_eq(taken(50, 1), 0);
    if (place_is_direct()) {
        ck_assert_uint_gt(stats().bounced_bytes, 0);
        ck_assert_uint_gt(first, 0); /* or nothing is counted at all */
    }
    tear_down();
}
END_TEST

START_TEST(all_is_given_back)
{
    long before, middle = 0;
    int i;

    set_up();
    before = atomic_load(&live);
    ioq_handle_close(handle);
    before -= atomic_load(&live);
    ck_assert_int_gt(before, 0); /* or nothing is counted at all */
    /*
     * The C library keeps the stacks of threads that ended: as many as there
     * were workers at a time, which may be more later. A leak is one a round.
     */
    for (i = 0; i < 40; i++) {
        if (i == 20)
            middle = atomic_load(&live);
        open_handle();
        use(2, i % 2);
        ioq_handle_close(handle);
    }
    ck_assert_int_lt(atomic_load(&live), middle + 20);
    open_handle();
    tear_down();
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create(place_kind());

    (void)argc;
    engine = engine_called(argv[1]);
    tcase_add_test(tcase, the_fast_path_takes_no_memory);
    tcase_add_test(tcase, workers_take_memory_when_they_start_only);
    tcase_add_test(tcase, all_is_given_back);
    tcase_set_timeout(tcase, 120);
    return engine_suite(engine, "handle_memory", tcase);
}
