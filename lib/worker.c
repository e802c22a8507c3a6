/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "blocking.h"
#include "sys_eventfd.h"

int ioq__workers_open(struct ioq__workers *workers, unsigned int max,
                      int event_fd)
{
    pthread_condattr_t attr;
    int rc;

    *workers =
        (struct ioq__workers){.max = max, .share = max, .event_fd = event_fd};
    /* A thread that submits may be pinned for reasons that are not ours. */
    workers->has_affinity = sched_getaffinity(0, sizeof(workers->affinity),
                                              &workers->affinity) == 0;
    rc = pthread_mutex_init(&workers->lock, NULL);
    if (rc)
        return -rc;
    rc = pthread_condattr_init(&attr);
    if (!rc) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        rc = pthread_cond_init(&workers->wake, &attr);
        pthread_condattr_destroy(&attr);
    }
    if (rc)
        pthread_mutex_destroy(&workers->lock);
    return -rc;
}

/* The oldest request whose file has not got its share of threads. */
static struct ioq__request *take(struct ioq__workers *workers)
{
    struct ioq__request *request = workers->waiting.head;

    while (request && request->file->at_work >= workers->share)
        request = request->next;
    if (request) {
        ioq__list_remove(&workers->waiting, request);
        request->file->at_work++;
    }
    return request;
}

static bool has_work(const struct ioq__workers *workers)
{
    const struct ioq__request *request = workers->waiting.head;

    while (request && request->file->at_work >= workers->share)
        request = request->next;
    return request;
}

static void finish(struct ioq__workers *workers, struct ioq__request *request)
{
    struct ioq__request *newest =
        atomic_load_explicit(&workers->finished, memory_order_relaxed);

    do {
        request->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(
        &workers->finished, &newest, request, memory_order_release,
        memory_order_relaxed));
    /* Whoever takes the list takes all of it, so one signal is enough. */
    if (!newest)
        ioq__sys_eventfd_set(workers->event_fd);
}

static void *work(void *opaque);

/* With the lock held. Returns 0 or -errno. */
static int start_thread(struct ioq__workers *workers)
{
    sigset_t all, before;
    unsigned int i = 0;
    int rc;

    while (workers->states[i] == IOQ__WORKER_RUNS)
        i++;
    if (workers->states[i] == IOQ__WORKER_LEFT)
        pthread_join(workers->threads[i], NULL);
    workers->states[i] = IOQ__WORKER_NONE;

    /* A new thread inherits the mask: signals are for the emulator's own. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&workers->threads[i], NULL, work, workers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return -rc;
    workers->states[i] = IOQ__WORKER_RUNS;
    workers->running++;
    workers->idle++;
    workers->started++;
    return 0;
}

/*
 * With the lock held: sees to one more thread, if there is work for it. Returns
 * 1 if it has to be woken, which is better done without the lock, as the first
 * thing that it does is to take it. Otherwise 0 or -errno.
 */
static int one_more(struct ioq__workers *workers)
{
    int rc = 0;

    if (!has_work(workers))
        return 0;
    if (workers->idle > 0)
        return 1;
    if (workers->running < workers->max)
        rc = start_thread(workers);
    return workers->running > 0 ? 0 : rc;
}

/* With the lock held. */
static bool must_stay(const struct ioq__workers *workers)
{
    return workers->kept > 0 && workers->running == 1;
}

/*
 * With the lock held. Returns false if it is time to leave. Sets *ret_woken if
 * there was nothing to do at first.
 */
static bool wait_for_work(struct ioq__workers *workers, bool *ret_woken)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IOQ__WORKER_IDLE_SECONDS;
    while (!workers->stop && !has_work(workers) &&
           (must_stay(workers) || rc != ETIMEDOUT)) {
        *ret_woken = true;
        if (must_stay(workers))
            pthread_cond_wait(&workers->wake, &workers->lock);
        else
            rc = pthread_cond_timedwait(&workers->wake, &workers->lock, &until);
    }
    return !workers->stop && has_work(workers);
}

static void set_up_thread(struct ioq__workers *workers)
{
    pthread_setname_np(pthread_self(), "ioq-worker");
    if (workers->has_affinity)
        sched_setaffinity(0, sizeof(workers->affinity), &workers->affinity);
}

/*
 * The scheduler may run a thread that is woken where the one runs that woke it,
 * and at once, in the middle of a submit. That comes first.
 */
static void give_way(int owner_cpu)
{
    if (sched_getcpu() == owner_cpu)
        sched_yield();
}

