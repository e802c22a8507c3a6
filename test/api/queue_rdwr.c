/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads, writes and flushes do what they would do without a queue.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define DEPTH 32

START_TEST(what_is_written_is_what_is_read)
{
    static char expected[PLACE_BLOCK];
    struct rig rig;
    int i;

    choose_ring(_i);
    rig_open(&rig, DEPTH);
    for (i = 0; i < DEPTH; i++)
        fill_block(rig_write(&rig, i)->buf, i, 1);
    rig_submit(&rig);
    rig_complete(&rig, DEPTH);
    rig_check(&rig, 1, PLACE_BLOCK);

    memset(rig.memory, 0, (size_t)DEPTH * PLACE_BLOCK);
    for (i = 0; i < DEPTH; i++)
        rig_read(&rig, i)->iocb.data = (void *)(intptr_t)i;
    rig_submit(&rig);
    rig_complete(&rig, DEPTH);
    rig_check(&rig, 2, PLACE_BLOCK);
    for (i = 0; i < DEPTH; i++) {
        fill_block(expected, (intptr_t)rig.requests[i].iocb.data, 1);
        ck_assert_mem_eq(rig.requests[i].buf, expected, PLACE_BLOCK);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(pread_sees_what_was_written)
{
    struct rig rig;
    struct request *request;
    void *seen = place_buffer(PLACE_BLOCK);

    choose_ring(_i);
    rig_open(&rig, 1);
    request = rig_write(&rig, 7);
    fill_block(request->buf, 7, 2);
    rig_submit(&rig);
    rig_complete(&rig, 1);
    ck_assert_int_eq(pread(rig.fd, seen, PLACE_BLOCK, 7 * PLACE_BLOCK),
                     PLACE_BLOCK);
    ck_assert_mem_eq(seen, request->buf, PLACE_BLOCK);
    rig_close(&rig);
    free(seen);
}
END_TEST

/* Segment i of count goes to, or comes from, place count - 1 - i in memory. */
static void reversed(struct iovec *iov, int count, char *memory)
{
    int i;

    for (i = 0; i < count; i++)
        iov[i] = (struct iovec){memory + (size_t)(count - 1 - i) * PLACE_BLOCK,
                                PLACE_BLOCK};
}

START_TEST(segments_are_gathered_and_scattered_in_order)
{
    enum { SEGMENTS = 16 };
    struct iovec iov[SEGMENTS], one;
    struct rig rig;
    char *memory = place_buffer(2L * SEGMENTS * PLACE_BLOCK);
    char *back = memory + (size_t)SEGMENTS * PLACE_BLOCK;
    int i;

    choose_ring(_i);
    rig_open(&rig, 2);
    for (i = 0; i < SEGMENTS; i++)
        fill_block(memory + (size_t)i * PLACE_BLOCK, i, 3);
    reversed(iov, SEGMENTS, memory);
    ioq_rdwr(&rig.ioq, false, iov, SEGMENTS, PLACE_BLOCK);
    rig_submit(&rig);
    rig_complete(&rig, 1);

    one = (struct iovec){back, (size_t)SEGMENTS * PLACE_BLOCK};
    ioq_rdwr(&rig.ioq, true, &one, 1, PLACE_BLOCK);
    rig_submit(&rig);
    rig_complete(&rig, 1);
    for (i = 0; i < SEGMENTS; i++)
        ck_assert_mem_eq(back + (size_t)i * PLACE_BLOCK,
                         memory + (size_t)(SEGMENTS - 1 - i) * PLACE_BLOCK,
                         PLACE_BLOCK);

    memset(back, 0, (size_t)SEGMENTS * PLACE_BLOCK);
    reversed(iov, SEGMENTS, back);
    ioq_rdwr(&rig.ioq, true, iov, SEGMENTS, PLACE_BLOCK);
    rig_submit(&rig);
    rig_complete(&rig, 1);
    ck_assert_mem_eq(back, memory, (size_t)SEGMENTS * PLACE_BLOCK);
    rig_close(&rig);
    free(memory);
}
END_TEST

static void submit_with_iovecs_on_stack(struct rig *rig)
{
    struct iovec iov[DEPTH];
    int i;

    for (i = 0; i < DEPTH; i++) {
        iov[i] =
            (struct iovec){rig->memory + (size_t)i * PLACE_BLOCK, PLACE_BLOCK};
        ck_assert_ptr_nonnull(
            ioq_rdwr(&rig->ioq, false, &iov[i], 1, (long long)i * PLACE_BLOCK));
    }
    rig_submit(rig);
    memset(iov, 0xff, sizeof(iov));
    __asm__ volatile("" : : "r"(iov) : "memory");
}

/* P3 */
START_TEST(iovecs_may_die_when_submit_has_returned)
{
    struct rig rig;
    void *seen = place_buffer((long)DEPTH * PLACE_BLOCK);
    int i;

    choose_ring(_i);
    rig_open(&rig, DEPTH);
    for (i = 0; i < DEPTH; i++)
        fill_block(rig.memory + (size_t)i * PLACE_BLOCK, i, 4);
    submit_with_iovecs_on_stack(&rig);
    rig_complete(&rig, DEPTH);
    rig_check(&rig, 1, PLACE_BLOCK);
    ck_assert_int_eq(pread(rig.fd, seen, (size_t)DEPTH * PLACE_BLOCK, 0),
                     (ssize_t)DEPTH * PLACE_BLOCK);
    ck_assert_mem_eq(seen, rig.memory, (size_t)DEPTH * PLACE_BLOCK);
    rig_close(&rig);
    free(seen);
}
END_TEST

/* P10, P34: the verdict is the caller's, so it must get the true count. */
START_TEST(a_read_at_the_end_tells_what_there_was)
{
    const long long last = PLACE_SIZE - PLACE_BLOCK;
    struct iovec iov;
    struct rig rig;
    char *memory = place_buffer(2L * PLACE_BLOCK);

    choose_ring(_i);
    rig_open(&rig, 1);
    iov = (struct iovec){memory, (size_t)2 * PLACE_BLOCK};
    ioq_rdwr(&rig.ioq, true, &iov, 1, last);
    rig_submit(&rig);
    rig_complete(&rig, 1);
    ck_assert_int_eq(rig.requests[0].ret, PLACE_BLOCK);

    ioq_rdwr(&rig.ioq, true, &iov, 1, last + PLACE_BLOCK);
    rig_submit(&rig);
    rig_complete(&rig, 1);
    ck_assert_int_eq(rig.requests[0].ret, 0);
    rig_close(&rig);
    free(memory);
}
END_TEST

START_TEST(a_flush_prepared_on_a_bare_iocb_completes)
{
    struct rig rig;
    struct iocb *flush;

    choose_ring(_i);
    rig_open(&rig, 2);
    rig_write(&rig, 0);
    flush = ioq_get_iocb(&rig.ioq);
    ck_assert_ptr_nonnull(flush);
    io_prep_fdsync(flush, rig.fd);
    rig_submit(&rig);
    rig_complete(&rig, 2);
    ck_assert_int_eq(((struct request *)flush)->ret, 0);
    rig_close(&rig);
}
END_TEST

START_TEST(an_iocb_that_is_put_back_is_not_submitted)
{
    struct rig rig;
    struct request *dropped, *kept;

    choose_ring(_i);
    rig_open(&rig, 3);
    rig_write(&rig, 0);
    dropped = rig_write(&rig, 1);
    kept = rig_write(&rig, 2);
    ioq_put_iocb(&rig.ioq, &dropped->iocb);
    ck_assert_uint_eq(ioq_num_queued(&rig.ioq), 2);
    rig_submit(&rig);
    rig_complete(&rig, 2);
    ck_assert_int_eq(dropped->completed, 0);
    ck_assert_int_eq(kept->completed, 1);
    rig_close(&rig);
}
END_TEST

/* P59: the queue does not split. What the kernel refuses fails, alone. */
START_TEST(as_many_segments_as_the_kernel_takes_and_no_more)
{
    static struct iovec iov[IOV_MAX + 1];
    struct rig rig;
    struct request *most, *more;
    void *memory = place_buffer(PLACE_BLOCK);
    int i;

    choose_ring(_i);
    rig_open(&rig, 2);
    for (i = 0; i <= IOV_MAX; i++)
        iov[i] = (struct iovec){memory, PLACE_BLOCK};
    more = (struct request *)ioq_rdwr(&rig.ioq, true, iov, IOV_MAX + 1, 0);
    most = (struct request *)ioq_rdwr(&rig.ioq, true, iov, IOV_MAX, 0);
    rig_submit(&rig);
    rig_complete(&rig, 2);
    ck_assert_int_eq(more->ret, -EINVAL);
    ck_assert_int_eq(most->ret, (ssize_t)IOV_MAX * PLACE_BLOCK);
    rig_close(&rig);
    free(memory);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, what_is_written_is_what_is_read);
    add_ring_test(tcase, pread_sees_what_was_written);
    add_ring_test(tcase, segments_are_gathered_and_scattered_in_order);
    add_ring_test(tcase, iovecs_may_die_when_submit_has_returned);
    add_ring_test(tcase, a_read_at_the_end_tells_what_there_was);
    add_ring_test(tcase, a_flush_prepared_on_a_bare_iocb_completes);
    add_ring_test(tcase, an_iocb_that_is_put_back_is_not_submitted);
    add_ring_test(tcase, as_many_segments_as_the_kernel_takes_and_no_more);
    return run_case("queue_rdwr", tcase);
}
