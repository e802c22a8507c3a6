/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <ioq.h>: ioq_init, ioq_try_init, ioq_cleanup, ioq_get_notifier.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "fixture.h"

#define DEPTH 8

static unsigned int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void never(struct iocb *iocb, ssize_t ret, void *opaque)
{
    ck_abort_msg("%p completed with %zd for %p", (void *)iocb, ret, opaque);
}

/* What must be true of a queue that never came up, or was cleaned up. */
static void assert_dead(IOQueue *ioq, int error)
{
    struct iocb iocb = {0};
    struct iovec iov = {NULL, 0};
    EventNotifier *notifier = ioq_get_notifier(ioq);

    ck_assert_ptr_nonnull(notifier);
    ck_assert_int_eq(event_notifier_get_fd(notifier), -1);
    ck_assert_int_lt(event_notifier_set(notifier), 0);
    ck_assert_int_eq(event_notifier_test_and_clear(notifier), 0);
    errno = 0;
    ioq_put_iocb(ioq, &iocb);
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(ioq_get_iocb(ioq));
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(ioq_rdwr(ioq, true, &iov, 1, 0));
    ck_assert_int_eq(errno, error);
    ck_assert_uint_eq(ioq_num_queued(ioq), 0);
    ck_assert_int_eq(ioq_submit(ioq), -error);
    ck_assert_int_eq(ioq_run_completion(ioq, never, NULL), 0);
}

static void assert_init_fails(int fd, unsigned int max_reqs, int error)
{
    unsigned int fds = open_fds();
    IOQueue ioq;

    memset(&ioq, 0xa5, sizeof(ioq));
    ck_assert_int_eq(ioq_try_init(&ioq, fd, max_reqs), -error);
    assert_dead(&ioq, error);
    ioq_cleanup(&ioq);
    ioq_cleanup(&ioq);

    memset(&ioq, 0xa5, sizeof(ioq));
    errno = 0;
    ioq_init(&ioq, fd, max_reqs);
    ck_assert_int_eq(errno, error);
    assert_dead(&ioq, error);
    ioq_cleanup(&ioq);

    ck_assert_uint_eq(open_fds(), fds);
    ck_assert_uint_eq(sk.setups, sk.destroys);
}

START_TEST(the_pool_and_the_queue_start_empty)
{
    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, DEPTH), 0);
    ck_assert_uint_eq(ioq_num_queued(&fx.ioq), 0);
    ck_assert_ptr_null(ioq_get_iocb(&fx.ioq));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(ioq_submit(&fx.ioq), 0);
    ck_assert_int_eq(ioq_run_completion(&fx.ioq, never, NULL), 0);
    ck_assert_uint_eq(sk.submits, 0);
    ck_assert_uint_eq(sk.getevents, 0);
    ck_assert(!fx_readable());
}
END_TEST

START_TEST(errno_is_0_after_ioq_init_succeeded)
{
    errno = EIO;
    ioq_init(&fx.ioq, sk.fd, DEPTH);
    ck_assert_int_eq(errno, 0);
}
END_TEST

/* P42: of any size, as asked for. */
START_TEST(the_members_say_what_was_asked_for)
{
    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, 100), 0);
    ck_assert_int_eq(fx.ioq.fd, sk.fd);
    ck_assert_uint_eq(fx.ioq.max_reqs, 100);
    ck_assert_ptr_nonnull(fx.ioq.io_ctx);
    ck_assert_uint_eq(fx.ioq.freelist_idx, 0);
    ck_assert_uint_eq(fx.ioq.queue_idx, 0);
}
END_TEST

