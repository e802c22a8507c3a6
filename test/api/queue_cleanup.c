/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioq_cleanup, and the end of a process, at any moment.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define DEPTH 32

/* How many descriptors this process has. */
static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* How many rings the kernel has mapped into this process. */
static int mapped_rings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int count = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, "[aio]") != NULL;
    fclose(maps);
    return count;
}

START_TEST(nothing_is_left_of_a_queue)
{
    int descriptors = open_descriptors(), rings = mapped_rings(), i;

    choose_ring(_i);
    for (i = 0; i < 20; i++) {
        struct rig rig;

        rig_open(&rig, DEPTH);
        ck_assert_int_eq(mapped_rings(), rings + 1);
        rig_read(&rig, 0);
        rig_submit(&rig);
        rig_close(&rig);
    }
    ck_assert_int_eq(open_descriptors(), descriptors);
    ck_assert_int_eq(mapped_rings(), rings);
}
END_TEST

/* P55: the kernel is done with the buffers, and stays away from them. */
START_TEST(cleanup_waits_for_what_is_in_flight)
{
    struct rig rig;
    char *expected = place_buffer((long)DEPTH * PLACE_BLOCK);
    long i;

    choose_ring(_i);
    for (i = 0; i < DEPTH; i++)
        fill_block(expected + i * PLACE_BLOCK, i, 5);
    rig_open(&rig, DEPTH);
    place_fill(rig.fd, expected, (long)DEPTH * PLACE_BLOCK);
    for (i = DEPTH; i-- > 0;) /* the last iocb put is the first taken */
        rig_read(&rig, i);
    rig_submit(&rig);
    ioq_cleanup(&rig.ioq);
    ck_assert_mem_eq(rig.memory, expected, (size_t)DEPTH * PLACE_BLOCK);

    memset(rig.memory, 0xa5, (size_t)DEPTH * PLACE_BLOCK);
    memset(expected, 0xa5, (size_t)DEPTH * PLACE_BLOCK);
    usleep(20000);
    ck_assert_mem_eq(rig.memory, expected, (size_t)DEPTH * PLACE_BLOCK);
    ck_assert_int_eq(rig.completed, 0);
    rig_close(&rig);
    free(expected);
}
END_TEST

START_TEST(cleanup_drops_what_is_not_submitted)
{
    struct rig rig;
    char *before = place_buffer(PLACE_BLOCK),
         *after = place_buffer(PLACE_BLOCK);

    choose_ring(_i);
    rig_open(&rig, 2);
    fill_block(before, 1, 6);
    place_fill(rig.fd, before, PLACE_BLOCK);
    fill_block(rig_write(&rig, 0)->buf, 2, 6);
    ioq_cleanup(&rig.ioq);
    ck_assert_int_eq(pread(rig.fd, after, PLACE_BLOCK, 0), PLACE_BLOCK);
    ck_assert_mem_eq(after, before, PLACE_BLOCK);
    rig_close(&rig);
    free(before);
    free(after);
}
END_TEST

START_TEST(after_cleanup_every_call_is_harmless)
{
    struct rig rig;
    struct iocb iocb;
    struct iovec iov = {NULL, 0};

    choose_ring(_i);
    rig_open(&rig, 2);
    ioq_cleanup(&rig.ioq);
    ioq_cleanup(&rig.ioq);
    ck_assert_int_eq(ioq_get_notifier(&rig.ioq)->rfd, -1);
    ck_assert_uint_eq(ioq_num_queued(&rig.ioq), 0);
    ck_assert_int_lt(ioq_submit(&rig.ioq), 0);
    ck_assert_int_eq(ioq_run_completion(&rig.ioq, rig_done, &rig), 0);
    ck_assert_ptr_null(ioq_get_iocb(&rig.ioq));
    ck_assert_ptr_null(ioq_rdwr(&rig.ioq, true, &iov, 1, 0));
    errno = 0;
    ioq_put_iocb(&rig.ioq, &iocb);
    ck_assert_int_ne(errno, 0);
    rig_close(&rig);
}
END_TEST

static struct rig forked;

static void clean_up_in_child(void)
{
    int before = forked.completed;

    ioq_cleanup(&forked.ioq);
    require(ioq_submit(&forked.ioq) < 0);
    require(ioq_run_completion(&forked.ioq, rig_done, &forked) == 0);
    require(forked.completed == before);
}

/* The ring stays mapped in the child, which must not move the parent's head. */
START_TEST(a_child_may_clean_up_without_harm_to_the_parent)
{
    int i, round;

    choose_ring(_i);
    rig_open(&forked, DEPTH);
    for (round = 1; round <= 5; round++) {
        for (i = 0; i < DEPTH; i++)
            rig_read(&forked, i);
        rig_submit(&forked);
        run_in_child(clean_up_in_child);
        rig_complete(&forked, DEPTH);
        rig_check(&forked, round, PLACE_BLOCK);
    }
    rig_close(&forked);
}
END_TEST

static void exit_with_requests_in_flight(void)
{
    struct rig rig;
    int i;

    rig_open(&rig, DEPTH);
    for (i = 0; i < DEPTH; i++)
        rig_write(&rig, i);
    require(ioq_submit(&rig.ioq) == DEPTH);
}

/* The system's count of requests must be what it was, or this soon fails. */
START_TEST(a_process_may_end_with_requests_in_flight)
{
    int i;

    choose_ring(_i);
    for (i = 0; i < 10; i++)
        run_in_child(exit_with_requests_in_flight);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, nothing_is_left_of_a_queue);
    add_ring_test(tcase, cleanup_waits_for_what_is_in_flight);
    add_ring_test(tcase, cleanup_drops_what_is_not_submitted);
    add_ring_test(tcase, after_cleanup_every_call_is_harmless);
    add_ring_test(tcase, a_child_may_clean_up_without_harm_to_the_parent);
    add_ring_test(tcase, a_process_may_end_with_requests_in_flight);
    return run_case("queue_cleanup", tcase);
}
