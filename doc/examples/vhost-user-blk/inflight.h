/* SPDX-License-Identifier: MIT */
/*
 * The in-flight log: shared memory that the emulator keeps, in which each queue
 * notes the requests that it has taken and not yet given back. A server that
 * died finds there what to do over. The layout is that of the vhost-user
 * specification for split rings. Behind it we keep one byte of our own.
 */
#ifndef INFLIGHT_H
#define INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"

struct inflight_request {
    uint8_t in_flight;
    uint8_t padding[5];
    uint16_t next;
    uint64_t counter; /* the order in which they were taken */
};

struct inflight_log {
    uint64_t features;
    uint16_t version;
    uint16_t size; /* of the ring */
    uint16_t last_head;
    uint16_t used;
    struct inflight_request requests[];
};

/* The whole of it: a log for each queue. */
struct inflight {
    char *base;
    uint16_t queues;
    uint16_t queue_size;
    void *map; /* NULL if there is none */
    size_t mapped;
};

/* Makes an empty one and describes it in ret. Returns an fd, or -1. */
int inflight_create(uint16_t queues, uint16_t queue_size,
                    struct message_inflight *ret);

/* Maps what the emulator has kept, in place of what was there. 0 or -1. */
int inflight_map(struct inflight *inflight, const struct message_inflight *kept,
                 int fd);
void inflight_unmap(struct inflight *inflight);

/* The log of a queue with a ring of that size; NULL if there is none. */
struct inflight_log *inflight_of(const struct inflight *inflight,
                                 unsigned int queue, uint16_t ring_size);

/* Whether the driver has switched the write cache off: the emulator does not
 * tell that to a new server. NULL if there is no log. */
uint8_t *inflight_writethrough(const struct inflight *inflight);

/* log may be NULL in these: then there is nothing to do. */

void inflight_take(struct inflight_log *log, uint16_t head, uint64_t counter);

/* Around the moment in which the used ring's index moves on to used. */
void inflight_before_used(struct inflight_log *log, uint16_t head);
void inflight_after_used(struct inflight_log *log, uint16_t head,
                         uint16_t used);

/*
 * What was taken and never given back, oldest first, into ret_heads, which has
 * room for the ring's size. Returns how many. used is the index in the ring.
 */
unsigned int inflight_recover(struct inflight_log *log, uint16_t ring_size,
                              uint16_t used, uint16_t *ret_heads,
                              uint64_t *ret_counter);

#endif /* INFLIGHT_H */
