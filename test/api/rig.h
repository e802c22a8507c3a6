/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue on the place, with its requests: what most tests of <ioq.h> start
 * from. Uses the library as any emulator would.
 */
#ifndef IOQ_TEST_RIG_H
#define IOQ_TEST_RIG_H

#include <check.h>
#include <ioq.h>

#include "../support/child.h"
#include "../support/place.h"
#include "../support/runner.h"

struct request {
    struct iocb iocb; /* first: the iocb's address is the request's */
    struct iovec iov;
    void *buf;     /* one block; its own */
    ssize_t ret;   /* of the last completion */
    int completed; /* how often */
};

struct rig {
    IOQueue ioq;
    int fd;
    unsigned int depth;
    int completed; /* of all requests */
    struct request *requests;
    char *memory;
};

/*
 * Adds the test twice: with completions read from the ring in user space, and
 * by system call. Such tests say choose_ring(_i) first.
 */
#define add_ring_test(tcase, test) tcase_add_loop_test(tcase, test, 0, 2)
void choose_ring(int ring);

/* Sets the queue up with depth requests in its pool. */
void rig_open(struct rig *rig, unsigned int depth);
void rig_close(struct rig *rig);

/* As ioq_try_init, but waits while others have used fs.aio-max-nr up. */
int patient_init(IOQueue *ioq, int fd, unsigned int depth);

/* Queues one block. The request's buffer is read or written. */
struct request *rig_read(struct rig *rig, long block);
struct request *rig_write(struct rig *rig, long block);

/* Submits what is queued, and checks what ioq_submit promises. */
void rig_submit(struct rig *rig);

/* A completion function that counts; opaque is the rig. */
void rig_done(struct iocb *iocb, ssize_t ret, void *opaque);

/* Waits for the notifier, at most ten seconds, and clears it. */
void rig_wait(struct rig *rig);

/* Waits until that many more have completed. */
void rig_complete(struct rig *rig, int count);

/* Fails unless every request has completed count times, with ret. */
void rig_check(const struct rig *rig, int count, ssize_t ret);

/* Fills a block with what no other pair of numbers gives. */
void fill_block(void *block, long number, unsigned int round);

/* A usual number of rounds, or few of them where IOQ_TEST_QUICK=1. */
int rounds(int usual);

/* Exit status of a test program whose tests are in the case. */
int run_case(const char *name, TCase *tcase);

#endif /* IOQ_TEST_RIG_H */
