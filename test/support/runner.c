/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

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
