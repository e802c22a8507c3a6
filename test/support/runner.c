/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool test_is_wanted(const char *name)
{
    const char *at = getenv("IOQ_TEST_ONLY");
    size_t length = strlen(name);

    if (!at)
        return true;
    for (at = strstr(at, name); at; at = strstr(at + 1, name))
        if ((at == getenv("IOQ_TEST_ONLY") || at[-1] == ',') &&
            (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed, ran;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    ran = srunner_ntests_run(runner);
    srunner_free(runner);
    if (ran == 0)
        fprintf(stderr, "no test was run\n");
    return failed > 0 || ran == 0;
}

int skip_all(const char *reason)
{
    const char *strict = getenv("IOQ_TEST_NO_SKIP");

    printf("skipped: %s\n", reason);
    return strict && strict[0] == '1' ? 1 : 77;
}
