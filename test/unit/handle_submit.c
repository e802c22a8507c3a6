/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a submit does in the caller's thread, and what it leaves to workers, so
 * as not to hold the caller up.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "handle_fixture.h"
#include "worker.h"

/* What a submit copies, of each request and of all. */
#define COPY_EACH (32 << 10)
#define COPY_MOST (256 << 10)

/* What a submit hands over before it looks at the clock. */
#define PART_BYTES (512 << 10)
#define LONG_READ (64 << 10)

/* Requests that are out together share none of these, nor write where others
 * are: workers and the scripted kernel copy at the same time. */
static unsigned char big_buf[10 * COPY_EACH] __attribute__((aligned(4096)));
static unsigned char long_bufs[2 * PART_BYTES] __attribute__((aligned(4096)));

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void start(bool direct)
{
    sf_reset(SK_DISK_SIZE);
    if (direct)
        sf_make_direct(BLOCK);
    hx_open(64, 2);
}

/* Goes on until the file is allowed that many attempts at a time. */
static void gain_trust(unsigned int count)
{
    unsigned int i, round;

    for (round = 0; round < 8; round++) {
        for (i = 0; i < 2 * count; i++)
            if (i % 2)
                hx_read(big_buf + i * BLOCK, BLOCK, i * BLOCK);
            else
                hx_write(big_buf + i * BLOCK, BLOCK, i * BLOCK, 0);
        hx_results(2 * count);
    }
}

START_TEST(much_to_copy_is_left_to_a_worker)
{
    start(false);
    ck_assert_int_eq(hx_read_now(big_buf, COPY_EACH, 0), COPY_EACH);
    ck_assert_int_eq(hx_write_now(big_buf, COPY_EACH, 0, 0), COPY_EACH);
    ck_assert_uint_eq(hx_stats().worker_copy, 0);
    ck_assert_uint_eq(sk.taken, 2);
    ck_assert_int_eq(hx_read_now(big_buf, COPY_EACH + 1, 0), COPY_EACH + 1);
    ck_assert_uint_eq(hx_stats().worker_copy, 1);
    ck_assert_int_eq(hx_write_now(big_buf, COPY_EACH + 1, 0, 0), COPY_EACH + 1);
    ck_assert_uint_eq(hx_stats().worker_copy, 2);
    ck_assert_uint_eq(sk.taken, 2);
}
END_TEST

START_TEST(so_is_what_adds_up_to_much_in_one_submit)
{
    unsigned int i, count = COPY_MOST / COPY_EACH, round;

    start(false);
    gain_trust(2 * count);
    sk.taken = 0;
    for (round = 1; round < 3; round++) {
        for (i = 0; i < count + 2; i++)
            hx_read(big_buf + (size_t)i * COPY_EACH, COPY_EACH, 0);
        ck_assert_int_eq(hx_results(count + 2), (count + 2) * COPY_EACH);
        ck_assert_uint_eq(sk.taken, round * count);
        ck_assert_uint_eq(hx_stats().worker_copy, round * 2);
    }
}
END_TEST

START_TEST(what_workers_copy_does_not_count)
{
    unsigned int i, count = COPY_MOST / COPY_EACH;
    unsigned char *buf = long_bufs;
    int other;

    start(false);
    gain_trust(2 * count);
    sf.on_transfer = hx_no_nowait;
    other = ioq_handle_attach(hx, sk.fd, 0);
    ck_assert_int_eq(other, 1);
    sf.on_transfer = NULL;
    sk.taken = 0;
    for (i = 0; i < count; i++, buf += COPY_EACH)
        ck_assert_int_eq(ioq_handle_read(hx, other, buf, COPY_EACH, 0, 0, NULL),
                         0);
    for (i = 0; i < count; i++, buf += COPY_EACH)
        hx_read(buf, COPY_EACH, 0);
    ck_assert_int_eq(hx_results(2 * count), 2 * count * COPY_EACH);
    ck_assert_uint_eq(sk.taken, count);
    ck_assert_uint_eq(hx_stats().worker_copy, 0);
}
END_TEST