START_TEST(the_notifier_is_one_nonblocking_cloexec_eventfd)
{
    EventNotifier copy;

    fx_open(DEPTH);
    copy = *ioq_get_notifier(&fx.ioq);
    ck_assert_int_eq(copy.rfd, copy.wfd);
    ck_assert_int_eq(fcntl(copy.rfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(copy.rfd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    ck_assert_int_eq(event_notifier_test_and_clear(&copy), 0);
}
END_TEST

START_TEST(a_copy_of_the_notifier_is_as_good)
{
    EventNotifier copy;

    fx_open(DEPTH);
    copy = *ioq_get_notifier(&fx.ioq);
    fx_write_n(1);
    ioq_submit(&fx.ioq);
    sk_complete_all();
    ck_assert_int_eq(event_notifier_test_and_clear(&copy), 1);
    ck_assert(!fx_readable());
    ck_assert_int_eq(event_notifier_set(&copy), 0);
    ck_assert(fx_readable());
    fx_run();
}
END_TEST

START_TEST(a_negative_fd_is_ebadf)
{
    assert_init_fails(-1, DEPTH, EBADF);
    assert_init_fails(INT_MIN, DEPTH, EBADF);
}
END_TEST

START_TEST(a_depth_of_0_is_einval)
{
    assert_init_fails(sk.fd, 0, EINVAL);
}
END_TEST

/* Not ENOMEM, nor a huge allocation on the way there. */
START_TEST(a_depth_beyond_the_kernels_is_einval)
{
    assert_init_fails(sk.fd, SK_DEPTH_MAX + 1, EINVAL);
    assert_init_fails(sk.fd, (unsigned int)INT_MAX, EINVAL);
    assert_init_fails(sk.fd, (unsigned int)INT_MAX + 1, EINVAL);
    assert_init_fails(sk.fd, UINT_MAX, EINVAL);
}
END_TEST

/* P11: reported, not the end of the process. */
START_TEST(each_error_of_io_setup_is_reported)
{
    static const int errors[] = {EAGAIN, EINVAL, ENOSYS, EPERM, ENOMEM, EFAULT};
    size_t i;

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        sk.setup_error = -errors[i];
        assert_init_fails(sk.fd, DEPTH, errors[i]);
    }
}
END_TEST

START_TEST(no_descriptor_for_the_notifier_is_reported)
{
    eventfd_error = EMFILE;
    assert_init_fails(sk.fd, DEPTH, EMFILE);
    eventfd_error = ENFILE;
    assert_init_fails(sk.fd, DEPTH, ENFILE);
}
END_TEST

START_TEST(no_memory_is_reported)
{
    unsigned int fds = open_fds();
    int rc;

    allocations_fail = true;
    rc = ioq_try_init(&fx.ioq, sk.fd, DEPTH);
    allocations_fail = false;
    ck_assert_int_eq(rc, -ENOMEM);
    assert_dead(&fx.ioq, ENOMEM);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(open_fds(), fds);
    ck_assert_uint_eq(sk.setups, sk.destroys);
}
END_TEST

START_TEST(an_all_zero_queue_is_a_dead_one)
{
    static IOQueue ioq;

    ck_assert_int_eq(ioq_submit(&ioq), -EBADF);
    ck_assert_ptr_null(ioq_get_iocb(&ioq));
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(ioq_run_completion(&ioq, never, NULL), 0);
    ioq_cleanup(&ioq);
}
END_TEST

START_TEST(a_queue_that_failed_can_be_tried_again)
{
    sk.setup_error = -EAGAIN;
    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, DEPTH), -EAGAIN);
    sk.setup_error = 0;
    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    fx_wait(DEPTH);
}
END_TEST

/* P35: with descriptors 0 to 2 closed both the file and the eventfd can be 0 */
START_TEST(descriptor_0_is_one_like_any_other)
{
    int saved = dup(0);

    ck_assert_int_ge(saved, 0);
    sk.fd = 0;
    close(0);
    fx_open(DEPTH);
    ck_assert_int_eq(event_notifier_get_fd(ioq_get_notifier(&fx.ioq)), 0);
    fx_write_n(DEPTH);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    fx_wait(DEPTH);
    fx_close();
    ck_assert_int_eq(fcntl(0, F_GETFD), -1); /* closed, not forgotten */
    dup2(saved, 0);
    close(saved);
}
END_TEST

START_TEST(cleanup_releases_all_and_may_be_called_again)
{
    unsigned int fds = open_fds();

    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    fx_wait(DEPTH);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(sk.destroys, 1);
    ck_assert_uint_eq(open_fds(), fds);
    ck_assert_ptr_null(fx.ioq.freelist);
    assert_dead(&fx.ioq, EBADF);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(sk.destroys, 1);
}
END_TEST

START_TEST(a_queue_can_be_set_up_again_after_cleanup)
{
    unsigned int turn;

    for (turn = 0; turn < 3; turn++) {
        fx_open(DEPTH);
        fx_write_n(DEPTH);
        ioq_submit(&fx.ioq);
        fx_wait(DEPTH);
        fx_close();
    }
}
END_TEST

