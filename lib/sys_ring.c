/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sys_ring.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#define RING_MAGIC 0xa10a10a1u
#define RING_HEADER_MIN 32u
#define RING_HEADER_MAX 4096u

/*
 * The kernel stores the events and then the tail; we store the head when the
 * slot may be used again. Hence the acquire and the release below.
 */
struct ring {
    uint32_t id;
    uint32_t nr; /* slots */
    uint32_t head;
    uint32_t tail;
    uint32_t magic;
    uint32_t compat_features;
    uint32_t incompat_features;
    uint32_t header_length; /* where the events start, in bytes */
};

_Static_assert(sizeof(struct ring) == RING_HEADER_MIN, "eight 32-bit words");
_Static_assert(sizeof(struct io_event) == 32, "four 64-bit words");

static struct ring *ring_of(io_context_t ctx)
{
    return (struct ring *)(void *)ctx;
}

static bool wanted(void)
{
    const char *choice = secure_getenv("IOQ_AIO_RING");

    if (choice && (choice[0] == '0' || choice[0] == '1') && !choice[1])
        return choice[0] == '1';
#if defined(__x86_64__) || defined(__i386__)
    return true;
#else
    return false;
#endif
}

bool ioq__ring_usable(io_context_t ctx)
{
    const struct ring *ring = ring_of(ctx);

    return wanted() && ring->magic == RING_MAGIC &&
           ring->incompat_features == 0 &&
           ring->header_length >= RING_HEADER_MIN &&
           ring->header_length <= RING_HEADER_MAX &&
           ring->header_length % sizeof(uint64_t) == 0 && ring->nr > 1 &&
           ring->nr <= INT_MAX;
}

int ioq__ring_pending(io_context_t ctx, unsigned int limit)
{
    struct ring *ring = ring_of(ctx);
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
    uint32_t count;

    if (head >= ring->nr || tail >= ring->nr)
        return -1;
    count = tail >= head ? tail - head : ring->nr - head + tail;
    return count <= limit ? (int)count : -1;
}

void ioq__ring_take(io_context_t ctx, struct io_event *ret_event)
{
    struct ring *ring = ring_of(ctx);
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
    struct io_event *events =
        (struct io_event *)((char *)ring + ring->header_length);

    *ret_event = events[head];
    head = head + 1 < ring->nr ? head + 1 : 0;
    __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
}
