/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for the kernel edge of Linux AIO, linked in place of sys_aio.c. It
 * holds one context at a time, whose ring lies in ordinary memory, and a disk
 * in memory. Nothing happens by itself: a request that was taken completes when
 * the test says so. As in the kernel, the array of iovecs is copied when a
 * request is taken, and the buffers are used when it completes.
 *
 * What a library must never do (submit an iocb that is in flight, exceed the
 * depth, forget the eventfd, reap what is not there) aborts the test.
 */
#ifndef IOQ_TEST_SCRIPTED_KERNEL_H
#define IOQ_TEST_SCRIPTED_KERNEL_H

#include <libaio.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SK_DISK_SIZE 65536
#define SK_FD 1234           /* the disk, unless the test chooses another */
#define SK_DEPTH_MAX 4194304 /* more is EINVAL, as in the kernel */

struct sk_kernel {
    int fd; /* the one file that exists */

    /* What the next context's ring looks like. nr 0: roomy. */
    uint32_t magic, incompat, header_length, nr;

    /* Faults. sk_reset clears them all. */
    int setup_error;              /* io_setup's answer, -errno */
    bool no_fdsync;               /* IO_CMD_FDSYNC is EINVAL */
    bool full_until_getevents;    /* EAGAIN until io_getevents is called */
    unsigned int getevents_eintr; /* so many EINTR first */
    unsigned int getevents_max;   /* at most so many at once, 0: no limit */
    int getevents_error;          /* io_getevents' answer while it is set */
    unsigned long res2;           /* of each event */

    /*
     * Called for each io_submit, may return -errno, or how many to look at,
     * at most. Called for each request that completes, with the number of
     * bytes it asked for; returns how many it gets, or -errno. Told of each
     * request that has completed, before its event is on the ring. None of
     * them may call a function of this file.
     */
    int (*on_submit)(unsigned int count);
    ssize_t (*on_result)(struct iocb *iocb, ssize_t wanted);
    void (*on_done)(struct iocb *iocb, ssize_t result);

    /* What was seen. */
    unsigned long setups, destroys, submits, getevents, taken;
};

extern struct sk_kernel sk;
extern unsigned char sk_disk[SK_DISK_SIZE];

/* As at the start of the program. There must be no context. */
void sk_reset(void);

/* on_submit answers these, in turn, then lets all in. SK_ALL lets one in. */
#define SK_ALL INT_MAX
void sk_answers(const int *answers, unsigned int count);
unsigned int sk_answers_left(void);

unsigned int sk_in_flight(void); /* taken and not completed */
unsigned int sk_unreaped(void);  /* completed, still on the ring */

/* The i-th oldest that is in flight; right only until sk_complete_at(>0). */
struct iocb *sk_request(unsigned int i);

/* Completes one; the oldest takes the place of the i-th. */
void sk_complete_at(unsigned int i);
void sk_complete(struct iocb *iocb);
void sk_complete_with(struct iocb *iocb, ssize_t result);
void sk_complete_all(void);

/* Shows a wrong tail to who reads the ring, until io_getevents is called. */
void sk_bend_tail(uint32_t tail);

/* The context disappears, as after an io_destroy behind the library's back. */
void sk_lose_context(void);

#endif /* IOQ_TEST_SCRIPTED_KERNEL_H */
