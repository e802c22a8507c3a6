/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of a handle.
 */
#include <ioq/handle.h>

#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "export.h"
#include "handle.h"
#include "sized.h"

static void set_count(struct ioq_handle *handle, unsigned int count)
{
    handle->file_count = count;
    ioq__workers_set_files(&handle->workers, count);
}

/* Direct reads are for the engine, if it is one that reads. */
static bool needs_worker(const struct ioq_handle *handle,
                         const struct ioq__file *file)
{
    return !file->direct || file->writable ||
           handle->ops->id == IOQ_ENGINE_THREADS;
}

static int attach(struct ioq_handle *handle, int fd)
{
    struct ioq__file *file;
    int rc, number = 0;

    while (number < IOQ__FILES_MAX && handle->files[number])
        number++;
    if (number == IOQ__FILES_MAX)
        return ioq__fail(-ENFILE, "%d files are attached, which is the most",
                         IOQ__FILES_MAX);
    file = malloc(sizeof(*file));
    if (!file)
        return ioq__fail(-ENOMEM, "no memory");
    rc = ioq__file_probe(fd, file);
    file->number = number;
    if (rc == 0 && handle->ops->attach)
        rc = handle->ops->attach(handle->engine, file);
    if (rc < 0) {
        free(file);
        return rc;
    }
    if (needs_worker(handle, file))
        ioq__workers_keep(&handle->workers);
    handle->files[number] = file;
    set_count(handle, handle->file_count + 1);
    return number;
}

IOQ_EXPORT int ioq_handle_attach(struct ioq_handle *handle, int fd,
                                 uint32_t flags)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    if (flags)
        rc = ioq__fail(-EINVAL, "unknown flags 0x%x", flags);
    else
        rc = attach(handle, fd);
    ioq__handle_leave(handle);
    return rc;
}

static int no_file(int number)
{
    return ioq__fail(-EBADF, "no file %d is attached", number);
}

static int detach(struct ioq_handle *handle, int number)
{
    struct ioq__file *file = ioq__handle_file(handle, number);

    if (!file)
        return no_file(number);
    if (file->requests > 0)
        return ioq__fail(-EBUSY, "file %d has %u requests; reap them first",
                         number, file->requests);
    if (handle->ops->detach)
        handle->ops->detach(handle->engine, file);
    if (needs_worker(handle, file))
        ioq__workers_let_go(&handle->workers);
    handle->files[number] = NULL;
    free(file);
    set_count(handle, handle->file_count - 1);
    return 0;
}

IOQ_EXPORT int ioq_handle_detach(struct ioq_handle *handle, int number)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = detach(handle, number);
    ioq__handle_leave(handle);
    return rc;
}

static int describe(struct ioq_handle *handle, int number,
                    struct ioq_file_info *ret_info)
{
    const struct ioq__file *file = ioq__handle_file(handle, number);
    struct ioq_file_info info;
    int rc;

    if (!file)
        return no_file(number);
    rc = ioq__file_describe(file, &info);
    if (rc < 0)
        return rc;
    info.requests = file->requests;
    rc = -EINVAL;
    if (ret_info)
        rc = ioq__sized_out(ret_info, ret_info->size, &info, sizeof(info));
    if (rc < 0)
        return ioq__fail(rc, "set the size of struct ioq_file_info first");
    return 0;
}

IOQ_EXPORT int ioq_handle_file_info(struct ioq_handle *handle, int number,
                                    struct ioq_file_info *ret_info)
{
    int rc = ioq__handle_enter(handle);

    if (rc < 0)
        return rc;
    rc = describe(handle, number, ret_info);
    ioq__handle_leave(handle);
    return rc;
}
