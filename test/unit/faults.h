/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults below the library other than those of Linux AIO. The library is
 * compiled for the tests with these calls renamed to ours.
 */
#ifndef IOQ_TEST_FAULTS_H
#define IOQ_TEST_FAULTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

void *fault_malloc(size_t size);
void *fault_calloc(size_t count, size_t size);
void *fault_aligned_alloc(size_t align, size_t size);
void *fault_mmap(void *place, size_t size, int prot, int flags, int fd,
                 off_t offset);
int fault_eventfd(unsigned int count, int flags);
int fault_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr,
                         void *(*start)(void *), void *opaque);
int fault_sched_yield(void);

extern bool allocations_fail;          /* all that take memory fail */
extern unsigned long allocation_fails; /* that one does, counted from 1 */
extern unsigned long allocations;      /* calls of any of them */
extern int eventfd_error;  /* eventfd fails with this errno, if not 0 */
extern int thread_error;   /* pthread_create likewise */
extern atomic_uint yields; /* calls of sched_yield, which has no faults */

/* No faults, and allocations is 0. */
void faults_reset(void);

#endif /* IOQ_TEST_FAULTS_H */
