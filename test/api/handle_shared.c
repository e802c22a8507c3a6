/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOQ_OPT_SHARED: "any thread may call any function but ioq_handle_close, at
 * any time". Eight threads queue and submit, one reaps by every means, and two
 * call all else. Run under ThreadSanitizer, too.
 *
 *     handle_shared [ENGINE]
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines.h"

#define SUBMITTERS 8
#define TASKS 16 /* of each; more in all than the handle is deep */
#define DEPTH 64

static enum ioq_engine engine;

enum { IDLE, OUT, DONE };

struct task {
    atomic_int state;
    bool writes;
    int64_t offset, result;
    unsigned char stamp; /* what the block on the disk is full of */
    unsigned char *buf;  /* one block */
};

struct submitter {
    pthread_t thread;
    unsigned int index;
    unsigned long begun, refused;
    uint64_t state;
    struct task tasks[TASKS];
};

static struct {
    struct ioq_handle *handle;
    int fd, file;
    unsigned long each; /* requests of one submitter */
    struct submitter submitters[SUBMITTERS];
    atomic_uint working; /* submitters */
    atomic_ulong cancelled;
    unsigned long completed, were_cancelled; /* the reaper's */
} all;

static unsigned int pick(uint64_t *state, unsigned int below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(*state >> 33) % below;
}

/* What a submitter does. */

static void check_task(struct task *task)
{
    unsigned char want[PLACE_BLOCK];

    if (task->result == -ECANCELED)
        return;
    MUST(task->result == PLACE_BLOCK, "result %" PRId64, task->result);
    if (task->writes) {
        task->stamp = task->buf[0];
        return;
    }
    memset(want, task->stamp, sizeof(want));
    MUST(memcmp(task->buf, want, sizeof(want)) == 0, "read %d, not %d",
         task->buf[0], task->stamp);
}

static int queue(struct submitter *me, struct task *task)
{
    task->writes = pick(&me->state, 2) == 0;
    if (task->writes) {
        memset(task->buf, 1 + (int)pick(&me->state, 250), PLACE_BLOCK);
        return ioq_handle_write(all.handle, all.file, task->buf, PLACE_BLOCK,
                                task->offset, 0, task);
    }
    memset(task->buf, 0xee, PLACE_BLOCK);
    return ioq_handle_read(all.handle, all.file, task->buf, PLACE_BLOCK,
                           task->offset, 0, task);
}

static void use_task(struct submitter *me, struct task *task)
{
    int rc;

    if (atomic_load_explicit(&task->state, memory_order_acquire) == OUT) {
        usleep(20);
        return;
    }
    if (atomic_load_explicit(&task->state, memory_order_relaxed) == DONE)
        check_task(task);
    /* It may complete before the call returns: another thread submits. */
    atomic_store_explicit(&task->state, OUT, memory_order_release);
    rc = queue(me, task);
    if (rc == 0) {
        me->begun++;
        return;
    }
    MUST(rc == -EAGAIN, "queue: %d, %s", rc, ioq_last_error());
    me->refused++;
    atomic_store_explicit(&task->state, IDLE, memory_order_relaxed);
    usleep(50);
}

static void *submit_all(void *opaque)
{
    struct submitter *me = opaque;

    while (me->begun < all.each) {
        use_task(me, &me->tasks[pick(&me->state, TASKS)]);
        if (pick(&me->state, 3) == 0)
            MUST(ioq_handle_submit(all.handle) >= 0, "submit");
    }
    MUST(ioq_handle_submit(all.handle) >= 0, "submit");
    atomic_fetch_sub(&all.working, 1);
    return NULL;
}

/* What the one that reaps does. */

static void done(void *user_data, int64_t result, void *opaque)
{
    struct task *task = user_data;

    (void)opaque;
    task->result = result;
    all.completed++;
    all.were_cancelled += result == -ECANCELED;
    MUST(atomic_exchange_explicit(&task->state, DONE, memory_order_acq_rel) ==
             OUT,
         "completed twice");
}

static void reap_some(unsigned int max, bool sleeps)
{
    struct ioq_completion completions[32];
    int n, i;

    do {
        n = sleeps ? ioq_handle_wait(all.handle, completions, 1, max, 50000000)
                   : ioq_handle_reap(all.handle, completions, max);
        MUST(n >= 0, "reap: %d", n);
        for (i = 0; i < n; i++)
            done(completions[i].user_data, completions[i].result, NULL);
    } while (n == (int)max && !sleeps);
}

/* Nobody but this thread clears the fd for good, so it must not lie. */
static void reap_all(unsigned long total)
{
    struct pollfd fd = {ioq_handle_fd(all.handle), POLLIN, 0};
    uint64_t state = 1;

    while (all.completed < total) {
        switch (pick(&state, 4)) {
        case 0:
            reap_some(1 + pick(&state, 32), true);
            break;
        case 1:
            ioq_handle_run_completion(all.handle, done, NULL);
            break;
        default:
            MUST(poll(&fd, 1, 30000) == 1 || errno == EINTR,
                 "stalled after %lu of %lu", all.completed, total);
            reap_some(1 + pick(&state, 32), false);
        }
    }
}

