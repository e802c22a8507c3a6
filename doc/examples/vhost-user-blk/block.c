/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "block.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define REAP_AT_ONCE 64

/* The device works on the first of them while we prepare the next. */
#define TAKE_AT_ONCE 8

static void finish(struct lane *lane, struct request *request, uint8_t status)
{
    __atomic_store_n(request->status, status, __ATOMIC_RELAXED);
    ring_give_back(lane->ring, request->head, request->written);
}

static void refuse(struct lane *lane, struct request *request, uint8_t status)
{
    lane->refused++;
    finish(lane, request, status);
}

/* Moves size bytes from the front of *iov to buf. The caller knows that they
 * are there. Returns how many iovecs were used up. */
static unsigned int cut_front(struct iovec *iov, void *buf, size_t size)
{
    unsigned int used = 0;
    char *to = buf;

    while (size > 0) {
        size_t part = iov[used].iov_len < size ? iov[used].iov_len : size;

        memcpy(to, iov[used].iov_base, part);
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* read once, as in ring.c */
        to += part;
        size -= part;
        iov[used].iov_base = (char *)iov[used].iov_base + part;
        iov[used].iov_len -= part;
        if (iov[used].iov_len == 0)
            used++;
    }
    return used;
}

static bool on_disk(const struct disk *disk, uint64_t sector, uint64_t length)
{
    uint64_t offset = sector * SECTOR;

    return sector <= disk->capacity / SECTOR &&
           length <= disk->capacity - offset && offset % disk->block == 0 &&
           length % disk->block == 0;
}

static bool must_be_durable(const struct lane *lane)
{
    if (lane->writethrough || !lane->cache_switch)
        return lane->writethrough;
    return !__atomic_load_n(&lane->disk->writeback, __ATOMIC_RELAXED);
}

