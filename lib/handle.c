/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handle.h"

#include <errno.h>
#include <time.h>

#include "error.h"
#include "sys_eventfd.h"

#define REAP_CHUNK 32u

/*
 * What a submit copies to and from the page cache, at most: bytes for one
 * request, and for all. A worker that is idle takes about as long to wake.
 */
#define COPY_EACH (32u << 10)
#define COPY_MOST (256u << 10)

/*
 * O_DIRECT copies nothing, but takes the kernel some microseconds for 64 KiB,
 * and now and then the CPU goes to another thread meanwhile. So after each part
 * of so many bytes the clock is looked at, and if it took so long what is left
 * goes to the workers.
 */
#define PART_BYTES (512u << 10)
#define PUSH_NS INT64_C(200000)

int64_t ioq__now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int ioq__handle_refuse(const struct ioq_handle *handle)
{
    if (!handle)
        return ioq__fail(-EINVAL, "the handle is NULL");
    return ioq__fail(-ECHILD, "the handle belongs to the process that "
                              "forked this one; open another");
}

int ioq__handle_enter(struct ioq_handle *handle)
{
    int rc = ioq__handle_lock(handle);

    if (rc == 0)
        handle->saved_errno = errno;
    return rc;
}

void ioq__handle_leave(struct ioq_handle *handle)
{
    errno = handle->saved_errno;
    ioq__handle_unlock(handle);
}

bool ioq__ring_remove(struct ioq__ring *ring,
                      const struct ioq__request *request)
{
    unsigned int count = ring->at.count;
    bool found = false;

    /* Once around: all but that one end up where they were, in order. */
    while (count-- > 0) {
        struct ioq__request *oldest = ioq__ring_pop(ring);

        if (oldest == request)
            found = true;
        else
            ioq__ring_add(ring, oldest);
    }
    return found;
}

void ioq__handle_signal(struct ioq_handle *handle)
{
    handle->stats.kernel_notifies++;
    ioq__sys_eventfd_set(handle->event_fd);
}

void ioq__handle_clear(struct ioq_handle *handle)
{
    handle->stats.kernel_notifies++;
    ioq__sys_eventfd_clear(handle->event_fd);
}

void ioq__handle_set_notify(struct ioq_handle *handle)
{
    if (handle->ops->set_notify)
        handle->ops->set_notify(handle->engine,
                                handle->notify || handle->sleepers > 0);
}

static void send_to_work(struct ioq_handle *handle,
                         struct ioq__request *request, uint64_t *reason)
{
    (*reason)++;
    ioq__set_stage(request, IOQ_STAGE_WORKER);
    request->file->changing += ioq__changes_bytes(request);
    ioq__list_add(&handle->to_work, request);
}

/* Whether the engine copies what the request transfers. */
static bool copies(const struct ioq__request *request)
{
    return !request->file->direct && ioq__is_transfer(request);
}

/* And so much of it that it holds the caller up. */
static bool copies_too_much(const struct ioq_handle *handle,
                            const struct ioq__request *request)
{
    return copies(request) && (request->length > COPY_EACH ||
                               request->length > COPY_MOST - handle->copied);
}

static void route(struct ioq_handle *handle, struct ioq__request *request)
{
    struct ioq_stats *stats = &handle->stats;

    if (copies_too_much(handle, request)) {
        send_to_work(handle, request, &stats->worker_copy);
        return;
    }
    switch (handle->ops->route(handle->engine, request)) {
    case IOQ__ROUTE_ENGINE:
        if (copies(request))
            handle->copied += request->length;
        ioq__set_stage(request, IOQ_STAGE_PARKED);
        ioq__ring_add(&handle->ready, request);
        break;
    case IOQ__ROUTE_LEARNED:
        send_to_work(handle, request, &stats->worker_learned);
        break;
    case IOQ__ROUTE_UNABLE:
        send_to_work(handle, request, &stats->worker_unable);
        break;
    case IOQ__ROUTE_MISALIGNED:
        send_to_work(handle, request, &stats->worker_misaligned);
        break;
    }
}

/* Whether a request that came earlier must be over first. */
static bool must_wait(const struct ioq_handle *handle,
                      const struct ioq__request *request)
{
    unsigned int i;

    for (i = 0; i < handle->depth; i++) {
        const struct ioq__request *other = &handle->requests[i];
        int stage = ioq__stage(other);

        if (stage != IOQ_STAGE_QUEUED && stage <= IOQ_STAGE_WORKER &&
            other->sequence < request->sequence &&
            ioq__requests_clash(other, request))
            return true;
    }
    return false;
}

