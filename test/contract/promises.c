/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the header's sentences come to together. Each test does what an emulator
 * does, with all kinds of requests at once.
 */
#include "late.h"

#include "../support/sandbox.h"

static unsigned int pick(unsigned int below)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(state >> 33) % below;
}

#define FILES RIG_OTHERS_MAX

/*
 * "one queue for many files" Requests of many are under way at a time, and each
 * goes to its own.
 */
TEST(promise_many_files, "")
{
    int files[FILES], i, k;
    struct ioq_completion done[2 * FILES];
    struct rig rig;

    rig_open(&rig, 2 * FILES, 0);
    for (i = 0; i < FILES; i++)
        files[i] = rig_attach_another(&rig, NULL);
    for (k = 0; k < 4; k++)
        for (i = 0; i < FILES; i++) {
            /* A block device is always the same one. */
            unsigned char *buf = rig.buf + (4 * i + k) * BLOCK;

            fill(buf, BLOCK, (unsigned int)(100 * i + k));
            ck_assert_int_eq(ioq_handle_write(rig.handle, files[i], buf, BLOCK,
                                              (4 * i + k) * BLOCK, 0, NULL),
                             0);
            if (i == FILES - 1)
                take(&rig, done, FILES);
        }
    memset(rig.buf, 0, 4 * FILES * BLOCK);
    for (k = 0; k < 4; k++)
        for (i = 0; i < FILES; i++)
            ck_assert_int_eq(do_read(&rig, files[i],
                                     rig.buf + (4 * i + k) * BLOCK, BLOCK,
                                     (4 * i + k) * BLOCK),
                             BLOCK);
    for (k = 0; k < 4; k++)
        for (i = 0; i < FILES; i++)
            ck_assert(is_filled(rig.buf + (4 * i + k) * BLOCK, BLOCK,
                                (unsigned int)(100 * i + k)));
    for (i = 0; i < FILES; i++)
        ck_assert_int_eq(ioq_handle_detach(rig.handle, files[i]), 0);
    rig_close(&rig);
}

static int queue_any(struct rig *rig, int i, void *user_data)
{
    struct ioq_handle *h = rig->handle;
    unsigned char *buf = rig->buf + i % 256 * BLOCK;
    int64_t offset = (200 + i) * BLOCK;

    switch (i % 7) {
    case 0:
        return ioq_handle_read(h, 0, buf, BLOCK, offset, 0, user_data);
    case 1:
        return ioq_handle_write(h, 0, buf, BLOCK, offset, 0, user_data);
    case 2:
        return ioq_handle_write(h, 0, buf, BLOCK, offset, IOQ_F_FUA, user_data);
    case 3:
        return ioq_handle_flush(h, 0, 0, user_data);
    case 4:
        return ioq_handle_discard(h, 0, offset, BLOCK, 0, user_data);
    case 5:
        return ioq_handle_write_zeroes(h, 0, offset, BLOCK, 0, user_data);
    default:
        return ioq_handle_write(h, 0, buf + 7, 100, offset + 9, 0, user_data);
    }
}

/*
 * "Submitting does not sleep: what the kernel cannot do at once goes to worker
 * threads of the handle." All of these are stuck, so that a caller who waited
 * for one would wait for ever.
 */
TEST(promise_submitting_does_not_sleep, STUCK_CALLS)
{
    struct ioq_options options = engine_options(128, 0);
    struct ioq_completion done[72];
    struct stuck stuck[2];
    struct rig rig;
    int i;

    options.workers = 2;
    rig_open_with(&rig, &options);
    for (i = 0; i < 2; i++) {
        if (!stuck_open(&stuck[i]))
            SKIP("no userfaultfd");
        stuck_read(&stuck[i], &rig, 0, (8 + i) * MIB);
    }
    for (i = 0; i < 70; i++) {
        ck_assert_int_eq(queue_any(&rig, i, NULL), 0);
        ck_assert_int_eq(ioq_handle_submit(rig.handle), 1);
    }
    ck_assert_int_ge(ioq_handle_pending(rig.handle, NULL, 0), 2);
    for (i = 0; i < 2; i++)
        stuck_let_go(&stuck[i]);
    take(&rig, done, 72);
    for (i = 0; i < 2; i++)
        stuck_close(&stuck[i]);
    rig_close(&rig);
}

