/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults below the library other than those of Linux AIO. The tests are linked
 * with --wrap for these functions of the C library.
 */
#ifndef IOQ_TEST_FAULTS_H
#define IOQ_TEST_FAULTS_H

#include <stdbool.h>

extern bool fault_allocations;    /* malloc and calloc fail */
extern unsigned long allocations; /* calls of either */
extern int fault_eventfd;         /* eventfd fails with this errno, if not 0 */

#endif /* IOQ_TEST_FAULTS_H */
