/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * consumer FILE: writes FILE through both interfaces of the installed library
 * and reads it back. Prints the engine that the handle chose.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <ioq.h>
#include <ioq/handle.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, int error)
{
    fprintf(stderr, "consumer: %s: %d (%s)\n", what, error, ioq_last_error());
    return 1;
}

static int check(int fd, const char *expected)
{
    char text[32] = "";

    if (pread(fd, text, sizeof(text) - 1, 0) < 0)
        return fail("pread", errno);
    if (strcmp(text, expected) != 0)
        return fail(text, 0);
    return 0;
}

static int use_handle(int fd, char *text)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_completion done = {NULL, -1};
    struct ioq_handle *handle;
    int file, rc = ioq_handle_open(&options, &handle);

    if (rc < 0)
        return fail("ioq_handle_open", rc);
    printf("engine: %s\n", ioq_engine_name(ioq_handle_engine(handle)));
    file = ioq_handle_attach(handle, fd, 0);
    rc = ioq_handle_write(handle, file, text, strlen(text), 0, 0, &done);
    if (rc < 0)
        return fail("ioq_handle_write", rc);
    rc = ioq_handle_wait(handle, &done, 1, 1, -1);
    ioq_handle_close(handle);
    if (rc != 1 || done.user_data != &done || done.result != (int)strlen(text))
        return fail("ioq_handle_wait", rc);
    return check(fd, text);
}

static void request_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    (void)iocb;
    *(ssize_t *)opaque = ret;
}

static int use_queue(int fd, char *text)
{
    struct iovec iov;
    struct iocb iocb;
    struct pollfd poll_fd;
    ssize_t result = -1;
    IOQueue ioq;
    int rc = ioq_try_init(&ioq, fd, 1);

    if (rc == -ENOSYS || rc == -EPERM) {
        printf("queue: refused, no Linux AIO here\n");
        return ioq_submit(&ioq) == rc ? 0 : fail("ioq_submit", rc);
    }
    if (rc < 0)
        return fail("ioq_try_init", rc);
    iov.iov_base = text;
    iov.iov_len = strlen(text);
    ioq_put_iocb(&ioq, &iocb);
    ioq_rdwr(&ioq, false, &iov, 1, 0);
    if (ioq_num_queued(&ioq) != 1 || ioq_submit(&ioq) != 1)
        return fail("ioq_submit", 0);
    poll_fd.fd = event_notifier_get_fd(ioq_get_notifier(&ioq));
    poll_fd.events = POLLIN;
    poll(&poll_fd, 1, -1);
    event_notifier_test_and_clear(ioq_get_notifier(&ioq));
    ioq_run_completion(&ioq, request_done, &result);
    ioq_cleanup(&ioq);
    if (result != (ssize_t)strlen(text))
        return fail("ioq_run_completion", (int)result);
    printf("queue: works\n");
    return check(fd, text);
}

int main(int argc, char **argv)
{
    char first[] = "by the handle", second[] = "BY THE QUEUE!";
    int fd;

    if (argc != 2)
        return fail("one argument: a file", 0);
    fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return fail(argv[1], errno);
    if (ioq_version() < IOQ_VERSION)
        return fail("the library is older than its header", (int)ioq_version());
    return use_handle(fd, first) || use_queue(fd, second);
}
