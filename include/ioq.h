/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request queue: batches of Linux AIO requests on one file.
 *
 * An emulator embeds a struct iocb in each of its own requests and donates it
 * to the queue. It queues reads and writes, hands the whole batch over with one
 * call, and is told through an eventfd when requests have completed:
 *
 *     ioq_init(&ioq, fd, 64);
 *     for (i = 0; i < 64; i++)
 *         ioq_put_iocb(&ioq, &requests[i].iocb);
 *
 *     ioq_rdwr(&ioq, true, iov, iovcnt, offset);      ...as many as there are
 *     ioq_submit(&ioq);
 *
 *     poll event_notifier_get_fd(ioq_get_notifier(&ioq)), then
 *     event_notifier_test_and_clear(ioq_get_notifier(&ioq));
 *     ioq_run_completion(&ioq, request_done, NULL);
 *
 * Every request that ioq_submit took over completes exactly once, by a call of
 * the completion function in ioq_run_completion, whatever the kernel does.
 *
 * Threads: different queues are independent. One queue is used by one thread at
 * a time; with a lock of the caller's, that may be another thread each time.
 * The exception is the notifier, which any thread may set or poll.
 *
 * After fork(2) the queue belongs to the parent. The child may call
 * ioq_cleanup, which leaves the parent's requests alone, and nothing else.
 *
 * The library never exits, aborts or prints, and installs no signal handler.
 */
#ifndef IOQ_QUEUE_H
#define IOQ_QUEUE_H

/* Declares sigset_t, which <libaio.h> needs and does not bring in strict C. */
#include <sys/select.h>

#include <libaio.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <ioq/event_notifier.h>
#include <ioq/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A queue. The caller provides the memory, and may keep it anywhere, but must
 * not move or copy it between ioq_init and ioq_cleanup.
 *
 * ABI sensitive: this layout never changes. The members are listed because the
 * layout is a promise; use the functions. Reading queue_idx is the one thing
 * that programs do to them (see ioq_num_queued).
 *
 * Since 1.0.
 */
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

/**
 * Called once for each request that has completed.
 *
 * iocb is the one that the request was queued with; the caller's own request
 * is found around it (container_of). ret is the number of bytes transferred,
 * which may be less than what was asked for, or -errno. opaque is the caller's.
 *
 * The iocb goes back to the queue's pool after the function returned, not
 * before: at full depth, ioq_rdwr returns NULL inside it. Queue the next
 * request when ioq_run_completion has returned, or keep one iocb in reserve.
 * The function may call ioq_rdwr, ioq_get_iocb, ioq_submit and
 * ioq_run_completion on the same queue, but not ioq_cleanup.
 *
 * Since 1.0.
 */
typedef void IOQueueCompletion(struct iocb *iocb, ssize_t ret, void *opaque);

/**
 * Sets up a queue of up to max_reqs requests on the open file fd.
 *
 * The pool starts empty: give it iocbs with ioq_put_iocb. fd stays the
 * caller's, who closes it after ioq_cleanup. Only a file opened with O_DIRECT
 * makes the kernel work in the background; on others, io_submit(2) does the
 * whole transfer before it returns.
 *
 * Returns 0, or:
 *   -EBADF   fd is negative
 *   -EINVAL  max_reqs is 0, or more than the kernel can ever serve
 *   -EAGAIN  max_reqs exceeds what is left of the system's fs.aio-max-nr;
 *            raise that sysctl or ask for less
 *   -ENOSYS  this kernel, emulator or sandbox has no Linux AIO
 *   -EPERM   a sandbox forbids Linux AIO
 *   -EMFILE, -ENFILE  no file descriptor left for the notifier
 *   -ENOMEM  no memory
 *
 * After a failure the object is safe to use and to clean up: taking an iocb
 * fails with that error, ioq_submit returns it, the notifier's fd is -1, and
 * nothing completes. Since 1.0.
 */
int ioq_try_init(IOQueue *ioq, int fd, unsigned int max_reqs);

/**
 * As ioq_try_init, but returns nothing: errno is 0 after success and tells what
 * went wrong otherwise, as does ioq_submit. Since 1.0.
 */