/* With the lock held, but not all the time. */
static void work_once(struct ioq__workers *workers, struct ioq__bounce *bounce,
                      bool woken)
{
    struct ioq__request *request = take(workers);
    struct ioq__file *file = request->file;
    int more, owner_cpu = workers->owner_cpu;

    workers->idle--;
    more = one_more(workers);
    pthread_mutex_unlock(&workers->lock);
    if (more > 0)
        pthread_cond_signal(&workers->wake);
    if (woken)
        give_way(owner_cpu);

    ioq__blocking_run(request, bounce);

    /* All of it before the owner is told: the next submit needs the lock. */
    pthread_mutex_lock(&workers->lock);
    file->at_work--;
    workers->idle++;
    pthread_mutex_unlock(&workers->lock);
    finish(workers, request);
    pthread_mutex_lock(&workers->lock);
}

static void *work(void *opaque)
{
    struct ioq__workers *workers = opaque;
    struct ioq__bounce bounce = {0};
    bool woken = true;
    unsigned int i = 0;

    set_up_thread(workers);
    pthread_mutex_lock(&workers->lock);
    while (wait_for_work(workers, &woken)) {
        work_once(workers, &bounce, woken);
        woken = false;
    }
    while (!pthread_equal(workers->threads[i], pthread_self()) ||
           workers->states[i] != IOQ__WORKER_RUNS)
        i++;
    workers->states[i] = IOQ__WORKER_LEFT;
    workers->running--;
    workers->idle--;
    pthread_mutex_unlock(&workers->lock);
    ioq__bounce_free(&bounce);
    return NULL;
}

int ioq__workers_start(struct ioq__workers *workers)
{
    int rc = 0;

    pthread_mutex_lock(&workers->lock);
    if (workers->running == 0)
        rc = start_thread(workers);
    pthread_mutex_unlock(&workers->lock);
    return rc;
}

void ioq__workers_keep(struct ioq__workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->kept++;
    if (workers->running == 0)
        start_thread(workers);
    pthread_mutex_unlock(&workers->lock);
}

void ioq__workers_let_go(struct ioq__workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    if (--workers->kept == 0)
        pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
}

void ioq__workers_set_files(struct ioq__workers *workers, unsigned int files)
{
    pthread_mutex_lock(&workers->lock);
    workers->share =
        files > 1 && workers->max > 1 ? workers->max - 1 : workers->max;
    pthread_mutex_unlock(&workers->lock);
}

int ioq__workers_push(struct ioq__workers *workers, struct ioq__list *list)
{
    struct ioq__request *request = list->head, *next;
    int rc;

    pthread_mutex_lock(&workers->lock);
    for (; request; request = next) {
        next = request->next;
        ioq__list_add(&workers->waiting, request);
    }
    list->head = NULL;
    workers->owner_cpu = sched_getcpu();
    rc = one_more(workers);
    pthread_mutex_unlock(&workers->lock);
    if (rc > 0)
        pthread_cond_signal(&workers->wake);
    return rc < 0 ? rc : 0;
}

unsigned int ioq__workers_run_here(struct ioq__workers *workers)
{
    struct ioq__bounce bounce = {0};
    struct ioq__request *request;
    unsigned int ran = 0;

    pthread_mutex_lock(&workers->lock);
    while ((request = workers->waiting.head)) {
        ioq__list_remove(&workers->waiting, request);
        pthread_mutex_unlock(&workers->lock);
        ioq__blocking_run(request, &bounce);
        finish(workers, request);
        ran++;
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    ioq__bounce_free(&bounce);
    return ran;
}

bool ioq__workers_withdraw(struct ioq__workers *workers,
                           const struct ioq__request *request)
{
    bool found;

    pthread_mutex_lock(&workers->lock);
    found = ioq__list_remove(&workers->waiting, request);
    pthread_mutex_unlock(&workers->lock);
    return found;
}

uint64_t ioq__workers_started(struct ioq__workers *workers)
{
    uint64_t started;

    pthread_mutex_lock(&workers->lock);
    started = workers->started;
    pthread_mutex_unlock(&workers->lock);
    return started;
}

struct ioq__request *ioq__workers_collect(struct ioq__workers *workers)
{
    struct ioq__request *newest, *oldest = NULL, *next;

    if (!ioq__workers_finished(workers))
        return NULL;
    newest = atomic_exchange_explicit(&workers->finished, NULL,
                                      memory_order_acquire);
    for (; newest; newest = next) {
        next = newest->next;
        newest->next = oldest;
        oldest = newest;
    }
    return oldest;
}

static bool has_thread(struct ioq__workers *workers, unsigned int i)
{
    bool has;

    pthread_mutex_lock(&workers->lock);
    has = workers->states[i] != IOQ__WORKER_NONE;
    pthread_mutex_unlock(&workers->lock);
    return has;
}

void ioq__workers_close(struct ioq__workers *workers)
{
    unsigned int i;

    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    workers->waiting.head = NULL;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    for (i = 0; i < IOQ__WORKERS_MAX; i++)
        if (has_thread(workers, i))
            pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
}
