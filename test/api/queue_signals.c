/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals that arrive all the time change nothing (P4, P39, P49).
 */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "rig.h"

#define DEPTH 32

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void set_timer(int period_us)
{
    struct itimerval timer = {{0, period_us}, {0, period_us}};

    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

START_TEST(every_request_completes_once_in_a_storm_of_signals)
{
    struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART */
    struct sigaction before;
    struct rig rig;
    int i, round, count = rounds(500);

    choose_ring(_i);
    rig_open(&rig, DEPTH);
    signals = 0;
    ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0);
    set_timer(200);
    for (round = 1; round <= count || signals < 10; round++) {
        for (i = 0; i < DEPTH; i++)
            rig_read(&rig, i);
        rig_submit(&rig);
        rig_complete(&rig, DEPTH);
        rig_check(&rig, round, PLACE_BLOCK);
    }
    set_timer(0);
    sigaction(SIGALRM, &before, NULL);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, every_request_completes_once_in_a_storm_of_signals);
    return run_case("queue_signals", tcase);
}
