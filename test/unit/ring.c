/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/sys_ring.c: the kernel's completion ring, trusted in nothing.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../support/runner.h"
#include "sys_ring.h"

#define SLOTS 8

static struct {
    uint32_t id, nr, head, tail, magic, compat, incompat, header_length;
    unsigned char rest[8192];
} ring;

static io_context_t ctx(void)
{
    return (io_context_t)(void *)&ring;
}

static void set_up(void)
{
    setenv("IOQ_AIO_RING", "1", 1);
    memset(&ring, 0, sizeof(ring));
    ring.nr = SLOTS;
    ring.magic = 0xa10a10a1;
    ring.compat = 1;
    ring.header_length = 32;
}

static void put_event(uint32_t slot, unsigned long res)
{
    struct io_event event = {.res = res};

    memcpy((char *)&ring + ring.header_length + slot * sizeof(event), &event,
           sizeof(event));
}

START_TEST(the_ring_of_todays_kernel_is_usable)
{
    ck_assert(ioq__ring_usable(ctx()));
    ring.compat = 3; /* what is compatible may be ignored */
    ck_assert(ioq__ring_usable(ctx()));
}
END_TEST

/* P25 */
START_TEST(another_magic_is_not_usable)
{
    ring.magic = 0xa10a10a2;
    ck_assert(!ioq__ring_usable(ctx()));
    ring.magic = 0;
    ck_assert(!ioq__ring_usable(ctx()));
}
END_TEST

/* P25 */
START_TEST(incompatible_features_are_not_usable)
{
    unsigned int bit;

    for (bit = 0; bit < 32; bit++) {
        ring.incompat = 1u << bit;
        ck_assert(!ioq__ring_usable(ctx()));
    }
}
END_TEST

/* P25, P28 */
START_TEST(a_header_that_cannot_be_is_not_usable)
{
    static const uint32_t bad[] = {0,    1,    8,          24, 31,   33,   36,
                                   4100, 4104, 0x80000000, -1, 8192, 65536};
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ring.header_length = bad[i];
        ck_assert_msg(!ioq__ring_usable(ctx()), "header_length %u", bad[i]);
    }
}
END_TEST

/* P25 */
START_TEST(a_ring_without_room_is_not_usable)
{
    static const uint32_t bad[] = {0, 1, 0x80000000, -1};
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ring.nr = bad[i];
        ck_assert_msg(!ioq__ring_usable(ctx()), "nr %u", bad[i]);
    }
}
END_TEST

/* P31, P32: the off-switch; what is neither 0 nor 1 is as if it were not set */
START_TEST(the_environment_decides)
{
    bool by_default;

    unsetenv("IOQ_AIO_RING");
    by_default = ioq__ring_usable(ctx());
#if defined(__x86_64__) || defined(__i386__)
    ck_assert(by_default);
#else
    ck_assert(!by_default);
#endif
    setenv("IOQ_AIO_RING", "0", 1);
    ck_assert(!ioq__ring_usable(ctx()));
    setenv("IOQ_AIO_RING", "1", 1);
    ck_assert(ioq__ring_usable(ctx()));
    setenv("IOQ_AIO_RING", "", 1);
    ck_assert_int_eq(ioq__ring_usable(ctx()), by_default);
    setenv("IOQ_AIO_RING", "01", 1);
    ck_assert_int_eq(ioq__ring_usable(ctx()), by_default);
    setenv("IOQ_AIO_RING", "no", 1);
    ck_assert_int_eq(ioq__ring_usable(ctx()), by_default);
}
END_TEST

/* The environment cannot make a foreign ring usable. */
START_TEST(forcing_does_not_skip_the_checks)
{
    setenv("IOQ_AIO_RING", "1", 1);
    ring.magic++;
    ck_assert(!ioq__ring_usable(ctx()));
}
END_TEST

START_TEST(pending_counts_around_the_end)
{
    uint32_t head, count;

    for (head = 0; head < SLOTS; head++) {
        for (count = 0; count < SLOTS; count++) {
            ring.head = head;
            ring.tail = (head + count) % SLOTS;
            ck_assert_int_eq(ioq__ring_pending(ctx(), SLOTS), (int)count);
        }
    }
}
END_TEST

/* P29 */
START_TEST(more_than_the_limit_cannot_be_right)
{
    ring.tail = 5;
    ck_assert_int_eq(ioq__ring_pending(ctx(), 5), 5);
    ck_assert_int_eq(ioq__ring_pending(ctx(), 4), -1);
    ck_assert_int_eq(ioq__ring_pending(ctx(), 0), -1);
    ring.head = 6; /* behind the tail: SLOTS - 1 around the end */
    ck_assert_int_eq(ioq__ring_pending(ctx(), 4), -1);
}
END_TEST

/* P29 */
START_TEST(indices_outside_cannot_be_right)
{
    static const uint32_t outside[] = {SLOTS, SLOTS + 1, 0x7fffffff, 0x80000000,
                                       -1};
    size_t i;

    for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        ring.head = 0;
        ring.tail = outside[i];
        ck_assert_int_eq(ioq__ring_pending(ctx(), -1u), -1);
        ring.head = outside[i];
        ring.tail = 0;
        ck_assert_int_eq(ioq__ring_pending(ctx(), -1u), -1);
        ring.tail = outside[i];
        ck_assert_int_eq(ioq__ring_pending(ctx(), -1u), -1);
    }
}
END_TEST

/* P28: the events are where header_length says. */
START_TEST(events_are_taken_in_order_behind_any_header)
{
    static const uint32_t lengths[] = {32, 40, 64, 128, 4096};
    struct io_event event;
    unsigned long turn;
    size_t i;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        set_up();
        ring.header_length = lengths[i];
        ck_assert(ioq__ring_usable(ctx()));
        for (turn = 0; turn < 3 * SLOTS; turn++) {
            put_event(ring.tail, 1000 + turn);
            ring.tail = (ring.tail + 1) % SLOTS;
            ck_assert_int_eq(ioq__ring_pending(ctx(), 1), 1);
            ioq__ring_take(ctx(), &event);
            ck_assert_uint_eq(event.res, 1000 + turn);
            ck_assert_int_eq(ioq__ring_pending(ctx(), 1), 0);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, the_ring_of_todays_kernel_is_usable);
    tcase_add_test(tcase, another_magic_is_not_usable);
    tcase_add_test(tcase, incompatible_features_are_not_usable);
    tcase_add_test(tcase, a_header_that_cannot_be_is_not_usable);
    tcase_add_test(tcase, a_ring_without_room_is_not_usable);
    tcase_add_test(tcase, the_environment_decides);
    tcase_add_test(tcase, forcing_does_not_skip_the_checks);
    tcase_add_test(tcase, pending_counts_around_the_end);
    tcase_add_test(tcase, more_than_the_limit_cannot_be_right);
    tcase_add_test(tcase, indices_outside_cannot_be_right);
    tcase_add_test(tcase, events_are_taken_in_order_behind_any_header);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
