/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a server that is going to be killed. Once the file
 * FOLDER/before or FOLDER/after is there, FOLDER being IOQ_HOLD, whoever hands
 * a request over to the kernel stays there for ever, before the kernel has
 * heard of it or after that; and makes FOLDER/held. So something is in flight
 * when the server dies.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct iocb;
struct io_uring;
typedef struct io_context *io_context_t;

static void path_of(char *ret_path, const char *name)
{
    const char *folder = getenv("IOQ_HOLD");

    snprintf(ret_path, PATH_MAX, "%s/%s", folder ? folder : ".", name);
}

static void hold(const char *when)
{
    char path[PATH_MAX];
    int fd;

    path_of(path, when);
    if (access(path, F_OK) < 0)
        return;
    path_of(path, "held");
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    for (;;)
        pause();
}

/* The library's own function of that name. */
static void find_real(void *ret_function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(ret_function, &symbol, sizeof(symbol));
    hold("before");
}

int io_submit(io_context_t context, long count, struct iocb **iocbs);
int io_uring_submit(struct io_uring *ring);

int io_submit(io_context_t context, long count, struct iocb **iocbs)
{
    int (*real)(io_context_t, long, struct iocb **);
    int rc;

    find_real(&real, "io_submit");
    rc = real(context, count, iocbs);
    hold("after");
    return rc;
}

int io_uring_submit(struct io_uring *ring)
{
    int (*real)(struct io_uring *);
    int rc;

    find_real(&real, "io_uring_submit");
    rc = real(ring);
    hold("after");
    return rc;
}

/* off_t has 64 bits here, so these are pwritev64 and the like. */
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t);
    ssize_t n;

    find_real(&real, "pwritev64");
    n = real(fd, iov, count, offset);
    hold("after");
    return n;
}

int fdatasync(int fd)
{
    int (*real)(int);
    int rc;

    find_real(&real, "fdatasync");
    rc = real(fd);
    hold("after");
    return rc;
}
