/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <ioq.h>: "queue depths from 1 to 65536 without stack or quadratic cost".
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fixture.h"

#define LARGEST 65536u
#define SMALL 1024u
#define STACK (256u << 10) /* less than an array of events would need */

static unsigned int room;

/* So many at a time, and then none until the caller has come back. */
static int take_some(unsigned int count)
{
    unsigned int taken = count < room ? count : room;

    room = taken == 0 ? 1000 : room - taken;
    return taken == 0 ? -EAGAIN : (int)taken;
}

static void queue_all(void)
{
    unsigned int i;

    for (i = 0; i < fx.depth; i++)
        fx_write(i % 1000);
    ck_assert_int_eq(ioq_submit(&fx.ioq), (int)fx.depth);
}

/* All at once, then most of them parked, then all of them rejected. */
static void use_whole_depth(unsigned int depth)
{
    unsigned int i;

    fx_open(depth);
    queue_all();
    sk_complete_all();
    ck_assert(fx_clear());
    ck_assert_int_eq(fx_run(), (int)depth);
    room = 1000;
    sk.on_submit = take_some;
    queue_all();
    fx_wait(2 * depth);
    sk.on_submit = NULL;
    for (i = 0; i < depth; i++)
        fx_bad(-EBADF);
    ck_assert_int_eq(ioq_submit(&fx.ioq), (int)depth);
    fx_wait(3 * depth);
    for (i = 0; i < depth; i++)
        ck_assert_uint_eq(fx.requests[i].completed, 3);
    fx_close();
}

/* Fewer where each costs much more, under valgrind say; 0 if not told. */
static unsigned int fewer(void)
{
    const char *requests = getenv("IOQ_TEST_REQUESTS");

    return requests ? (unsigned int)strtoul(requests, NULL, 10) : 0;
}

static void *use_largest(void *opaque)
{
    unsigned int most = fewer();

    use_whole_depth(most > 0 && most < LARGEST ? most : LARGEST);
    return opaque;
}

/* P5 */
START_TEST(the_largest_depth_needs_little_stack)
{
    pthread_attr_t attr;
    pthread_t thread;

    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK), 0);
    ck_assert_int_eq(pthread_create(&thread, &attr, use_largest, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    fx_open(1);
}
END_TEST

/* Time of the CPU, which others on the machine do not count in. */
static double seconds_for(unsigned int depth)
{
    struct timespec begin, end;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    use_whole_depth(depth);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return (double)(end.tv_sec - begin.tv_sec) +
           (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

/* 64 times the depth: some 64 times as long, and not some 4096 times. */
START_TEST(the_cost_of_a_request_does_not_grow_with_the_depth)
{
    double small, large, ratio = 10000;
    int tries;

    fx_open(1);
    if (fewer() > 0)
        return; /* too few for their time to tell anything */
    fx_close();
    for (tries = 0; tries < 5 && ratio > 130; tries++) {
        small = seconds_for(SMALL);
        large = seconds_for(LARGEST);
        ratio = large / (small > 0 ? small : 1e-9);
    }
    ck_assert_msg(ratio <= 130, "%f times as long", ratio);
    fx_open(1);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_large", &suite);

    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, the_largest_depth_needs_little_stack);
    tcase_add_test(tcase, the_cost_of_a_request_does_not_grow_with_the_depth);
    return run_suite(suite);
}
