/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_submit. */
#include "late.h"

#define MANY 256

/*
 * "Hands over all that is queued" "Returns how many requests were handed over"
 */
TEST(submit_hands_over_all, "")
{
    struct ioq_completion done[8];
    struct ioq_pending pending[8];
    struct rig rig;
    int i, n;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 0);
    for (i = 0; i < 8; i++)
        queue_zeroes(&rig, (unsigned int)i, NULL);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 8);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 0);
    n = ioq_handle_pending(rig.handle, pending, 8);
    for (i = 0; i < n; i++)
        ck_assert_uint_ne(pending[i].stage, IOQ_STAGE_QUEUED);
    take(&rig, done, 8);
    rig_close(&rig);
}

/* "Queues a read of len bytes at offset. Goes out with ioq_handle_submit." */
TEST(submit_must_be_called, "")
{
    struct ioq_completion done;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    memset(rig.buf, 0xee, BLOCK);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, &rig),
                     0);
    for (i = 0; i < 50; i++)
        ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 0);
    ck_assert(is_all(rig.buf, BLOCK, 0xee));
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    ck_assert_int_eq(result_of(&rig, &rig), BLOCK);
    rig_close(&rig);
}

/*
 * "without sleeping, to the kernel or to workers" All of the workers are stuck
 * and all else has to wait, but not the caller.
 */
TEST(submit_does_not_sleep, STUCK_CALLS)
{
    struct ioq_completion done[40];
    struct stuck stuck;
    struct rig rig;
    int i;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open_narrow(&rig, 64);
    stuck_read(&stuck, &rig, 0, 0);
    for (i = 0; i < 40; i++) {
        queue_zeroes(&rig, 200 + (unsigned int)i, NULL);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    }
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 41);
    stuck_let_go(&stuck);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(result_of(&rig, &stuck), STUCK_BYTES);
    take(&rig, done, 40);
    stuck_close(&stuck);
    rig_close(&rig);
}

/*
 * "What the kernel has no room for stays with the library and goes out as soon
 * as there is room; it needs no further call but the usual reaping."
 */
TEST(submit_is_called_once, "")
{
    struct ioq_completion done[16];
    int got[MANY] = {0}, n, i, out = MANY;
    struct rig rig;

    rig_open(&rig, MANY, 0);
    for (i = 0; i < MANY; i++)
        ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf + i * BLOCK,
                                         BLOCK, i * BLOCK, 0, &got[i]),
                         0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), MANY);
    while (out > 0) {
        await_readable(ioq_handle_fd(rig.handle));
        do {
            n = ioq_handle_reap(rig.handle, done, 16);
            for (i = 0; i < n; i++) {
                ck_assert_int_eq(done[i].result, BLOCK);
                ck_assert_int_eq((*(int *)done[i].user_data)++, 0);
            }
            out -= n;
        } while (n == 16);
    }
    for (i = 0; i < MANY; i++)
        ck_assert_int_eq(got[i], 1);
    rig_close(&rig);
}

/*
 * "Every request that was accepted completes exactly once, whatever the kernel
 * does." Those that fail, those that go through, of all kinds, in one batch.
 */
TEST(submit_mixes_all_kinds, "")
{
    struct ioq_completion done[MANY];
    int got[MANY] = {0}, i;
    struct rig rig;

    rig_open(&rig, MANY, 0);
    for (i = 0; i < MANY; i++) {
        struct ioq_handle *h = rig.handle;
        void *bad = (void *)(uintptr_t)BLOCK;
        unsigned char *buf = rig.buf + i * BLOCK;
        int64_t offset = i * BLOCK;
        int rc = 0;

        switch (i % 6) {
        case 0:
            rc = ioq_handle_read(h, 0, buf, 100, offset + 3, 0, &got[i]);
            break;
        case 1:
            rc = ioq_handle_read(h, 0, bad, BLOCK, offset, 0, &got[i]);
            break;
        case 2:
            rc = ioq_handle_flush(h, 0, 0, &got[i]);
            break;
        case 3:
            rc = ioq_handle_write_zeroes(h, 0, offset, BLOCK, 0, &got[i]);
            break;
        case 4:
            rc = ioq_handle_write(h, 0, buf, BLOCK, offset, 0, &got[i]);
            break;
        default:
            rc = ioq_handle_discard(h, 0, offset, BLOCK, 0, &got[i]);
        }
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_int_eq(ioq_handle_submit(rig.handle), MANY);
    take(&rig, done, MANY);
    for (i = 0; i < MANY; i++) {
        ck_assert_int_eq((*(int *)done[i].user_data)++, 0);
        if ((((int *)done[i].user_data) - got) % 6 == 1)
            ck_assert_int_eq(done[i].result, -EFAULT);
        else if ((((int *)done[i].user_data) - got) % 6 != 5)
            ck_assert_int_ge(done[i].result, 0);
    }
    ck_assert_int_eq(ioq_handle_pending(rig.handle, NULL, 0), 0);
    rig_close(&rig);
}