/* What the others do. */

static void cancel_any(uint64_t *state)
{
    struct submitter *submitter = &all.submitters[pick(state, SUBMITTERS)];
    int rc =
        ioq_handle_cancel(all.handle, &submitter->tasks[pick(state, TASKS)]);

    if (rc > 0)
        atomic_fetch_add(&all.cancelled, (unsigned long)rc);
    else
        MUST(rc == -EALREADY || rc == -ENOENT, "cancel: %d", rc);
}

static void attach_another(void)
{
    int file = ioq_handle_attach(all.handle, all.fd, 0);

    MUST(file > 0, "attach: %d, %s", file, ioq_last_error());
    MUST(ioq_handle_detach(all.handle, file) == 0, "detach");
    MUST(ioq_handle_detach(all.handle, 999) == -EBADF, "what is not there");
    MUST(ioq_last_error()[0] != '\0', "no words for it");
}

static void ask(void)
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_pending pending[DEPTH];
    int n = ioq_handle_pending(all.handle, pending, DEPTH);

    MUST(n >= 0 && n <= DEPTH, "pending: %d", n);
    MUST(ioq_handle_stats(all.handle, &stats) == 0, "stats");
    MUST(ioq_handle_file_info(all.handle, all.file, &info) == 0, "file_info");
    MUST(info.requests <= DEPTH, "%u requests", info.requests);
    MUST(ioq_handle_engine(all.handle) != IOQ_ENGINE_AUTO, "engine");
}

static void *meddle(void *opaque)
{
    uint64_t state = (uintptr_t)opaque;

    while (atomic_load(&all.working) > 0) {
        usleep(200);
        switch (pick(&state, 6)) {
        case 0:
            MUST(ioq_handle_drain(all.handle, pick(&state, 300000)) >= 0,
                 "drain");
            break;
        case 1:
            MUST(ioq_handle_set_notify(all.handle, 0) == 0, "notify");
            MUST(ioq_handle_set_notify(all.handle, 1) == 0, "notify");
            break;
        case 2:
            attach_another();
            break;
        case 3:
            ask();
            break;
        default:
            cancel_any(&state);
        }
    }
    return NULL;
}

static void set_up(unsigned long requests)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int i, k;

    memset(&all, 0, sizeof(all));
    options.engine = engine;
    options.depth = DEPTH;
    options.flags = IOQ_OPT_SHARED;
    all.handle = patient_open(&options);
    all.fd = place_open();
    all.file = ioq_handle_attach(all.handle, all.fd, 0);
    ck_assert_int_eq(all.file, 0);
    all.each = requests / SUBMITTERS;
    atomic_store(&all.working, SUBMITTERS);
    for (i = 0; i < SUBMITTERS; i++) {
        all.submitters[i].index = i;
        all.submitters[i].state = i + 1;
        for (k = 0; k < TASKS; k++) {
            struct task *task = &all.submitters[i].tasks[k];

            task->buf = place_buffer(PLACE_BLOCK);
            task->offset = (int64_t)(i * TASKS + k) * PLACE_BLOCK;
        }
    }
}

static void tear_down(void)
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    uint64_t accepted = 0, ended = 0;
    unsigned int i, k;

    ck_assert_int_eq(ioq_handle_drain(all.handle, 0), 0);
    ck_assert_int_eq(ioq_handle_stats(all.handle, &stats), 0);
    for (i = 0; i < IOQ_KINDS; i++) {
        accepted += stats.requests[i];
        ended += stats.succeeded[i] + stats.failed[i];
    }
    ck_assert_uint_eq(accepted, all.completed);
    ck_assert_uint_eq(ended, all.completed);
    ck_assert_uint_eq(all.were_cancelled, atomic_load(&all.cancelled));
    ck_assert_int_eq(ioq_handle_detach(all.handle, all.file), 0);
    ioq_handle_close(all.handle);
    close(all.fd);
    for (i = 0; i < SUBMITTERS; i++)
        for (k = 0; k < TASKS; k++)
            free(all.submitters[i].tasks[k].buf);
}

START_TEST(eight_threads_submit_while_one_reaps)
{
    unsigned long requests = number_of("IOQ_TEST_REQUESTS", 100000);
    pthread_t others[2];
    uintptr_t i;

    set_up(requests);
    for (i = 0; i < SUBMITTERS; i++)
        ck_assert_int_eq(pthread_create(&all.submitters[i].thread, NULL,
                                        submit_all, &all.submitters[i]),
                         0);
    for (i = 0; i < 2; i++)
        ck_assert_int_eq(
            pthread_create(&others[i], NULL, meddle, (void *)(i + 1)), 0);
    reap_all(all.each * SUBMITTERS);
    for (i = 0; i < SUBMITTERS; i++)
        pthread_join(all.submitters[i].thread, NULL);
    for (i = 0; i < 2; i++)
        pthread_join(others[i], NULL);
    tear_down();
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create(place_kind());

    (void)argc;
    engine = engine_called(argv[1]);
    tcase_add_test(tcase, eight_threads_submit_while_one_reaps);
    tcase_set_timeout(tcase, 600);
    return engine_suite(engine, "handle_shared", tcase);
}