#define ROUNDS 200
#define DEPTH 32

static int queue_or_fail(struct rig *rig, int i, int *out)
{
    /* The kernel finds the buffer missing. */
    void *bad = (void *)(uintptr_t)BLOCK;

    if (pick(8) == 0)
        return ioq_handle_read(rig->handle, 0, bad, BLOCK, 0, 0, out);
    return queue_any(rig, i, out);
}

static int see_all(const struct ioq_completion *done, int n, int *outs)
{
    int i;

    for (i = 0; i < n; i++) {
        int *out = done[i].user_data;

        ck_assert(out >= outs && out < outs + ROUNDS);
        ck_assert_int_eq((*out)--, 1);
    }
    return n;
}

/*
 * "Every request that was accepted completes exactly once, whatever the kernel
 * does." "-EAGAIN depth requests were accepted and not yet given out: reap
 * first" At random, with failures and cancels.
 */
TEST(promise_each_completes_once, "")
{
    struct ioq_completion done[DEPTH];
    int outs[ROUNDS] = {0}, i = 0, out = 0, rc;
    struct rig rig;

    rig_open(&rig, DEPTH, 0);
    while (i < ROUNDS) {
        rc = queue_or_fail(&rig, i, &outs[i]);
        ck_assert_int_eq(rc, out == DEPTH ? -EAGAIN : 0);
        if (rc == 0) {
            outs[i++] = 1;
            out++;
        }
        if (pick(6) == 0)
            ck_assert_int_ge(ioq_handle_submit(rig.handle), 0);
        if (pick(6) == 0 && i > 0)
            ioq_handle_cancel(rig.handle,
                              &outs[i - 1 - (int)pick((unsigned)i)]);
        if (rc == 0 && pick(6) > 0)
            continue;
        rc = ioq_handle_wait(rig.handle, done, out > 0, 1 + pick(DEPTH), LONG);
        ck_assert_int_ge(rc, out > 0);
        out -= see_all(done, rc, outs);
    }
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    if (out > 0)
        ck_assert_int_eq(
            see_all(done, ioq_handle_reap(rig.handle, done, DEPTH), outs), out);
    for (i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(outs[i], 0);
    rig_close(&rig);
}

/* The requests that are under way together share no byte of it. */
#define AREA (64 * KIB)
#define PIECES 12

static unsigned char model[AREA];

static void change_some(struct rig *rig)
{
    struct ioq_completion done[PIECES];
    struct iovec iov[2];
    unsigned int at = 0, n = 0;

    while (n < PIECES && at < AREA - 6000) {
        unsigned int from = at + pick(700), len = 2 + pick(5000), first;

        at = from + len;
        if (pick(4) == 0) {
            memset(model + from, 0, len);
            ck_assert_int_eq(
                ioq_handle_write_zeroes(rig->handle, 0, from, len,
                                        pick(2) ? IOQ_F_MAY_UNMAP : 0, NULL),
                0);
        } else {
            fill(model + from, len, pick(1000));
            first = 1 + pick(len - 1);
            memcpy(rig->buf + from, model + from, len);
            iov[0] = (struct iovec){rig->buf + from, first};
            iov[1] = (struct iovec){rig->buf + from + first, len - first};
            ck_assert_int_eq(ioq_handle_writev(rig->handle, 0, iov, 2, from,
                                               pick(3) ? 0 : IOQ_F_FUA, NULL),
                             0);
            /* The array is copied, so that it does not matter any more. */
            memset(iov, 0xff, sizeof(iov));
        }
        n++;
    }
    take(rig, done, n);
    while (n-- > 0)
        ck_assert_int_ge(done[n].result, 0);
}

static void compare(struct rig *rig)
{
    unsigned int from = pick(AREA / 2), len = 1 + pick(AREA / 2);
    unsigned char *buf = rig->buf + MIB / 2 + pick(9);

    memset(buf, 0xee, len + 1);
    ck_assert_int_eq(do_read(rig, 0, buf, len, from), len);
    ck_assert(memcmp(buf, model + from, len) == 0);
    ck_assert(buf[len] == 0xee);
}

/*
 * "Any alignment will do; what O_DIRECT would refuse is copied through a buffer
 * of the library's." "Parts of blocks are written by reading and rewriting the
 * block." "The array iov is copied: it may be reused at once." At random,
 * against a model.
 */
TEST(promise_any_alignment, "")
{
    struct rig rig;
    int round;

    rig_open(&rig, DEPTH, 0);
    fill(model, AREA, 1);
    memcpy(rig.buf, model, AREA);
    ck_assert_int_eq(do_write(&rig, 0, rig.buf, AREA, 0, 0), AREA);
    for (round = 0; round < 15; round++) {
        change_some(&rig);
        compare(&rig);
    }
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, AREA, 0), AREA);
    ck_assert(memcmp(rig.buf, model, AREA) == 0);
    rig_close(&rig);
}

