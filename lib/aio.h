/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One AIO context: requests go in, in order, completions come out, one by one.
 * Knows what each answer of io_submit(2) means and where completions are read.
 */
#ifndef IOQ_AIO_H
#define IOQ_AIO_H

#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>

/* How many completions one io_getevents fetches. */
#define IOQ__AIO_FETCH 64u

struct ioq__aio {
    io_context_t ctx;
    bool ring;              /* completions are read in user space */
    bool ask_kernel;        /* the next ones by system call all the same */
    unsigned int in_flight; /* taken by the kernel, not yet returned by next */
    unsigned int fetched;   /* entries of events that hold a completion */
    unsigned int returned;  /* entries of events that were returned */
    uint64_t submits;       /* system calls made */
    uint64_t fetches;       /* likewise */
    uint64_t retries;       /* submits that took nothing for want of room */
    struct io_event events[IOQ__AIO_FETCH];
};

/* What an answer of io_submit calls for. */
enum ioq__aio_verdict {
    IOQ__AIO_TAKEN,    /* that many went in */
    IOQ__AIO_RETRY,    /* at once */
    IOQ__AIO_FULL,     /* later: the kernel has no room now */
    IOQ__AIO_REJECTED, /* the first request is at fault */
};

enum ioq__aio_verdict ioq__aio_verdict(int rc);

/* Told about each request that will never be in flight; error is -errno. */
typedef void ioq__aio_reject(void *opaque, struct iocb *iocb, int error);

int ioq__aio_open(struct ioq__aio *aio, unsigned int depth);

/* Waits until the kernel is done with all that is in flight. */
void ioq__aio_close(struct ioq__aio *aio);

/*
 * Hands over iocbs[0] to iocbs[count - 1] in order. Returns how many were dealt
 * with, each either in flight or rejected. If that is fewer than count then the
 * kernel has no room, and the others should be tried again later.
 */
unsigned int ioq__aio_push(struct ioq__aio *aio, struct iocb **iocbs,
                           unsigned int count, ioq__aio_reject *reject,
                           void *opaque);

/*
 * Tells whether next is sure to return true. If not then nothing has completed
 * by now: a completion that was not seen yet must not be missed here, since the
 * caller may have cleared its signal.
 */
bool ioq__aio_ready(struct ioq__aio *aio);

/* Takes one completion, if there is one. */
bool ioq__aio_next(struct ioq__aio *aio, struct io_event *ret_event);

#endif /* IOQ_AIO_H */
