/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In what order requests are done, and that none is held up by another. */
#include "contract.h"

/*
 * "requests may be done in any order, whatever order they were queued in; what
 * moves to a worker keeps no place."
 */
TEST(order_a_stuck_request_holds_up_no_other, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_read(&stuck, &rig, 0, 0);
    for (i = 0; i < 4; i++) {
        ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
        ck_assert_int_eq(do_write(&rig, 0, rig.buf, BLOCK, 8 * MIB, 0), BLOCK);
        ck_assert_int_eq(do_read(&rig, 0, rig.buf + 1, 100, 1), 100);
        ck_assert_int_eq(do_flush(&rig, 0), 0);
    }
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

static uint32_t stage_of(struct rig *rig, const void *user_data)
{
    struct ioq_pending pending[16];
    int n = ioq_handle_pending(rig->handle, pending, 16), i;

    for (i = 0; i < n; i++)
        if (pending[i].user_data == user_data)
            return pending[i].stage;
    return UINT32_MAX;
}

/*
 * "where it must rewrite a whole block to write a part of it, requests that
 * change bytes of that block are held in order."
 * "The one exception is the library's own" "behind a write to the same block"
 */
TEST(order_rewrites_of_a_block_are_held, STUCK_CALLS)
{
    struct ioq_completion done[3];
    struct stuck stuck;
    struct rig rig;

    if (!place_is_direct())
        DOES_NOT_APPLY("no block is rewritten");
    rig_open(&rig, 8, 0);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    write_filled(&rig, BLOCK, 8 * MIB, 1);
    stuck_write(&stuck, &rig, 0, 8 * MIB + 100);
    ck_assert_int_eq(
        ioq_handle_write(rig.handle, 0, rig.buf, 50, 8 * MIB + 10, 0, &rig), 0);
    ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    ck_assert_uint_eq(stage_of(&rig, &stuck), IOQ_STAGE_WORKER);
    ck_assert_uint_eq(stage_of(&rig, &rig), IOQ_STAGE_HELD);
    ck_assert_uint_eq(stats_of(&rig).held, 1);
    ck_assert_int_eq(ioq_handle_wait(rig.handle, done, 1, 1, SECOND / 50), 0);
    stuck_let_go(&stuck);
    take(&rig, done, 2);
    ck_assert_ptr_eq(done[0].user_data, &stuck);
    ck_assert_int_eq(done[0].result, STUCK_BYTES);
    ck_assert_int_eq(done[1].result, 50);
    memset(rig.buf + BLOCK, 0xff, BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf + BLOCK, BLOCK, 8 * MIB), BLOCK);
    ck_assert(memcmp(rig.buf + BLOCK, rig.buf, 10) == 0);
    ck_assert(memcmp(rig.buf + BLOCK + 10, rig.buf, 50) == 0);
    ck_assert(is_all(rig.buf + BLOCK + 100, BLOCK - 100, 0));
    stuck_close(&stuck);
    rig_close(&rig);
}

/* "requests that change bytes of that block" Reads do not, nor do those to
 * other blocks. */
TEST(order_others_are_not_held, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;

    if (!place_is_direct())
        DOES_NOT_APPLY("no block is rewritten");
    rig_open(&rig, 8, 0);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_write(&stuck, &rig, 0, 8 * MIB + 100);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 50, 8 * MIB + 10), 50);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 50, 7 * MIB + 10, 0), 50);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, BLOCK, 7 * MIB, 0), BLOCK);
    ck_assert_uint_eq(stats_of(&rig).held, 0);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/*
 * "This goes for those to one file number of one handle: another number, handle
 * or process must not change the block meanwhile."
 */
TEST(order_goes_by_file_number, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;
    int other;

    if (!place_is_direct())
        DOES_NOT_APPLY("no block is rewritten");
    rig_open(&rig, 8, 0);
    other = ioq_handle_attach(rig.handle, rig.fd, 0);
    ck_assert_int_eq(other, 1);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_write(&stuck, &rig, 0, 8 * MIB + 100);
    ck_assert_int_eq(do_write(&rig, other, rig.buf, 50, 8 * MIB + 10, 0), 50);
    ck_assert_uint_eq(stats_of(&rig).held, 0);
    stuck_end(&stuck, &rig);
    rig_close(&rig);
}

