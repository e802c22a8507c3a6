/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "report.h"

_Static_assert(offsetof(struct virtio_blk_config, unused1) + 3 ==
                   DISK_CONFIG_SIZE,
               "as specified");

#define FEATURE(name) (1ull << VIRTIO_BLK_F_##name)

/* A direct write to a block in the page cache has to sleep, so it takes a
 * thread. Whoever made the image may have left all of it there. */
static void drop_cache(int fd)
{
    if (fdatasync(fd) == 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Not all file systems know O_DIRECT. libioq serves both kinds of file. */
static int open_image(const struct disk_options *options)
{
    int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    int fd;

    if (!options->buffered) {
        fd = open(options->image, flags | O_DIRECT);
        if (fd >= 0)
            drop_cache(fd);
        if (fd >= 0 || errno != EINVAL)
            return fd;
    }
    return open(options->image, flags);
}

/* Only an attached file can be asked. This also shows that the engine works,
 * before a guest depends on it. */
static int learn(struct disk *disk, struct ioq_file_info *ret_info)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle;
    int rc;

    options.engine = disk->engine;
    options.depth = 1;
    ret_info->size = sizeof(*ret_info);
    if (ioq_handle_open(&options, &handle) < 0)
        return report("libioq: %s", ioq_last_error());
    rc = ioq_handle_attach(handle, disk->fd, 0);
    if (rc >= 0)
        rc = ioq_handle_file_info(handle, rc, ret_info);
    if (rc < 0)
        report("libioq: %s", ioq_last_error());
    disk->engine = ioq_handle_engine(handle);
    ioq_handle_close(handle);
    return rc < 0 ? -1 : 0;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/*
 * libioq would rewrite parts of a block for us, and hold neighbours in order.
 * But there is one handle for each queue, and none sees the neighbours in
 * another. So the guest is told the size that needs no such thing.
 */
static void describe_blocks(struct disk *disk, const struct ioq_file_info *info)
{
    struct virtio_blk_config *config = &disk->config;
    uint32_t block = larger(info->logical_block, info->offset_align);
    uint32_t physical = larger(info->physical_block, info->offset_align);
    uint8_t exponent = 0;

    block = larger(block, SECTOR);
    while (block << exponent < physical && exponent < 16)
        exponent++;
    disk->block = block;
    disk->capacity = (uint64_t)info->length / block * block;
    config->capacity = htole64(disk->capacity / SECTOR);
    config->blk_size = htole32(block);
    config->physical_block_exp = exponent;
    config->min_io_size = htole16(1);
    config->opt_io_size = htole32(info->optimal_io / block);
}

static void describe_commands(struct disk *disk,
                              const struct ioq_file_info *info)
{
    struct virtio_blk_config *config = &disk->config;
    uint32_t align = larger(info->discard_align, disk->block) / SECTOR;

    config->seg_max = htole32(DISK_SEGMENTS);
    disk->features = FEATURE(SEG_MAX) | FEATURE(BLK_SIZE) | FEATURE(TOPOLOGY) |
                     FEATURE(FLUSH) | FEATURE(CONFIG_WCE) | FEATURE(MQ);
    config->wce = disk->writeback = 1;
    if (disk->read_only) {
        disk->features |= FEATURE(RO);
        return;
    }
    if (info->flags & IOQ_FILE_DISCARD)
        disk->features |= FEATURE(DISCARD);
    config->max_discard_sectors = htole32(DISK_RANGE_SECTORS);
    config->max_discard_seg = htole32(DISK_RANGES);
    config->discard_sector_alignment = htole32(align);
    disk->features |= FEATURE(WRITE_ZEROES);
    config->max_write_zeroes_sectors = htole32(DISK_RANGE_SECTORS);
    config->max_write_zeroes_seg = htole32(DISK_RANGES);
    config->write_zeroes_may_unmap = 1;
}

int disk_open(struct disk *disk, const struct disk_options *options)
{
    struct ioq_file_info info;
    const char *name = strrchr(options->image, '/');

    memset(disk, 0, sizeof(*disk));
    disk->engine = options->engine;
    disk->read_only = options->read_only;
    disk->fd = open_image(options);
    if (disk->fd < 0)
        return report("%s: %s", options->image, strerror(errno));
    if (learn(disk, &info) < 0) {
        disk_close(disk);
        return -1;
    }
    describe_blocks(disk, &info);
    describe_commands(disk, &info);
    disk->config.num_queues = htole16(options->queues);
    name = name ? name + 1 : options->image;
    memcpy(disk->id, name, strnlen(name, sizeof(disk->id)));
    return 0;
}

void disk_close(struct disk *disk)
{
    if (disk->fd >= 0)
        close(disk->fd);
    disk->fd = -1;
}

int disk_read_config(struct disk *disk, uint32_t offset, uint32_t size,
                     uint8_t *ret)
{
    uint32_t i;

    if (size > MESSAGE_CONFIG_MAX || offset > MESSAGE_CONFIG_MAX - size)
        return -1;
    disk->config.wce = __atomic_load_n(&disk->writeback, __ATOMIC_RELAXED);
    for (i = 0; i < size; i++)
        ret[i] =
            offset + i < DISK_CONFIG_SIZE ? disk->config_bytes[offset + i] : 0;
    return 0;
}

/* The driver may write the switch of the write cache, and nothing else. */
int disk_write_config(struct disk *disk, uint32_t offset, uint32_t size,
                      const uint8_t *bytes)
{
    if (offset != offsetof(struct virtio_blk_config, wce) || size != 1 ||
        bytes[0] > 1)
        return -1;
    __atomic_store_n(&disk->writeback, bytes[0], __ATOMIC_RELAXED);
    return 0;
}
