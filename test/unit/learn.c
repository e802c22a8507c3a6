/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/learn.h: how many attempts that must not sleep a file is given.
 */
#include <check.h>
#include <stdlib.h>

#include "../support/runner.h"
#include "learn.h"

static int64_t submit_ns;

/* A submit of count requests; ends all that were tried. Returns how many. */
static unsigned int batch(struct ioq__learn *learn, unsigned int count,
                          bool hits)
{
    unsigned int tried = 0, i;

    submit_ns++;
    for (i = 0; i < count; i++)
        tried += ioq__learn_try(learn);
    for (i = 0; i < tried; i++)
        if (hits)
            ioq__learn_hit(learn);
        else
            ioq__learn_miss(learn, submit_ns);
    return tried;
}

START_TEST(no_more_under_way_than_allowed)
{
    struct ioq__learn learn = {.allowed = 3};

    ck_assert(ioq__learn_try(&learn));
    ck_assert(ioq__learn_try(&learn));
    ck_assert(ioq__learn_try(&learn));
    ck_assert(!ioq__learn_try(&learn));
    ioq__learn_miss(&learn, ++submit_ns);
    ck_assert_uint_eq(learn.under_way, 2);
}
END_TEST

START_TEST(a_file_that_does_well_is_soon_asked_for_everything)
{
    struct ioq__learn learn = {.allowed = 4};
    unsigned int batches = 0;

    while (batch(&learn, 128, true) < 128)
        ck_assert_uint_lt(++batches, 8);
}
END_TEST

START_TEST(a_file_that_would_sleep_is_soon_left_alone)
{
    struct ioq__learn learn = {.allowed = 4};
    unsigned int tried = 0, i;

    for (i = 0; i < 1000; i++)
        tried += batch(&learn, 32, false);
    ck_assert_uint_lt(tried, 60); /* of 32,000 */
}
END_TEST

START_TEST(what_was_allowed_once_does_not_stay_so)
{
    struct ioq__learn learn = {.allowed = 4};
    unsigned int tried = 0, i;

    for (i = 0; i < 1000; i++)
        batch(&learn, 32, true);
    for (i = 0; i < 1000; i++)
        tried += batch(&learn, 32, false);
    ck_assert_uint_lt(tried, 400); /* of 32,000 */
}
END_TEST

/* However long it was left alone: it is asked again, and comes back. */
START_TEST(a_file_that_gets_better_is_found_out)
{
    struct ioq__learn learn = {.allowed = 4};
    unsigned int i;

    for (i = 0; i < 100000; i++)
        batch(&learn, 32, false);
    for (i = 0; i < 128; i++)
        batch(&learn, 32, true);
    ck_assert_uint_eq(batch(&learn, 32, true), 32);
}
END_TEST

START_TEST(one_miss_in_many_changes_little)
{
    struct ioq__learn learn = {.allowed = 64};
    unsigned int i;

    for (i = 0; i < 1000; i++) {
        ck_assert_uint_eq(batch(&learn, 32, true), 32);
        ck_assert(ioq__learn_try(&learn));
        ioq__learn_miss(&learn, ++submit_ns);
    }
}
END_TEST

/* Their cause is one, too. */
START_TEST(misses_of_one_submit_are_one)
{
    struct ioq__learn learn = {.allowed = 32};

    ck_assert_uint_eq(batch(&learn, 32, false), 32);
    ck_assert_uint_ge(learn.allowed, 16);
    ck_assert_uint_lt(learn.allowed, 32);
    ck_assert_uint_eq(learn.under_way, 0);
}
END_TEST

/* Nor does what comes back late count again. */
START_TEST(misses_of_earlier_submits_are_known_already)
{
    struct ioq__learn learn = {.allowed = 32};
    unsigned int i, allowed;

    for (i = 0; i < 4; i++)
        ck_assert(ioq__learn_try(&learn));
    ioq__learn_miss(&learn, submit_ns + 2);
    allowed = learn.allowed;
    ioq__learn_miss(&learn, submit_ns + 1);
    ioq__learn_miss(&learn, submit_ns + 2);
    ck_assert_uint_eq(learn.allowed, allowed);
    ioq__learn_miss(&learn, submit_ns + 3);
    ck_assert_uint_lt(learn.allowed, allowed);
    ck_assert_uint_eq(learn.under_way, 0);
}
END_TEST

START_TEST(no_more_is_allowed_than_is_made_use_of)
{
    struct ioq__learn learn = {.allowed = 4};
    unsigned int i;

    for (i = 0; i < 1000; i++)
        batch(&learn, 8, true);
    ck_assert_uint_ge(learn.allowed, 8);
    ck_assert_uint_le(learn.allowed, 64);
}
END_TEST

START_TEST(a_file_that_refuses_is_never_asked)
{
    struct ioq__learn learn = {.allowed = 64, .refused = true};

    ck_assert_uint_eq(batch(&learn, 1000, true), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learn");
    TCase *tcase = tcase_create("learn");

    tcase_add_test(tcase, no_more_under_way_than_allowed);
    tcase_add_test(tcase, a_file_that_does_well_is_soon_asked_for_everything);
    tcase_add_test(tcase, a_file_that_would_sleep_is_soon_left_alone);
    tcase_add_test(tcase, what_was_allowed_once_does_not_stay_so);
    tcase_add_test(tcase, a_file_that_gets_better_is_found_out);
    tcase_add_test(tcase, one_miss_in_many_changes_little);
    tcase_add_test(tcase, misses_of_one_submit_are_one);
    tcase_add_test(tcase, misses_of_earlier_submits_are_known_already);
    tcase_add_test(tcase, no_more_is_allowed_than_is_made_use_of);
    tcase_add_test(tcase, a_file_that_refuses_is_never_asked);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
