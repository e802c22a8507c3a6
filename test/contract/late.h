/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of sleeping share: rigs that are stuck, and for how long. */
#ifndef IOQ_TEST_CONTRACT_LATE_H
#define IOQ_TEST_CONTRACT_LATE_H

#include "contract.h"

#include <pthread.h>

#define MILLISECOND INT64_C(1000000)

int64_t now_ns(void);

/* Sleeps until fd is readable; fails the test after LONG. */
void await_readable(int fd);

/* An epoll fd that tells of the completion fd's edges alone. */
#define EDGES_CALLS "epoll_create1 epoll_ctl epoll_pwait "
int open_edges(struct rig *rig);

/*
 * Takes the completions of count requests, which are all that are out: max or
 * fewer at a time, and sleeps for an edge whenever fewer have come.
 */
void reap_by_edges(struct rig *rig, int edges, struct ioq_completion *done,
                   unsigned int max, int count);

/*
 * Reaps nothing until the completion fd is not readable: what has signalled it
 * last may have done so behind the last completion's back.
 */
void settle(struct rig *rig);

/* A rig with one worker. */
void rig_open_narrow(struct rig *rig, unsigned int depth);

/* Queues reads of the first blocks. Each user_data is the block's number. */
void queue_reads(struct rig *rig, int count);

/* A rig of depth 8 in which that many of them have completed, to be reaped. */
void rig_open_ready(struct rig *rig, int count);

/* Queues zeroes for one block. Workers do that, on every engine. */
void queue_zeroes(struct rig *rig, unsigned int block, void *user_data);

/* Lets go of the stuck request in a while, from a thread that join ends. */
struct later {
    pthread_t thread;
};
void later_begin(struct later *later, struct stuck *stuck);
void later_join(struct later *later);

/* One completion without sleeping for long; fails the test after LONG. */
struct ioq_completion reap_one(struct rig *rig);

#endif /* IOQ_TEST_CONTRACT_LATE_H */
