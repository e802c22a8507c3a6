/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "report.h"

static void signal_fd(int fd)
{
    uint64_t one = 1;

    /* It fails only where the counter is full: then nobody needs waking. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

static void clear_fd(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return;
}

static void notify(struct queue *queue)
{
    if (ring_wants_notification(&queue->ring))
        signal_fd(queue->call);
}

/* Returns whether there was anything to do. The driver is told once of all that
 * has completed meanwhile. It cannot keep us here: there is a limit. */
static bool work(struct queue *queue)
{
    unsigned int left = queue->ring.layout.size;
    bool any = false, took;

    do {
        took = lane_take(&queue->lane);
        any |= lane_reap(&queue->lane) || took;
    } while (took && --left > 0);
    if (any)
        notify(queue);
    return any;
}

static void sleep_until_needed(struct queue *queue)
{
    struct pollfd fds[] = {
        {.fd = queue->wake, .events = POLLIN},
        {.fd = ioq_handle_fd(queue->lane.handle), .events = POLLIN},
        {.fd = queue->deaf ? -1 : queue->kick, .events = POLLIN},
    };

    poll(fds, 3, -1);
    if (fds[2].revents & POLLIN)
        clear_fd(queue->kick);
    else if (fds[2].revents)
        queue->deaf = true;
}

static bool shall_stop(struct queue *queue)
{
    return __atomic_load_n(&queue->stopping, __ATOMIC_ACQUIRE);
}

/* While there is work to do, neither the driver nor libioq needs to wake us. */
static void want_wakeups(struct queue *queue, bool wanted)
{
    ring_want_kicks(&queue->ring, wanted);
    ioq_handle_set_notify(queue->lane.handle, wanted);
}

static void *run(void *opaque)
{
    struct queue *queue = opaque;
    bool told = false;

    /* What a dead server gave back, it may not have told. */
    signal_fd(queue->call);
    while (!shall_stop(queue)) {
        want_wakeups(queue, false);
        while (!shall_stop(queue) && work(queue))
            ;
        want_wakeups(queue, true);
        if (work(queue))
            continue;
        if (queue->ring.broken && !told)
            signal_fd(queue->error);
        told = queue->ring.broken;
        sleep_until_needed(queue);
    }
    lane_drain(&queue->lane);
    notify(queue);
    return NULL;
}

int queue_init(struct queue *queue, unsigned int number)
{
    memset(queue, 0, sizeof(*queue));
    queue->ring.number = number;
    queue->kick = queue->call = queue->error = -1;
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake < 0)
        return report("no eventfd: %s", strerror(errno));
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void queue_reset(struct queue *queue, struct block_totals *totals)
{
    queue_stop(queue);
    lane_close(&queue->lane, totals);
    close_fd(&queue->kick);
    close_fd(&queue->call);
    close_fd(&queue->error);
    queue->enabled = queue->started = false;
    queue->layout = (struct ring_layout){.size = 0};
}

void queue_cleanup(struct queue *queue, struct block_totals *totals)
{
    queue_reset(queue, totals);
    close_fd(&queue->wake);
}

/* The signals are for the thread of the socket. */
static int start_thread(struct queue *queue)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&queue->thread, NULL, run, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return report("no thread for queue %u: %s", queue->ring.number,
                      strerror(rc));
    return 0;
}

int queue_start(struct queue *queue, const struct queue_place *place)
{
    bool same_size = queue->ring.layout.size == queue->layout.size;

    if (queue->running || !queue->started || !queue->enabled)
        return 0;
    if (queue->lane.handle && !same_size)
        lane_close(&queue->lane, place->totals);
    if (ring_start(&queue->ring, &queue->layout, place->memory, place->log) < 0)
        return -1;
    if (!queue->lane.handle &&
        lane_open(&queue->lane, place->disk, &queue->ring, place->features) < 0)
        return -1;
    clear_fd(queue->wake);
    queue->stopping = queue->deaf = false;
    if (start_thread(queue) < 0)
        return -1;
    queue->running = true;
    return 0;
}

void queue_stop(struct queue *queue)
{
    if (!queue->running)
        return;
    __atomic_store_n(&queue->stopping, true, __ATOMIC_RELEASE);
    signal_fd(queue->wake);
    pthread_join(queue->thread, NULL);
    queue->running = false;
    /* Where it goes on, should it be started again. */
    queue->layout.base = queue->ring.next_avail;
}
