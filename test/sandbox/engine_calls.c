/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that the handle does, under a filter of exactly the documented
 * system calls: the program itself needs two more, to say what failed and to
 * end.
 *
 *     engine_calls DOCUMENT ENGINE [--missed]
 *
 * With --missed it does so once without each of them, and each time must be
 * killed for it: no call is listed that is not needed. Run with a place
 * (support/place.h).
 */
#include <fcntl.h>
#include <ioq/handle.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/place.h"
#include "../support/runner.h"
#include "../support/sandbox.h"
#include "calls.h"

#define SECOND INT64_C(1000000000)
#define BLOCK 4096
#define MEBIBYTE (1 << 20)

static int64_t finish(struct ioq_handle *handle)
{
    struct ioq_completion done = {NULL, INT64_MIN};

    expect(ioq_handle_wait(handle, &done, 1, 1, 20 * SECOND) == 1);
    return done.result;
}

/* At offsets that O_DIRECT takes, and at others. */
static void transfers(struct ioq_handle *handle, char *buf, uint32_t flags)
{
    int64_t offset;

    for (offset = 0; offset < 8 * BLOCK; offset += BLOCK - 1) {
        memset(buf, (int)offset & 0x7f, BLOCK);
        expect(!ioq_handle_write(handle, 0, buf, BLOCK, offset, flags, NULL));
        expect(finish(handle) == BLOCK);
        memset(buf, 0xff, BLOCK);
        expect(!ioq_handle_read(handle, 0, buf, BLOCK, offset, 0, NULL));
        expect(finish(handle) == BLOCK);
        expect(buf[1] == ((int)offset & 0x7f));
    }
}

static void ranges(struct ioq_handle *handle, uint32_t fua)
{
    int64_t result;

    expect(!ioq_handle_flush(handle, 0, 0, NULL));
    expect(finish(handle) == 0);
    expect(!ioq_handle_discard(handle, 0, MEBIBYTE, MEBIBYTE, fua, NULL));
    result = finish(handle);
    expect(result == 0 || result == -95);
    expect(!ioq_handle_write_zeroes(handle, 0, 0, MEBIBYTE, fua, NULL));
    expect(finish(handle) == 0);
    expect(!ioq_handle_write_zeroes(handle, 0, 100, MEBIBYTE,
                                    fua | IOQ_F_MAY_UNMAP, NULL));
    expect(finish(handle) == 0);
}

/* Many at a time, so that several workers start. */
static void crowd(struct ioq_handle *handle, char *buf)
{
    struct ioq_completion done[64];
    struct ioq_pending pending[64];
    uintptr_t i;

    for (i = 0; i < 64; i++)
        expect(!ioq_handle_write(handle, 0, buf + i * BLOCK, BLOCK,
                                 (int64_t)i * (BLOCK + 512), 0, (void *)i));
    expect(ioq_handle_submit(handle) == 64);
    expect(ioq_handle_pending(handle, pending, 64) >= 0);
    ioq_handle_cancel(handle, (void *)(uintptr_t)63);
    expect(ioq_handle_drain(handle, 20 * SECOND) == 0);
    expect(ioq_handle_reap(handle, done, 64) == 64);
}

/* The last block of a file is rewritten, and cut where the request ends. */
static void grow(struct ioq_handle *handle, char *buf)
{
    struct ioq_file_info info = {.size = sizeof(info)};

    expect(ioq_handle_file_info(handle, 0, &info) == 0);
    if (info.flags & IOQ_FILE_BLOCK_DEVICE)
        return;
    expect(!ioq_handle_write(handle, 0, buf, 100, info.length + 100, 0, NULL));
    expect(finish(handle) == 100);
}

static void everything(enum ioq_engine engine, int fd, char *buf)
{
    const struct iovec memory = {buf, MEBIBYTE};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_handle *handle = NULL;
    int shared;

    for (shared = 0; shared < 2; shared++) {
        /* Without the ring in user space it takes one call more. */
        setenv("IOQ_AIO_RING", shared ? "0" : "1", 1);
        options.engine = engine;
        options.depth = 64;
        options.flags = shared ? IOQ_OPT_SHARED : IOQ_OPT_NEVER_BLOCK;
        expect(ioq_engine_available(engine) == 0);
        expect(ioq_handle_open(&options, &handle) == 0);
        if (!handle)
            return;
        expect(ioq_handle_engine(handle) == engine);
        expect(ioq_handle_attach(handle, fd, 0) == 0);
        expect(ioq_handle_file_info(handle, 0, &info) == 0);
        expect(ioq_handle_register_memory(handle, &memory, 1) == 0);
        transfers(handle, buf, 0);
        transfers(handle, buf, IOQ_F_FUA);
        expect(ioq_handle_set_notify(handle, 0) == 0);
        ranges(handle, 0);
        ranges(handle, IOQ_F_FUA);
        crowd(handle, buf);
        grow(handle, buf);
        expect(ioq_handle_unregister_memory(handle) == 0);
        expect(ioq_handle_stats(handle, &stats) == 0);
        expect(ioq_handle_detach(handle, 0) == 0);
        ioq_handle_close(handle);
    }
}

