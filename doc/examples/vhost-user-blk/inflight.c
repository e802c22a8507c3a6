/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define ALIGNMENT 64u
#define VERSION 1u

_Static_assert(sizeof(struct inflight_request) == 16, "as specified");
_Static_assert(sizeof(struct inflight_log) == 16, "as specified");

static uint64_t log_size(uint16_t ring_size)
{
    uint64_t size = sizeof(struct inflight_log) +
                    ring_size * sizeof(struct inflight_request);

    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t logs_size(uint16_t queues, uint16_t ring_size)
{
    return queues * log_size(ring_size);
}

static void clear_logs(struct inflight *inflight)
{
    unsigned int i;

    for (i = 0; i < inflight->queues; i++) {
        struct inflight_log *log =
            inflight_of(inflight, i, inflight->queue_size);

        memset(log, 0, log_size(inflight->queue_size));
        log->version = VERSION;
        log->size = inflight->queue_size;
    }
}

int inflight_create(uint16_t queues, uint16_t queue_size,
                    struct message_inflight *ret)
{
    struct message_inflight made = {.queues = queues, .queue_size = queue_size};
    struct inflight inflight = {.map = NULL};
    int fd;

    made.size = logs_size(queues, queue_size) + ALIGNMENT;
    fd = memfd_create("in-flight requests", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)made.size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        report("cannot make an in-flight log: %s", strerror(errno));
        goto fail;
    }
    if (inflight_map(&inflight, &made, fd) < 0)
        goto fail;
    clear_logs(&inflight);
    inflight_unmap(&inflight);
    *ret = made;
    return fd;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

int inflight_map(struct inflight *inflight, const struct message_inflight *kept,
                 int fd)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t before = kept->offset % page;
    uint64_t needed = logs_size(kept->queues, kept->queue_size) + ALIGNMENT;
    struct stat st;
    void *map;

    inflight_unmap(inflight);
    if (kept->queues == 0 || kept->size < needed ||
        kept->offset % ALIGNMENT != 0)
        return report("the in-flight log has a wrong size");
    if (fstat(fd, &st) < 0 || kept->offset > (uint64_t)st.st_size ||
        needed > (uint64_t)st.st_size - kept->offset)
        return report("the in-flight log ends beyond its file");
    map = mmap(NULL, before + needed, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               (off_t)(kept->offset - before));
    if (map == MAP_FAILED)
        return report("cannot map the in-flight log: %s", strerror(errno));
    *inflight = (struct inflight){.base = (char *)map + before,
                                  .queues = kept->queues,
                                  .queue_size = kept->queue_size,
                                  .map = map,
                                  .mapped = before + needed};
    return 0;
}

void inflight_unmap(struct inflight *inflight)
{
    if (inflight->map)
        munmap(inflight->map, inflight->mapped);
    *inflight = (struct inflight){.map = NULL};
}

struct inflight_log *inflight_of(const struct inflight *inflight,
                                 unsigned int queue, uint16_t ring_size)
{
    if (!inflight->map || queue >= inflight->queues ||
        ring_size > inflight->queue_size)
        return NULL;
    return (void *)(inflight->base + queue * log_size(inflight->queue_size));
}

uint8_t *inflight_writethrough(const struct inflight *inflight)
{
    if (!inflight->map)
        return NULL;
    return (uint8_t *)inflight->base +
           logs_size(inflight->queues, inflight->queue_size);
}

void inflight_take(struct inflight_log *log, uint16_t head, uint64_t counter)
{
    if (!log)
        return;
    log->requests[head].counter = counter;
    __atomic_store_n(&log->requests[head].in_flight, 1, __ATOMIC_RELEASE);
}

void inflight_before_used(struct inflight_log *log, uint16_t head)
{
    if (log)
        __atomic_store_n(&log->last_head, head, __ATOMIC_RELEASE);
}

void inflight_after_used(struct inflight_log *log, uint16_t head, uint16_t used)
{
    if (!log)
        return;
    __atomic_store_n(&log->requests[head].in_flight, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&log->used, used, __ATOMIC_RELEASE);
}

static void insert_by_counter(const struct inflight_log *log, uint16_t *heads,
                              unsigned int count, uint16_t head)
{
    while (count > 0 && log->requests[heads[count - 1]].counter >
                            log->requests[head].counter) {
        heads[count] = heads[count - 1];
        count--;
    }
    heads[count] = head;
}

unsigned int inflight_recover(struct inflight_log *log, uint16_t ring_size,
                              uint16_t used, uint16_t *ret_heads,
                              uint64_t *ret_counter)
{
    unsigned int count = 0;
    uint64_t counter = 0;
    uint16_t head;

    if (!log)
        return 0;
    /* It was given back, and we died before we could note that. */
    head = __atomic_load_n(&log->last_head, __ATOMIC_RELAXED);
    if (log->used != used) {
        if (head < ring_size)
            log->requests[head].in_flight = 0;
        log->used = used;
    }
    for (head = 0; head < ring_size; head++) {
        if (log->requests[head].in_flight != 1)
            continue;
        insert_by_counter(log, ret_heads, count++, head);
        if (log->requests[head].counter >= counter)
            counter = log->requests[head].counter + 1;
    }
    *ret_counter = counter;
    return count;
}
