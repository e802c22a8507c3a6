/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs that run under a filter of the documented calls share. */
#ifndef IOQ_TEST_SANDBOX_CALLS_H
#define IOQ_TEST_SANDBOX_CALLS_H

extern int failures;

/* Goes on after a failure, and says so by no call but write(2). */
#define expect(condition)                                         \
    do {                                                          \
        if (!(condition))                                         \
            say_failed("failed: " #condition "; " __FILE__ "\n"); \
    } while (0)

void say_failed(const char *text);

#endif /* IOQ_TEST_SANDBOX_CALLS_H */
