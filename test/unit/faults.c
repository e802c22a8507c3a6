/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <errno.h>
#include <stddef.h>

/* The names are the linker's: see --wrap in ld(1). */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);

bool fault_allocations;
unsigned long allocations;
int fault_eventfd;

static bool allocation_fails(void)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    if (fault_allocations)
        errno = ENOMEM;
    return fault_allocations;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

int __wrap_eventfd(unsigned int count, int flags)
{
    if (fault_eventfd) {
        errno = fault_eventfd;
        return -1;
    }
    return __real_eventfd(count, flags);
}
