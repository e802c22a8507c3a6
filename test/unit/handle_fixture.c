/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handle_fixture.h"

struct ioq_handle *hx;
unsigned char hx_buf[LENGTH] __attribute__((aligned(4096)));

void hx_open(unsigned int depth, unsigned int workers)
{
    struct ioq_options options = IOQ_OPTIONS_INIT;

    if (sf.info.length == 0)
        sf_reset(LENGTH);
    options.engine = IOQ_ENGINE_AIO;
    options.depth = depth;
    options.workers = workers;
    ck_assert_int_eq(ioq_handle_open(&options, &hx), 0);
    ck_assert_int_eq(ioq_handle_attach(hx, sk.fd, 0), 0);
}

void hx_close(void)
{
    ioq_handle_close(hx);
    hx = NULL;
}

void hx_teardown(void)
{
    faults_reset();
    hx_close();
    sk_reset();
    sf_reset(0);
}

void hx_read(void *buf, uint64_t len, int64_t offset)
{
    ck_assert_int_eq(ioq_handle_read(hx, 0, buf, len, offset, 0, buf), 0);
}

void hx_write(const void *buf, uint64_t len, int64_t offset, uint32_t flags)
{
    ck_assert_int_eq(ioq_handle_write(hx, 0, buf, len, offset, flags,
                                      (void *)(uintptr_t)buf),
                     0);
}

void hx_zero(int64_t offset, uint64_t len, uint32_t flags)
{
    ck_assert_int_eq(ioq_handle_write_zeroes(hx, 0, offset, len, flags, NULL),
                     0);
}

void hx_discard(int64_t offset, uint64_t len)
{
    ck_assert_int_eq(ioq_handle_discard(hx, 0, offset, len, 0, NULL), 0);
}

void hx_flush(void)
{
    ck_assert_int_eq(ioq_handle_flush(hx, 0, 0, NULL), 0);
}

/* Each request has at most one attempt in the kernel, so this is enough. */
static unsigned int take(struct ioq_completion *ret, unsigned int count)
{
    unsigned int n = 0;
    int rc;

    ck_assert_int_ge(ioq_handle_submit(hx), 0);
    sk_complete_all();
    while (n < count) {
        rc = ioq_handle_wait(hx, ret + n, 1, count - n, TOO_LONG);
        ck_assert_msg(rc > 0, "no completion after %u of %u", n, count);
        n += (unsigned int)rc;
        sk_complete_all();
    }
    return n;
}

int64_t hx_result(void)
{
    struct ioq_completion completion;

    take(&completion, 1);
    ck_assert_int_eq(ioq_handle_pending(hx, NULL, 0), 0);
    ck_assert_int_eq(ioq_handle_reap(hx, &(struct ioq_completion){0}, 1), 0);
    return completion.result;
}

int64_t hx_results(unsigned int count)
{
    struct ioq_completion completions[256];
    int64_t sum = 0;
    unsigned int i;

    take(completions, count);
    for (i = 0; i < count; i++) {
        ck_assert_int_ge(completions[i].result, 0);
        sum += completions[i].result;
    }
    ck_assert_int_eq(ioq_handle_pending(hx, NULL, 0), 0);
    return sum;
}

int64_t hx_read_now(void *buf, uint64_t len, int64_t offset)
{
    hx_read(buf, len, offset);
    return hx_result();
}

int64_t hx_write_now(const void *buf, uint64_t len, int64_t offset,
                     uint32_t flags)
{
    hx_write(buf, len, offset, flags);
    return hx_result();
}

int hx_no_nowait(const struct sf_transfer *transfer)
{
    return transfer->flags & RWF_NOWAIT ? -EOPNOTSUPP : SF_ALL;
}

struct ioq_stats hx_stats(void)
{
    struct ioq_stats stats = {.size = sizeof(stats)};

    ck_assert_int_eq(ioq_handle_stats(hx, &stats), 0);
    return stats;
}

uint32_t hx_file_flags(void)
{
    struct ioq_file_info info = {.size = sizeof(info)};

    ck_assert_int_eq(ioq_handle_file_info(hx, 0, &info), 0);
    return info.flags;
}

void hx_pattern(void)
{
    size_t i;

    for (i = 0; i < LENGTH; i++) {
        sk_disk[i] = (unsigned char)(1 + (i * 7 + i / BLOCK) % 200);
        hx_buf[i] = (unsigned char)(201 + (i * 3 + i / BLOCK) % 50);
    }
}

TCase *hx_tcase(const char *name, Suite **ret_suite)
{
    TCase *tcase = tcase_create("all");

    *ret_suite = suite_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, NULL, hx_teardown);
    suite_add_tcase(*ret_suite, tcase);
    return tcase;
}
