/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sys_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Asked of /proc, as the filter may kill who asks prctl(2). */
bool ioq__sys_is_filtered(void)
{
    int saved = errno, fd;
    char text[4096];
    ssize_t n = -1;
    const char *line = NULL;

    fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    if (n > 0) {
        text[n] = '\0';
        line = strstr(text, "\nSeccomp:\t");
    }
    errno = saved;
    return !line || strncmp(line, "\nSeccomp:\t0\n", 12) != 0;
}