START_TEST(what_is_not_copied_may_be_long)
{
    start(true);
    ck_assert_int_eq(hx_read_now(big_buf, 2 * COPY_EACH, 0), 2 * COPY_EACH);
    ck_assert_int_eq(hx_write_now(big_buf, 2 * COPY_EACH, 0, 0), 2 * COPY_EACH);
    ck_assert_uint_eq(hx_stats().worker_copy, 0);
    ck_assert_uint_eq(sk.taken, 2);
}
END_TEST

static int slow_submit(unsigned int count)
{
    sleep_ms(2);
    return (int)count;
}

/* Reads as many bytes, none twice to the same place, in one submit. */
static void read_all(unsigned int bytes)
{
    unsigned int at;

    for (at = 0; at < bytes; at += LONG_READ)
        hx_read(long_bufs + at, LONG_READ, 0);
    ck_assert_int_eq(hx_results(bytes / LONG_READ), bytes);
}

START_TEST(what_is_left_of_a_slow_submit_goes_to_workers)
{
    unsigned int each = PART_BYTES / LONG_READ;

    start(true);
    sk.on_submit = slow_submit;
    read_all(2 * PART_BYTES);
    ck_assert_uint_eq(sk.taken, each);
    ck_assert_uint_eq(hx_stats().worker_busy, each);
    read_all(2 * PART_BYTES); /* each submit has its time */
    ck_assert_uint_eq(sk.taken, 2 * each);
    ck_assert_uint_eq(hx_stats().worker_busy, 2 * each);
}
END_TEST

/* Late, but not one by one in the caller's thread. */
START_TEST(without_workers_all_goes_however_slow)
{
    thread_error = EAGAIN;
    start(true);
    sk.on_submit = slow_submit;
    read_all(2 * PART_BYTES);
    ck_assert_uint_eq(sk.taken, 2 * PART_BYTES / LONG_READ);
    ck_assert_uint_eq(hx_stats().worker_none, 0);
}
END_TEST

START_TEST(one_part_goes_however_slow)
{
    start(true);
    sk.on_submit = slow_submit;
    read_all(PART_BYTES);
    ck_assert_uint_eq(sk.taken, PART_BYTES / LONG_READ);
    ck_assert_uint_eq(hx_stats().worker_busy, 0);
}
END_TEST

/* Each of the attempts may be in vain, and costs time here. */
START_TEST(a_new_file_is_tried_a_little_at_first)
{
    unsigned int i;

    start(true);
    for (i = 0; i < 32; i++)
        hx_write(big_buf, BLOCK, i * BLOCK, 0);
    hx_results(32);
    ck_assert_uint_gt(sk.taken, 0);
    ck_assert_uint_le(sk.taken, 8);
    gain_trust(32); /* but soon is given all */
    sk.taken = 0;
    for (i = 0; i < 32; i++)
        hx_write(big_buf, BLOCK, i * BLOCK, 0);
    hx_results(32);
    ck_assert_uint_eq(sk.taken, 32);
}
END_TEST

static bool is_worker(const char *task)
{
    char name[64], comm[32] = "";
    FILE *file;

    snprintf(name, sizeof(name), "/proc/self/task/%.20s/comm", task);
    file = fopen(name, "r");
    if (!file)
        return false;
    if (!fgets(comm, sizeof(comm), file)) /* it is just ending */
        comm[0] = '\0';
    fclose(file);
    return strcmp(comm, "ioq-worker\n") == 0;
}

static unsigned int workers(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned int count = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)))
        count += is_worker(entry->d_name);
    closedir(folder);
    return count;
}

static void wait_for_workers(unsigned int count)
{
    int tries = 0;

    while (workers() != count) {
        ck_assert_int_lt(++tries, 4000);
        sleep_ms(5);
    }
}

START_TEST(a_worker_is_there_before_the_first_submit)
{
    start(true);
    ck_assert_uint_eq(hx_stats().workers_started, 1);
    ck_assert_int_eq(hx_write_now(big_buf, 100, 3, 0), 100);
    ck_assert_uint_eq(hx_stats().workers_started, 1);
    /* Others leave when there is no work, and it stays. */
    sleep_ms(IOQ__WORKER_IDLE_SECONDS * 1000 + 500);
    ck_assert_int_eq(hx_write_now(big_buf, 100, 3, 0), 100);
    ck_assert_uint_eq(hx_stats().workers_started, 1);
}
END_TEST

