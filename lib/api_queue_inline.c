/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inline functions of <ioq.h> as symbols, for callers that cannot compile
 * C. A file of its own, since here the header's own definition must give way.
 */
#define ioq_num_queued ioq__inline_num_queued
#include <ioq.h>
#undef ioq_num_queued

#include "export.h"

IOQ_EXPORT unsigned int ioq_num_queued(IOQueue *ioq);

IOQ_EXPORT unsigned int ioq_num_queued(IOQueue *ioq)
{
    return ioq__inline_num_queued(ioq);
}
