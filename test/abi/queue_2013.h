/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue as a program of 2013 declares it, written anew: the members, their
 * order and the prototypes are all that counts. Never edited: this is what
 * compiled programs out there believe. It must not include anything of libioq.
 */
#ifndef IOQ_TEST_QUEUE_2013_H
#define IOQ_TEST_QUEUE_2013_H

#include <libaio.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "emulator_notifier.h"

typedef struct {
    int fd;
    unsigned int max_reqs;
    io_context_t io_ctx;
    EventNotifier io_notifier;
    struct iocb **freelist;
    unsigned int freelist_idx;
    struct iocb **queue;
    unsigned int queue_idx;
} IOQueue;

void ioq_init(IOQueue *ioq, int fd, unsigned int max_reqs);
void ioq_cleanup(IOQueue *ioq);
EventNotifier *ioq_get_notifier(IOQueue *ioq);
struct iocb *ioq_get_iocb(IOQueue *ioq);
void ioq_put_iocb(IOQueue *ioq, struct iocb *iocb);
struct iocb *ioq_rdwr(IOQueue *ioq, bool read, struct iovec *iov,
                      unsigned int count, long long offset);
int ioq_submit(IOQueue *ioq);

static inline unsigned int ioq_num_queued(IOQueue *ioq)
{
    return ioq->queue_idx;
}

typedef void IOQueueCompletion(struct iocb *iocb, ssize_t ret, void *opaque);
int ioq_run_completion(IOQueue *ioq, IOQueueCompletion *completion,
                       void *opaque);

#endif /* IOQ_TEST_QUEUE_2013_H */
