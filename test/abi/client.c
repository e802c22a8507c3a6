/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device of an emulator, as it used the queue in 2013. It is compiled twice:
 * against the declarations of then, with nothing of libioq in sight, and
 * against <ioq.h> with the emulator's own notifier header in front.
 */
#ifdef CLIENT_OF_2013
#include "queue_2013.h"
#else
#include "emulator_notifier.h"

#include <ioq.h>
#endif

#include <check.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/runner.h"

#define REQUESTS 16
#define SIZE 512

/* The iocb is not first: it is found back by its place in the request. */
struct request {
    char buf[SIZE];
    struct iocb iocb;
    ssize_t ret;
    int completed;
};

struct device {
    int before; /* so that a layout that is too long is seen on either side */
    IOQueue ioq;
    int after;
    unsigned int num_reqs; /* as the data plane counted: submitted, not done */
    struct request requests[REQUESTS];
};

static void complete(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct device *device = opaque;
    struct request *request =
        (struct request *)((char *)iocb - offsetof(struct request, iocb));

    request->ret = ret;
    request->completed++;
    device->num_reqs--;
}

static void process(struct device *device, bool read, unsigned int count)
{
    struct iovec iov[REQUESTS];
    unsigned int i;

    for (i = 0; i < count; i++) {
        struct iocb *iocb = ioq_rdwr(&device->ioq, read, &iov[i], 1, 0);
        struct request *request =
            (struct request *)((char *)iocb - offsetof(struct request, iocb));
        long number = request - device->requests;

        ck_assert_ptr_nonnull(iocb);
        iov[i] = (struct iovec){request->buf, SIZE};
        iocb->u.v.offset = number * SIZE;
    }
    device->num_reqs += ioq_num_queued(&device->ioq);
    ck_assert_int_eq(ioq_submit(&device->ioq), (int)count);
    ck_assert_uint_eq(ioq_num_queued(&device->ioq), 0);
}

static void run_loop(struct device *device)
{
    EventNotifier notifier = *ioq_get_notifier(&device->ioq);
    struct pollfd wait = {event_notifier_get_fd(&notifier), POLLIN, 0};

    ck_assert_int_eq(notifier.rfd, device->ioq.io_notifier.rfd);
    while (device->num_reqs > 0) {
        ck_assert_int_eq(poll(&wait, 1, 10000), 1);
        event_notifier_test_and_clear(&notifier);
        ioq_run_completion(&device->ioq, complete, device);
    }
}

static void check_members(const struct device *device, int fd)
{
    ck_assert_int_eq(device->ioq.fd, fd);
    ck_assert_uint_eq(device->ioq.max_reqs, REQUESTS);
    ck_assert_ptr_nonnull(device->ioq.io_ctx);
    ck_assert_int_ge(device->ioq.io_notifier.rfd, 0);
    ck_assert_int_eq(device->ioq.io_notifier.rfd, device->ioq.io_notifier.wfd);
    ck_assert_ptr_nonnull(device->ioq.freelist);
    ck_assert_ptr_nonnull(device->ioq.queue);
    ck_assert_int_eq(device->before, 0x5a5a5a5a);
    ck_assert_int_eq(device->after, 0x5a5a5a5a);
}

static void put_all(struct device *device)
{
    int i;

    for (i = 0; i < REQUESTS; i++) {
        memset(device->requests[i].buf, 'a' + i, SIZE);
        ioq_put_iocb(&device->ioq, &device->requests[i].iocb);
        ck_assert_uint_eq(device->ioq.freelist_idx, (unsigned int)i + 1);
        ck_assert_ptr_eq(device->ioq.freelist[i], &device->requests[i].iocb);
    }
}

static void flush(struct device *device)
{
    struct iocb *iocb = ioq_get_iocb(&device->ioq);

    ck_assert_ptr_nonnull(iocb);
    io_prep_fdsync(iocb, device->ioq.fd);
    device->num_reqs += ioq_num_queued(&device->ioq);
    ck_assert_int_eq(ioq_submit(&device->ioq), 1);
    run_loop(device);
}

START_TEST(a_device_of_2013_does_its_io)
{
    static struct device device;
    FILE *file = tmpfile();
    char expected[SIZE];
    int i;

    ck_assert_ptr_nonnull(file);
    memset(&device, 0x5a, sizeof(device));
    device.num_reqs = 0;
    for (i = 0; i < REQUESTS; i++)
        device.requests[i].completed = 0;
    ioq_init(&device.ioq, fileno(file), REQUESTS);
    check_members(&device, fileno(file));
    put_all(&device);
    process(&device, false, REQUESTS);
    run_loop(&device);
    flush(&device);
    for (i = 0; i < REQUESTS; i++)
        memset(device.requests[i].buf, 0, SIZE);
    process(&device, true, REQUESTS / 2); /* in two batches */
    process(&device, true, REQUESTS / 2);
    run_loop(&device);
    for (i = 0; i < REQUESTS; i++) {
        memset(expected, 'a' + i, SIZE);
        ck_assert_int_eq(device.requests[i].ret, SIZE);
        ck_assert_mem_eq(device.requests[i].buf, expected, SIZE);
    }
    check_members(&device, fileno(file));
    ioq_cleanup(&device.ioq);
    ck_assert_int_eq(device.before, 0x5a5a5a5a);
    ck_assert_int_eq(device.after, 0x5a5a5a5a);
    fclose(file);
}
END_TEST

/* The library has its own way to the eventfd, never through our symbols. */
START_TEST(the_library_calls_no_function_of_the_emulator)
{
    FILE *file = tmpfile();
    struct iocb iocb;
    IOQueue ioq;

    ck_assert_ptr_nonnull(file);
    ioq_init(&ioq, fileno(file), 1);
    emulator_notifier_calls = 0;
    ioq_put_iocb(&ioq, &iocb);
    ck_assert_ptr_nonnull(ioq_get_iocb(&ioq)); /* left unprepared: rejected */
    ioq_submit(&ioq);
    ck_assert_int_eq(emulator_notifier_calls, 0);
    ck_assert_int_eq(event_notifier_test_and_clear(ioq_get_notifier(&ioq)), 1);
    ck_assert_int_eq(emulator_notifier_calls, 1);
    ioq_cleanup(&ioq);
    fclose(file);
}
END_TEST

static bool has_linux_aio(void)
{
    bool has;
    IOQueue ioq;

    ioq_init(&ioq, STDIN_FILENO, 1);
    has = ioq_submit(&ioq) == 0;
    ioq_cleanup(&ioq);
    return has;
}

int main(void)
{
    Suite *suite;
    TCase *tcase;

    if (!has_linux_aio())
        return skip_all("Linux AIO is not available");
    suite = suite_create("client");
    tcase = tcase_create("all");
    tcase_add_test(tcase, a_device_of_2013_does_its_io);
    tcase_add_test(tcase, the_library_calls_no_function_of_the_emulator);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
