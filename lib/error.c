/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include <ioq/handle.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "export.h"

static _Thread_local char last_error[256];

int ioq__fail(int error, const char *format, ...)
{
    int saved = errno;
    va_list args;

    va_start(args, format);
    vsnprintf(last_error, sizeof(last_error), format, args);
    va_end(args);
    errno = saved;
    return error;
}

IOQ_EXPORT const char *ioq_last_error(void)
{
    return last_error;
}

long long ioq__read_number(const char *path)
{
    int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC);
    long long number = -1;
    char text[32];
    ssize_t n;

    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        if (n > 0) {
            text[n] = '\0';
            number = strtoll(text, NULL, 10);
        }
        close(fd);
    }
    errno = saved;
    return number;
}
