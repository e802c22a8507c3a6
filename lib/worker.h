/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that do what may sleep. They start on demand, one waking the next,
 * and leave when there was nothing to do for a while; but one stays where it is
 * kept, since to start a thread takes longer than to wake it.
 *
 * The lock is taken to hand work over, never to collect what is finished.
 */
#ifndef IOQ_WORKER_H
#define IOQ_WORKER_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "request.h"

#define IOQ__WORKERS_MAX 64u
#define IOQ__WORKER_IDLE_SECONDS 1

enum ioq__worker_state { IOQ__WORKER_NONE, IOQ__WORKER_RUNS, IOQ__WORKER_LEFT };

struct ioq__workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ioq__list waiting; /* nobody has begun these */
    unsigned int max;         /* threads */
    unsigned int running;     /* threads */
    unsigned int idle;        /* of those: about to look for work */
    unsigned int share;       /* threads that one file may keep busy */
    unsigned int kept;        /* if not 0, the last thread stays */
    int owner_cpu;            /* where the last work was handed over */
    bool stop;
    uint64_t started;
    cpu_set_t affinity; /* of the thread that opened the handle */
    bool has_affinity;
    pthread_t threads[IOQ__WORKERS_MAX];
    enum ioq__worker_state states[IOQ__WORKERS_MAX];

    int event_fd; /* set when finished becomes non-empty */
    _Atomic(struct ioq__request *) finished; /* newest first */
};

int ioq__workers_open(struct ioq__workers *workers, unsigned int max,
                      int event_fd);

/* Waits for what was begun. What was not is dropped. */
void ioq__workers_close(struct ioq__workers *workers);

/* Starts one thread if there is none. Returns 0 or -errno. */
int ioq__workers_start(struct ioq__workers *workers);

/*
 * From the first of these calls to the last of those there is a thread, if one
 * can be started: so that no submit has to.
 */
void ioq__workers_keep(struct ioq__workers *workers);
void ioq__workers_let_go(struct ioq__workers *workers);

/* How many of the threads one file may keep busy: not all, if it has company.
 */
void ioq__workers_set_files(struct ioq__workers *workers, unsigned int files);

/*
 * Hands a list over. Returns 0, or -errno if there is no thread at all and none
 * can be started; the requests are waiting all the same.
 */
int ioq__workers_push(struct ioq__workers *workers, struct ioq__list *list);

/* Does in this thread all that is waiting. Returns how many that were. */
unsigned int ioq__workers_run_here(struct ioq__workers *workers);

/* Takes back a request that nobody has begun. */
bool ioq__workers_withdraw(struct ioq__workers *workers,
                           const struct ioq__request *request);

/* Returns how many threads were started so far. */
uint64_t ioq__workers_started(struct ioq__workers *workers);

/* Takes all that are finished, oldest first, linked by next. */
struct ioq__request *ioq__workers_collect(struct ioq__workers *workers);

static inline bool ioq__workers_finished(const struct ioq__workers *workers)
{
    return atomic_load_explicit(&workers->finished, memory_order_relaxed);
}

#endif /* IOQ_WORKER_H */
