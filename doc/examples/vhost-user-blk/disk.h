/* SPDX-License-Identifier: MIT */
/* The image, and what the guest is told of it. */
#ifndef DISK_H
#define DISK_H

#include <ioq/handle.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512u /* of the protocol, whatever the disk's blocks are */
#define DISK_SEGMENTS 126u
#define DISK_RANGES 16u /* in one discard or write-zeroes */
#define DISK_RANGE_SECTORS (1u << 20)
#define DISK_CONFIG_SIZE 60u

struct disk_options {
    const char *image;
    enum ioq_engine engine;
    bool read_only;
    bool buffered;
    uint16_t queues;
};

struct disk {
    int fd;
    enum ioq_engine engine;
    bool read_only;
    uint32_t block;    /* bytes: what requests must be aligned to */
    uint64_t capacity; /* bytes, of whole blocks */
    uint64_t features; /* VIRTIO_BLK_F_*, as bits */
    char id[VIRTIO_BLK_ID_BYTES];
    uint8_t writeback; /* the driver's switch; atomic */
    union {
        struct virtio_blk_config config;
        uint8_t config_bytes[sizeof(struct virtio_blk_config)];
    };
};

/* Returns 0, or -1 after an error line. */
int disk_open(struct disk *disk, const struct disk_options *options);
void disk_close(struct disk *disk);

/* The configuration space. Returns 0, or -1 if that is not in it. */
int disk_read_config(struct disk *disk, uint32_t offset, uint32_t size,
                     uint8_t *ret);
int disk_write_config(struct disk *disk, uint32_t offset, uint32_t size,
                      const uint8_t *bytes);

#endif /* DISK_H */
