/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs that begin with their size: a program and a library of different age
 * understand each other.
 */
#include <errno.h>
#include <ioq/handle.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../support/runner.h"

/* A program that is younger than the library has members more. */
struct younger_options {
    struct ioq_options known;
    uint32_t more[4];
};

static int open_result(struct ioq_options *options, uint32_t size)
{
    struct ioq_handle *handle = NULL;
    int rc;

    options->size = size;
    options->engine = IOQ_ENGINE_THREADS;
    rc = ioq_handle_open(options, &handle);
    ck_assert_int_eq(rc == 0, handle != NULL);
    ioq_handle_close(handle);
    return rc;
}

/* What is there of a short struct counts, and what lies behind it does not. */
START_TEST(what_is_short_counts_as_zero)
{
    struct ioq_options options;
    uint32_t size;

    for (size = 8; size < sizeof(options); size += 4) {
        memset(&options, 0xff, sizeof(options));
        memset(&options, 0, size);
        ck_assert_int_eq(open_result(&options, size), 0);
    }
    for (size = 0; size < sizeof(uint32_t); size++)
        ck_assert_int_eq(open_result(&options, size), -EINVAL);
}
END_TEST

START_TEST(an_unknown_tail_must_be_zero)
{
    struct younger_options options;
    size_t at;

    memset(&options, 0, sizeof(options));
    ck_assert_int_eq(open_result(&options.known, sizeof(options)), 0);
    for (at = 0; at < sizeof(options.more); at++) {
        memset(&options, 0, sizeof(options));
        ((unsigned char *)options.more)[at] = 1;
        ck_assert_int_eq(open_result(&options.known, sizeof(options)), -E2BIG);
        ck_assert_int_eq(open_result(&options.known, sizeof(options.known)), 0);
    }
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
    const uint32_t known =
        IOQ_OPT_SHARED | IOQ_OPT_NEVER_BLOCK | IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL;
    struct ioq_options options = IOQ_OPTIONS_INIT;
    unsigned int bit;

    for (bit = 0; bit < 32; bit++) {
        options.flags = 1u << bit;
        if (!(known & options.flags))
            ck_assert_int_eq(open_result(&options, sizeof(options)), -EINVAL);
    }
    options.flags = 0;
    options.reserved = 1;
    ck_assert_int_eq(open_result(&options, sizeof(options)), -EINVAL);
}
END_TEST

static void check_info(struct ioq_handle *handle, uint32_t size)
{
    struct {
        struct ioq_file_info known;
        unsigned char more[32];
    } info;
    const unsigned char *bytes = (const unsigned char *)&info;
    size_t i;

    memset(&info, 0xa5, sizeof(info));
    info.known.size = size;
    ck_assert_int_eq(ioq_handle_file_info(handle, 0, &info.known), 0);
    ck_assert_uint_eq(info.known.size, size);
    for (i = sizeof(info.known); i < size; i++)
        ck_assert_uint_eq(bytes[i], 0);
    for (i = size; i < sizeof(info); i++)
        ck_assert_uint_eq(bytes[i], 0xa5);
    if (size >= offsetof(struct ioq_file_info, memory_align))
        ck_assert_int_eq(info.known.length, 4096);
}

/* Of what the library fills in, an older program gets what it has room for. */
START_TEST(what_is_filled_in_ends_where_the_caller_says)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle;
    static const char block[4096];
    FILE *file = tmpfile();
    uint32_t size;

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(block, 1, sizeof(block), file), sizeof(block));
    ck_assert_int_eq(fflush(file), 0);
    options.engine = IOQ_ENGINE_THREADS;
    ck_assert_int_eq(ioq_handle_open(&options, &handle), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fileno(file), 0), 0);
    for (size = 8; size <= sizeof(struct ioq_file_info) + 32; size += 4)
        check_info(handle, size);
    ioq_handle_close(handle);
    fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sized");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, what_is_short_counts_as_zero);
    tcase_add_test(tcase, an_unknown_tail_must_be_zero);
    tcase_add_test(tcase, unknown_flags_are_refused);
    tcase_add_test(tcase, what_is_filled_in_ends_where_the_caller_says);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
