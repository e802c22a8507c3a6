/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and attaching where something fails: each call in turn. Nothing must
 * be left behind, for which the run under valgrind is there, too.
 */
#include <dirent.h>

#include "handle_fixture.h"

static struct ioq_options options;
static struct ioq_handle *untouched;

static void set_up(void)
{
    sf_reset(LENGTH);
    options = (struct ioq_options)IOQ_OPTIONS_INIT;
    options.engine = IOQ_ENGINE_AIO;
    options.depth = 4;
    untouched = (struct ioq_handle *)&options;
}

static unsigned int open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned int count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Fails as it should, and leaves all as it was. */
static void open_fails(int error)
{
    struct ioq_handle *handle = untouched;
    unsigned int fds = open_fds();

    ck_assert_int_eq(ioq_handle_open(&options, &handle), error);
    ck_assert_ptr_eq(handle, untouched);
    ck_assert_str_ne(ioq_last_error(), "");
    ck_assert_uint_eq(open_fds(), fds);
    ck_assert_uint_eq(sk.setups, sk.destroys);
}

START_TEST(each_allocation_of_open_may_fail)
{
    unsigned long number, all;

    set_up();
    faults_reset();
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    all = allocations;
    hx_close();
    ck_assert_uint_ge(all, 5);
    for (number = 1; number <= all; number++) {
        faults_reset();
        allocation_fails = number;
        open_fails(-ENOMEM);
    }
    faults_reset();
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
}
END_TEST

START_TEST(each_allocation_of_attach_may_fail)
{
    unsigned long number, all;

    set_up();
    sf_make_direct(BLOCK);
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    faults_reset();
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    all = allocations;
    ck_assert_uint_ge(all, 2);
    ck_assert_int_eq(ioq_handle_detach(hx, 0), 0);
    for (number = 1; number <= all; number++) {
        faults_reset();
        allocation_fails = number;
        ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), -ENOMEM);
        ck_assert_int_eq(ioq_handle_detach(hx, 0), -EBADF);
    }
    faults_reset();
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
}
END_TEST

START_TEST(no_descriptor_is_left)
{
    set_up();
    eventfd_error = EMFILE;
    open_fails(-EMFILE);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "RLIMIT_NOFILE"));
    eventfd_error = ENFILE;
    open_fails(-ENFILE);
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AIO), -ENFILE);
}
END_TEST

/* P11 */
START_TEST(io_setup_refuses)
{
    static const struct {
        int error;
        const char *word;
    } cases[] = {
        {-EAGAIN, "fs.aio-max-nr"},
        {-ENOSYS, "use another engine"},
        {-EPERM, "seccomp"},
        {-ENOMEM, ""},
        {-EINVAL, ""},
    };

    set_up();
    sk.setup_error = cases[_i].error;
    open_fails(cases[_i].error);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), cases[_i].word));
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AIO), cases[_i].error);
    sk.setup_error = 0;
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_AIO), 0);
    ck_assert_uint_eq(sk.setups, sk.destroys);
}
END_TEST

START_TEST(the_threads_engine_needs_a_thread)
{
    set_up();
    options.engine = IOQ_ENGINE_THREADS;
    thread_error = EAGAIN;
    open_fails(-EAGAIN);
    ck_assert_ptr_nonnull(strstr(ioq_last_error(), "RLIMIT_NPROC"));
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_THREADS), -EAGAIN);
    thread_error = 0;
    ck_assert_int_eq(ioq_engine_available(IOQ_ENGINE_THREADS), 0);
    /* Nor does it touch Linux AIO. */
    ck_assert_uint_eq(sk.setups, 0);
}
END_TEST

START_TEST(what_cannot_be_looked_at_is_not_attached)
{
    static const int errors[] = {-EBADF, -EIO, -EOVERFLOW};
    unsigned int i;

    set_up();
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    for (i = 0; i < 3; i++) {
        sf.info_error = errors[i];
        ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), errors[i]);
        ck_assert_str_ne(ioq_last_error(), "");
    }
    sf.info_error = 0;
    sf.info.regular = false;
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), -EINVAL);
    sf.info.regular = true;
    sf.info.open_flags |= O_APPEND;
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), -EINVAL);
    sf.info.open_flags = O_PATH;
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), -EBADF);
}
END_TEST