void ioq_init(IOQueue *ioq, int fd, unsigned int max_reqs);

/**
 * Releases all that ioq_init set up. Does nothing if that failed, or if called
 * again.
 *
 * Waits for the requests that the kernel is working on, so that their buffers
 * are the caller's again on return; that has no time limit. Requests that the
 * kernel did not take yet are dropped. No completion function is called for
 * either. To finish everything, call ioq_run_completion until all is done, then
 * this. The donated iocbs are the caller's again. Since 1.0.
 */
void ioq_cleanup(IOQueue *ioq);

/**
 * Returns the notifier, which becomes readable when ioq_run_completion has
 * something to do. It is the queue's, who closes it; a copy by value is fine.
 *
 * It may become readable when there is nothing to do. Clear it before, never
 * after ioq_run_completion: what completes in between would not be seen.
 * Since 1.0.
 */
EventNotifier *ioq_get_notifier(IOQueue *ioq);

/**
 * Takes an iocb from the pool and queues it, for requests other than reads and
 * writes. The caller prepares it (io_prep_fdsync, say) before ioq_submit; one
 * that was left unprepared completes with an error. The notifier fires for it
 * whether or not the caller asked for that with io_set_eventfd.
 *
 * Returns NULL with errno EAGAIN if the pool is empty, or with the error of
 * ioq_init if that failed. Since 1.0.
 */
struct iocb *ioq_get_iocb(IOQueue *ioq);

/**
 * Gives an iocb to the pool. Its memory stays the caller's, must stay valid
 * until ioq_cleanup, and must not be given twice.
 *
 * One that was just queued and not yet submitted is taken off the queue.
 *
 * Refused if the queue has max_reqs iocbs, in the pool or out on requests:
 * errno is then ENOSPC, or EINVAL if iocb is NULL, or the error of ioq_init if
 * that failed. errno is left alone otherwise. Since 1.0.
 */
void ioq_put_iocb(IOQueue *ioq, struct iocb *iocb);

/**
 * Queues a read or a write of the file at offset, in bytes.
 *
 * Nothing is checked until ioq_submit; what the kernel rejects completes with
 * its error. The array iov must stay valid until ioq_submit has returned; the
 * buffers that it names, until the request has completed.
 *
 * Returns the request's iocb, so that the caller can fill in what else it keeps
 * in the surrounding request; or NULL with errno as for ioq_get_iocb.
 * Since 1.0.
 */
struct iocb *ioq_rdwr(IOQueue *ioq, bool read, struct iovec *iov,
                      unsigned int count, long long offset);

/**
 * Hands all that is queued over. The queue is empty afterwards.
 *
 * Requests that the kernel does not take now stay with the library, in order
 * and ahead of newer ones, and go out from a later ioq_submit or
 * ioq_run_completion. A request that the kernel rejects completes with its
 * error; those behind it are not affected. In both cases the notifier fires
 * when there is something to do. Never calls the completion function.
 *
 * Returns how many requests were queued, or the error of ioq_init if that
 * failed. Since 1.0.
 */
int ioq_submit(IOQueue *ioq);

/**
 * Returns how many requests wait for ioq_submit. Since 1.0, also as a symbol
 * of the library.
 */
static inline unsigned int ioq_num_queued(IOQueue *ioq)
{
    return ioq->queue_idx;
}

/**
 * Calls completion for each request that has completed by now.
 *
 * Finds them without a system call on the usual path. If there are several, it
 * sets the notifier while it runs, and clears it in the end: two system calls,
 * however many there are. Requests that complete while it runs may be left to
 * the next call; the notifier is readable then.
 *
 * May be called inside a completion function, and so may a nested event loop
 * that polls the notifier: requests that the outer call did not reach yet
 * complete in the inner one.
 *
 * Returns the number of calls it made, those of nested calls not counted; 0 if
 * ioq_init failed. Since 1.0.
 */
int ioq_run_completion(IOQueue *ioq, IOQueueCompletion *completion,
                       void *opaque);

#ifdef __cplusplus
}
#endif

#endif /* IOQ_QUEUE_H */
