/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a seccomp filter watches this thread.
 */
#ifndef IOQ_SYS_SECCOMP_H
#define IOQ_SYS_SECCOMP_H

#include <stdbool.h>

/* True also if the kernel does not tell, as without /proc. */
bool ioq__sys_is_filtered(void);

#endif /* IOQ_SYS_SECCOMP_H */
