/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/sys_ring.c against a kernel that works at the same time, on a CPU of its
 * own. ThreadSanitizer, which cannot see the real kernel, sees this one: it
 * finds an event that is read before the tail was, and a slot that is given
 * back before it was read.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../support/runner.h"
#include "sys_ring.h"

#define SLOTS 8u
#define EVENTS 200000ul

static struct {
    uint32_t id, nr, head, tail, magic, compat, incompat, header_length;
    struct io_event events[SLOTS];
} ring;

static void *play_the_kernel(void *opaque)
{
    uint32_t tail = 0, next;
    unsigned long i;

    for (i = 0; i < EVENTS; i++) {
        next = (tail + 1) % SLOTS;
        while (__atomic_load_n(&ring.head, __ATOMIC_ACQUIRE) == next)
            sched_yield();
        ring.events[tail].data = (void *)i;
        ring.events[tail].res = i * 3;
        __atomic_store_n(&ring.tail, next, __ATOMIC_RELEASE);
        tail = next;
    }
    return opaque;
}

/* P27 */
START_TEST(an_event_is_read_after_the_tail_and_before_the_head_moves)
{
    io_context_t ctx = (io_context_t)(void *)&ring;
    struct io_event event;
    unsigned long i;
    pthread_t kernel;
    int pending;

    memset(&ring, 0, sizeof(ring));
    ring.nr = SLOTS;
    ring.magic = 0xa10a10a1;
    ring.header_length = 32;
    setenv("IOQ_AIO_RING", "1", 1);
    ck_assert(ioq__ring_usable(ctx));
    ck_assert_int_eq(pthread_create(&kernel, NULL, play_the_kernel, NULL), 0);
    for (i = 0; i < EVENTS; i++) {
        while ((pending = ioq__ring_pending(ctx, SLOTS)) == 0)
            sched_yield();
        if (pending < 0)
            ck_abort_msg("a ring that cannot be right");
        ioq__ring_take(ctx, &event);
        if (event.data != (void *)i || event.res != i * 3)
            ck_abort_msg("event %lu is not what was put there", i);
    }
    pthread_join(kernel, NULL);
    ck_assert_int_eq(ioq__ring_pending(ctx, SLOTS), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring_threads");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase,
                   an_event_is_read_after_the_tail_and_before_the_head_moves);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