/* Holds the request if it must be held; routes it otherwise. */
static void dispatch(struct ioq_handle *handle, struct ioq__request *request)
{
    struct ioq__file *file = request->file;

    request->sequence = handle->sequence++;
    if (request->rewrites)
        file->rewrites++;
    if (file->rewrites == 0 || !ioq__changes_bytes(request) ||
        !must_wait(handle, request)) {
        route(handle, request);
        return;
    }
    handle->stats.held++;
    file->held++;
    ioq__set_stage(request, IOQ_STAGE_HELD);
    ioq__list_add(&handle->held, request);
}

/* Routes what no longer has to wait. Seldom, hence not in the way of finish. */
__attribute__((noinline)) static void release(struct ioq_handle *handle,
                                              struct ioq__file *file)
{
    struct ioq__request *request = handle->held.head, *next;

    for (; request; request = next) {
        next = request->next;
        if (request->file != file || must_wait(handle, request))
            continue;
        ioq__list_remove(&handle->held, request);
        file->held--;
        route(handle, request);
    }
}

static struct ioq__learn *learn_of(const struct ioq__request *request)
{
    return request->kind == IOQ_KIND_READ ? &request->file->reads
                                          : &request->file->writes;
}

void ioq__handle_unroute(struct ioq__request *request)
{
    if (request->nowait)
        ioq__learn_drop(learn_of(request));
}

/* How many of the oldest go to the engine before the clock is looked at. */
static unsigned int next_part(const struct ioq__ring *ready)
{
    unsigned int run = ioq__fifo_run(&ready->at), n = 0;
    uint64_t bytes = 0;

    while (n < run && bytes < PART_BYTES)
        bytes += ioq__ring_oldest(ready)[n++]->length;
    return n;
}

/* Whether that took long, and somebody is there to do the rest. */
static bool took_too_long(struct ioq_handle *handle, int64_t begin)
{
    return ioq__now_ns() - begin > PUSH_NS &&
           ioq__workers_start(&handle->workers) == 0;
}

/* Returns whether it stopped since that took too long. */
static bool push_ready(struct ioq_handle *handle)
{
    struct ioq__ring *ready = &handle->ready;
    unsigned int part, taken, i;
    int64_t begin = 0;

    for (;;) {
        part = next_part(ready);
        if (part < ready->at.count && begin == 0)
            begin = ioq__now_ns();
        taken =
            handle->ops->submit(handle->engine, ioq__ring_oldest(ready), part);
        for (i = 0; i < taken; i++)
            ioq__set_stage(ioq__ring_oldest(ready)[i], IOQ_STAGE_KERNEL);
        ioq__fifo_drop(&ready->at, taken);
        if (taken < part || ready->at.count == 0)
            return false;
        if (took_too_long(handle, begin))
            return true;
    }
}

static void give_up_ready(struct ioq_handle *handle)
{
    while (handle->ready.at.count > 0) {
        struct ioq__request *request = ioq__ring_pop(&handle->ready);

        ioq__handle_unroute(request);
        send_to_work(handle, request, &handle->stats.worker_busy);
    }
}

/* Hands over what is ready and what is to work. */
static void push(struct ioq_handle *handle)
{
    bool too_long = handle->ready.at.count > 0 && push_ready(handle);

    /* With nothing in flight, no completion would bring us back to these. */
    if (too_long || handle->ops->in_flight(handle->engine) == 0)
        give_up_ready(handle);
    if (!handle->to_work.head)
        return;
    /* Late is better than never: without threads the caller's does it. */
    if (ioq__workers_push(&handle->workers, &handle->to_work) < 0)
        handle->stats.worker_none += ioq__workers_run_here(&handle->workers);
}

/* Gives each request that is queued its way. */
static void dispatch_all(struct ioq_handle *handle, int64_t now)
{
    struct ioq__ring *queued = &handle->queued;
    unsigned int run, i;

    handle->copied = 0;
    while (queued->at.count > 0) {
        run = ioq__fifo_run(&queued->at);
        for (i = 0; i < run; i++) {
            struct ioq__request *request = ioq__ring_oldest(queued)[i];

            request->since_ns = now;
            dispatch(handle, request);
        }
        ioq__fifo_drop(&queued->at, run);
    }
}

int ioq__handle_submit(struct ioq_handle *handle, bool collect)
{
    struct ioq_stats *stats = &handle->stats;
    unsigned int count = handle->queued.at.count;
    int64_t begin, spent;

    if (count == 0 && handle->ready.at.count == 0)
        return 0;
    begin = ioq__now_ns();
    dispatch_all(handle, begin);
    push(handle);
    if (collect)
        ioq__handle_collect(handle);

    spent = ioq__now_ns() - begin;
    stats->batches += count > 0;
    stats->submit_total_ns += (uint64_t)spent;
    if ((uint64_t)spent > stats->submit_longest_ns)
        stats->submit_longest_ns = (uint64_t)spent;
    return (int)count;
}

