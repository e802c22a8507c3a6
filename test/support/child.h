/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Child processes, for what would spoil the test program: limits, sandboxes,
 * closed descriptors. Check's assertions do not work there; require does.
 */
#ifndef IOQ_TEST_CHILD_H
#define IOQ_TEST_CHILD_H

/* Runs the function in a child process. Returns when it has ended well. */
void run_in_child(void (*function)(void));

#define require(condition)                                \
    do {                                                  \
        if (!(condition))                                 \
            child_failed(__FILE__, __LINE__, #condition); \
    } while (0)
void child_failed(const char *file, int line, const char *condition);

#endif /* IOQ_TEST_CHILD_H */
