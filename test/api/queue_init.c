/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue comes up at any depth, or says why not and is safe to use all the
 * same (P11).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig.h"

static long read_sysctl(const char *path)
{
    FILE *file = fopen(path, "r");
    long value = -1;

    ck_assert_msg(file && fscanf(file, "%ld", &value) == 1, "%s", path);
    fclose(file);
    return value;
}

static void check_dead(IOQueue *ioq, int error)
{
    struct iovec iov = {NULL, 0};
    struct iocb iocb;

    ck_assert_int_eq(ioq_get_notifier(ioq)->rfd, -1);
    ck_assert_int_eq(ioq_get_notifier(ioq)->wfd, -1);
    ck_assert_int_eq(ioq_submit(ioq), error);
    ck_assert_uint_eq(ioq_num_queued(ioq), 0);
    ck_assert_int_eq(ioq_run_completion(ioq, rig_done, NULL), 0);
    errno = 0;
    ck_assert_ptr_null(ioq_get_iocb(ioq));
    ck_assert_int_eq(errno, -error);
    errno = 0;
    ck_assert_ptr_null(ioq_rdwr(ioq, true, &iov, 1, 0));
    ck_assert_int_eq(errno, -error);
    errno = 0;
    ioq_put_iocb(ioq, &iocb);
    ck_assert_int_eq(errno, -error);
    ioq_cleanup(ioq);
    ioq_cleanup(ioq);
}

START_TEST(a_negative_fd_is_ebadf)
{
    IOQueue ioq;

    memset(&ioq, 0xa5, sizeof(ioq));
    ck_assert_int_eq(ioq_try_init(&ioq, -1, 8), -EBADF);
    check_dead(&ioq, -EBADF);
}
END_TEST

START_TEST(a_depth_of_zero_is_einval)
{
    IOQueue ioq;

    memset(&ioq, 0xa5, sizeof(ioq));
    ck_assert_int_eq(ioq_try_init(&ioq, 0, 0), -EINVAL);
    check_dead(&ioq, -EINVAL);
}
END_TEST

START_TEST(a_depth_beyond_fs_aio_max_nr_is_eagain)
{
    long most = read_sysctl("/proc/sys/fs/aio-max-nr");
    IOQueue ioq;

    /* From some 8 million on, the kernel says that no sysctl would help. */
    if (most >= 0x10000000 / (long)sizeof(struct io_event))
        most = 0x10000000 / (long)sizeof(struct io_event) - 1;
    memset(&ioq, 0xa5, sizeof(ioq));
    ck_assert_int_eq(ioq_try_init(&ioq, 0, (unsigned int)most + 1), -EAGAIN);
    check_dead(&ioq, -EAGAIN);
}
END_TEST

START_TEST(a_depth_that_no_kernel_serves_is_an_error)
{
    static const unsigned int depths[] = {1u << 24, INT_MAX, 1u << 31,
                                          UINT_MAX};
    unsigned int i;

    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        IOQueue ioq;
        int rc = ioq_try_init(&ioq, 0, depths[i]);

        ck_assert_msg(rc == -EINVAL || rc == -ENOMEM, "%u: %d", depths[i], rc);
        check_dead(&ioq, rc);
    }
}
END_TEST

START_TEST(init_sets_errno_to_zero_or_the_reason)
{
    IOQueue ioq;

    errno = ERANGE;
    ioq_init(&ioq, -1, 8);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(patient_init(&ioq, 0, 8), 0);
    ioq_cleanup(&ioq);
}
END_TEST

struct run {
    char *data;
    unsigned int depth, completed;
    struct iocb *iocbs;
};

static void count_right_ones(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct run *run = opaque;

    ck_assert_int_eq(ret, 1);
    ck_assert_ptr_nonnull(iocb);
    run->completed++;
}

/* One byte each, all in one batch, of a file in the page cache. */
static void use_whole_depth(IOQueue *ioq, struct run *run)
{
    struct iovec *iov = calloc(run->depth, sizeof(*iov));
    unsigned int i;

    for (i = 0; i < run->depth; i++)
        ioq_put_iocb(ioq, &run->iocbs[i]);
    for (i = 0; i < run->depth; i++) {
        iov[i] = (struct iovec){run->data + i, 1};
        ck_assert_ptr_nonnull(ioq_rdwr(ioq, true, &iov[i], 1, i));
    }
    ck_assert_ptr_null(ioq_get_iocb(ioq));
    ck_assert_int_eq(ioq_submit(ioq), (int)run->depth);
    free(iov);
    while (run->completed < run->depth)
        ioq_run_completion(ioq, count_right_ones, run);
    ck_assert_uint_eq(run->completed, run->depth);
}

static int numbered_file(unsigned int size, char *ret_data)
{
    char name[] = "ioq-init.XXXXXX";
    int fd = mkstemp(name);
    unsigned int i;

    ck_assert_int_ge(fd, 0);
    unlink(name);
    for (i = 0; i < size; i++)
        ret_data[i] = (char)(i * 2654435761u >> 24);
    ck_assert_int_eq(write(fd, ret_data, size), size);
    return fd;
}

/*
 * The largest may be all that fs.aio-max-nr admits. If others have some of that
 * then the answer is EAGAIN, and rightly so; they are not waited for.
 */
