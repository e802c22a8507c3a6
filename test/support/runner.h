/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each test program's main() ends with. A program's exit status is 0, 1,
 * or 77 for one that cannot run here; with IOQ_TEST_NO_SKIP=1 in the
 * environment (as in CI, where everything can run) the last is a failure.
 */
#ifndef IOQ_TEST_RUNNER_H
#define IOQ_TEST_RUNNER_H

#include <check.h>
#include <stdbool.h>

/*
 * With IOQ_TEST_ONLY=one,another in the environment, these tests alone run.
 * Check knows no such choice; a loop of no round is a test that does not run.
 */
bool test_is_wanted(const char *name);

#undef tcase_add_test
#define tcase_add_test(tcase, test) tcase_add_loop_test(tcase, test, 0, 1)

#undef tcase_add_loop_test
#define tcase_add_loop_test(tcase, test, begin, end)            \
    tcase_add_loop_test_raise_signal((tcase), test, 0, (begin), \
                                     test_is_wanted(#test) ? (end) : (begin))

/* Runs the suite and returns the program's exit status. */
int run_suite(Suite *suite);

/* Says why the program cannot run here and returns its exit status. */
int skip_all(const char *reason);

#endif /* IOQ_TEST_RUNNER_H */
