/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Submitting, and finding out what has completed.
 */
#include <ioq/handle.h>

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "error.h"
#include "export.h"
#include "handle.h"

#define NS_PER_S INT64_C(1000000000)

/* With several threads another may clear the fd that this one sleeps on. */
#define SHARED_SLEEP_NS INT64_C(5000000)

IOQ_EXPORT int ioq_handle_submit(struct ioq_handle *handle)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = ioq__handle_submit(handle, true);
    ioq__handle_leave(handle);
    return rc;
}

/* Copies completions out, and gives the places of the requests free. */
static void give_out_run(struct ioq_handle *handle, struct ioq_completion *ret,
                         unsigned int count)
{
    struct ioq__request **oldest = ioq__ring_oldest(&handle->done);
    unsigned int i;

    for (i = 0; i < count; i++) {
        struct ioq__request *request = oldest[i];

        ret[i].user_data = request->user_data;
        ret[i].result = request->result;
        request->file->requests--;
        ioq__set_stage(request, IOQ__STAGE_FREE);
        handle->free[handle->free_count++] = request;
    }
    ioq__fifo_drop(&handle->done.at, count);
}

static unsigned int give_out(struct ioq_handle *handle,
                             struct ioq_completion *ret, unsigned int max)
{
    unsigned int n = 0, run;

    while (n < max && handle->done.at.count > 0) {
        run = ioq__fifo_run(&handle->done.at);
        if (run > max - n)
            run = max - n;
        give_out_run(handle, ret + n, run);
        n += run;
    }
    return n;
}

/*
 * Makes the fd unreadable, and readable again if something has ended between
 * the last look and that.
 */
static void clear_and_look_again(struct ioq_handle *handle)
{
    ioq__handle_clear(handle);
    ioq__handle_collect(handle);
    if (handle->done.at.count > 0)
        ioq__handle_signal(handle);
}

/*
 * With clear, the fd is left readable only if there is more than max, or more
 * has ended meanwhile. It is cleared before the look, so that one look is
 * enough: what ends later sets it again.
 */
static unsigned int reap(struct ioq_handle *handle, struct ioq_completion *ret,
                         unsigned int max, bool clear)
{
    unsigned int n;

    /* It has told of these already. */
    if (handle->done.at.count >= max)
        return give_out(handle, ret, max);
    if (clear)
        ioq__handle_clear(handle);
    ioq__handle_collect(handle);
    n = give_out(handle, ret, max);
    if (clear && handle->done.at.count > 0)
        ioq__handle_signal(handle);
    return n;
}

static int check_array(const struct ioq_completion *ret, unsigned int max)
{
    if (!ret || max == 0)
        return ioq__fail(-EINVAL, "no room for completions");
    return 0;
}

IOQ_EXPORT int ioq_handle_reap(struct ioq_handle *handle,
                               struct ioq_completion *ret, unsigned int max)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = check_array(ret, max);
    if (rc == 0)
        rc = (int)reap(handle, ret, max, handle->notify);
    ioq__handle_leave(handle);
    return rc;
}

/* How long to sleep at most, in nanoseconds; until_ns is 0 for ever. */
static int64_t time_left(const struct ioq_handle *handle, int64_t until_ns)
{
    int64_t left = until_ns ? until_ns - ioq__now_ns() : INT64_MAX;

    if (handle->shared && left > SHARED_SLEEP_NS)
        left = SHARED_SLEEP_NS;
    if (left > 1000000 * NS_PER_S)
        left = 1000000 * NS_PER_S;
    return left > 0 ? left : 0;
}

/* Sleeps until the fd is readable or the time has come. */
static void sleep_on_fd(const struct ioq_handle *handle, int64_t until_ns)
{
    struct pollfd fd = {.fd = handle->event_fd, .events = POLLIN};
    int64_t left = time_left(handle, until_ns);
    struct timespec timeout;
    int saved = errno;

    timeout.tv_sec = (time_t)(left / NS_PER_S);
    timeout.tv_nsec = (long)(left % NS_PER_S);
    ppoll(&fd, 1, &timeout, NULL);
    errno = saved;
}

/* A point in time, 0 for never. */
static int64_t deadline(int64_t timeout_ns)
{
    int64_t now;

    if (timeout_ns < 0)
        return 0;
    now = ioq__now_ns();
    return timeout_ns > INT64_MAX - now ? 0 : now + timeout_ns;
}

