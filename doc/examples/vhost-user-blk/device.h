/* SPDX-License-Identifier: MIT */
/*
 * The device behind one connection: what each message of the emulator does.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "block.h"
#include "disk.h"
#include "inflight.h"
#include "memory.h"
#include "message.h"
#include "queue.h"

#define DEVICE_QUEUES_MAX 64u

struct device {
    struct disk *disk;
    int socket;
    bool paused;
    uint64_t features; /* those that were agreed upon */
    uint64_t protocol_features;
    struct memory memory;
    struct inflight inflight;
    struct queue *queues;
    unsigned int num_queues;
    struct block_totals totals;
};

int device_init(struct device *device, struct disk *disk,
                unsigned int num_queues);
void device_cleanup(struct device *device);

/* A connection: begin, messages, end. */
void device_connect(struct device *device, int socket);
void device_disconnect(struct device *device);

/* Receives one message and does it. Returns 1, 0 if the emulator has hung up,
 * or -1 after an error line: then hang up. */
int device_handle_message(struct device *device);

/* Stops all queues when their requests are done, or lets them go on. */
void device_pause(struct device *device, bool paused);

#endif /* DEVICE_H */
