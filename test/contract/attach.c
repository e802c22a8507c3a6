/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_attach and ioq_handle_detach. */
#include "contract.h"

#include <fcntl.h>
#include <sys/mman.h>

static struct ioq_handle *open_handle(void)
{
    struct ioq_options options = engine_options(8, 0);

    return patient_open(&options);
}

/*
 * "Attaches an open regular file or block device."
 * "Returns the file's number, the lowest that is free, counting from 0"
 */
TEST(attach_gives_the_lowest_number, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open();

    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 1);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 2);
    ck_assert_int_eq(ioq_handle_detach(handle, 1), 0);
    ck_assert_int_eq(ioq_handle_detach(handle, 0), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 1);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 3);
    ioq_handle_close(handle);
    close(fd);
}

/*
 * "fd stays the caller's, who keeps it open, and its O_DIRECT flag as it is,
 * until the file is detached or the handle closed."
 */
TEST(attach_leaves_the_descriptor_to_the_caller, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open();
    int flags = fcntl(fd, F_GETFL);

    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
    ck_assert_int_eq(ioq_handle_detach(handle, 0), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
    ck_assert_int_eq(close(fd), 0);
    ioq_handle_close(handle);
}

/* "flags is 0." "-EINVAL unknown flags" */
TEST(attach_knows_no_flags, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open();
    unsigned int bit;

    for (bit = 0; bit < 32; bit++)
        ck_assert_int_eq(ioq_handle_attach(handle, fd, 1u << bit), -EINVAL);
    ioq_handle_close(handle);
    close(fd);
}

/* "-EBADF fd is not open, or opened with O_PATH" */
TEST(attach_wants_an_open_file, "")
{
    struct ioq_handle *handle = open_handle();
    int path = open("/", O_PATH | O_CLOEXEC);

    ck_assert_int_ge(path, 0);
    ck_assert_int_eq(ioq_handle_attach(handle, path, 0), -EBADF);
    close(path);
    ck_assert_int_eq(ioq_handle_attach(handle, path, 0), -EBADF);
    ck_assert_int_eq(ioq_handle_attach(handle, -1, 0), -EBADF);
    ioq_handle_close(handle);
}

/*
 * "-EINVAL unknown flags; not a regular file or block device; O_APPEND, which
 * makes the kernel ignore offsets"
 */
TEST(attach_wants_a_file_or_a_block_device, "pipe2")
{
    struct ioq_handle *handle = open_handle();
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    int pipes[2];

    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, pipes[0], 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_attach(handle, folder, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_attach(handle, zero, 0), -EINVAL);
    ioq_handle_close(handle);
}

/* "O_APPEND, which makes the kernel ignore offsets" */
TEST(attach_refuses_append, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open();

    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), -EINVAL);
    ioq_handle_close(handle);
    close(fd);
}

/* "-ENFILE 1024 files are attached" */
TEST(attach_takes_1024_files, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open(), i;

    for (i = 0; i < 1024; i++)
        ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), i);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), -ENFILE);
    ck_assert_int_eq(ioq_handle_detach(handle, 1000), 0);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 1000);
    ioq_handle_close(handle);
    close(fd);
}

/*
 * "Looks at what it is and can, which may sleep." Nothing of the file changes
 * by that.
 */
TEST(attach_changes_nothing, "")
{
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    write_filled(&rig, 16 * BLOCK, 0, 4);
    for (i = 1; i < 10; i++)
        ck_assert_int_eq(ioq_handle_attach(rig.handle, rig.fd, 0), i);
    read_afresh(&rig, 16 * BLOCK, 0);
    ck_assert(is_filled(rig.buf, 16 * BLOCK, 4));
    ck_assert_int_eq(info_of(&rig, 0).length, PLACE_SIZE);
    rig_close(&rig);
}

/* "Detaches a file." "-EBADF if no such file is attached" */
TEST(detach_wants_a_file, "")
{
    struct ioq_handle *handle = open_handle();
    int fd = place_open();

    ck_assert_int_eq(ioq_handle_detach(handle, 0), -EBADF);
    ck_assert_int_eq(ioq_handle_attach(handle, fd, 0), 0);
    ck_assert_int_eq(ioq_handle_detach(handle, 1), -EBADF);
    ck_assert_int_eq(ioq_handle_detach(handle, -1), -EBADF);
    ck_assert_int_eq(ioq_handle_detach(handle, 1024), -EBADF);
    ck_assert_int_eq(ioq_handle_detach(handle, INT32_MAX), -EBADF);
    ck_assert_int_eq(ioq_handle_detach(handle, 0), 0);
    ck_assert_int_eq(ioq_handle_detach(handle, 0), -EBADF);
    ioq_handle_close(handle);
    close(fd);
}

/*
 * "-EBUSY while it has requests whose completion was not given out yet."
 */
TEST(detach_waits_for_no_request, "")
{
    struct ioq_completion done;
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL),
                     0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), -EBUSY);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), -EBUSY);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, &done, 1), 1);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), 0);
    rig_close(&rig);
}

/* "-EBUSY while it has requests" One that is stuck keeps only its own file. */
TEST(detach_goes_by_file, STUCK_CALLS)
{
    struct stuck stuck;
    struct rig rig;
    int other;

    rig_open(&rig, 8, 0);
    other = rig_attach_another(&rig, NULL);
    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    stuck_read(&stuck, &rig, 0, 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), -EBUSY);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, other), 0);
    stuck_end(&stuck, &rig);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), 0);
    rig_close(&rig);
}

/* "-EBADF no such file is attached" No request goes to the file of before. */
TEST(detach_takes_the_number_back, "")
{
    struct rig rig;
    int other = -1, number;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), 0);
    ck_assert_int_eq(ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL),
                     -EBADF);
    number = ioq_handle_attach(rig.handle, place_open_another(2), 0);
    ck_assert_int_eq(number, 0);
    write_filled(&rig, BLOCK, 8 * BLOCK, 5);
    other = ioq_handle_attach(rig.handle, rig.fd, 0);
    ck_assert_int_eq(other, 1);
    memset(rig.buf, 0, BLOCK);
    ck_assert_int_eq(do_read(&rig, other, rig.buf, BLOCK, 8 * BLOCK), BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 5) == place_is_block());
    rig_close(&rig);
}