static void try_depth(unsigned int depth)
{
    long most = read_sysctl("/proc/sys/fs/aio-max-nr");
    struct run run = {calloc(depth, 1), depth, 0,
                      calloc(depth, sizeof(struct iocb))};
    char *expected = malloc(depth);
    int fd = numbered_file(depth, expected), rc;
    IOQueue ioq;

    rc = (long)depth > most / 2 ? ioq_try_init(&ioq, fd, depth)
                                : patient_init(&ioq, fd, depth);
    if (rc == 0) {
        use_whole_depth(&ioq, &run);
        ck_assert_mem_eq(run.data, expected, depth);
        ioq_cleanup(&ioq);
    } else {
        ck_assert_int_eq(rc, -EAGAIN);
        ck_assert_int_gt(depth, most / 2);
        check_dead(&ioq, rc);
    }
    close(fd);
    free(expected);
    free(run.iocbs);
    free(run.data);
}

START_TEST(every_depth_from_1_to_65536_works)
{
    static const unsigned int depths[] = {1,    2,    3,     7,     63,   64,
                                          65,   255,  1024,  4095,  4096, 4097,
                                          8192, 9999, 32768, 65535, 65536};
    unsigned int i;

    choose_ring(_i);
    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
        try_depth(depths[i]);
}
END_TEST

static void *try_largest(void *opaque)
{
    try_depth(65536);
    return opaque;
}

/* P5: on a thread of an emulator's, which has not much of a stack. */
START_TEST(the_largest_depth_needs_little_stack)
{
    pthread_attr_t attr;
    pthread_t thread;

    choose_ring(_i);
    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, 256 << 10), 0);
    ck_assert_int_eq(pthread_create(&thread, &attr, try_largest, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
}
END_TEST

static void run_out_of_descriptors(void)
{
    struct rlimit none = {0, 0};
    IOQueue ioq;

    require(setrlimit(RLIMIT_NOFILE, &none) == 0);
    require(ioq_try_init(&ioq, 0, 8) == -EMFILE);
    require(ioq_submit(&ioq) == -EMFILE);
    ioq_cleanup(&ioq);
}

START_TEST(no_descriptor_left_is_emfile)
{
    run_in_child(run_out_of_descriptors);
}
END_TEST

/* Makes io_setup fail with the error, as a sandbox would. */
static void forbid_io_setup(unsigned int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void init_in_sandbox(unsigned int error)
{
    int lowest = dup(0), again;
    IOQueue ioq;

    forbid_io_setup(error);
    require(ioq_try_init(&ioq, 0, 8) == -(int)error);
    require(ioq_submit(&ioq) == -(int)error);
    ioq_cleanup(&ioq);
    again = dup(0);
    require(again == lowest + 1); /* no descriptor was lost */
}

static void sandbox_eperm(void)
{
    init_in_sandbox(EPERM);
}

static void sandbox_enosys(void)
{
    init_in_sandbox(ENOSYS);
}

START_TEST(a_sandbox_that_forbids_aio_is_eperm_or_enosys)
{
    run_in_child(sandbox_eperm);
    run_in_child(sandbox_enosys);
}
END_TEST

static void use_without_standard_streams(void)
{
    char block[16] = "", expected[16];
    struct run run = {block, sizeof(block), 0, NULL};
    struct iocb iocbs[sizeof(block)];
    int fd = numbered_file(sizeof(expected), expected);
    IOQueue ioq;

    run.iocbs = iocbs;
    require(fd > 2);
    require(close(0) == 0 && close(1) == 0 && close(2) == 0);
    require(patient_init(&ioq, fd, sizeof(block)) == 0);
    require(event_notifier_get_fd(ioq_get_notifier(&ioq)) == 0);
    use_whole_depth(&ioq, &run);
    require(memcmp(block, expected, sizeof(block)) == 0);
    require(event_notifier_set(ioq_get_notifier(&ioq)) == 0);
    require(event_notifier_test_and_clear(ioq_get_notifier(&ioq)) == 1);
    ioq_cleanup(&ioq);
    require(fcntl(0, F_GETFD) == -1 && errno == EBADF);
}

/* P35 */
START_TEST(descriptor_0_serves_as_notifier)
{
    run_in_child(use_without_standard_streams);
}
END_TEST

START_TEST(the_notifier_is_one_nonblocking_close_on_exec_eventfd)
{
    IOQueue ioq;
    EventNotifier copy;

    ck_assert_int_eq(patient_init(&ioq, 0, 1), 0);
    copy = *ioq_get_notifier(&ioq);
    ck_assert_int_eq(copy.rfd, copy.wfd);
    ck_assert_int_ne(fcntl(copy.rfd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_ne(fcntl(copy.rfd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(event_notifier_test_and_clear(&copy), 0);
    ck_assert_int_eq(event_notifier_set(&copy), 0);
    ck_assert_int_eq(event_notifier_test_and_clear(&ioq.io_notifier), 1);
    ioq_cleanup(&ioq);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("init");

    tcase_add_test(tcase, a_negative_fd_is_ebadf);
    tcase_add_test(tcase, a_depth_of_zero_is_einval);
    tcase_add_test(tcase, a_depth_beyond_fs_aio_max_nr_is_eagain);
    tcase_add_test(tcase, a_depth_that_no_kernel_serves_is_an_error);
    tcase_add_test(tcase, init_sets_errno_to_zero_or_the_reason);
    add_ring_test(tcase, every_depth_from_1_to_65536_works);
    add_ring_test(tcase, the_largest_depth_needs_little_stack);
    tcase_add_test(tcase, no_descriptor_left_is_emfile);
    tcase_add_test(tcase, a_sandbox_that_forbids_aio_is_eperm_or_enosys);
    tcase_add_test(tcase, descriptor_0_serves_as_notifier);
    tcase_add_test(tcase,
                   the_notifier_is_one_nonblocking_close_on_exec_eventfd);
    return run_case("queue_init", tcase);
}
