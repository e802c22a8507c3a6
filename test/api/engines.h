/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the larger tests of the handle share: each is run on one engine, which
 * is its first argument.
 */
#ifndef IOQ_TEST_ENGINES_H
#define IOQ_TEST_ENGINES_H

#include <check.h>
#include <ioq/handle.h>

#include "../support/place.h"
#include "../support/runner.h"

/*
 * As ck_assert_msg, but costs no system call when all is well, and may be used
 * in any thread where Check forks.
 */
#define MUST(condition, ...)           \
    do {                               \
        if (!(condition))              \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

/* The engine of that name, or AUTO for NULL; ends the program if none is. */
enum ioq_engine engine_called(const char *name);

/* Exit status of a test program whose tests, all on engine, are in the case. */
int engine_suite(enum ioq_engine engine, const char *name, TCase *tcase);

/* Opens a handle; waits while others have used fs.aio-max-nr up. */
struct ioq_handle *patient_open(const struct ioq_options *options);

/* That number in the environment, or the other one. */
unsigned long number_of(const char *name, unsigned long otherwise);

#endif /* IOQ_TEST_ENGINES_H */