/*
 * "buf belongs to the library until the request has completed." And no longer:
 * what becomes of it then changes nothing.
 */
TEST(promise_buffers_come_back, "")
{
    unsigned char *buf;
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 20; i++) {
        buf = place_buffer(4 * BLOCK);
        fill(buf, 4 * BLOCK, (unsigned int)i);
        ck_assert_int_eq(do_write(&rig, 0, buf + i % 2, 2 * BLOCK, i, 0),
                         2 * BLOCK);
        memset(buf, 0xff, 4 * BLOCK);
        free(buf);
        buf = place_buffer(4 * BLOCK);
        ck_assert_int_eq(do_read(&rig, 0, buf, 2 * BLOCK, i), 2 * BLOCK);
        fill(rig.buf, 4 * BLOCK, (unsigned int)i);
        ck_assert(memcmp(buf, rig.buf + i % 2, 2 * BLOCK) == 0);
        free(buf);
    }
    rig_close(&rig);
}

static int64_t either(int64_t result)
{
    return result == -EOPNOTSUPP ? 0 : result;
}

/*
 * "A write, discard or write-zeroes is on stable storage when it completes."
 * "Write-zeroes may free the space" "Write-zeroes fails with -EOPNOTSUPP rather
 * than write plain zeroes." The whole of a guest's commands.
 */
TEST(promise_all_commands, "")
{
    struct rig rig;
    uint32_t flags;
    int64_t rc;

    rig_open(&rig, 8, 0);
    for (flags = 0; flags < 8; flags++) {
        fill(rig.buf, 4 * BLOCK, flags);
        ck_assert_int_eq(
            do_write(&rig, 0, rig.buf, 4 * BLOCK, 4 * BLOCK, flags & IOQ_F_FUA),
            4 * BLOCK);
        ck_assert_int_eq(do_flush(&rig, 0), 0);
        rc = do_zeroes(&rig, 0, 5 * BLOCK, 2 * BLOCK, flags);
        if (flags & IOQ_F_NO_FALLBACK)
            ck_assert_int_eq(either(rc), 0);
        else
            ck_assert_int_eq(rc, 0);
        memset(rig.buf + 4 * BLOCK, 0xee, 4 * BLOCK);
        ck_assert_int_eq(
            do_read(&rig, 0, rig.buf + 4 * BLOCK, 4 * BLOCK, 4 * BLOCK),
            4 * BLOCK);
        if (rc == 0)
            memset(rig.buf + BLOCK, 0, 2 * BLOCK);
        ck_assert(memcmp(rig.buf, rig.buf + 4 * BLOCK, 4 * BLOCK) == 0);
        ck_assert_int_eq(either(do_discard(&rig, 0, 4 * BLOCK, 4 * BLOCK,
                                           flags & IOQ_F_FUA)),
                         0);
    }
    rig_close(&rig);
}

