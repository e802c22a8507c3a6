/* SPDX-License-Identifier: MIT */
/*
 * Copies a disk image through two libioq queues, one for each file, from one
 * poll loop. It is written as an emulator would use the library:
 *
 *  - each request of the program embeds an iocb and donates it to a queue;
 *    container_of leads back from the iocb to the request;
 *  - a completion function only notes what happened. The next request is queued
 *    when ioq_run_completion has returned, and the pool has its iocb again;
 *  - what is due together goes out together, with one ioq_submit for each file;
 *  - a short transfer is no error: the rest is asked for again.
 *
 * Build it with:
 *   cc -o image-copy image-copy.c image.c $(pkg-config --cflags --libs libioq)
 */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <ioq.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Belongs to a queue; at most one block uses it at a time. */
struct request {
    struct iocb iocb;
    struct block *block;
};

struct job {
    struct copy copy;
    IOQueue queues[2]; /* of SOURCE and TARGET */

    struct block *blocks;     /* as many as depth says */
    struct request *requests; /* twice as many: each queue could hold all */
    struct block **ready;     /* the blocks whose next step is due */
    unsigned int num_ready;
    unsigned int in_flight;
};

/* Called by ioq_run_completion, once for each request that has completed. */
static void request_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct request *request = container_of(iocb, struct request, iocb);
    struct job *job = opaque;

    job->in_flight--;
    block_transferred(&job->copy, request->block, ret);
    job->ready[job->num_ready++] = request->block;
}

static void queue_transfer(struct job *job, struct block *block)
{
    struct transfer *next = block_next_transfer(&job->copy, block);
    IOQueue *queue = &job->queues[next->side];
    /* The library reads the iovec in ioq_submit, so it must not be a local. */
    struct iocb *iocb =
        ioq_rdwr(queue, next->read, &next->iov, 1, next->offset);

    if (iocb)
        container_of(iocb, struct request, iocb)->block = block;
    else /* cannot be: the queue has an iocb for each block */
        copy_fail(&job->copy, next->side, "no request left", -1, errno);
}

static void submit(struct job *job, enum side side)
{
    unsigned int count = ioq_num_queued(&job->queues[side]);

    if (count == 0)
        return;
    job->in_flight += count;
    ioq_submit(&job->queues[side]);
}

/* Queues the next step of each block that is due, then submits them. */
static void queue_and_submit(struct job *job)
{
    unsigned int i, count = job->num_ready;

    job->num_ready = 0;
    for (i = 0; i < count && !job->copy.failed && !interrupted; i++) {
        struct block *block = job->ready[i];

        if (block->side != IDLE || block_next_piece(&job->copy, block))
            queue_transfer(job, block);
    }
    submit(job, SOURCE);
    submit(job, TARGET);
}

/* Sleeps until a queue has something, then has completion called for it. */
static void wait_and_reap(struct job *job, IOQueueCompletion *completion,
                          void *opaque)
{
    struct pollfd polled[2];
    int side;

    for (side = SOURCE; side <= TARGET; side++) {
        EventNotifier *notifier = ioq_get_notifier(&job->queues[side]);

        polled[side].fd = event_notifier_get_fd(notifier);
        polled[side].events = POLLIN;
    }
    if (poll(polled, 2, -1) <= 0)
        return; /* a signal */
    for (side = SOURCE; side <= TARGET; side++) {
        IOQueue *queue = &job->queues[side];

        if (!(polled[side].revents & POLLIN))
            continue;
        /* In this order: what completes in between fires the notifier anew. */
        event_notifier_test_and_clear(ioq_get_notifier(queue));
        ioq_run_completion(queue, completion, opaque);
    }
}

/* After a failure nothing new is queued, but what is out is waited for. */
static void move_all(struct job *job)
{
    unsigned int i;

    for (i = 0; i < job->copy.depth; i++) {
        job->blocks[i].side = IDLE;
        job->ready[i] = &job->blocks[i];
    }
    job->num_ready = job->copy.depth;
    queue_and_submit(job);
    while (job->in_flight > 0) {
        wait_and_reap(job, request_done, job);
        queue_and_submit(job);
        pass_show_progress(&job->copy);
    }
}

static void flush_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    (void)iocb;
    *(ssize_t *)opaque = ret;
}

/* A request that is no read or write: the caller prepares the iocb. */
static void flush_target(struct job *job)
{
    int fd = job->copy.files[TARGET].fd;
    struct iocb *iocb = ioq_get_iocb(&job->queues[TARGET]);
    ssize_t ret = 1; /* no result yet */

    if (iocb) {
        io_prep_fdsync(iocb, fd);
        ioq_submit(&job->queues[TARGET]);
        while (ret > 0)
            wait_and_reap(job, flush_done, &ret);
    }
    /* Kernels before 4.18 and some file systems do not know this request. */
    if (!iocb || ret == -EINVAL)
        ret = fdatasync(fd) < 0 ? -errno : 0;
    if (ret < 0)
        copy_fail(&job->copy, TARGET, "flush error", -1, (int)-ret);
}

static void run_pass(struct job *job, bool comparing)
{
    pass_begin(&job->copy, comparing);
    move_all(job);
    pass_end(&job->copy);
    if (!comparing && !job->copy.failed)
        flush_target(job);
    pass_report(&job->copy);
}

/* Sets a queue up and fills its pool with requests of ours. */
static void set_up_queue(struct job *job, enum side side)
{
    IOQueue *queue = &job->queues[side];
    unsigned int i, depth = job->copy.depth;
    struct request *requests = job->requests + (side == TARGET ? depth : 0);
    int rc = ioq_try_init(queue, job->copy.files[side].fd, depth);

    if (rc < 0) {
        copy_fail(&job->copy, side, "cannot set up a queue", -1, -rc);
        return;
    }
    for (i = 0; i < depth; i++)
        ioq_put_iocb(queue, &requests[i].iocb);
}

static void set_up_blocks(struct job *job)
{
    unsigned int i, depth = job->copy.depth;

    job->blocks = calloc(depth, sizeof(*job->blocks));
    job->ready = calloc(depth, sizeof(struct block *));
    job->requests = calloc(depth, 2 * sizeof(*job->requests));
    for (i = 0; job->blocks && job->ready && job->requests && i < depth; i++)
        if (!block_allocate(&job->copy, &job->blocks[i]))
            break;
    if (i < depth)
        copy_fail(&job->copy, SOURCE, "no memory for the blocks", -1, 0);
}

static void tear_down(struct job *job)
{
    unsigned int i;

    ioq_cleanup(&job->queues[SOURCE]);
    ioq_cleanup(&job->queues[TARGET]);
    copy_close(&job->copy);
    for (i = 0; job->blocks && i < job->copy.depth; i++)
        free(job->blocks[i].data);
    free(job->blocks);
    free(job->ready);
    free(job->requests);
}

int main(int argc, char **argv)
{
    struct job job = {.in_flight = 0};

    copy_open(&job.copy, argc, argv);
    set_up_blocks(&job);
    if (!job.copy.failed)
        set_up_queue(&job, SOURCE);
    if (!job.copy.failed)
        set_up_queue(&job, TARGET);
    if (!job.copy.failed)
        run_pass(&job, false);
    if (!job.copy.failed && !job.copy.no_verify)
        run_pass(&job, true);
    tear_down(&job);
    return job.copy.failed;
}
