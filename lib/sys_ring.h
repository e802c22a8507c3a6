/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The completion ring that the kernel maps at the address of an AIO context,
 * read without a system call.
 *
 * No header of the kernel declares it: it is an ABI by habit. So nothing in it
 * is taken on trust, and whoever calls this has io_getevents to fall back on.
 */
#ifndef IOQ_SYS_RING_H
#define IOQ_SYS_RING_H

#include <libaio.h>
#include <stdbool.h>

/*
 * Tells whether the ring of ctx is of the kind that this file understands, and
 * whether reading it is wanted at all: on architectures where that was tested,
 * or where the environment says IOQ_AIO_RING=1, and nowhere if it says 0.
 */
bool ioq__ring_usable(io_context_t ctx);

/*
 * Returns how many completions are in the ring, or -1 if it cannot be right:
 * more than limit, or indices that point outside.
 */
int ioq__ring_pending(io_context_t ctx, unsigned int limit);

/* Takes the oldest completion out of a ring in which one is pending. */
void ioq__ring_take(io_context_t ctx, struct io_event *ret_event);

#endif /* IOQ_SYS_RING_H */
