/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Seccomp filters for this thread and those that it starts. They stay.
 */
#ifndef IOQ_TEST_SANDBOX_H
#define IOQ_TEST_SANDBOX_H

#define SANDBOX_CALLS_MAX 128u

/* The number of a system call, or -1 if this machine has none of that name. */
int sandbox_number(const char *name);

/* The name of a system call of that number; NULL if it is not known here. */
const char *sandbox_name(int number);

/* Kills the process at any call but these. Returns 0 or -errno. */
int sandbox_allow(const int *numbers, unsigned int count);

/* Answers these calls with -error; with error 0, kills the process for them. */
int sandbox_refuse(const int *numbers, unsigned int count, int error);

/*
 * Finds what the table of system calls in a document lists for the engine, and
 * for all of them: SANDBOX_CALLS_MAX at most. Returns how many, or -errno; says
 * why to stderr.
 */
int sandbox_documented(const char *path, const char *engine, int *ret_numbers);

/*
 * Allows what the table of system calls in a document lists for the engine, by
 * name, and for all of them, and what extra names, with spaces in between.
 * Returns 0 or -errno; says why to stderr.
 */
int sandbox_allow_documented(const char *path, const char *engine,
                             const char *extra);

#endif /* IOQ_TEST_SANDBOX_H */