static void start_transfer(struct lane *lane, struct request *request,
                           const struct chain *chain, const struct iovec *out,
                           unsigned int out_count, uint64_t sector)
{
    bool reading = request->type == VIRTIO_BLK_T_IN;
    uint64_t length =
        reading ? chain->in_length - 1
                : chain->out_length - sizeof(struct virtio_blk_outhdr);
    int64_t offset = (int64_t)(sector * SECTOR);
    int rc;

    if (!on_disk(lane->disk, sector, length) ||
        (!reading && lane->disk->read_only)) {
        refuse(lane, request, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (reading) {
        request->written += (uint32_t)length;
        rc = ioq_handle_readv(lane->handle, lane->file,
                              chain->iov + chain->out_count,
                              (int)chain->in_count, offset, 0, request);
    } else {
        rc = ioq_handle_writev(lane->handle, lane->file, out, (int)out_count,
                               offset, must_be_durable(lane) ? IOQ_F_FUA : 0,
                               request);
    }
    if (rc < 0)
        refuse(lane, request, VIRTIO_BLK_S_IOERR);
}

static void start_range(struct lane *lane, struct request *request)
{
    const struct virtio_blk_discard_write_zeroes *range =
        &request->ranges[request->next++];
    uint64_t length = (uint64_t)le32toh(range->num_sectors) * SECTOR;
    int64_t offset = (int64_t)(le64toh(range->sector) * SECTOR);
    uint32_t flags = must_be_durable(lane) ? IOQ_F_FUA : 0;
    int rc;

    if (request->type == VIRTIO_BLK_T_DISCARD) {
        rc = ioq_handle_discard(lane->handle, lane->file, offset, length, flags,
                                request);
    } else {
        if (le32toh(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
            flags |= IOQ_F_MAY_UNMAP;
        rc = ioq_handle_write_zeroes(lane->handle, lane->file, offset, length,
                                     flags, request);
    }
    if (rc < 0)
        refuse(lane, request, VIRTIO_BLK_S_IOERR);
}

static uint8_t check_range(const struct lane *lane,
                           const struct request *request,
                           const struct virtio_blk_discard_write_zeroes *range)
{
    uint32_t sectors = le32toh(range->num_sectors);
    uint32_t known = request->type == VIRTIO_BLK_T_DISCARD
                         ? 0
                         : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

    if (le32toh(range->flags) & ~known)
        return VIRTIO_BLK_S_UNSUPP;
    if (sectors > DISK_RANGE_SECTORS ||
        !on_disk(lane->disk, le64toh(range->sector),
                 (uint64_t)sectors * SECTOR))
        return VIRTIO_BLK_S_IOERR;
    return VIRTIO_BLK_S_OK;
}

/* All are checked first, so that a malformed request changes nothing. */
static void start_ranges(struct lane *lane, struct request *request,
                         struct iovec *out, uint64_t length)
{
    uint8_t status = VIRTIO_BLK_S_OK;
    unsigned int i;

    request->next = 0;
    request->count = (unsigned int)(length / sizeof(request->ranges[0]));
    if (lane->disk->read_only || length == 0 ||
        length > sizeof(request->ranges) ||
        length % sizeof(request->ranges[0])) {
        refuse(lane, request, VIRTIO_BLK_S_IOERR);
        return;
    }
    cut_front(out, request->ranges, length);
    for (i = 0; i < request->count && status == VIRTIO_BLK_S_OK; i++)
        status = check_range(lane, request, &request->ranges[i]);
    if (status != VIRTIO_BLK_S_OK)
        refuse(lane, request, status);
    else
        start_range(lane, request);
}

static void start_flush(struct lane *lane, struct request *request)
{
    if (ioq_handle_flush(lane->handle, lane->file, 0, request) < 0)
        refuse(lane, request, VIRTIO_BLK_S_IOERR);
}

static void answer_id(struct lane *lane, struct request *request,
                      const struct chain *chain)
{
    const struct iovec *in = chain->iov + chain->out_count;
    const char *from = lane->disk->id;
    size_t left = sizeof(lane->disk->id);
    unsigned int i;

    for (i = 0; i < chain->in_count && left > 0; i++) {
        size_t part = in[i].iov_len < left ? in[i].iov_len : left;

        memcpy(in[i].iov_base, from, part);
        from += part;
        left -= part;
        request->written += (uint32_t)part;
    }
    finish(lane, request, VIRTIO_BLK_S_OK);
}

/* The header comes first and the status last, however the driver cuts the
 * buffers. What has no place for a status cannot be answered at all. */
static bool find_status(struct lane *lane, struct chain *chain,
                        struct request *request)
{
    struct iovec *last;

    if (chain->out_length < sizeof(struct virtio_blk_outhdr) ||
        chain->in_length < 1) {
        ring_break(lane->ring, "a request without a header or a status");
        return false;
    }
    last = &chain->iov[chain->out_count + chain->in_count - 1];
    last->iov_len--;
    request->head = chain->head;
    request->status = (uint8_t *)last->iov_base + last->iov_len;
    request->written = 1;
    if (last->iov_len == 0)
        chain->in_count--;
    return true;
}

static void start(struct lane *lane, struct chain *chain)
{
    struct request *request = &lane->requests[chain->head];
    struct virtio_blk_outhdr header;
    unsigned int used;
    uint32_t type;

    if (!find_status(lane, chain, request))
        return;
    used = cut_front(chain->iov, &header, sizeof(header));
    type = le32toh(header.type);
    request->type = (uint8_t)type;
    request->next = request->count = 0;
    switch (type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        start_transfer(lane, request, chain, chain->iov + used,
                       chain->out_count - used, le64toh(header.sector));
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        start_ranges(lane, request, chain->iov + used,
                     chain->out_length - sizeof(header));
        break;
    case VIRTIO_BLK_T_FLUSH:
        start_flush(lane, request);
        break;
    case VIRTIO_BLK_T_GET_ID:
        answer_id(lane, request, chain);
        break;
    default:
        refuse(lane, request, VIRTIO_BLK_S_UNSUPP);
    }
}

bool lane_take(struct lane *lane)
{
    unsigned int taken = 0;
    struct chain chain;

    while (taken < TAKE_AT_ONCE && ring_take(lane->ring, &chain)) {
        start(lane, &chain);
        taken++;
    }
    if (taken > 0)
        ioq_handle_submit(lane->handle);
    return taken > 0;
}

static uint8_t status_of(int64_t result)
{
    if (result >= 0)
        return VIRTIO_BLK_S_OK;
    return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Returns whether another range went out in its place. */
static bool complete(struct lane *lane, const struct ioq_completion *done)
{
    struct request *request = done->user_data;

    if (done->result < 0 || request->next == request->count) {
        finish(lane, request, status_of(done->result));
        return false;
    }
    start_range(lane, request);
    return true;
}

bool lane_reap(struct lane *lane)
{
    struct ioq_completion done[REAP_AT_ONCE];
    bool any = false, more = false;
    int i, n;

    do {
        n = ioq_handle_reap(lane->handle, done, REAP_AT_ONCE);
        for (i = 0; i < n; i++)
            more |= complete(lane, &done[i]);
        any |= n > 0;
    } while (n == REAP_AT_ONCE);
    if (more)
        ioq_handle_submit(lane->handle);
    return any;
}

/* Again and again, since a range that is done may be followed by another. */
void lane_drain(struct lane *lane)
{
    do
        ioq_handle_drain(lane->handle, -1);
    while (lane_reap(lane));
}

int lane_open(struct lane *lane, struct disk *disk, struct ring *ring,
              uint64_t features)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    *lane = (struct lane){.disk = disk, .ring = ring};
    lane->cache_switch = features & (1ull << VIRTIO_BLK_F_CONFIG_WCE);
    lane->writethrough = !(features & (1ull << VIRTIO_BLK_F_FLUSH));
    options.engine = disk->engine;
    options.depth = ring->layout.size;
    options.max_segments = CHAIN_IOVECS;
    lane->requests = calloc(ring->layout.size, sizeof(*lane->requests));
    if (!lane->requests)
        return report("no memory for queue %u", ring->number);
    if (ioq_handle_open(&options, &lane->handle) < 0)
        goto fail;
    lane->file = ioq_handle_attach(lane->handle, disk->fd, 0);
    if (lane->file < 0)
        goto fail;
    return 0;
fail:
    report("queue %u: %s", ring->number, ioq_last_error());
    lane_close(lane, NULL);
    return -1;
}

static void add_up(const struct lane *lane, struct block_totals *totals)
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    unsigned int kind;

    if (ioq_handle_stats(lane->handle, &stats) < 0)
        return;
    for (kind = 0; kind < IOQ_KINDS; kind++) {
        totals->requests[kind] += stats.requests[kind];
        totals->failed += stats.failed[kind];
    }
    totals->bytes_read += stats.bytes_read;
    totals->bytes_written += stats.bytes_written;
    totals->batches += stats.batches;
    totals->kernel_submits += stats.kernel_submits;
    totals->workers += stats.worker_busy + stats.worker_learned +
                       stats.worker_copy + stats.worker_unable +
                       stats.worker_short + stats.worker_misaligned;
    totals->refused += lane->refused;
}

void lane_close(struct lane *lane, struct block_totals *totals)
{
    if (lane->handle && totals)
        add_up(lane, totals);
    ioq_handle_close(lane->handle);
    free(lane->requests);
    *lane = (struct lane){.handle = NULL};
}
