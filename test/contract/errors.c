/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes for all functions: results, errno, words. */
#include "contract.h"

/* What no call sets errno to. */
#define MARK 4711

/* Whether errno is as it was before the call. */
static bool kept(int rc)
{
    bool same = errno == MARK;

    (void)rc;
    errno = MARK;
    return same;
}

static void queue_all(struct rig *rig)
{
    struct ioq_handle *h = rig->handle;
    const struct iovec iov = {rig->buf, BLOCK};

    errno = MARK;
    ck_assert(kept(ioq_handle_read(h, 0, rig->buf + 1, 100, 1, 0, NULL)));
    ck_assert(kept(ioq_handle_write(h, 0, rig->buf + 200, 100, 1001, 0, NULL)));
    ck_assert(kept(ioq_handle_readv(h, 0, &iov, 1, 2 * BLOCK, 0, NULL)));
    ck_assert(kept(ioq_handle_writev(h, 0, &iov, 1, 3 * BLOCK, 0, NULL)));
    ck_assert(kept(ioq_handle_flush(h, 0, 0, NULL)));
    ck_assert(kept(ioq_handle_discard(h, 0, 8 * BLOCK, BLOCK, 0, NULL)));
    ck_assert(kept(ioq_handle_write_zeroes(h, 0, 9 * BLOCK, BLOCK, 0, NULL)));
    ck_assert(kept(ioq_handle_write_zeroes(h, 0, 10 * BLOCK, BLOCK,
                                           IOQ_F_NO_FALLBACK, NULL)));
    ck_assert(kept(ioq_handle_cancel(h, h)));
    ck_assert(kept(ioq_handle_submit(h)));
}

static void nothing(void *user_data, int64_t result, void *opaque)
{
    (void)user_data;
    (void)result;
    (void)opaque;
}

/* "No function changes errno itself." */
TEST(errors_errno_is_left_alone, "")
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_completion done[8];
    struct ioq_pending pending[8];
    struct iovec iov;
    struct rig rig;

    rig_open(&rig, 8, 0);
    iov = (struct iovec){rig.buf, MIB};
    errno = MARK;
    ck_assert(kept(ioq_engine_available(engine)));
    ck_assert(kept(ioq_handle_attach(rig.handle, rig.fd, 0)));
    ck_assert(kept(ioq_handle_detach(rig.handle, 1)));
    ck_assert(kept(ioq_handle_register_memory(rig.handle, &iov, 1)));
    queue_all(&rig);
    ck_assert(kept(ioq_handle_wait(rig.handle, done, 2, 2, LONG)));
    ck_assert(kept(ioq_handle_wait(rig.handle, done, 2, 2, 0)));
    ck_assert(kept(ioq_handle_reap(rig.handle, done, 1)));
    ck_assert(kept(ioq_handle_run_completion(rig.handle, nothing, NULL)));
    ck_assert(kept(ioq_handle_pending(rig.handle, pending, 8)));
    ck_assert(kept(ioq_handle_drain(rig.handle, LONG)));
    ck_assert(kept(ioq_handle_set_notify(rig.handle, 0)));
    ck_assert(kept(ioq_handle_set_notify(rig.handle, 1)));
    ck_assert(kept(ioq_handle_unregister_memory(rig.handle)));
    ck_assert(kept(ioq_handle_file_info(rig.handle, 0, &info)));
    ck_assert(kept(ioq_handle_stats(rig.handle, &stats)));
    ck_assert(kept(ioq_handle_fd(rig.handle)));
    ck_assert(kept((int)ioq_handle_engine(rig.handle)));
    ck_assert(kept(ioq_last_error() == NULL));
    ioq_handle_close(rig.handle);
    ck_assert(kept(0));
    close(rig.fd);
    free(rig.buf);
}

/* "No function changes errno itself." Nor those that fail. */
TEST(errors_errno_is_left_alone_by_failures, "")
{
    struct ioq_options options = engine_options(8, 1u << 31);
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_handle *handle;
    struct rig rig;

    errno = MARK;
    ck_assert(kept(ioq_handle_open(&options, &handle)));
    options = engine_options(65536, 0);
    options.max_segments = 65536;
    if (sizeof(size_t) < 8)
        ck_assert(kept(ioq_handle_open(&options, &handle)));
    ck_assert(kept(ioq_engine_available((enum ioq_engine)77)));
    rig_open(&rig, 8, 0);
    errno = MARK;
    ck_assert(kept(ioq_handle_attach(rig.handle, -1, 0)));
    ck_assert(kept(ioq_handle_attach(rig.handle, 999, 0)));
    ck_assert(kept(ioq_handle_detach(rig.handle, 999)));
    ck_assert(kept(ioq_handle_file_info(rig.handle, 3, &info)));
    close(rig.fd);
    errno = MARK;
    ck_assert(kept(ioq_handle_file_info(rig.handle, 0, &info)));
    ck_assert(kept(ioq_handle_read(rig.handle, 0, rig.buf, BLOCK, 0, 0, NULL)));
    ck_assert(kept(ioq_handle_submit(rig.handle)));
    ck_assert(kept(ioq_handle_drain(rig.handle, LONG)));
    ioq_handle_close(rig.handle);
    ck_assert(kept(0));
    free(rig.buf);
}

/* "Requests that the kernel fails complete with their own -errno instead." */
TEST(errors_of_requests_come_with_completions, "")
{
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(do_read(&rig, 0, (void *)(uintptr_t)BLOCK, BLOCK, 0),
                     -EFAULT);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
    rig_close(&rig);
}
