/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "aio.h"

#include <errno.h>

#include "sys_aio.h"
#include "sys_ring.h"

/* So that a storm of signals delays a batch, but never holds the caller up. */
#define INTERRUPTED_MAX 100u

int ioq__aio_open(struct ioq__aio *aio, unsigned int depth)
{
    io_context_t ctx;
    int rc = ioq__sys_aio_setup(depth, &ctx);

    if (rc < 0)
        return rc;
    *aio = (struct ioq__aio){.ctx = ctx, .ring = ioq__ring_usable(ctx)};
    return 0;
}

void ioq__aio_close(struct ioq__aio *aio)
{
    ioq__sys_aio_destroy(aio->ctx);
}

enum ioq__aio_verdict ioq__aio_verdict(int rc)
{
    if (rc > 0)
        return IOQ__AIO_TAKEN;
    switch (rc) {
    case -EINTR:
        return IOQ__AIO_RETRY;
    case 0: /* nothing went in, and nothing is wrong with the first one */
    case -EAGAIN:
    case -ENOMEM:
        return IOQ__AIO_FULL;
    default:
        return IOQ__AIO_REJECTED;
    }
}

/*
 * io_submit says EINVAL for a bad request as well as for a context that is
 * gone. If it is the context then no request is at fault, and asking again for
 * each would be of no use.
 */
static bool context_is_gone(const struct ioq__aio *aio)
{
    return ioq__sys_aio_getevents(aio->ctx, 0, NULL) == -EINVAL;
}

static unsigned int reject_head(struct ioq__aio *aio, struct iocb **iocbs,
                                unsigned int count, int error,
                                ioq__aio_reject *reject, void *opaque)
{
    unsigned int rejected = 1, i;

    if (error == -EINVAL && context_is_gone(aio)) {
        aio->ring = false; /* its memory went with it */
        error = -EIDRM;
        rejected = count;
    }
    for (i = 0; i < rejected; i++)
        reject(opaque, iocbs[i], error);
    return rejected;
}

unsigned int ioq__aio_push(struct ioq__aio *aio, struct iocb **iocbs,
                           unsigned int count, ioq__aio_reject *reject,
                           void *opaque)
{
    unsigned int done = 0, interrupted = 0;

    while (done < count && interrupted < INTERRUPTED_MAX) {
        int rc = ioq__sys_aio_submit(aio->ctx, count - done, iocbs + done);

        aio->submits++;
        switch (ioq__aio_verdict(rc)) {
        case IOQ__AIO_TAKEN:
            aio->in_flight += (unsigned int)rc;
            done += (unsigned int)rc;
            break;
        case IOQ__AIO_RETRY:
            interrupted++;
            aio->retries++;
            break;
        case IOQ__AIO_FULL:
            /* Reading the ring ourselves may have confused its accounts. */
            aio->ask_kernel = true;
            aio->retries++;
            return done;
        case IOQ__AIO_REJECTED:
            done += reject_head(aio, iocbs + done, count - done, rc, reject,
                                opaque);
            break;
        }
    }
    return done;
}

static int ring_pending(const struct ioq__aio *aio)
{
    if (aio->in_flight == 0)
        return 0;
    if (!aio->ring || aio->ask_kernel)
        return -1;
    return ioq__ring_pending(aio->ctx, aio->in_flight);
}

static bool fetch(struct ioq__aio *aio)
{
    unsigned int max = aio->in_flight;
    int rc;

    if (max > IOQ__AIO_FETCH)
        max = IOQ__AIO_FETCH;
    do {
        aio->fetches++;
        rc = ioq__sys_aio_getevents(aio->ctx, max, aio->events);
    } while (rc == -EINTR);
    aio->ask_kernel = false;
    aio->returned = 0;
    aio->fetched = rc > 0 ? (unsigned int)rc : 0;
    return rc > 0;
}

bool ioq__aio_ready(struct ioq__aio *aio)
{
    int pending;

    if (aio->returned < aio->fetched)
        return true;
    pending = ring_pending(aio);
    return pending < 0 ? fetch(aio) : pending > 0;
}

bool ioq__aio_next(struct ioq__aio *aio, struct io_event *ret_event)
{
    int pending = 0;

    if (aio->returned == aio->fetched)
        pending = ring_pending(aio);
    if (pending > 0) {
        ioq__ring_take(aio->ctx, ret_event);
    } else {
        if (pending < 0 && !fetch(aio))
            return false;
        if (aio->returned == aio->fetched)
            return false;
        *ret_event = aio->events[aio->returned++];
    }
    aio->in_flight--;
    return true;
}