/* "requests that change bytes of that block are held in order." None undoes
 * what its neighbours wrote. */
TEST(order_neighbours_in_a_block_all_count, "")
{
    struct ioq_completion done[40];
    unsigned char want[BLOCK];
    struct rig rig;
    int i, round;

    rig_open(&rig, 64, 0);
    for (round = 1; round < 5; round++) {
        for (i = 0; i < 40; i++) {
            memset(rig.buf + i * 100, round * 40 + i, 100);
            memset(want + i * 100, round * 40 + i, 100);
            ck_assert_int_eq(ioq_handle_write(rig.handle, 0, rig.buf + i * 100,
                                              100, 5 * BLOCK + i * 100, 0,
                                              NULL),
                             0);
        }
        take(&rig, done, 40);
        memset(rig.buf + MIB / 2, 0, BLOCK);
        ck_assert_int_eq(do_read(&rig, 0, rig.buf + MIB / 2, BLOCK, 5 * BLOCK),
                         BLOCK);
        ck_assert(memcmp(rig.buf + MIB / 2, want, 4000) == 0);
    }
    rig_close(&rig);
}

/* "requests that change bytes of that block are held in order." Write-zeroes
 * and discards do, too. */
TEST(order_zeroes_beside_writes_all_count, "")
{
    struct ioq_completion done[20];
    struct rig rig;
    int i;

    rig_open(&rig, 64, 0);
    memset(rig.buf, 0xee, 4 * BLOCK);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, 2 * BLOCK, 0, 0), 2 * BLOCK);
    for (i = 0; i < 20; i += 2) {
        ck_assert_int_eq(
            ioq_handle_write_zeroes(rig.handle, 0, i * 200, 200, 0, NULL), 0);
        memset(rig.buf + i * 200, i + 1, 200);
        ck_assert_int_eq(ioq_handle_write(rig.handle, 0, rig.buf + i * 200, 200,
                                          i * 200 + 200, 0, NULL),
                         0);
    }
    take(&rig, done, 20);
    memset(rig.buf, 0, 2 * BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, 2 * BLOCK, 0), 2 * BLOCK);
    for (i = 0; i < 20; i += 2) {
        ck_assert(is_all(rig.buf + i * 200, 200, 0));
        ck_assert(is_all(rig.buf + i * 200 + 200, 200, (unsigned char)(i + 1)));
    }
    ck_assert(is_all(rig.buf + 4000, 2 * BLOCK - 4000, 0xee));
    rig_close(&rig);
}

/*
 * "The opaque handle: one queue for many files, on any engine." Requests of one
 * file that are stuck hold up no others.
 */
TEST(order_files_do_not_wait_for_each_other, STUCK_CALLS)
{
    struct stuck stuck[3];
    struct ioq_options options = engine_options(16, 0);
    struct ioq_completion done[3];
    struct rig rig;
    int other, i;

    options.workers = 4;
    rig_open_with(&rig, &options);
    other = rig_attach_another(&rig, NULL);
    for (i = 0; i < 3; i++) {
        if (!stuck_open(&stuck[i]))
            SKIP("no userfaultfd");
        stuck_read(&stuck[i], &rig, 0, i * MIB);
    }
    ck_assert_int_eq(do_write(&rig, other, rig.buf, 100, 9 * MIB, 0), 100);
    ck_assert_int_eq(do_read(&rig, other, rig.buf, 100, 9 * MIB), 100);
    for (i = 0; i < 3; i++)
        stuck_let_go(&stuck[i]);
    take(&rig, done, 3);
    for (i = 0; i < 3; i++)
        stuck_close(&stuck[i]);
    rig_close(&rig);
}
