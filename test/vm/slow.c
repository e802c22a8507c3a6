/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a server that is going to be killed: handing requests over to
 * the kernel takes so long that some are in flight whenever that happens.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define DELAY_US 4000

struct iocb;
struct io_uring;
typedef struct io_context *io_context_t;

/* The library's own function of that name, after a while. */
static void find_real(void *ret_function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    usleep(DELAY_US);
    memcpy(ret_function, &symbol, sizeof(symbol));
}

int io_submit(io_context_t context, long count, struct iocb **iocbs);
int io_uring_submit(struct io_uring *ring);

int io_submit(io_context_t context, long count, struct iocb **iocbs)
{
    int (*real)(io_context_t, long, struct iocb **);

    find_real(&real, "io_submit");
    return real(context, count, iocbs);
}

int io_uring_submit(struct io_uring *ring)
{
    int (*real)(struct io_uring *);

    find_real(&real, "io_uring_submit");
    return real(ring);
}

/* off_t has 64 bits here, so these are pwritev64 and the like. */
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t);

    find_real(&real, "pwritev64");
    return real(fd, iov, count, offset);
}

int fdatasync(int fd)
{
    int (*real)(int);

    find_real(&real, "fdatasync");
    return real(fd);
}
