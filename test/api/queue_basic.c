/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue's main job on an ordinary file: what is written is what is read.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ioq.h>

#include "../support/runner.h"

#define DEPTH 8
#define BLOCK 4096

struct request {
    struct iocb iocb; /* first, so that the iocb's address is the request's */
    unsigned char *buf;
    ssize_t ret;
    int completed;
};

static void request_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct request *request = (struct request *)iocb;

    request->ret = ret;
    request->completed++;
    (*(int *)opaque)++;
}

static void complete_all(IOQueue *ioq, int expected)
{
    EventNotifier *notifier = ioq_get_notifier(ioq);
    struct pollfd wait = {event_notifier_get_fd(notifier), POLLIN, 0};
    int completed = 0;

    while (completed < expected) {
        ck_assert_int_eq(poll(&wait, 1, 10000), 1);
        event_notifier_test_and_clear(notifier);
        ioq_run_completion(ioq, request_done, &completed);
    }
    ck_assert_int_eq(completed, expected);
}

static void transfer(IOQueue *ioq, bool read, unsigned char *data)
{
    struct iovec iov[DEPTH];
    int i;

    for (i = 0; i < DEPTH; i++) {
        iov[i] = (struct iovec){data + (size_t)i * BLOCK, BLOCK};
        ck_assert_ptr_nonnull(ioq_rdwr(ioq, read, &iov[i], 1, i * BLOCK));
    }
    ck_assert_uint_eq(ioq_num_queued(ioq), DEPTH);
    ck_assert_int_eq(ioq_submit(ioq), DEPTH);
    ck_assert_uint_eq(ioq_num_queued(ioq), 0);
    complete_all(ioq, DEPTH);
}

START_TEST(reads_what_it_wrote)
{
    static unsigned char out[DEPTH * BLOCK], in[DEPTH * BLOCK];
    struct request requests[DEPTH];
    FILE *file = tmpfile();
    IOQueue ioq;
    size_t i;

    ck_assert_ptr_nonnull(file);
    for (i = 0; i < sizeof(out); i++)
        out[i] = (unsigned char)(i * 2654435761u >> 13);
    memset(requests, 0, sizeof(requests));

    ck_assert_int_eq(ioq_try_init(&ioq, fileno(file), DEPTH), 0);
    for (i = 0; i < DEPTH; i++)
        ioq_put_iocb(&ioq, &requests[i].iocb);
    transfer(&ioq, false, out);
    transfer(&ioq, true, in);
    for (i = 0; i < DEPTH; i++) {
        ck_assert_int_eq(requests[i].ret, BLOCK);
        ck_assert_int_eq(requests[i].completed, 2);
    }
    ck_assert_mem_eq(in, out, sizeof(in));
    ioq_cleanup(&ioq);
    fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_basic");
    TCase *tcase = tcase_create("all");
    IOQueue probe;
    int rc = ioq_try_init(&probe, 0, 1);

    ioq_cleanup(&probe);
    if (rc == -ENOSYS || rc == -EPERM)
        return skip_all("Linux AIO is not available");
    tcase_add_test(tcase, reads_what_it_wrote);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
