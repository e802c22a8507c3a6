/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/fifo.h: the indices of a ring that keeps a count.
 */
#include <check.h>
#include <stdlib.h>

#include "../support/runner.h"
#include "fifo.h"

#define SIZE_MAX_TESTED 17

/* P40: full and empty differ, though head and tail are the same in both. */
START_TEST(full_and_empty_differ_at_any_size)
{
    unsigned int size, start, i;

    for (size = 1; size <= SIZE_MAX_TESTED; size++) {
        for (start = 0; start < size; start++) {
            struct ioq__fifo fifo = {start, 0, size};

            ck_assert_uint_eq(ioq__fifo_run(&fifo), 0);
            for (i = 0; i < size; i++)
                ck_assert_uint_eq(ioq__fifo_push(&fifo), (start + i) % size);
            ck_assert_uint_eq(fifo.count, size);
            ck_assert_uint_eq(ioq__fifo_run(&fifo), size - start);
            for (i = 0; i < size; i++)
                ck_assert_uint_eq(ioq__fifo_pop(&fifo), (start + i) % size);
            ck_assert_uint_eq(fifo.count, 0);
        }
    }
}
END_TEST

START_TEST(what_goes_in_first_comes_out_first)
{
    struct ioq__fifo fifo = {0, 0, 7};
    unsigned int entries[7], in = 0, out = 0, step;

    srand(1);
    for (step = 0; step < 10000; step++) {
        if (fifo.count < fifo.size && rand() % 2)
            entries[ioq__fifo_push(&fifo)] = in++;
        else if (fifo.count > 0)
            ck_assert_uint_eq(entries[ioq__fifo_pop(&fifo)], out++);
        ck_assert_uint_eq(fifo.count, in - out);
    }
    ck_assert_uint_gt(out, 1000);
}
END_TEST

START_TEST(run_is_what_lies_in_one_piece)
{
    struct ioq__fifo fifo = {5, 2, 8};

    ck_assert_uint_eq(ioq__fifo_run(&fifo), 2);
    fifo.count = 3;
    ck_assert_uint_eq(ioq__fifo_run(&fifo), 3);
    fifo.count = 7;
    ck_assert_uint_eq(ioq__fifo_run(&fifo), 3);
}
END_TEST

START_TEST(what_follows_an_empty_one_lies_in_one_piece)
{
    struct ioq__fifo fifo = {5, 2, 8};
    unsigned int i;

    ioq__fifo_pop(&fifo);
    ioq__fifo_pop(&fifo);
    for (i = 1; i <= 8; i++) {
        ioq__fifo_push(&fifo);
        ck_assert_uint_eq(ioq__fifo_run(&fifo), i);
    }
}
END_TEST

START_TEST(indices_do_not_overflow_at_the_largest_size)
{
    struct ioq__fifo fifo = {-1u - 1, 1, -1u};

    ck_assert_uint_eq(ioq__fifo_push(&fifo), 0);
    ck_assert_uint_eq(ioq__fifo_at(&fifo, -1u), -1u - 1);
    ck_assert_uint_eq(ioq__fifo_pop(&fifo), -1u - 1);
    ck_assert_uint_eq(ioq__fifo_pop(&fifo), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fifo");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, full_and_empty_differ_at_any_size);
    tcase_add_test(tcase, what_goes_in_first_comes_out_first);
    tcase_add_test(tcase, run_is_what_lies_in_one_piece);
    tcase_add_test(tcase, what_follows_an_empty_one_lies_in_one_piece);
    tcase_add_test(tcase, indices_do_not_overflow_at_the_largest_size);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