static bool is_over(int64_t until_ns)
{
    return until_ns && ioq__now_ns() >= until_ns;
}

/*
 * Sleeps in the engine until something has ended, if that is all there is to
 * wait for: nothing else is out, and no other thread may bring more. That
 * spares the fd. Returns whether it did.
 */
static bool wait_in_engine(const struct ioq_handle *handle, int64_t until)
{
    return handle->ops->wait && !handle->shared && handle->unfinished > 0 &&
           handle->unfinished == handle->ops->in_flight(handle->engine) &&
           handle->ops->wait(handle->engine, time_left(handle, until)) == 0;
}

/*
 * Hands over what is queued, in the very call that waits if the engine can do
 * so. Returns whether it has waited. What has ended already is not looked for
 * before that: the call does not sleep then, and to return with a few of them
 * would make the next batch, and so on, a small one.
 */
static bool submit_and_wait(struct ioq_handle *handle, unsigned int min,
                            int64_t until)
{
    bool holds = handle->ops->hold && !handle->shared && min > 0 &&
                 handle->queued.at.count > 0 && !is_over(until);
    bool waited = false;

    if (holds)
        handle->ops->hold(handle->engine, true);
    ioq__handle_submit(handle, false);
    if (holds) {
        waited = handle->done.at.count == 0 && wait_in_engine(handle, until);
        handle->ops->hold(handle->engine, false);
    }
    return waited;
}

/* The fd must tell of all that ends from now on, whatever set_notify said. */
static void begin_sleep(struct ioq_handle *handle)
{
    handle->sleepers++;
    ioq__handle_set_notify(handle);
}

static void end_sleep(struct ioq_handle *handle)
{
    handle->sleepers--;
    ioq__handle_set_notify(handle);
}

/* Sleeps until the fd tells of something. Returns what came before that. */
static unsigned int sleep_once(struct ioq_handle *handle,
                               struct ioq_completion *ret, unsigned int min,
                               unsigned int max, int64_t until)
{
    unsigned int n;

    begin_sleep(handle);
    n = reap(handle, ret, max, true);
    if (n < min && handle->unfinished > 0) {
        ioq__handle_leave(handle);
        sleep_on_fd(handle, until);
        ioq__handle_enter(handle);
    }
    end_sleep(handle);
    return n;
}

/*
 * One round of waiting: what is there, and a sleep if that is too little.
 * Returns how many completions that were, or -errno; *ret_over if that is all.
 */
static int wait_once(struct ioq_handle *handle, struct ioq_completion *ret,
                     unsigned int min, unsigned int max, int64_t until,
                     bool *ret_over)
{
    int rc = ioq__handle_enter(handle);
    unsigned int n;
    bool waited;

    if (rc < 0)
        return rc;
    waited = submit_and_wait(handle, min, until);
    n = reap(handle, ret, max, handle->notify);
    *ret_over = n >= min || handle->unfinished == 0 || is_over(until);
    if (!*ret_over && !waited && !wait_in_engine(handle, until))
        n += sleep_once(handle, ret + n, min - n, max - n, until);
    ioq__handle_leave(handle);
    return (int)n;
}

IOQ_EXPORT int ioq_handle_wait(struct ioq_handle *handle,
                               struct ioq_completion *ret, unsigned int min,
                               unsigned int max, int64_t timeout_ns)
{
    int64_t until = deadline(timeout_ns);
    unsigned int n = 0;
    bool over = false;
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    ioq__handle_leave(handle);
    rc = check_array(ret, max);
    if (rc == 0 && min > max)
        rc = ioq__fail(-EINVAL, "min exceeds max");
    if (rc < 0)
        return rc;
    while (!over) {
        unsigned int want = min > n ? min - n : 0;

        rc = wait_once(handle, ret + n, want, max - n, until, &over);
        if (rc < 0)
            return rc;
        n += (unsigned int)rc;
    }
    return (int)n;
}

/* Takes one completion. Leaves the fd right for a nested event loop. */
static bool take_one(struct ioq_handle *handle, struct ioq_completion *ret)
{
    if (handle->done.at.count == 0)
        ioq__handle_collect(handle);
    if (handle->done.at.count == 0 && handle->notify)
        clear_and_look_again(handle);
    return give_out(handle, ret, 1) == 1;
}

