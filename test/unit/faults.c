/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

bool allocations_fail;
unsigned long allocations;
int eventfd_error;

static bool fails(void)
{
    allocations++;
    if (allocations_fail)
        errno = ENOMEM;
    return allocations_fail;
}

void *fault_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *fault_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

int fault_eventfd(unsigned int count, int flags)
{
    if (eventfd_error) {
        errno = eventfd_error;
        return -1;
    }
    return eventfd(count, flags);
}
