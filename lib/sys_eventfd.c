/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sys_eventfd.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int ioq__sys_eventfd_open(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

void ioq__sys_eventfd_close(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

void ioq__sys_eventfd_set(int fd)
{
    const uint64_t one = 1;
    int saved = errno;

    /* EAGAIN means that the counter is full, hence that fd is readable. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

uint64_t ioq__sys_eventfd_clear(int fd)
{
    uint64_t count = 0;
    int saved = errno;

    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    errno = saved;
    return count;
}
