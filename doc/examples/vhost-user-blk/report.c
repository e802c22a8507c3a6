/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

int report(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    /* In one call, so that lines of several threads stay whole. */
    fprintf(stderr, "vhost-user-blk: %s\n", line);
    return -1;
}
