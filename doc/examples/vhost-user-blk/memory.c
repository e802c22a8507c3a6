/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

/* Far enough from the end for sums and for rounding up. */
static bool fits(uint64_t start, uint64_t size)
{
    return start < UINT64_MAX / 4 && size < UINT64_MAX / 4;
}

/* A page beyond the end of the file would be a SIGBUS for the first touch. */
static int check_region(const struct message_region *wanted, int fd,
                        uint64_t *ret_page)
{
    struct stat st;

    if (wanted->size == 0 || !fits(wanted->guest, wanted->size) ||
        !fits(wanted->user, wanted->size) ||
        !fits(wanted->offset, wanted->size))
        return report("a memory region makes no sense");
    if (fstat(fd, &st) < 0)
        return report("a memory region's file: %s", strerror(errno));
    if (S_ISREG(st.st_mode) &&
        wanted->offset + wanted->size > (uint64_t)st.st_size)
        return report("a memory region ends beyond its file");
    *ret_page = st.st_blksize > 0 ? (uint64_t)st.st_blksize : 4096;
    return 0;
}

static bool overlaps(const struct memory *memory,
                     const struct message_region *wanted)
{
    unsigned int i;

    for (i = 0; i < memory->count; i++) {
        const struct region *r = &memory->regions[i];

        if (wanted->guest < r->guest + r->size &&
            r->guest < wanted->guest + wanted->size)
            return true;
    }
    return false;
}

static int map_region(struct memory *memory,
                      const struct message_region *wanted, int fd)
{
    struct region *region = &memory->regions[memory->count];
    uint64_t page = 1, length;
    void *map;

    if (check_region(wanted, fd, &page) < 0)
        return -1;
    if (overlaps(memory, wanted))
        return report("two memory regions overlap");
    /* From the file's start: a region may begin within a huge page. */
    length = (wanted->offset + wanted->size + page - 1) / page * page;
    if (length != (size_t)length)
        return report("a memory region is too large for this process");
    map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return report("cannot map guest memory: %s", strerror(errno));
    *region = (struct region){.guest = wanted->guest,
                              .user = wanted->user,
                              .size = wanted->size,
                              .host = (char *)map + wanted->offset,
                              .map = map,
                              .mapped = length};
    memory->count++;
    return 0;
}

int memory_map(struct memory *memory, const struct message_table *table,
               const int *fds, unsigned int num_fds)
{
    unsigned int i;

    memory_unmap(memory);
    if (table->count > MESSAGE_REGIONS || table->count != num_fds)
        return report("a memory table of %u regions with %u files",
                      table->count, num_fds);
    for (i = 0; i < table->count; i++)
        if (map_region(memory, &table->regions[i], fds[i]) < 0) {
            memory_unmap(memory);
            return -1;
        }
    return 0;
}

void memory_unmap(struct memory *memory)
{
    while (memory->count > 0) {
        struct region *region = &memory->regions[--memory->count];

        munmap(region->map, region->mapped);
    }
}

void *memory_at_user(const struct memory *memory, uint64_t user, uint64_t size)
{
    unsigned int i;

    for (i = 0; i < memory->count; i++) {
        const struct region *r = &memory->regions[i];

        if (user >= r->user && user - r->user < r->size &&
            size <= r->size - (user - r->user))
            return r->host + (user - r->user);
    }
    return NULL;
}

static const struct region *region_of(const struct memory *memory,
                                      uint64_t guest)
{
    unsigned int i;

    for (i = 0; i < memory->count; i++) {
        const struct region *r = &memory->regions[i];

        if (guest >= r->guest && guest - r->guest < r->size)
            return r;
    }
    return NULL;
}

int memory_at_guest(const struct memory *memory, uint64_t guest,
                    uint64_t length, struct iovec *iov, unsigned int room)
{
    unsigned int n = 0;

    while (length > 0) {
        const struct region *r = region_of(memory, guest);
        uint64_t inside, part;

        if (!r || n == room)
            return -1;
        inside = guest - r->guest;
        part = r->size - inside < length ? r->size - inside : length;
        iov[n].iov_base = r->host + inside;
        iov[n].iov_len = part;
        n++;
        guest += part; /* no wrap-around: regions end before that */
        length -= part;
    }
    return (int)n;
}
