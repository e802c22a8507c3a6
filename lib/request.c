/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "sys_file.h"

bool ioq__list_remove(struct ioq__list *list,
                      const struct ioq__request *request)
{
    struct ioq__request **link = &list->head;

    while (*link && *link != request)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = request->next;
    if (!*link)
        list->tail = link;
    return true;
}

int ioq__request_set_iov(struct ioq__request *request, const struct iovec *iov,
                         int iovcnt)
{
    uint64_t addresses = 0, lengths = 0, length = 0;
    int i;

    request->iov = iovcnt > 1 ? request->many : &request->one;
    for (i = 0; i < iovcnt; i++) {
        if (!iov[i].iov_base && iov[i].iov_len > 0)
            return ioq__fail(-EFAULT, "buffer %d is NULL", i);
        if (__builtin_add_overflow(length, iov[i].iov_len, &length))
            return ioq__fail(-EINVAL, "the buffers are too long in all");
        addresses |= (uintptr_t)iov[i].iov_base;
        lengths |= iov[i].iov_len;
        request->iov[i] = iov[i];
    }
    request->iovcnt = iovcnt;
    request->length = length;
    request->misaligned = ioq__file_misfits(request->file, addresses, lengths);
    return 0;
}

/* The blocks that a request rewrites, whole. */
static void find_blocks(struct ioq__request *request, int64_t align)
{
    const struct ioq__file *file = request->file;
    int64_t end = request->offset + (int64_t)request->length, length;

    request->rewrites = true;
    request->first = request->offset & ~(align - 1);
    request->end = (end + align - 1) & ~(align - 1);
    /*
     * Rewriting the last block may make the file grow and shrink again. If that
     * is under way then the length may be a block too much.
     */
    length = file->block ? INT64_MAX : ioq__sys_file_length(file->fd);
    if (request->end > length || (request->end == length && file->rewrites > 0))
        request->end = INT64_MAX;
}

void ioq__request_misalign(struct ioq__request *request)
{
    const struct ioq__file *file = request->file;

    if (!file->direct || request->kind == IOQ_KIND_FLUSH)
        return;
    request->misaligned = true;
    if (request->kind == IOQ_KIND_WRITE ||
        request->kind == IOQ_KIND_WRITE_ZEROES)
        find_blocks(request, file->offset_align);
}

void ioq__window_open(struct ioq__request *request, uint64_t at,
                      struct ioq__window *ret_window)
{
    struct iovec *iov = request->iov;
    int left = request->iovcnt;

    while (at >= iov->iov_len && left > 1) {
        at -= iov->iov_len;
        iov++;
        left--;
    }
    *ret_window = (struct ioq__window){
        .iov = iov,
        .iovcnt = left < IOV_MAX ? left : IOV_MAX,
        .whole = *iov,
    };
    iov->iov_base = (char *)iov->iov_base + at;
    iov->iov_len -= (size_t)at;
}

void ioq__window_restore(struct ioq__window *window)
{
    *window->iov = window->whole;
}

enum direction { TO_REQUEST, FROM_REQUEST, ZERO_REQUEST };

static void copy(struct ioq__request *request, uint64_t at, char *buf,
                 uint64_t len, enum direction direction)
{
    const struct iovec *iov = request->iov;
    size_t piece;
    char *place;

    for (; len > 0; iov++) {
        if (at >= iov->iov_len) {
            at -= iov->iov_len;
            continue;
        }
        place = (char *)iov->iov_base + at;
        piece = iov->iov_len - (size_t)at;
        if (piece > len)
            piece = (size_t)len;
        if (direction == TO_REQUEST)
            memcpy(place, buf, piece);
        else if (direction == FROM_REQUEST)
            memcpy(buf, place, piece);
        else
            memset(place, 0, piece);
        if (buf)
            buf += piece;
        len -= piece;
        at = 0;
    }
}

void ioq__request_copy_in(struct ioq__request *request, uint64_t at,
                          const void *buf, size_t len)
{
    copy(request, at, (char *)(uintptr_t)buf, len, TO_REQUEST);
}

void ioq__request_copy_out(struct ioq__request *request, uint64_t at, void *buf,
                           size_t len)
{
    copy(request, at, buf, len, FROM_REQUEST);
}

void ioq__request_zero(struct ioq__request *request, uint64_t at)
{
    copy(request, at, NULL, request->length - at, ZERO_REQUEST);
}

static int64_t first_of(const struct ioq__request *request)
{
    return request->rewrites ? request->first : request->offset;
}

static int64_t end_of(const struct ioq__request *request)
{
    return request->rewrites ? request->end
                             : request->offset + (int64_t)request->length;
}

bool ioq__requests_clash(const struct ioq__request *a,
                         const struct ioq__request *b)
{
    return a->file == b->file && (a->rewrites || b->rewrites) &&
           ioq__changes_bytes(a) && ioq__changes_bytes(b) &&
           first_of(a) < end_of(b) && first_of(b) < end_of(a);
}