static void count_end(struct ioq_stats *stats,
                      const struct ioq__request *request, int64_t now)
{
    uint64_t ns = (uint64_t)(now - request->since_ns);
    /* From 0 to 1 ns is a bucket, too. */
    unsigned int bucket = 63u - (unsigned int)__builtin_clzll(ns | 1);

    if (bucket >= IOQ_LATENCY_BUCKETS)
        bucket = IOQ_LATENCY_BUCKETS - 1;
    stats->latency[bucket]++;
    stats->bounced_bytes += request->bounced;
    if (request->result < 0) {
        stats->failed[request->kind]++;
        return;
    }
    stats->succeeded[request->kind]++;
    if (request->kind == IOQ_KIND_READ)
        stats->bytes_read += (uint64_t)request->result;
    else if (request->kind == IOQ_KIND_WRITE)
        stats->bytes_written += (uint64_t)request->result;
}

static void finish(struct ioq_handle *handle, struct ioq__request *request,
                   int64_t result, int64_t now)
{
    struct ioq__file *file = request->file;

    request->result = result;
    if (ioq__stage(request) == IOQ_STAGE_WORKER)
        file->changing -= ioq__changes_bytes(request);
    ioq__set_stage(request, IOQ__STAGE_DONE);
    ioq__ring_add(&handle->done, request);
    handle->unfinished--;
    count_end(&handle->stats, request, now);
    if (request->rewrites)
        file->rewrites--;
    if (file->held > 0)
        release(handle, file);
}

void ioq__handle_finish(struct ioq_handle *handle, struct ioq__request *request,
                        int64_t result)
{
    finish(handle, request, result, ioq__now_ns());
}

/* Errors that a call which may sleep does not have, or puts right. */
static bool worth_another_way(const struct ioq__request *request, int64_t error)
{
    switch (error) {
    case -EAGAIN:
    case -EINTR:
    case -ENOMEM:
        return true;
    case -EOPNOTSUPP:
    case -EINVAL:
        return request->nowait || request->file->direct ||
               (request->flags & IOQ_F_FUA);
    default:
        return false;
    }
}

static void learn(struct ioq__request *request, int64_t result)
{
    struct ioq__learn *learn = learn_of(request);

    if (result == -EAGAIN || result == -EOPNOTSUPP)
        ioq__learn_miss(learn, request->since_ns);
    else
        ioq__learn_hit(learn);
    if (result == -EOPNOTSUPP)
        learn->refused = true;
}

static void transfer_ended(struct ioq_handle *handle,
                           struct ioq__request *request, int64_t result,
                           int64_t now)
{
    struct ioq_stats *stats = &handle->stats;

    if (request->nowait)
        learn(request, result);
    if (result < 0) {
        if (worth_another_way(request, result))
            send_to_work(handle, request, &stats->worker_busy);
        else
            finish(handle, request, result, now);
        return;
    }
    request->done = (uint64_t)result;
    if (request->done == request->length)
        finish(handle, request, result, now);
    else
        send_to_work(handle, request, &stats->worker_short);
}

static void attempt_ended(struct ioq_handle *handle,
                          struct ioq__request *request, int64_t result,
                          int64_t now)
{
    if (ioq__is_transfer(request)) {
        transfer_ended(handle, request, result, now);
        return;
    }
    if (result == -EINVAL || result == -EOPNOTSUPP || result == -ENOSYS ||
        result == -EAGAIN || result == -EINTR || result == -ENOMEM) {
        if (request->kind == IOQ_KIND_FLUSH && result == -EINVAL)
            request->file->no_fdsync = true;
        send_to_work(handle, request, &handle->stats.worker_unable);
        return;
    }
    finish(handle, request, result, now);
}

void ioq__handle_collect(struct ioq_handle *handle)
{
    struct ioq__attempt attempts[REAP_CHUNK];
    struct ioq__request *request, *next;
    unsigned int n, i;
    int64_t now = 0;

    do {
        n = handle->ops->reap(handle->engine, attempts, REAP_CHUNK);
        if (n > 0 && now == 0)
            now = ioq__now_ns();
        for (i = 0; i < n; i++)
            attempt_ended(handle, attempts[i].request, attempts[i].result, now);
    } while (n == REAP_CHUNK);

    request = ioq__workers_collect(&handle->workers);
    if (request && now == 0)
        now = ioq__now_ns();
    for (; request; request = next) {
        next = request->next;
        finish(handle, request, request->result, now);
    }
    if (handle->ready.at.count > 0 || handle->to_work.head)
        push(handle);
}
