/* SPDX-License-Identifier: MIT */
/*
 * The memory table: which parts of the guest's memory the emulator shares with
 * us, and where they are mapped. Every address that the guest or the emulator
 * names is looked up here, and nowhere else.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "message.h"

struct region {
    uint64_t guest;
    uint64_t user;
    uint64_t size;
    char *host; /* where we see it */
    void *map;  /* as given by mmap: pages, which may begin before host */
    size_t mapped;
};

struct memory {
    struct region regions[MESSAGE_REGIONS];
    unsigned int count;
};

/*
 * Maps what a SET_MEM_TABLE names, in place of what was there. Returns 0, or -1
 * after an error line, and then there is no memory at all.
 */
int memory_map(struct memory *memory, const struct message_table *table,
               const int *fds, unsigned int num_fds);
void memory_unmap(struct memory *memory);

/* Where size bytes at the emulator's address user are; NULL if not in one of
 * the regions as a whole. */
void *memory_at_user(const struct memory *memory, uint64_t user, uint64_t size);

/*
 * Translates length bytes at the guest's address into at most room iovecs: more
 * than one where they lie in neighbouring regions. Returns how many, or -1 if a
 * byte of it is not the guest's memory, or room does not suffice.
 */
int memory_at_guest(const struct memory *memory, uint64_t guest,
                    uint64_t length, struct iovec *iov, unsigned int room);

#endif /* MEMORY_H */
