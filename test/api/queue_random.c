/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random operations, against a copy of the file in memory. IOQ_TEST_SEED=n runs
 * one seed again.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define BLOCKS 128
#define LONGEST 8 /* blocks of one request */
#define SEGMENTS 4

enum kind { READ, WRITE, FLUSH, BAD };

struct task {
    struct request request; /* first */
    enum kind kind;
    int first, count; /* blocks */
    bool out;
    char *buf;
};

struct world {
    IOQueue ioq;
    int fd;
    unsigned int depth, stamp, state;
    int out; /* submitted, not completed */
    struct task *tasks;
    char *memory; /* of all tasks */
    char *model;
    bool busy[BLOCKS]; /* some request that is not completed uses it */
};

static unsigned int pick(struct world *world, unsigned int below)
{
    world->state = world->state * 1664525u + 1013904223u;
    return (world->state >> 8) % below;
}

static size_t bytes(int blocks)
{
    return (size_t)blocks * PLACE_BLOCK;
}

static void mark(struct world *world, const struct task *task, bool busy)
{
    memset(world->busy + task->first, busy, (size_t)task->count);
}

/* Finds blocks that nobody uses: what overlaps has no order. */
static bool choose_blocks(struct world *world, int *ret_first, int *ret_count)
{
    int first = (int)pick(world, BLOCKS), count = 0;
    int most = 1 + (int)pick(world, LONGEST);

    while (count < most && first + count < BLOCKS &&
           !world->busy[first + count])
        count++;
    *ret_first = first;
    *ret_count = count;
    return count > 0;
}

/* Cuts the task's memory into segments of whole blocks. */
static unsigned int segment(struct world *world, struct task *task,
                            struct iovec *iov)
{
    unsigned int n = 0;
    int at = 0;

    while (at < task->count) {
        int count = task->count - at;

        if (n < SEGMENTS - 1)
            count = 1 + (int)pick(world, (unsigned int)count);
        iov[n++] = (struct iovec){task->buf + bytes(at), bytes(count)};
        at += count;
    }
    return n;
}

static void fill_task(struct world *world, struct task *task)
{
    int i;

    for (i = 0; i < task->count; i++)
        fill_block(task->buf + bytes(i), task->first + i, ++world->stamp);
}

static void queue_transfer(struct world *world, enum kind kind,
                           struct iovec *iov)
{
    struct task *task;
    int first, count;

    if (!choose_blocks(world, &first, &count))
        return;
    /* Prepared once more below, when it is known which task it is. */
    task = (struct task *)ioq_rdwr(&world->ioq, kind != WRITE, iov, 1,
                                   (long long)bytes(first));
    if (!task) {
        ck_assert_int_eq(errno, EAGAIN);
        return;
    }
    ck_assert(!task->out);
    task->kind = kind;
    task->first = first;
    task->count = count;
    task->out = true;
    task->request.iocb.u.v.nr = (int)segment(world, task, iov);
    if (kind == WRITE)
        fill_task(world, task);
    else
        memset(task->buf, 0xee, bytes(count));
    if (kind == BAD)
        task->request.iocb.aio_fildes = -1;
    mark(world, task, true);
}

static void queue_flush(struct world *world)
{
    struct task *task = (struct task *)ioq_get_iocb(&world->ioq);

    if (!task)
        return;
    ck_assert(!task->out);
    io_prep_fdsync(&task->request.iocb, world->fd);
    task->kind = FLUSH;
    task->count = task->first = 0;
    task->out = true;
}

/* The newest one that is queued changes its mind. */
static void put_back(struct world *world)
{
    struct task *task;

    if (ioq_num_queued(&world->ioq) == 0)
        return;
    task = (struct task *)world->ioq.queue[ioq_num_queued(&world->ioq) - 1];
    ioq_put_iocb(&world->ioq, &task->request.iocb);
    mark(world, task, false);
    task->out = false;
}