/* A kernel that does not tell the alignment is asked by reading. */
static int want_2048(const struct sf_transfer *transfer)
{
    return transfer->wanted % 2048 ? -EINVAL : SF_ALL;
}

START_TEST(an_alignment_that_is_not_told_is_probed)
{
    struct ioq_file_info info = {.size = sizeof(info)};

    set_up();
    sf.info.open_flags |= O_DIRECT;
    sf.on_transfer = want_2048;
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    ck_assert_int_eq(ioq_handle_file_info(hx, 0, &info), 0);
    ck_assert_uint_eq(info.offset_align, 2048);
    ck_assert_uint_eq(info.memory_align, 2048);
}
END_TEST

START_TEST(a_file_without_nowait_is_left_to_workers)
{
    set_up();
    sf.on_transfer = hx_no_nowait;
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    ck_assert(!(hx_file_flags() & IOQ_FILE_NOWAIT));
    ck_assert_int_eq(hx_read_now(hx_buf, BLOCK, 0), BLOCK);
    ck_assert_int_eq(hx_write_now(hx_buf, BLOCK, 0, 0), BLOCK);
    ck_assert_uint_eq(sk.taken, 0);
    ck_assert_uint_eq(hx_stats().worker_learned, 2);
}
END_TEST

/* Late is better than never. */
START_TEST(without_threads_the_caller_does_it)
{
    set_up();
    sf_make_direct(BLOCK);
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    thread_error = EAGAIN;
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    hx_pattern();
    hx_write(hx_buf, 100, 7, 0);
    hx_zero(3 * BLOCK, BLOCK, 0);
    hx_read(hx_buf + 8 * BLOCK, 33, 600);
    ck_assert_int_eq(hx_results(3), 133);
    ck_assert_mem_eq(sk_disk + 7, hx_buf, 100);
    ck_assert_mem_eq(sk_disk + 600, hx_buf + 8 * BLOCK, 33);
    ck_assert_uint_eq(hx_stats().worker_none, 3);
    ck_assert_uint_eq(hx_stats().workers_started, 0);
    /* And as soon as there are threads, they do. */
    thread_error = 0;
    ck_assert_int_eq(hx_write_now(hx_buf, 100, 7, 0), 100);
    ck_assert_uint_eq(hx_stats().worker_none, 3);
    ck_assert_uint_eq(hx_stats().workers_started, 1);
}
END_TEST

/* A worker without memory for its buffer fails that request alone. */
START_TEST(a_bounce_without_memory_fails_alone)
{
    set_up();
    sf_make_direct(BLOCK);
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
    allocations_fail = true;
    ck_assert_int_eq(hx_write_now(hx_buf, 100, 7, 0), -ENOMEM);
    ck_assert_int_eq(hx_read_now(hx_buf, 100, 7), -ENOMEM);
    ck_assert_int_eq(hx_read_now(hx_buf, BLOCK, 0), BLOCK);
    allocations_fail = false;
    ck_assert_int_eq(hx_write_now(hx_buf, 100, 7, 0), 100);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = hx_tcase("handle_open", &suite);

    tcase_add_test(tcase, each_allocation_of_open_may_fail);
    tcase_add_test(tcase, each_allocation_of_attach_may_fail);
    tcase_add_test(tcase, no_descriptor_is_left);
    tcase_add_loop_test(tcase, io_setup_refuses, 0, 5);
    tcase_add_test(tcase, the_threads_engine_needs_a_thread);
    tcase_add_test(tcase, what_cannot_be_looked_at_is_not_attached);
    tcase_add_test(tcase, an_alignment_that_is_not_told_is_probed);
    tcase_add_test(tcase, a_file_without_nowait_is_left_to_workers);
    tcase_add_test(tcase, without_threads_the_caller_does_it);
    tcase_add_test(tcase, a_bounce_without_memory_fails_alone);
    return run_suite(suite);
}
