/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs that begin with their size, so that they can grow. A caller and a
 * library of different age understand each other: what the shorter one lacks
 * counts as zero.
 */
#ifndef IOQ_SIZED_H
#define IOQ_SIZED_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

/*
 * Copies the caller's struct in. Returns 0; -EINVAL if it has no size at all;
 * -E2BIG if it is longer than ours and uses what we do not know.
 */
static inline int ioq__sized_in(void *ours, uint32_t our_size,
                                const void *theirs, uint32_t their_size)
{
    uint32_t i, common = their_size < our_size ? their_size : our_size;

    if (their_size < sizeof(uint32_t))
        return -EINVAL;
    for (i = our_size; i < their_size; i++)
        if (((const unsigned char *)theirs)[i])
            return -E2BIG;
    memset(ours, 0, our_size);
    memcpy(ours, theirs, common);
    return 0;
}

/* Copies ours out, all but the size. Returns 0, or -EINVAL if it has none. */
static inline int ioq__sized_out(void *theirs, uint32_t their_size,
                                 const void *ours, uint32_t our_size)
{
    uint32_t common = their_size < our_size ? their_size : our_size;
    const uint32_t head = sizeof(uint32_t);

    if (their_size <= head)
        return -EINVAL;
    memcpy((char *)theirs + head, (const char *)ours + head, common - head);
    memset((char *)theirs + common, 0, their_size - common);
    return 0;
}

#endif /* IOQ_SIZED_H */
