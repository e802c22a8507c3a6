/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void choose_ring(int ring)
{
    setenv("IOQ_AIO_RING", ring ? "1" : "0", 1);
}

int patient_init(IOQueue *ioq, int fd, unsigned int depth)
{
    int tries, rc = -EAGAIN;

    for (tries = 0; tries < 1000 && rc == -EAGAIN; tries++) {
        rc = ioq_try_init(ioq, fd, depth);
        if (rc == -EAGAIN)
            usleep(10000);
    }
    return rc;
}

void rig_open(struct rig *rig, unsigned int depth)
{
    unsigned int i;

    memset(rig, 0, sizeof(*rig));
    rig->depth = depth;
    rig->fd = place_open();
    rig->memory = place_buffer((long)depth * PLACE_BLOCK);
    rig->requests = calloc(depth, sizeof(*rig->requests));
    ck_assert_ptr_nonnull(rig->requests);
    ck_assert_int_eq(patient_init(&rig->ioq, rig->fd, depth), 0);
    for (i = 0; i < depth; i++) {
        rig->requests[i].buf = rig->memory + (size_t)i * PLACE_BLOCK;
        ioq_put_iocb(&rig->ioq, &rig->requests[i].iocb);
    }
}

void rig_close(struct rig *rig)
{
    ioq_cleanup(&rig->ioq);
    free(rig->requests);
    free(rig->memory);
    close(rig->fd);
}

static struct request *rdwr(struct rig *rig, bool read, long block)
{
    struct iovec iov;
    struct request *request;

    /* The request, hence its buffer, is known only once it is taken. */
    request = (struct request *)ioq_rdwr(&rig->ioq, read, &iov, 1,
                                         (long long)block * PLACE_BLOCK);
    ck_assert_ptr_nonnull(request);
    request->iov = (struct iovec){request->buf, PLACE_BLOCK};
    request->iocb.u.v.vec = &request->iov;
    return request;
}

struct request *rig_read(struct rig *rig, long block)
{
    return rdwr(rig, true, block);
}

struct request *rig_write(struct rig *rig, long block)
{
    return rdwr(rig, false, block);
}

void rig_submit(struct rig *rig)
{
    unsigned int queued = ioq_num_queued(&rig->ioq);

    ck_assert_int_eq(ioq_submit(&rig->ioq), (int)queued);
    ck_assert_uint_eq(ioq_num_queued(&rig->ioq), 0);
}

void rig_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct request *request = (struct request *)iocb;
    struct rig *rig = opaque;

    request->ret = ret;
    request->completed++;
    rig->completed++;
}

void rig_wait(struct rig *rig)
{
    EventNotifier *notifier = ioq_get_notifier(&rig->ioq);
    struct pollfd wait = {event_notifier_get_fd(notifier), POLLIN, 0};
    int rc;

    do {
        rc = poll(&wait, 1, 10000);
    } while (rc < 0 && errno == EINTR);
    ck_assert_msg(rc == 1, "the notifier did not fire");
    ck_assert_int_eq(event_notifier_test_and_clear(notifier), 1);
}

void rig_complete(struct rig *rig, int count)
{
    int end = rig->completed + count;

    while (rig->completed < end) {
        int before = rig->completed, calls;

        rig_wait(rig);
        calls = ioq_run_completion(&rig->ioq, rig_done, rig);
        ck_assert_int_eq(rig->completed - before, calls);
    }
    ck_assert_int_eq(rig->completed, end);
}

void rig_check(const struct rig *rig, int count, ssize_t ret)
{
    unsigned int i;

    for (i = 0; i < rig->depth; i++) {
        ck_assert_int_eq(rig->requests[i].completed, count);
        ck_assert_int_eq(rig->requests[i].ret, ret);
    }
}

void fill_block(void *block, long number, unsigned int round)
{
    uint64_t *words = block, i;

    for (i = 0; i < PLACE_BLOCK / sizeof(*words); i++)
        words[i] = ((uint64_t)number << 32) + ((uint64_t)round << 12) + i;
}

int rounds(int usual)
{
    const char *quick = getenv("IOQ_TEST_QUICK");

    if (!quick || strcmp(quick, "1") != 0)
        return usual;
    return usual > 20 ? usual / 20 : 1;
}

int run_case(const char *name, TCase *tcase)
{
    Suite *suite = suite_create(name);
    IOQueue probe;
    int rc = patient_init(&probe, 0, 1);

    ioq_cleanup(&probe);
    if (rc == -ENOSYS || rc == -EPERM) {
        suite_add_tcase(suite, tcase);
        srunner_free(srunner_create(suite));
        return skip_all("Linux AIO is not available");
    }
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
