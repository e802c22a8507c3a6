/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request that the kernel rejects fails alone, wherever in the batch it is,
 * and with the error that the kernel has for it (P15, P16).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define BATCH 8

typedef void spoil_fn(struct request *request);

static void bad_fd(struct request *request)
{
    request->iocb.aio_fildes = -1;
}

static void bad_opcode(struct request *request)
{
    request->iocb.aio_lio_opcode = 99;
}

static void bad_iovecs(struct request *request)
{
    request->iocb.u.v.vec = (struct iovec *)8;
}

static void bad_memory(struct request *request)
{
    request->iov.iov_base = (void *)PLACE_BLOCK;
}

static void bad_offset(struct request *request)
{
    request->iocb.u.v.offset = -PLACE_BLOCK;
}

static void misaligned_memory(struct request *request)
{
    request->iov.iov_base = (char *)request->iov.iov_base + 1;
    request->iov.iov_len = PLACE_BLOCK / 2;
}

static void misaligned_length(struct request *request)
{
    request->iov.iov_len = 511;
}

static void misaligned_offset(struct request *request)
{
    request->iocb.u.v.offset += 1;
}

static const struct {
    const char *name;
    spoil_fn *spoil;
    ssize_t error; /* 0: what preadv(2) says */
} cases[] = {
    {"bad fd", bad_fd, -EBADF},
    {"bad opcode", bad_opcode, -EINVAL},
    {"bad iovecs", bad_iovecs, -EFAULT},
    {"bad memory", bad_memory, -EFAULT},
    {"bad offset", bad_offset, -EINVAL},
    {"misaligned memory", misaligned_memory, 0},
    {"misaligned length", misaligned_length, 0},
    {"misaligned offset", misaligned_offset, 0},
};
#define CASES ((int)(sizeof(cases) / sizeof(cases[0])))

/*
 * btrfs does what it cannot do directly through the page cache instead, and how
 * memory must be aligned differs between kernels. Beyond that EINVAL is sure.
 */
static ssize_t error_of_preadv(const struct rig *rig, spoil_fn *spoil,
                               const struct request *request)
{
    ssize_t ret = preadv(rig->fd, &request->iov, 1, request->iocb.u.v.offset);

    if (ret < 0)
        ret = -errno;
    if (place_is_direct() && strcmp(place_kind(), "btrfs") != 0 &&
        spoil != misaligned_memory)
        ck_assert_int_eq(ret, -EINVAL);
    return ret;
}

static void spoil_one(struct rig *rig, int which, int index)
{
    struct request *requests[BATCH];
    ssize_t error = cases[which].error;
    int i, before = rig->completed;

    for (i = 0; i < BATCH; i++) {
        /* Apart: loop devices fail neighbours, which the kernel merged. */
        requests[i] = rig_read(rig, 2L * i);
        requests[i]->completed = 0;
    }
    cases[which].spoil(requests[index]);
    if (error == 0)
        error = error_of_preadv(rig, cases[which].spoil, requests[index]);
    rig_submit(rig);
    rig_complete(rig, BATCH);
    ck_assert_int_eq(rig->completed - before, BATCH);
    for (i = 0; i < BATCH; i++) {
        ck_assert_int_eq(requests[i]->completed, 1);
        ck_assert_msg(requests[i]->ret == (i == index ? error : PLACE_BLOCK),
                      "%s at %d: request %d returned %zd", cases[which].name,
                      index, i, requests[i]->ret);
    }
}

START_TEST(a_rejected_request_fails_alone_at_every_index)
{
    struct rig rig;
    int which, index;

    choose_ring(_i);
    rig_open(&rig, BATCH);
    for (which = 0; which < CASES; which++)
        for (index = 0; index < BATCH; index++)
            spoil_one(&rig, which, index);
    rig_close(&rig);
}
END_TEST

/* Every set of bad ones in a batch, two neighbours and all of them included. */
START_TEST(any_number_of_rejected_requests_fail_alone)
{
    struct rig rig;
    unsigned int set;
    int i;

    choose_ring(_i);
    rig_open(&rig, BATCH);
    for (set = 0; set < 1u << BATCH; set++) {
        struct request *requests[BATCH];

        for (i = 0; i < BATCH; i++) {
            requests[i] = rig_read(&rig, i);
            if (set >> i & 1)
                bad_fd(requests[i]);
        }
        rig_submit(&rig);
        rig_complete(&rig, BATCH);
        for (i = 0; i < BATCH; i++)
            ck_assert_int_eq(requests[i]->ret,
                             set >> i & 1 ? -EBADF : PLACE_BLOCK);
    }
    for (i = 0; i < BATCH; i++)
        ck_assert_int_eq(rig.requests[i].completed, 1 << BATCH);
    rig_close(&rig);
}
END_TEST

START_TEST(an_iocb_left_unprepared_fails_alone)
{
    struct rig rig;
    struct request *bare, *good;

    choose_ring(_i);
    rig_open(&rig, 2);
    bare = (struct request *)ioq_get_iocb(&rig.ioq);
    good = rig_read(&rig, 0);
    rig_submit(&rig);
    rig_complete(&rig, 2);
    ck_assert_int_lt(bare->ret, 0);
    ck_assert_int_eq(good->ret, PLACE_BLOCK);
    rig_close(&rig);
}
END_TEST

START_TEST(a_write_to_a_file_opened_for_reading_fails)
{
    struct rig rig;
    struct request *request;
    int reader = open("/proc/self/exe", O_RDONLY);

    choose_ring(_i);
    rig_open(&rig, 1);
    request = rig_write(&rig, 0);
    request->iocb.aio_fildes = reader;
    rig_submit(&rig);
    rig_complete(&rig, 1);
    ck_assert_int_eq(request->ret, -EBADF);
    rig_close(&rig);
    close(reader);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, a_rejected_request_fails_alone_at_every_index);
    add_ring_test(tcase, any_number_of_rejected_requests_fail_alone);
    add_ring_test(tcase, an_iocb_left_unprepared_fails_alone);
    add_ring_test(tcase, a_write_to_a_file_opened_for_reading_fails);
    return run_case("queue_errors", tcase);
}
