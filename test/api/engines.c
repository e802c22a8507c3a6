/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engines.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum ioq_engine engine_called(const char *name)
{
    int i;

    if (!name)
        return IOQ_ENGINE_AUTO;
    for (i = 0; ioq_engine_name((enum ioq_engine)i); i++)
        if (strcmp(name, ioq_engine_name((enum ioq_engine)i)) == 0)
            return (enum ioq_engine)i;
    fprintf(stderr, "there is no engine %s\n", name);
    exit(1);
}

int engine_suite(enum ioq_engine engine, const char *name, TCase *tcase)
{
    Suite *suite = suite_create(name);
    int rc = ioq_engine_available(engine);

    suite_add_tcase(suite, tcase);
    if (rc != -ENOSYS && rc != -EPERM)
        return run_suite(suite);
    srunner_free(srunner_create(suite));
    return skip_all(ioq_last_error());
}

struct ioq_handle *patient_open(const struct ioq_options *options)
{
    struct ioq_handle *handle = NULL;
    int tries = 0, rc;

    while ((rc = ioq_handle_open(options, &handle)) == -EAGAIN &&
           tries++ < 1000)
        usleep(10000);
    ck_assert_msg(rc == 0, "open: %d, %s", rc, ioq_last_error());
    return handle;
}

unsigned long number_of(const char *name, unsigned long otherwise)
{
    const char *value = getenv(name);

    return value ? strtoul(value, NULL, 10) : otherwise;
}
