/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that the queue does, under a filter of exactly the documented
 * system calls: the program itself needs two more, to poll and to end.
 *
 *     queue_calls DOCUMENT
 *
 * Run with a place (support/place.h).
 */
#include <fcntl.h>
#include <ioq.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/place.h"
#include "../support/runner.h"
#include "../support/sandbox.h"
#include "calls.h"

#define BLOCK 4096
#define DEPTH 16u

struct results {
    unsigned int completed, failed;
};

static void done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct results *results = opaque;

    (void)iocb;
    results->completed++;
    results->failed += ret < 0;
}

static void complete(IOQueue *ioq, unsigned int count, unsigned int failed)
{
    struct pollfd fd = {event_notifier_get_fd(ioq_get_notifier(ioq)), POLLIN,
                        0};
    const struct timespec long_enough = {20, 0};
    struct results results = {0, 0};

    while (results.completed < count) {
        if (ppoll(&fd, 1, &long_enough, NULL) != 1)
            break;
        event_notifier_test_and_clear(ioq_get_notifier(ioq));
        ioq_run_completion(ioq, done, &results);
    }
    expect(results.completed == count);
    expect(results.failed == failed);
}

static void transfer(IOQueue *ioq, bool read, char *buf, unsigned int count)
{
    struct iovec iov[DEPTH];
    unsigned int i;

    for (i = 0; i < count; i++) {
        iov[i] = (struct iovec){buf + i * BLOCK, BLOCK};
        expect(ioq_rdwr(ioq, read, &iov[i], 1, (long long)i * BLOCK));
    }
    expect(ioq_submit(ioq) == (int)count);
}

static void everything(int fd, char *buf)
{
    struct iocb iocbs[DEPTH];
    IOQueue ioq;
    unsigned int i;

    expect(ioq_try_init(&ioq, fd, DEPTH) == 0);
    if (ioq_submit(&ioq) < 0)
        return;
    for (i = 0; i < DEPTH; i++)
        ioq_put_iocb(&ioq, &iocbs[i]);
    memset(buf, 0x11, DEPTH * BLOCK);
    transfer(&ioq, false, buf, DEPTH);
    complete(&ioq, DEPTH, 0);
    memset(buf, 0, DEPTH * BLOCK);
    transfer(&ioq, true, buf, 1);
    complete(&ioq, 1, 0);
    expect(buf[BLOCK - 1] == 0x11);
    io_prep_fdsync(ioq_get_iocb(&ioq), fd);
    ioq_get_iocb(&ioq); /* left unprepared, so that one is rejected */
    expect(ioq_submit(&ioq) == 2);
    complete(&ioq, 2, 1);
    transfer(&ioq, true, buf, DEPTH); /* in flight as it is cleaned up */
    ioq_cleanup(&ioq);
}

/* The highest depth there is no room for, and no descriptor. */
static void refusals(int fd)
{
    IOQueue ioq;

    expect(ioq_try_init(&ioq, -1, 1) < 0);
    expect(ioq_try_init(&ioq, fd, 0) < 0);
    expect(ioq_try_init(&ioq, fd, 1u << 31) < 0);
    expect(ioq_submit(&ioq) < 0);
    ioq_cleanup(&ioq);
}

int main(int argc, char **argv)
{
    const char *path = getenv("IOQ_TEST_PLACE");
    char *buf = aligned_alloc(BLOCK, DEPTH * BLOCK);
    int fd = open(path ? path : "",
                  O_RDWR | O_CLOEXEC | (place_is_direct() ? O_DIRECT : 0));
    int ring;

    if (argc != 2 || !buf || fd < 0) {
        fprintf(stderr, "usage: place.sh KIND queue_calls DOCUMENT\n");
        return 1;
    }
    if (sandbox_allow_documented(argv[1], "queue", "ppoll exit_group") < 0)
        return 1;
    for (ring = 0; ring < 2; ring++) {
        setenv("IOQ_AIO_RING", ring ? "1" : "0", 1);
        everything(fd, buf);
    }
    refusals(fd);
    return failures > 0;
}
