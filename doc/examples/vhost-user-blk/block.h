/* SPDX-License-Identifier: MIT */
/*
 * Block requests: what the driver asks for in a chain of buffers becomes calls
 * of libioq, and their results go back to the driver.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"
#include "ring.h"

struct lane;

/* One for each head of the ring. It has one request of libioq's at a time. */
struct request {
    uint16_t head;
    uint8_t type;      /* VIRTIO_BLK_T_* that have ranges */
    uint8_t *status;   /* the guest's last byte */
    uint32_t written;  /* what the driver is told, by the specification */
    unsigned int next; /* range */
    unsigned int count;
    struct virtio_blk_discard_write_zeroes ranges[DISK_RANGES];
};

/* What went through, for --stats. */
struct block_totals {
    uint64_t requests[IOQ_KINDS];
    uint64_t failed;
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t batches;
    uint64_t kernel_submits;
    uint64_t workers; /* requests that worker threads did */
    uint64_t refused; /* by us: malformed, or beyond the disk's end */
};

/* A queue of the guest's, and the handle that serves it. */
struct lane {
    struct disk *disk;
    struct ring *ring;
    struct ioq_handle *handle;
    int file;
    bool writethrough; /* without a write cache that the driver could flush */
    bool cache_switch; /* the driver knows of disk->writeback */
    struct request *requests;
    uint64_t refused;
};

/* Opens a handle of the ring's size. Returns 0, or -1 after an error line. */
int lane_open(struct lane *lane, struct disk *disk, struct ring *ring,
              uint64_t features);

/* Closes it, after all requests, and adds what it did to totals. */
void lane_close(struct lane *lane, struct block_totals *totals);

/* Takes some of what is in the ring, and submits it at once. Whether there was
 * any request, and whether there was any completion. */
bool lane_take(struct lane *lane);
bool lane_reap(struct lane *lane);

/* Waits until no request is left. What completed is given back. */
void lane_drain(struct lane *lane);

#endif /* BLOCK_H */
