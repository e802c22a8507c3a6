/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue over the scripted kernel, with its requests. The disk is seen as
 * blocks of BLOCK bytes; request i writes pattern i.
 */
#ifndef IOQ_TEST_FIXTURE_H
#define IOQ_TEST_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <ioq.h>

#include "../support/runner.h"
#include "../support/scripted_kernel.h"

#define BLOCK 64
#define NOT_DONE ((ssize_t)-99999)

struct request {
    struct iocb iocb; /* first, so that the iocb's address is the request's */
    unsigned int number;
    unsigned int completed; /* how often */
    ssize_t ret;
    struct iovec iov;
    unsigned char buf[BLOCK];
};

struct fixture {
    IOQueue ioq;
    unsigned int depth;
    struct request *requests;
    unsigned int completed; /* calls of the completion function */
    struct request *last;   /* the request of the latest call */

    /* Called by the completion function, if set. */
    void (*in_completion)(struct request *request);
};

extern struct fixture fx;

/* Opens a queue and donates an iocb for each of its requests. */
void fx_open(unsigned int depth);
void fx_close(void); /* also what each test's teardown does */
void fx_teardown(void);

struct request *fx_request_of(struct iocb *iocb);

/* Queue one request; never NULL. */
struct request *fx_write(unsigned int block);
struct request *fx_read(unsigned int block);
struct request *fx_bad(int error); /* one that the kernel rejects so */
struct iocb *fx_bare(void);        /* a prepared fdsync */
void fx_write_n(unsigned int count);

void fx_done(struct iocb *iocb, ssize_t ret, void *opaque);
int fx_run(void); /* ioq_run_completion with fx_done */

bool fx_readable(void); /* the notifier */
bool fx_clear(void);

/*
 * Turns the caller's loop: runs completions only if the notifier says so, and
 * lets the kernel complete a request only if it does not. Fails the test if
 * neither leads to count completions in all: a wake-up was lost.
 */
void fx_wait(unsigned int count);
void fx_drain(void); /* likewise, until all iocbs are back in the pool */

bool fx_holds(unsigned int block, const struct request *writer);

bool fx_ring(void); /* completions are read from the ring in this run */

/* A suite with one test case, whose tests end with fx_teardown. */
TCase *fx_tcase(const char *name, Suite **ret_suite);

#endif /* IOQ_TEST_FIXTURE_H */
