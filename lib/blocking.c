/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocking.h"

#include <errno.h>
#include <stdlib.h>

#include "sys_file.h"

int ioq__bounce_prepare(struct ioq__bounce *bounce,
                        const struct ioq__file *file)
{
    size_t align = 4096;

    while (align < file->memory_align || align < file->offset_align)
        align *= 2;
    if (bounce->buf && bounce->align >= align)
        return 0;
    free(bounce->buf);
    bounce->buf = aligned_alloc(
        align, align > IOQ__BOUNCE_BYTES ? align : IOQ__BOUNCE_BYTES);
    bounce->align = align;
    return bounce->buf ? 0 : -ENOMEM;
}

void ioq__bounce_free(struct ioq__bounce *bounce)
{
    free(bounce->buf);
    bounce->buf = NULL;
}

static int64_t run(struct ioq__request *request, struct ioq__bounce *bounce)
{
    switch (request->kind) {
    case IOQ_KIND_READ:
        return ioq__blocking_read(request, bounce);
    case IOQ_KIND_WRITE:
        return ioq__blocking_write(request, bounce);
    case IOQ_KIND_FLUSH:
        return ioq__sys_datasync(request->file->fd);
    case IOQ_KIND_DISCARD:
        return ioq__blocking_discard(request);
    default:
        return ioq__blocking_zeroes(request, bounce);
    }
}

void ioq__blocking_run(struct ioq__request *request, struct ioq__bounce *bounce)
{
    int64_t result = run(request, bounce);

    /* Writes see to it on their own. */
    if (result == 0 && (request->flags & IOQ_F_FUA) &&
        request->kind != IOQ_KIND_WRITE)
        result = ioq__sys_datasync(request->file->fd);
    request->result = result;
}
