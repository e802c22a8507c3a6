/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that the handle does, under a filter of exactly the documented
 * system calls: the program itself needs two more, to say what failed and to
 * end.
 *
 *     engine_calls DOCUMENT ENGINE
 *
 * Run with a place (support/place.h).
 */
#include <fcntl.h>
#include <ioq/handle.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/place.h"
#include "../support/runner.h"
#include "../support/sandbox.h"

#define SECOND INT64_C(1000000000)
#define BLOCK 4096
#define MEBIBYTE (1 << 20)

static int failures;

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

#define expect(condition)                                  \
    do {                                                   \
        if (!(condition)) {                                \
            failures++;                                    \
            say("failed: " #condition "; " __FILE__ "\n"); \
        }                                                  \
    } while (0)

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

static void everything(enum ioq_engine engine, int fd, char *buf)
{
    const struct iovec memory = {buf, MEBIBYTE};
    struct ioq_options options = IOQ_OPTIONS_INIT;
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_handle *handle = NULL;
    int shared;

    for (shared = 0; shared < 2; shared++) {
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

int main(int argc, char **argv)
{
    enum ioq_engine engine = IOQ_ENGINE_AUTO;
    char *buf = aligned_alloc(BLOCK, MEBIBYTE);
    const char *path = getenv("IOQ_TEST_PLACE");
    int i, fd = open(path ? path : "",
                     O_RDWR | O_CLOEXEC | (place_is_direct() ? O_DIRECT : 0));

    for (i = 1; argc == 3 && ioq_engine_name((enum ioq_engine)i); i++)
        if (strcmp(ioq_engine_name((enum ioq_engine)i), argv[2]) == 0)
            engine = (enum ioq_engine)i;
    if (engine == IOQ_ENGINE_AUTO || !buf || fd < 0) {
        fprintf(stderr, "usage: place.sh KIND engine_calls DOCUMENT ENGINE\n");
        return 1;
    }
    memset(buf, 0, MEBIBYTE);
    if (ioq_engine_available(engine) < 0)
        return skip_all(ioq_last_error());
    if (sandbox_allow_documented(argv[1], argv[2], "exit_group") < 0)
        return 1;
    everything(engine, fd, buf);
    refusals(engine);
    return failures > 0;
}