START_TEST(it_leaves_with_the_last_file_that_may_need_it)
{
    int file;

    start(false);
    file = ioq_handle_attach(hx, sk.fd, 0);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), 0);
    sleep_ms(IOQ__WORKER_IDLE_SECONDS * 1000 + 500);
    wait_for_workers(1);
    ck_assert_int_eq(ioq_handle_detach(hx, file), 0);
    wait_for_workers(0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    ck_assert_int_eq(hx_write_now(big_buf, BLOCK, 0, IOQ_F_FUA), BLOCK);
    ck_assert_uint_eq(hx_stats().workers_started, 2);
}
END_TEST

/* What its completion tells, a submit may rely on. */
START_TEST(a_worker_that_is_done_is_there_for_the_next)
{
    int i;

    start(true);
    for (i = 0; i < 1000; i++)
        ck_assert_int_eq(hx_write_now(big_buf, 100, 3, 0), 100);
    ck_assert_uint_eq(hx_stats().workers_started, 1);
}
END_TEST

START_TEST(a_file_that_needs_none_starts_none)
{
    sf_reset(SK_DISK_SIZE);
    sf_make_direct(BLOCK);
    sf.info.open_flags = O_RDONLY | O_DIRECT;
    hx_open(8, 2);
    ck_assert_int_eq(hx_read_now(big_buf, BLOCK, 0), BLOCK);
    ck_assert_uint_eq(hx_stats().workers_started, 0);
}
END_TEST

/* Those that may be used, and how many they are. */
static int get_cpus(int *ret_cpus)
{
    cpu_set_t set;
    int cpu, count = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            ret_cpus[count++] = cpu;
    return count;
}

static void move_to(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Else the scheduler lets it run in the middle of the submit that wakes it. */
START_TEST(a_worker_on_the_submitters_cpu_gives_way_once)
{
    int cpus[CPU_SETSIZE], i;

    get_cpus(cpus);
    move_to(cpus[0]);
    start(true);
    for (i = 0; i < 8; i++)
        hx_write(big_buf + i * BLOCK, 100, i * BLOCK + 3, 0);
    hx_results(8);
    /* There were two workers, and each was woken once at most. */
    ck_assert_uint_ge(atomic_load(&yields), 1);
    ck_assert_uint_le(atomic_load(&yields), 2);
}
END_TEST

START_TEST(a_worker_elsewhere_does_not)
{
    int cpus[CPU_SETSIZE], i;

    if (get_cpus(cpus) < 2)
        return;
    move_to(cpus[0]); /* where workers are to be */
    start(true);
    move_to(cpus[1]);
    for (i = 0; i < 8; i++)
        hx_write(big_buf + i * BLOCK, 100, i * BLOCK + 3, 0);
    hx_results(8);
    ck_assert_uint_eq(atomic_load(&yields), 0);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_submit", &suite);

    tcase_add_test(tcase, much_to_copy_is_left_to_a_worker);
    tcase_add_test(tcase, so_is_what_adds_up_to_much_in_one_submit);
    tcase_add_test(tcase, what_workers_copy_does_not_count);
    tcase_add_test(tcase, what_is_not_copied_may_be_long);
    tcase_add_test(tcase, what_is_left_of_a_slow_submit_goes_to_workers);
    tcase_add_test(tcase, without_workers_all_goes_however_slow);
    tcase_add_test(tcase, one_part_goes_however_slow);
    tcase_add_test(tcase, a_new_file_is_tried_a_little_at_first);
    tcase_add_test(tcase, a_worker_is_there_before_the_first_submit);
    tcase_add_test(tcase, it_leaves_with_the_last_file_that_may_need_it);
    tcase_add_test(tcase, a_worker_that_is_done_is_there_for_the_next);
    tcase_add_test(tcase, a_file_that_needs_none_starts_none);
    tcase_add_test(tcase, a_worker_on_the_submitters_cpu_gives_way_once);
    tcase_add_test(tcase, a_worker_elsewhere_does_not);
    return run_suite(suite);
}
