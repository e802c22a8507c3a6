/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_here(long size)
{
    char name[] = "ioq-place.XXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    return fd;
}

static int open_flags(void)
{
    return O_RDWR | O_CLOEXEC | (place_is_direct() ? O_DIRECT : 0);
}

int place_open(void)
{
    const char *path = getenv("IOQ_TEST_PLACE");
    int fd;

    if (!path)
        return open_here(PLACE_SIZE);
    fd = open(path, open_flags());
    ck_assert_msg(fd >= 0, "%s: error %d", path, errno);
    return fd;
}

int place_open_another(unsigned int number)
{
    const char *path = getenv("IOQ_TEST_PLACE");
    const char *others = getenv("IOQ_TEST_PLACE_OTHERS");
    char name[4096];
    struct stat st;
    int fd;

    if (!path)
        return open_here(0);
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        return place_open();
    snprintf(name, sizeof(name), "%s.%u", others ? others : path, number);
    fd = open(name, open_flags() | O_CREAT | O_TRUNC, 0600);
    ck_assert_msg(fd >= 0, "%s: error %d", name, errno);
    return fd;
}

const char *place_kind(void)
{
    const char *kind = getenv("IOQ_TEST_PLACE_KIND");

    return kind ? kind : "here";
}

bool place_is_direct(void)
{
    const char *direct = getenv("IOQ_TEST_PLACE_DIRECT");

    return direct && strcmp(direct, "1") == 0;
}

void place_fill(int fd, const void *data, long size)
{
    ck_assert_int_eq(pwrite(fd, data, (size_t)size, 0), size);
}

void *place_buffer(long size)
{
    void *buffer = NULL;

    ck_assert_int_eq(posix_memalign(&buffer, PLACE_BLOCK, (size_t)size), 0);
    memset(buffer, 0, (size_t)size);
    return buffer;
}
