/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults below the library other than those of Linux AIO. The library is
 * compiled for the tests with malloc, calloc and eventfd renamed to these.
 */
#ifndef IOQ_TEST_FAULTS_H
#define IOQ_TEST_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

void *fault_malloc(size_t size);
void *fault_calloc(size_t count, size_t size);
int fault_eventfd(unsigned int count, int flags);

extern bool allocations_fail;     /* malloc and calloc fail */
extern unsigned long allocations; /* calls of either */
extern int eventfd_error;         /* eventfd fails with this errno, if not 0 */

#endif /* IOQ_TEST_FAULTS_H */