/*
 * "It is a hint. When it becomes readable, reap until fewer than max
 * completions come back." "With 1, as after opening, the fd is right again"
 * Edges alone, with the signals switched off and on in between.
 */
TEST(promise_no_wakeup_is_lost, EDGES_CALLS)
{
    struct ioq_completion done[3];
    int edges, i, n, out;
    struct rig rig;

    rig_open(&rig, 8, 0);
    edges = open_edges(&rig);
    for (i = 0; i < 150; i++) {
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, pick(2) == 0), 0);
        for (n = 1 + (int)pick(4), out = 0; n > 0; n--, out++)
            ck_assert_int_eq(queue_any(&rig, 7 * n + (pick(2) ? 6 : 0), NULL),
                             0);
        ck_assert_int_ge(ioq_handle_submit(rig.handle), 1);
        if (pick(4) == 0)
            out -= ioq_handle_reap(rig.handle, done, 3);
        ck_assert_int_eq(ioq_handle_set_notify(rig.handle, 1), 0);
        reap_by_edges(&rig, edges, done, 3, out);
    }
    rig_close(&rig);
    close(edges);
}

/*
 * "Returns the number of requests that are still out, 0 if the handle is quiet;
 * ioq_handle_pending names them." As before a snapshot or a migration: drain,
 * give up, look, cancel what can be, and drain again.
 */
TEST(promise_to_become_quiet, STUCK_CALLS)
{
    struct ioq_pending pending[8];
    struct ioq_completion done[4];
    struct stuck stuck;
    struct rig rig;
    int a;

    if (!stuck_open(&stuck))
        SKIP("no userfaultfd");
    rig_open_narrow(&rig, 8);
    stuck_read(&stuck, &rig, 0, 0);
    queue_zeroes(&rig, 300, &a);
    queue_zeroes(&rig, 301, &a);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, 5 * MILLISECOND), 3);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 8), 3);
    ck_assert_int_gt(pending[0].age_ns, 0);
    ck_assert_int_eq(ioq_handle_cancel(rig.handle, &a), 2);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, 0), 1);
    ck_assert_int_eq(ioq_handle_pending(rig.handle, pending, 8), 1);
    ck_assert_ptr_eq(pending[0].user_data, &stuck);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 4), 2);
    stuck_let_go(&stuck);
    ck_assert_int_eq(ioq_handle_drain(rig.handle, LONG), 0);
    ck_assert_int_eq(ioq_handle_reap(rig.handle, done, 4), 1);
    ck_assert_int_eq(ioq_handle_detach(rig.handle, 0), 0);
    stuck_close(&stuck);
    rig_close(&rig);
}

/*
 * "doc/engines.md lists the system calls of each." And no engine that was not
 * asked for is ever tried: these calls kill.
 */
TEST(promise_no_forbidden_call, "")
{
    const char *const calls[] = {"io_setup", "io_submit", "io_uring_setup",
                                 "io_uring_enter"};
    struct ioq_completion done[14];
    struct rig rig;
    int i, rc, number;

    for (i = 0; i < 4; i++) {
        number = sandbox_number(calls[i]);
        if (engine == (i < 2 ? IOQ_ENGINE_AIO : IOQ_ENGINE_URING))
            continue;
        rc = sandbox_refuse(&number, 1, 0);
        if (rc == -ENOSYS)
            DOES_NOT_APPLY("there are no filters on this architecture");
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_int_eq(patient_available(), 0);
    rig_open(&rig, 16, 0);
    for (i = 0; i < 14; i++)
        ck_assert_int_eq(queue_any(&rig, i, NULL), 0);
    take(&rig, done, 14);
    rig_close(&rig);
}
