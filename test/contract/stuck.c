/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that touches memory which a userfaultfd watches sleeps until that is
 * closed. The requests are such as go to a worker on every engine: their
 * buffers are odd, for O_DIRECT, and long, for all else.
 */
#include "contract.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MEMORY_BYTES (1 * MIB)

static int watch(void *memory)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register range = {
        .range = {(uintptr_t)memory, MEMORY_BYTES},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return fd;
    if (ioctl(fd, UFFDIO_API, &api) == 0 &&
        ioctl(fd, UFFDIO_REGISTER, &range) == 0)
        return fd;
    close(fd);
    return -1;
}

bool stuck_open(struct stuck *stuck)
{
    stuck->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(stuck->memory, MAP_FAILED);
    stuck->buf = stuck->memory + 1;
    stuck->fd = watch(stuck->memory);
    if (stuck->fd >= 0)
        return true;
    munmap(stuck->memory, MEMORY_BYTES);
    return false;
}

/* The fd is readable as soon as somebody sleeps for the memory. */
static void submit_and_see(struct stuck *stuck, struct rig *rig)
{
    const struct timespec most = {60, 0};
    struct pollfd wanted = {stuck->fd, POLLIN, 0};
    int rc;

    MUST(ioq_handle_submit(rig->handle) >= 1, "submit: %s", ioq_last_error());
    do {
        rc = ppoll(&wanted, 1, &most, NULL);
    } while (rc < 0 && errno == EINTR);
    MUST(rc == 1 && wanted.revents == POLLIN, "nobody has begun it");
}

void stuck_read(struct stuck *stuck, struct rig *rig, int file, int64_t offset)
{
    int rc = ioq_handle_read(rig->handle, file, stuck->buf, STUCK_BYTES, offset,
                             0, stuck);

    MUST(rc == 0, "read: %d, %s", rc, ioq_last_error());
    submit_and_see(stuck, rig);
}

void stuck_write(struct stuck *stuck, struct rig *rig, int file, int64_t offset)
{
    int rc = ioq_handle_write(rig->handle, file, stuck->buf, STUCK_BYTES,
                              offset, 0, stuck);

    MUST(rc == 0, "write: %d, %s", rc, ioq_last_error());
    submit_and_see(stuck, rig);
}

bool rig_open_stuck(struct rig *rig, struct stuck *stuck)
{
    if (!stuck_open(stuck))
        return false;
    rig_open(rig, 8, 0);
    stuck_read(stuck, rig, 0, 0);
    return true;
}

void stuck_let_go(struct stuck *stuck)
{
    close(stuck->fd);
    stuck->fd = -1;
}

void stuck_close(struct stuck *stuck)
{
    if (stuck->fd >= 0)
        stuck_let_go(stuck);
    munmap(stuck->memory, MEMORY_BYTES);
}

void stuck_end(struct stuck *stuck, struct rig *rig)
{
    stuck_let_go(stuck);
    ck_assert_int_eq(result_of(rig, stuck), STUCK_BYTES);
    stuck_close(stuck);
}