/* Queues some, submits them, and lets the iovecs die. */
static void queue_batch(struct world *world)
{
    struct iovec iov[64][SEGMENTS];
    unsigned int i, count = 1 + pick(world, 64);
    int queued;

    for (i = 0; i < count; i++) {
        unsigned int what = pick(world, 100);

        if (what < 45)
            queue_transfer(world, WRITE, iov[i]);
        else if (what < 88)
            queue_transfer(world, READ, iov[i]);
        else if (what < 92)
            queue_transfer(world, BAD, iov[i]);
        else if (what < 95)
            queue_flush(world);
        else
            put_back(world);
    }
    queued = (int)ioq_num_queued(&world->ioq);
    ck_assert_int_eq(ioq_submit(&world->ioq), queued);
    ck_assert_uint_eq(ioq_num_queued(&world->ioq), 0);
    world->out += queued;
    memset(iov, 0xff, sizeof(iov));
    __asm__ volatile("" : : "r"(iov) : "memory");
}

static void task_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct task *task = (struct task *)iocb;
    struct world *world = opaque;
    char *model = world->model + bytes(task->first);

    ck_assert_msg(task->out, "completed twice");
    task->out = false;
    world->out--;
    mark(world, task, false);
    switch (task->kind) {
    case READ:
        ck_assert_int_eq(ret, (ssize_t)bytes(task->count));
        ck_assert_mem_eq(task->buf, model, bytes(task->count));
        break;
    case WRITE:
        ck_assert_int_eq(ret, (ssize_t)bytes(task->count));
        memcpy(model, task->buf, bytes(task->count));
        break;
    case FLUSH:
        ck_assert_int_eq(ret, 0);
        break;
    case BAD:
        ck_assert_int_eq(ret, -EBADF);
        break;
    }
}

static void reap(struct world *world, bool all)
{
    struct rig rig = {.ioq = world->ioq}; /* its notifier is all that counts */

    do {
        if (world->out > 0)
            rig_wait(&rig);
        ioq_run_completion(&world->ioq, task_done, world);
    } while (all && world->out > 0);
}

static void open_world(struct world *world, unsigned int seed)
{
    unsigned int i;

    memset(world, 0, sizeof(*world));
    world->state = seed;
    world->depth = 1 + pick(world, 48);
    world->fd = place_open();
    world->model = place_buffer((long)bytes(BLOCKS));
    place_fill(world->fd, world->model, (long)bytes(BLOCKS));
    world->memory = place_buffer((long)(world->depth * bytes(LONGEST)));
    world->tasks = calloc(world->depth, sizeof(*world->tasks));
    ck_assert_ptr_nonnull(world->tasks);
    ck_assert_int_eq(patient_init(&world->ioq, world->fd, world->depth), 0);
    for (i = 0; i < world->depth; i++) {
        world->tasks[i].buf = world->memory + i * bytes(LONGEST);
        ioq_put_iocb(&world->ioq, &world->tasks[i].request.iocb);
    }
}

static void close_world(struct world *world)
{
    char *file = place_buffer((long)bytes(BLOCKS));

    ck_assert_uint_eq(world->ioq.freelist_idx, world->depth);
    ioq_cleanup(&world->ioq);
    ck_assert_int_eq(pread(world->fd, file, bytes(BLOCKS), 0),
                     (ssize_t)bytes(BLOCKS));
    ck_assert_mem_eq(file, world->model, bytes(BLOCKS));
    close(world->fd);
    free(file);
    free(world->tasks);
    free(world->memory);
    free(world->model);
}

static void run_seed(unsigned int seed)
{
    struct world world;
    int i, count = rounds(150);

    fprintf(stderr, "IOQ_TEST_SEED=%u\n", seed);
    open_world(&world, seed);
    for (i = 0; i < count; i++) {
        queue_batch(&world);
        reap(&world, pick(&world, 10) == 0);
    }
    reap(&world, true);
    close_world(&world);
}

START_TEST(random_operations_do_what_the_model_does)
{
    const char *chosen = getenv("IOQ_TEST_SEED");
    unsigned int seed;

    choose_ring(_i);
    if (chosen) {
        run_seed((unsigned int)strtoul(chosen, NULL, 10));
        return;
    }
    for (seed = 1; seed <= 5; seed++)
        run_seed(seed * 2 + (unsigned int)_i);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, random_operations_do_what_the_model_does);
    return run_case("queue_random", tcase);
}
