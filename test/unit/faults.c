/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

bool allocations_fail;
unsigned long allocation_fails;
unsigned long allocations;
int eventfd_error;
int thread_error;
atomic_uint yields;

void faults_reset(void)
{
    allocations_fail = false;
    allocation_fails = allocations = 0;
    eventfd_error = thread_error = 0;
    atomic_store(&yields, 0);
}

/* Workers take memory, too. */
static bool fails(void)
{
    unsigned long number =
        __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);

    if (!allocations_fail && number != allocation_fails)
        return false;
    errno = ENOMEM;
    return true;
}

void *fault_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *fault_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

void *fault_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : aligned_alloc(align, size);
}

void *fault_mmap(void *place, size_t size, int prot, int flags, int fd,
                 off_t offset)
{
    return fails() ? MAP_FAILED : mmap(place, size, prot, flags, fd, offset);
}

int fault_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr,
                         void *(*start)(void *), void *opaque)
{
    if (thread_error)
        return thread_error;
    return pthread_create(ret_thread, attr, start, opaque);
}

int fault_sched_yield(void)
{
    atomic_fetch_add(&yields, 1);
    return sched_yield();
}

int fault_eventfd(unsigned int count, int flags)
{
    if (eventfd_error) {
        errno = eventfd_error;
        return -1;
    }
    return eventfd(count, flags);
}