/* P55: the buffers are the caller's again, after the kernel used them. */
START_TEST(cleanup_waits_for_what_the_kernel_works_on)
{
    unsigned int i;

    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    sk_complete_at(0);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(fx.completed, 0); /* nobody is called */
    for (i = 0; i < DEPTH; i++)
        ck_assert(fx_holds(i, &fx.requests[DEPTH - 1 - i]));
}
END_TEST

/* P46: freed once, also when the kernel refused them again and again. */
START_TEST(cleanup_drops_what_the_kernel_did_not_take)
{
    static const int answers[] = {2, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN};
    struct request *first;

    fx_open(DEPTH);
    sk_answers(answers, 5);
    first = fx_write(0);
    fx_write_n(DEPTH - 1);
    ck_assert_int_eq(ioq_submit(&fx.ioq), DEPTH);
    fx_run();
    ioq_submit(&fx.ioq);
    ck_assert_uint_eq(sk.taken, 2);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(sk.taken, 2);
    ck_assert_uint_eq(fx.completed, 0);
    ck_assert_ptr_eq(first->iocb.u.c.buf, &first->iov);
    ck_assert_ptr_eq(fx.requests[0].iocb.u.c.buf, &fx.requests[0].iov);
}
END_TEST

START_TEST(cleanup_with_requests_in_every_state)
{
    static const int answers[] = {SK_ALL, 1, -EAGAIN};

    fx_open(DEPTH);
    sk_answers(answers, 3);
    fx_bad(-EBADF);
    fx_write_n(3);
    ioq_submit(&fx.ioq); /* one refused; one in flight, two parked */
    fx_write_n(2);       /* queued, and the other two in the pool */
    ck_assert_uint_eq(sk_in_flight(), 1);
    ck_assert(fx_readable());
    ioq_cleanup(&fx.ioq);
    ioq_cleanup(&fx.ioq);
    ck_assert_uint_eq(fx.completed, 0);
}
END_TEST

/* The library's own records do not outlive the queue. */
START_TEST(donated_iocbs_are_the_callers_again)
{
    fx_open(DEPTH);
    fx_write_n(DEPTH);
    ioq_submit(&fx.ioq);
    ioq_cleanup(&fx.ioq);
    memset(fx.requests, 0xff, DEPTH * sizeof(*fx.requests));
    free(fx.requests);
    fx_open(2 * DEPTH);
    fx_write_n(2 * DEPTH);
    ioq_submit(&fx.ioq);
    fx_wait(2 * DEPTH);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase = fx_tcase("queue_init", &suite);

    tcase_add_test(tcase, the_pool_and_the_queue_start_empty);
    tcase_add_test(tcase, errno_is_0_after_ioq_init_succeeded);
    tcase_add_test(tcase, the_members_say_what_was_asked_for);
    tcase_add_test(tcase, the_notifier_is_one_nonblocking_cloexec_eventfd);
    tcase_add_test(tcase, a_copy_of_the_notifier_is_as_good);
    tcase_add_test(tcase, a_negative_fd_is_ebadf);
    tcase_add_test(tcase, a_depth_of_0_is_einval);
    tcase_add_test(tcase, a_depth_beyond_the_kernels_is_einval);
    tcase_add_test(tcase, each_error_of_io_setup_is_reported);
    tcase_add_test(tcase, no_descriptor_for_the_notifier_is_reported);
    tcase_add_test(tcase, no_memory_is_reported);
    tcase_add_test(tcase, an_all_zero_queue_is_a_dead_one);
    tcase_add_test(tcase, a_queue_that_failed_can_be_tried_again);
    tcase_add_test(tcase, descriptor_0_is_one_like_any_other);
    tcase_add_test(tcase, cleanup_releases_all_and_may_be_called_again);
    tcase_add_test(tcase, a_queue_can_be_set_up_again_after_cleanup);
    tcase_add_test(tcase, cleanup_waits_for_what_the_kernel_works_on);
    tcase_add_test(tcase, cleanup_drops_what_the_kernel_did_not_take);
    tcase_add_test(tcase, cleanup_with_requests_in_every_state);
    tcase_add_test(tcase, donated_iocbs_are_the_callers_again);
    return run_suite(suite);
}