/* What is refused is explained, and that reads from /proc. */
static void refusals(enum ioq_engine engine)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_handle *handle;

    options.engine = engine;
    options.flags = IOQ_OPT_SQPOLL;
    if (engine != IOQ_ENGINE_URING)
        expect(ioq_handle_open(&options, &handle) == -22);
    options.depth = UINT32_MAX;
    expect(ioq_handle_open(&options, &handle) == -22);
}

/*
 * Calls that are not missed on a kind of place. Each is on another one; but for
 * the first row: those the C libraries of other machines make, or the kernel
 * for itself, or what depends on which processor a thread is on.
 */
static const struct {
    const char *kind, *calls;
} not_missed[] = {
    {"", " clock_gettime clone fstat getcpu mremap newfstatat restart_syscall "
         "sched_yield "},
    {"ext4-direct", " ioctl openat pwritev2 "},
    {"loop4096", " ftruncate pwritev2 "},
    {"tmpfs", " ftruncate ioctl openat preadv statx "},
};

static bool may_be_missing(const char *name)
{
    unsigned int i;

    for (i = 0; i < sizeof(not_missed) / sizeof(not_missed[0]); i++) {
        const char *found = strstr(not_missed[i].calls, name);

        if (found && found[-1] == ' ' && found[strlen(name)] == ' ' &&
            (i == 0 || strcmp(not_missed[i].kind, place_kind()) == 0))
            return true;
    }
    return false;
}

/* Whether the calls but one suffice. Runs in a process of its own. */
static bool does_without(const int *numbers, int count, int missing,
                         enum ioq_engine engine, int fd, char *buf)
{
    int allowed[SANDBOX_CALLS_MAX], n = 0, i, status = 0;
    pid_t child = fork();

    if (child == 0) {
        for (i = 0; i < count; i++)
            if (numbers[i] != missing)
                allowed[n++] = numbers[i];
        allowed[n++] = sandbox_number("exit_group");
        if (sandbox_allow(allowed, (unsigned int)n) < 0)
            _exit(1);
        everything(engine, fd, buf);
        refusals(engine);
        _exit(0);
    }
    expect(child > 0 && waitpid(child, &status, 0) == child);
    return !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS;
}

static void miss_each(const char *document, enum ioq_engine engine, int fd,
                      char *buf)
{
    int numbers[SANDBOX_CALLS_MAX], i;
    int count = sandbox_documented(document, ioq_engine_name(engine), numbers);

    expect(count > 0);
    for (i = 0; i < count; i++) {
        const char *name = sandbox_name(numbers[i]);

        if (may_be_missing(name) ||
            !does_without(numbers, count, numbers[i], engine, fd, buf))
            continue;
        fprintf(stderr, "%s is listed and not needed\n", name);
        failures++;
    }
}

static enum ioq_engine engine_called(const char *name)
{
    int i;

    for (i = 1; ioq_engine_name((enum ioq_engine)i); i++)
        if (strcmp(ioq_engine_name((enum ioq_engine)i), name) == 0)
            return (enum ioq_engine)i;
    return IOQ_ENGINE_AUTO;
}

/* In another process: a first thread makes calls that later ones do not. */
static bool is_available(enum ioq_engine engine)
{
    int status = 1;
    pid_t child = fork();

    if (child == 0)
        _exit(ioq_engine_available(engine) < 0);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv)
{
    enum ioq_engine engine = engine_called(argc > 2 ? argv[2] : "");
    char *buf = aligned_alloc(BLOCK, MEBIBYTE);
    const char *path = getenv("IOQ_TEST_PLACE");
    int fd = open(path ? path : "",
                  O_RDWR | O_CLOEXEC | (place_is_direct() ? O_DIRECT : 0));

    if (engine == IOQ_ENGINE_AUTO || !buf || fd < 0) {
        fprintf(stderr, "usage: place.sh KIND engine_calls DOCUMENT ENGINE "
                        "[--missed]\n");
        return 1;
    }
    memset(buf, 0, MEBIBYTE);
    if (!is_available(engine))
        return skip_all("this engine is not to be had here");
    if (argc > 3) {
        miss_each(argv[1], engine, fd, buf);
        return failures > 0;
    }
    if (sandbox_allow_documented(argv[1], argv[2], "exit_group") < 0)
        return 1;
    everything(engine, fd, buf);
    refusals(engine);
    return failures > 0;
}
