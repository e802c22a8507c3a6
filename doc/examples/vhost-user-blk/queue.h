/* SPDX-License-Identifier: MIT */
/*
 * A queue of the guest's: one thread, which polls for the driver's kicks and
 * for completions, and sleeps otherwise.
 *
 * The thread of the socket changes a queue only while it is stopped. Stopping
 * waits for all requests, so that memory may be unmapped afterwards.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "block.h"
#include "ring.h"

struct queue {
    /* What the emulator has said. */
    struct ring_layout layout;
    bool enabled;
    bool started; /* it may have sent a kick fd, or wants us to look */
    int kick;     /* -1 where there is none, in all three */
    int call;
    int error;

    struct ring ring;
    struct lane lane; /* kept open from one start to the next */
    bool running;
    int wake; /* an eventfd: the thread shall stop */
    bool stopping;
    bool deaf; /* nobody will ever kick again */
    pthread_t thread;
};

/* What a queue depends on beside itself. */
struct queue_place {
    struct disk *disk;
    const struct memory *memory;
    struct inflight_log *log;
    uint64_t features;
    struct block_totals *totals;
};

int queue_init(struct queue *queue, unsigned int number);
void queue_cleanup(struct queue *queue, struct block_totals *totals);

/* Starts it if the emulator has said all that it takes. 0, or -1 after an error
 * line. */
int queue_start(struct queue *queue, const struct queue_place *place);

/* Stops taking requests, and waits for those that are out. */
void queue_stop(struct queue *queue);

/* Stops it, and forgets what the emulator has said of it. */
void queue_reset(struct queue *queue, struct block_totals *totals);

#endif /* QUEUE_H */
