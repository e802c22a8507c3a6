/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue, seen from the device: chains of buffers come out of the
 * available ring and go back through the used ring.
 *
 * The guest may write any of it at any time. So each field is read once, into
 * memory of ours, and checked there. What makes no sense breaks the ring: an
 * error line, and nothing more is taken until the driver starts over.
 */
#ifndef RING_H
#define RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "inflight.h"
#include "memory.h"

#define RING_SIZE_MAX 1024
/* Descriptors in one chain: 126 segments, a header and a status. */
#define CHAIN_MAX 128
/* A buffer may lie across regions of memory that are not neighbours for us. */
#define CHAIN_IOVECS (CHAIN_MAX + 2 * MESSAGE_REGIONS)

struct ring_layout {
    uint16_t size;
    uint16_t base;        /* the first entry of the available ring to look at */
    uint64_t descriptors; /* addresses of the emulator's */
    uint64_t available;
    uint64_t used;
    bool event_idx;
    bool indirect;
};

struct ring {
    const struct memory *memory;
    struct inflight_log *log; /* may be NULL */
    unsigned int number;      /* for error lines */
    struct ring_layout layout;
    const struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;

    uint16_t next_avail;
    uint16_t next_used;
    uint16_t notified; /* next_used, when the driver was told last */
    bool broken;
    bool held[RING_SIZE_MAX];       /* chains that are with us, by head */
    uint16_t replay[RING_SIZE_MAX]; /* taken by a server that died */
    unsigned int replay_next, replay_count;
    uint64_t counter;
};

/* A chain: what the driver wrote for us, then room for us to write to. */
struct chain {
    uint16_t head;
    unsigned int out_count, in_count;
    uint64_t out_length, in_length;
    struct iovec iov[CHAIN_IOVECS]; /* of out, then of in */
};

/* Returns 0, or -1 after an error line. */
int ring_start(struct ring *ring, const struct ring_layout *layout,
               const struct memory *memory, struct inflight_log *log);

/* Returns 1 and a chain, or 0 if there is none or the ring is broken. */
int ring_take(struct ring *ring, struct chain *chain);

/* Gives a chain back, with written bytes in its buffers. */
void ring_give_back(struct ring *ring, uint16_t head, uint32_t written);

/* Whether the driver wants to hear of what was given back. */
bool ring_wants_notification(struct ring *ring);

/* Asks for kicks, or not. After asking, look at the ring once more. */
void ring_want_kicks(struct ring *ring, bool wanted);

int ring_break(struct ring *ring, const char *why);

#endif /* RING_H */
