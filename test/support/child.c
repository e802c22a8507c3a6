/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <check.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

void run_in_child(void (*function)(void))
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        function();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "the child ended with status %#x",
                  (unsigned int)status);
}

void child_failed(const char *file, int line, const char *condition)
{
    dprintf(STDERR_FILENO, "%s:%d: %s\n", file, line, condition);
    _exit(1);
}
