/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load DEVICE read|write BLOCK DEPTH SECONDS
 *
 * Runs in the guest: keeps DEPTH random requests of BLOCK bytes in flight, past
 * the guest's cache, and prints how many completed in each second, and in all.
 * Static, and so without any library but libc.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 64

struct load {
    int fd;
    unsigned int code;
    size_t block;
    long depth;
    uint64_t blocks;
    uint64_t random;
    aio_context_t context;
    struct iocb iocbs[DEPTH_MAX];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void aim(struct load *load, struct iocb *iocb)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    iocb->aio_offset = (int64_t)(load->random % load->blocks * load->block);
}

static void submit(struct load *load, struct iocb **list, long count)
{
    if (syscall(SYS_io_submit, load->context, count, list) != count)
        die("io_submit");
}

static void begin(struct load *load)
{
    struct iocb *list[DEPTH_MAX];
    long i;

    for (i = 0; i < load->depth; i++) {
        void *buffer;

        if (posix_memalign(&buffer, 4096, load->block))
            die("memory");
        memset(buffer, 'x', load->block);
        load->iocbs[i].aio_fildes = (unsigned int)load->fd;
        load->iocbs[i].aio_lio_opcode = (uint16_t)load->code;
        load->iocbs[i].aio_buf = (uint64_t)(uintptr_t)buffer;
        load->iocbs[i].aio_nbytes = load->block;
        aim(load, &load->iocbs[i]);
        list[i] = &load->iocbs[i];
    }
    submit(load, list, load->depth);
}

/* Takes what has completed. If the time is not over, as much goes out again. */
static long turn(struct load *load, int again)
{
    struct io_event events[DEPTH_MAX];
    struct iocb *list[DEPTH_MAX];
    long i, n = syscall(SYS_io_getevents, load->context, 1L, load->depth,
                        events, NULL);

    if (n < 1)
        die("io_getevents");
    for (i = 0; i < n; i++) {
        if (events[i].res != (int64_t)load->block)
            die("a request failed");
        list[i] = (struct iocb *)(uintptr_t)events[i].obj;
        aim(load, list[i]);
    }
    if (again)
        submit(load, list, n);
    return n;
}

int main(int argc, char **argv)
{
    struct load load = {.random = 88172645463325252ull};
    double start, end;
    long done = 0, left, last;

    if (argc != 6)
        return 2;
    load.fd = open(argv[1], O_RDWR | O_DIRECT);
    load.code = strcmp(argv[2], "write") ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
    load.block = strtoul(argv[3], NULL, 10);
    load.depth = strtol(argv[4], NULL, 10);
    if (load.fd < 0 || load.depth < 1 || load.depth > DEPTH_MAX)
        die(argv[1]);
    load.blocks = (uint64_t)lseek(load.fd, 0, SEEK_END) / load.block;
    if (syscall(SYS_io_setup, load.depth, &load.context) < 0)
        die("io_setup");
    start = now();
    end = start + strtod(argv[5], NULL);
    begin(&load);
    while (now() < end)
        done += turn(&load, 1);
    for (left = load.depth; left > 0; left -= last) {
        last = turn(&load, 0);
        done += last;
    }
    printf("%.3f %ld\n", (double)done / (now() - start), done);
    return 0;
}
