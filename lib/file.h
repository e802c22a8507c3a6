/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One attached file: what it is, what it can, and what was learned of it.
 */
#ifndef IOQ_FILE_H
#define IOQ_FILE_H

#include <ioq/handle.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "learn.h"

/* Operations that the file was found not to have; set by workers. */
#define IOQ__NO_DISCARD (1u << 0)       /* neither of the two */
#define IOQ__NO_PUNCH (1u << 1)         /* FALLOC_FL_PUNCH_HOLE */
#define IOQ__NO_ZERO_RANGE (1u << 2)    /* FALLOC_FL_ZERO_RANGE */
#define IOQ__NO_BLOCK_DISCARD (1u << 3) /* BLKDISCARD */
#define IOQ__NO_BLOCK_ZERO (1u << 4)    /* BLKZEROOUT */
#define IOQ__NO_DSYNC (1u << 5)         /* RWF_DSYNC */
#define IOQ__NO_RING_DISCARD (1u << 6)  /* io_uring's command for it */

struct ioq__file {
    int fd;      /* -1 in a free slot */
    int number;  /* as the caller knows it */
    bool direct; /* O_DIRECT, and the file honours it */
    bool block;  /* a block device */
    bool nowait; /* knows RWF_NOWAIT for reads */
    bool readable, writable;
    bool zero_offload; /* a device that writes zeroes by itself */
    bool no_fdsync;    /* the engine's own flush was refused */
    uint32_t memory_align, offset_align;
    uint32_t logical_block, physical_block, optimal_io, discard_align;
    unsigned int requests; /* accepted and not yet given out */
    unsigned int rewrites; /* submitted ones that rewrite whole blocks */
    unsigned int held;     /* requests that wait for such a one, or for it */
    unsigned int changing; /* requests at workers that change its bytes */
    unsigned int at_work;  /* workers busy with it; under the workers' lock */
    atomic_uint refused;   /* IOQ__NO_* */
    struct ioq__learn reads, writes;
};

/* Fills *ret_file. Returns 0 or -errno, with the words for it kept. */
int ioq__file_probe(int fd, struct ioq__file *ret_file);

/* Fills all of *ret_info but size and requests. Returns 0 or -errno. */
int ioq__file_describe(const struct ioq__file *file,
                       struct ioq_file_info *ret_info);

/* Whether O_DIRECT refuses buffers whose addresses and lengths have these bits.
 */
static inline bool ioq__file_misfits(const struct ioq__file *file,
                                     uint64_t addresses, uint64_t lengths)
{
    return ((addresses & (file->memory_align - 1)) |
            (lengths & (file->offset_align - 1))) != 0;
}

static inline bool ioq__file_lacks(const struct ioq__file *file, unsigned bit)
{
    return atomic_load_explicit(&file->refused, memory_order_relaxed) & bit;
}

static inline void ioq__file_refuse(struct ioq__file *file, unsigned bit)
{
    atomic_fetch_or_explicit(&file->refused, bit, memory_order_relaxed);
}

#endif /* IOQ_FILE_H */