IOQ_EXPORT int ioq_handle_run_completion(struct ioq_handle *handle,
                                         ioq_completion_fn *fn, void *opaque)
{
    struct ioq_completion completion;
    unsigned int most = 0, calls = 0;
    bool got;
    int rc;

    if (!fn)
        return ioq__fail(-EINVAL, "fn is NULL");
    do {
        rc = ioq__handle_enter(handle);
        if (rc < 0)
            return rc;
        /* A function that queues a new request each time must not hold us. */
        if (calls == 0)
            most = handle->depth - handle->free_count;
        got = take_one(handle, &completion);
        ioq__handle_leave(handle);
        if (got) {
            fn(completion.user_data, completion.result, opaque);
            calls++;
        }
    } while (got && calls < most);
    return (int)calls;
}

static void nap(void)
{
    const struct timespec pause = {0, 1000000};
    int saved = errno;

    nanosleep(&pause, NULL);
    errno = saved;
}

/* Returns how many requests are out, and sleeps if it may and must. */
static int drain_once(struct ioq_handle *handle, int64_t until)
{
    int out = ioq__handle_enter(handle);
    bool sleeps;

    if (out < 0)
        return out;
    begin_sleep(handle);
    ioq__handle_submit(handle, false);
    ioq__handle_collect(handle);
    if (handle->unfinished > 0 && !handle->shared) {
        /* So that the sleep is one; what ends now ends the loop. */
        ioq__handle_clear(handle);
        ioq__handle_collect(handle);
    }
    out = (int)handle->unfinished;
    sleeps = out > 0 && !is_over(until);
    if (!sleeps && handle->done.at.count > 0)
        ioq__handle_signal(handle);
    ioq__handle_leave(handle);
    if (sleeps && handle->shared)
        nap(); /* the fd is another thread's to clear */
    else if (sleeps)
        sleep_on_fd(handle, until);
    ioq__handle_enter(handle);
    end_sleep(handle);
    /* If the time is over, nobody else tells of what was cleared above. */
    if (sleeps && handle->done.at.count > 0)
        ioq__handle_signal(handle);
    ioq__handle_leave(handle);
    return out;
}

IOQ_EXPORT int ioq_handle_drain(struct ioq_handle *handle, int64_t timeout_ns)
{
    int64_t until = deadline(timeout_ns);
    int out;

    do {
        out = drain_once(handle, until);
    } while (out > 0 && !is_over(until));
    return out;
}

static void describe(const struct ioq__request *request, int64_t now,
                     struct ioq_pending *ret)
{
    *ret = (struct ioq_pending){
        .user_data = request->user_data,
        .offset = request->offset,
        .length = (int64_t)request->length,
        .age_ns = request->since_ns ? now - request->since_ns : 0,
        .file = request->file->number,
        .kind = request->kind,
        .stage = (uint32_t)ioq__stage(request),
    };
}

IOQ_EXPORT int ioq_handle_pending(struct ioq_handle *handle,
                                  struct ioq_pending *ret, unsigned int max)
{
    int64_t now = ioq__now_ns();
    unsigned int i, n = 0;
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    if (!ret && max > 0)
        rc = ioq__fail(-EINVAL, "no room for the list");
    for (i = 0; rc == 0 && i < handle->depth && n < max; i++)
        if (ioq__stage(&handle->requests[i]) <= IOQ_STAGE_WORKER)
            describe(&handle->requests[i], now, &ret[n++]);
    if (rc == 0)
        rc = (int)handle->unfinished;
    ioq__handle_leave(handle);
    return rc;
}

IOQ_EXPORT int ioq_handle_set_notify(struct ioq_handle *handle, int enabled)
{
    int rc = ioq__handle_enter(handle);
    bool was;

    if (rc < 0)
        return rc;
    was = handle->notify;
    handle->notify = enabled;
    ioq__handle_set_notify(handle);
    /* What ended while nobody was told has to be told now. */
    if (enabled && !was) {
        ioq__handle_collect(handle);
        if (handle->done.at.count > 0)
            ioq__handle_signal(handle);
    }
    ioq__handle_leave(handle);
    return 0;
}
