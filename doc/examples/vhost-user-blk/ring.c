/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring.h"

#include <endian.h>
#include <string.h>

#include "report.h"

static uint16_t load(const uint16_t *field)
{
    return le16toh(__atomic_load_n(field, __ATOMIC_ACQUIRE));
}

static void store(uint16_t *field, uint16_t value)
{
    __atomic_store_n(field, htole16(value), __ATOMIC_RELEASE);
}

/* The guest may change it while we look: the compiler must not look twice. */
static void copy_once(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The index from which on the driver wants to be told, behind its ring. */
static const uint16_t *used_event(const struct ring *ring)
{
    return &ring->avail->ring[ring->layout.size];
}

/* Likewise, for the kicks that we want, behind ours. */
static uint16_t *avail_event(const struct ring *ring)
{
    return (uint16_t *)(void *)&ring->used->ring[ring->layout.size];
}

int ring_break(struct ring *ring, const char *why)
{
    ring->broken = true;
    return report("queue %u is broken: %s", ring->number, why);
}

static int find_parts(struct ring *ring)
{
    const struct ring_layout *l = &ring->layout;

    if (l->size == 0 || l->size > RING_SIZE_MAX || (l->size & (l->size - 1)))
        return report("queue %u has a size of %u", ring->number, l->size);
    if (l->descriptors % 16 || l->available % 2 || l->used % 4)
        return report("queue %u is not aligned", ring->number);
    ring->desc = memory_at_user(ring->memory, l->descriptors,
                                (uint64_t)l->size * sizeof(struct vring_desc));
    ring->avail =
        memory_at_user(ring->memory, l->available,
                       sizeof(struct vring_avail) + l->size * 2u + 2u);
    ring->used = memory_at_user(ring->memory, l->used,
                                sizeof(struct vring_used) + 2u +
                                    l->size * sizeof(struct vring_used_elem));
    if (!ring->desc || !ring->avail || !ring->used)
        return report("queue %u is not in guest memory", ring->number);
    /* The region's own place in memory counts, too. */
    if ((uintptr_t)ring->desc % 16 || (uintptr_t)ring->avail % 2 ||
        (uintptr_t)ring->used % 4)
        return report("queue %u is not aligned", ring->number);
    return 0;
}

int ring_start(struct ring *ring, const struct ring_layout *layout,
               const struct memory *memory, struct inflight_log *log)
{
    ring->memory = memory;
    ring->layout = *layout;
    ring->log = log;
    ring->broken = false;
    ring->counter = 0;
    memset(ring->held, 0, sizeof(ring->held));
    if (find_parts(ring) < 0)
        return -1;
    if (log && log->size < layout->size)
        return report("queue %u: the in-flight log does not fit", ring->number);
    ring->next_used = load(&ring->used->idx);
    ring->next_avail = layout->base;
    ring->notified = ring->next_used;
    ring->replay_next = 0;
    ring->replay_count = inflight_recover(log, layout->size, ring->next_used,
                                          ring->replay, &ring->counter);
    if (ring->replay_count > 0)
        report("queue %u: %u requests are done over", ring->number,
               ring->replay_count);
    /* Whatever the emulator believes: a server that died told it nothing. */
    if (log)
        ring->next_avail = (uint16_t)(ring->next_used + ring->replay_count);
    return 0;
}

/* The chain's next buffer. Returns 0, or -1 and the ring is broken. */
static int add_buffer(struct ring *ring, struct chain *chain,
                      const struct vring_desc *desc)
{
    unsigned int have = chain->out_count + chain->in_count;
    bool in = le16toh(desc->flags) & VRING_DESC_F_WRITE;
    uint32_t length = le32toh(desc->len);
    int n = memory_at_guest(ring->memory, le64toh(desc->addr), length,
                            chain->iov + have, CHAIN_IOVECS - have);

    if (n < 0)
        return ring_break(ring, "a buffer is not in guest memory");
    if (in) {
        chain->in_count += (unsigned int)n;
        chain->in_length += length;
    } else {
        if (chain->in_count > 0)
            return ring_break(ring, "a buffer to read follows one to write");
        chain->out_count += (unsigned int)n;
        chain->out_length += length;
    }
    return 0;
}

/* Returns the number of descriptors that were copied to table, or -1. */
static int copy_indirect(struct ring *ring, const struct vring_desc *desc,
                         struct vring_desc *table)
{
    uint32_t length = le32toh(desc->len);
    struct iovec iov[2];
    char *to = (char *)table;
    int i, n;

    if (!ring->layout.indirect)
        return ring_break(ring, "indirect descriptors were not agreed upon");
    if (le16toh(desc->flags) & VRING_DESC_F_NEXT)
        return ring_break(ring, "a descriptor follows an indirect table");
    if (length == 0 || length % sizeof(*table) ||
        length / sizeof(*table) > CHAIN_MAX)
        return ring_break(ring, "an indirect table has a wrong length");
    n = memory_at_guest(ring->memory, le64toh(desc->addr), length, iov, 2);
    if (n < 0)
        return ring_break(ring, "an indirect table is not in guest memory");
    for (i = 0; i < n; i++) {
        copy_once(to, iov[i].iov_base, iov[i].iov_len);
        to += iov[i].iov_len;
    }
    return (int)(length / sizeof(*table));
}

/*
 * Follows a chain through a table, which may be the guest's own. If it ends in
 * an indirect descriptor, that is left in last. Returns how many descriptors
 * there were, or -1.
 */
static int walk(struct ring *ring, const struct vring_desc *table,
                unsigned int size, unsigned int index, struct chain *chain,
                struct vring_desc *last)
{
    unsigned int steps;

    for (steps = 1; steps <= CHAIN_MAX && steps <= size; steps++) {
        if (index >= size)
            return ring_break(ring, "a descriptor's number is too large");
        copy_once(last, &table[index], sizeof(*last));
        if (le16toh(last->flags) & VRING_DESC_F_INDIRECT)
            return (int)steps;
        if (add_buffer(ring, chain, last) < 0)
            return -1;
        if (!(le16toh(last->flags) & VRING_DESC_F_NEXT))
            return (int)steps;
        index = le16toh(last->next);
    }
    return ring_break(ring, "a chain is too long, or a loop");
}

static int collect(struct ring *ring, struct chain *chain)
{
    struct vring_desc table[CHAIN_MAX], last;
    int n =
        walk(ring, ring->desc, ring->layout.size, chain->head, chain, &last);

    if (n < 0 || !(le16toh(last.flags) & VRING_DESC_F_INDIRECT))
        return n;
    n = copy_indirect(ring, &last, table);
    if (n < 0)
        return n;
    n = walk(ring, table, (unsigned int)n, 0, chain, &last);
    if (n >= 0 && le16toh(last.flags) & VRING_DESC_F_INDIRECT)
        return ring_break(ring, "an indirect table within another");
    return n;
}

/* Returns 1 and the next chain's head, 0 if there is none, or -1. */
static int next_head(struct ring *ring, uint16_t *ret_head)
{
    uint16_t mask = (uint16_t)(ring->layout.size - 1), waiting;

    if (ring->replay_next < ring->replay_count) {
        *ret_head = ring->replay[ring->replay_next++];
        return 1;
    }
    waiting = (uint16_t)(load(&ring->avail->idx) - ring->next_avail);
    if (waiting == 0)
        return 0;
    if (waiting > ring->layout.size)
        return ring_break(ring, "more chains than the ring has room for");
    *ret_head = load(&ring->avail->ring[ring->next_avail & mask]);
    if (*ret_head >= ring->layout.size)
        return ring_break(ring, "a chain's number is too large");
    if (ring->held[*ret_head])
        return ring_break(ring, "a chain came twice");
    ring->next_avail++;
    inflight_take(ring->log, *ret_head, ring->counter++);
    return 1;
}

int ring_take(struct ring *ring, struct chain *chain)
{
    if (ring->broken || next_head(ring, &chain->head) != 1)
        return 0;
    ring->held[chain->head] = true;
    chain->out_count = chain->in_count = 0;
    chain->out_length = chain->in_length = 0;
    return collect(ring, chain) < 0 ? 0 : 1;
}

void ring_give_back(struct ring *ring, uint16_t head, uint32_t written)
{
    uint16_t mask = (uint16_t)(ring->layout.size - 1);
    struct vring_used_elem *used = &ring->used->ring[ring->next_used & mask];

    used->id = htole32(head);
    used->len = htole32(written);
    ring->held[head] = false;
    inflight_before_used(ring->log, head);
    ring->next_used++;
    store(&ring->used->idx, ring->next_used);
    inflight_after_used(ring->log, head, ring->next_used);
}

bool ring_wants_notification(struct ring *ring)
{
    uint16_t before = ring->notified;

    if (before == ring->next_used)
        return false;
    ring->notified = ring->next_used;
    /* Our index must be seen before we look at theirs. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!ring->layout.event_idx)
        return !(load(&ring->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
    return vring_need_event(load(used_event(ring)), ring->next_used, before);
}

void ring_want_kicks(struct ring *ring, bool wanted)
{
    if (!ring->layout.event_idx)
        store(&ring->used->flags, wanted ? 0 : VRING_USED_F_NO_NOTIFY);
    else if (wanted)
        store(avail_event(ring), ring->next_avail);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
