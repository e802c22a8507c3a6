/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where each member of a public struct lies, in figures: nothing is derived
 * here that could move along with a mistake.
 */
#include <ioq.h>
#include <ioq/handle.h>

#include <stddef.h>

#include "../support/runner.h"

#define MEMBER(name, lp64, ilp32)                    \
    {                                                \
#name, offsetof(IOQueue, name), lp64, ilp32, \
    }

static const struct {
    const char *name;
    size_t offset, lp64, ilp32;
} members[] = {
    MEMBER(fd, 0, 0),         MEMBER(max_reqs, 4, 4),
    MEMBER(io_ctx, 8, 8),     MEMBER(io_notifier, 16, 12),
    MEMBER(freelist, 24, 20), MEMBER(freelist_idx, 32, 24),
    MEMBER(queue, 40, 28),    MEMBER(queue_idx, 48, 32),
};

START_TEST(every_member_is_where_it_was_in_2013)
{
    size_t i;

    ck_assert(sizeof(void *) == 8 || sizeof(void *) == 4);
    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        ck_assert_msg(
            members[i].offset ==
                (sizeof(void *) == 8 ? members[i].lp64 : members[i].ilp32),
            "%s is at %zu", members[i].name, members[i].offset);
}
END_TEST

START_TEST(sizes_are_what_they_were_in_2013)
{
    ck_assert_uint_eq(sizeof(IOQueue), sizeof(void *) == 8 ? 56 : 36);
    ck_assert_uint_eq(_Alignof(IOQueue), sizeof(void *));
    ck_assert_uint_eq(sizeof(EventNotifier), 8);
    ck_assert_uint_eq(_Alignof(EventNotifier), 4);
    ck_assert_uint_eq(offsetof(EventNotifier, rfd), 0);
    ck_assert_uint_eq(offsetof(EventNotifier, wfd), 4);
    ck_assert_uint_eq(sizeof(((IOQueue *)NULL)->io_ctx), sizeof(void *));
}
END_TEST

#define AT(type, member, lp64)                          \
    {                                                   \
#type "." #member, offsetof(type, member), lp64 \
    }

/* What may grow does so at its end. */
START_TEST(the_handles_structs_are_what_they_were)
{
    static const struct {
        const char *name;
        size_t offset, lp64;
    } rows[] = {
        AT(struct ioq_options, size, 0),
        AT(struct ioq_options, engine, 4),
        AT(struct ioq_options, depth, 8),
        AT(struct ioq_options, flags, 12),
        AT(struct ioq_options, max_batch, 16),
        AT(struct ioq_options, workers, 20),
        AT(struct ioq_options, max_segments, 24),
        AT(struct ioq_options, reserved, 28),
        AT(struct ioq_completion, user_data, 0),
        AT(struct ioq_completion, result, 8),
        AT(struct ioq_pending, user_data, 0),
        AT(struct ioq_pending, offset, 8),
        AT(struct ioq_pending, length, 16),
        AT(struct ioq_pending, age_ns, 24),
        AT(struct ioq_pending, file, 32),
        AT(struct ioq_pending, kind, 36),
        AT(struct ioq_pending, stage, 40),
        AT(struct ioq_pending, reserved, 44),
        AT(struct ioq_file_info, size, 0),
        AT(struct ioq_file_info, flags, 4),
        AT(struct ioq_file_info, length, 8),
        AT(struct ioq_stats, size, 0),
        AT(struct ioq_stats, requests, 8),
    };
    size_t i;

    for (i = 0; sizeof(void *) == 8 && i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(rows[i].offset == rows[i].lp64, "%s is at %zu",
                      rows[i].name, rows[i].offset);
    /* Arrays of these are the caller's, so that they cannot grow at all. */
    ck_assert(sizeof(void *) != 8 || sizeof(struct ioq_completion) == 16);
    ck_assert(sizeof(void *) != 8 || sizeof(struct ioq_pending) == 48);
    ck_assert_uint_eq(sizeof(struct ioq_options), 32);
}
END_TEST

START_TEST(the_library_is_as_old_as_the_header)
{
    ck_assert_uint_eq(ioq_version(), IOQ_VERSION);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, every_member_is_where_it_was_in_2013);
    tcase_add_test(tcase, sizes_are_what_they_were_in_2013);
    tcase_add_test(tcase, the_handles_structs_are_what_they_were);
    tcase_add_test(tcase, the_library_is_as_old_as_the_header);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
