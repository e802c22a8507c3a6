/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel edge of eventfd.
 */
#ifndef IOQ_SYS_EVENTFD_H
#define IOQ_SYS_EVENTFD_H

#include <stdint.h>

/* Returns a new non-blocking, close-on-exec eventfd, or -errno. 0 is valid. */
int ioq__sys_eventfd_open(void);
void ioq__sys_eventfd_close(int fd);

/* Makes fd readable. Leaves errno as it was. */
void ioq__sys_eventfd_set(int fd);

/* Makes fd unreadable; returns how often it was set. Leaves errno as it was. */
uint64_t ioq__sys_eventfd_clear(int fd);

#endif /* IOQ_SYS_EVENTFD_H */
