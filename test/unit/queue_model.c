/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random operations on a queue, with faults of every kind at the kernel edge,
 * against a model in memory: each request completes exactly once, with the
 * result and the data that the model says, and nothing leaks.
 *
 *     unit_queue_model [REQUESTS [DEPTH [SEED]]]
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define BLOCKS (SK_DISK_SIZE / BLOCK)
#define PARTS 4

enum kind { READ, WRITE, SYNC, BAD };

struct entry {
    struct iocb iocb; /* first, so that the iocb's address is the entry's */
    enum kind kind;
    bool out; /* queued or submitted, and not completed */
    bool submitted;
    unsigned int first, count; /* blocks */
    ssize_t expected;
    unsigned char buf[4 * BLOCK];
};

static unsigned long wanted = 2000000;
static unsigned int depth = 64;
static uint64_t seed = 1;

static uint64_t state;
static IOQueue ioq;
static struct entry *entries;
static unsigned char model[SK_DISK_SIZE];
static bool busy[BLOCKS]; /* an entry that is out uses this block */
static unsigned long begun, ended;
static unsigned int nested;

static unsigned int random_below(unsigned int limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned int)(state >> 20) % limit;
}

/* The kernel's mood: mostly well, else any answer that io_submit has. */
static int submit_mood(unsigned int count)
{
    switch (random_below(24)) {
    case 0:
        return -EAGAIN;
    case 1:
        return -ENOMEM;
    case 2:
        return -EINTR;
    case 3:
    case 4:
    case 5:
        return 1 + (int)random_below(count);
    default:
        return (int)count;
    }
}

/* A request gets all, or a part, or an error; the entry is told which. */
static ssize_t result_mood(struct iocb *iocb, ssize_t all)
{
    struct entry *entry = (struct entry *)iocb;

    if (entry->kind == SYNC)
        return entry->expected = 0;
    switch (random_below(16)) {
    case 0:
        return entry->expected = -EIO;
    case 1:
        return entry->expected = (ssize_t)random_below((unsigned int)all + 1);
    default:
        return entry->expected = all;
    }
}

static void mark(const struct entry *entry, bool value)
{
    memset(&busy[entry->first], value, entry->count);
}

static bool pick_blocks(struct entry *entry)
{
    unsigned int i;

    entry->count = 1 + random_below(4);
    entry->first = random_below(BLOCKS - entry->count + 1);
    for (i = 0; i < entry->count; i++)
        if (busy[entry->first + i])
            return false;
    return true;
}

/* Up to PARTS pieces of uneven length, in an array of the caller's. */
static unsigned int cut(struct entry *entry, struct iovec *iov)
{
    size_t left = entry->count * BLOCK, at = 0, piece;
    unsigned int n = 0;

    while (left > 0) {
        piece = n == PARTS - 1 ? left : 1 + random_below((unsigned int)left);
        iov[n++] = (struct iovec){entry->buf + at, piece};
        at += piece;
        left -= piece;
    }
    return n;
}

static void fill(struct entry *entry)
{
    size_t i;

    for (i = 0; i < entry->count * BLOCK; i++)
        entry->buf[i] =
            (unsigned char)(entry->kind == READ
                                ? 0xee
                                : begun * 31 + i * 7 + entry->first);
}

static void describe(struct entry *entry, enum kind kind)
{
    ck_assert(!entry->out);
    entry->kind = kind;
    entry->out = true;
    entry->submitted = false;
    begun++;
}

/* Queues a read or a write; iov is dead after the submit that follows. */
static void queue_transfer(struct iovec *iov)
{
    struct entry picked, *entry;
    struct iocb *iocb;

    if (!pick_blocks(&picked) || ioq.freelist_idx == 0)
        return;
    /* The entry is the pool's next, known only when it is taken. */
    entry = (struct entry *)ioq.freelist[ioq.freelist_idx - 1];
    entry->first = picked.first;
    entry->count = picked.count;
    describe(entry, random_below(2) ? READ : WRITE);
    fill(entry);
    mark(entry, true);
    iocb = ioq_rdwr(&ioq, entry->kind == READ, iov, cut(entry, iov),
                    (long long)entry->first * BLOCK);
    ck_assert_ptr_eq(iocb, &entry->iocb);
}

static void queue_bare(void)
{
    struct iocb *iocb = ioq_get_iocb(&ioq);
    struct entry *entry = (struct entry *)iocb;
    unsigned int choice = random_below(4);

    if (!iocb) {
        ck_assert_int_eq(errno, EAGAIN);
        return;
    }
    entry->count = 0;
    if (choice == 0) { /* thought better of it */
        ioq_put_iocb(&ioq, iocb);
        return;
    }
    describe(entry, choice == 1 ? BAD : SYNC);
    io_prep_fdsync(iocb, choice == 1 ? SK_FD + 1 : SK_FD);
    entry->expected = -EBADF;
}

static void apply(const struct entry *entry, ssize_t ret)
{
    size_t at = (size_t)entry->first * BLOCK, n = ret > 0 ? (size_t)ret : 0;

    if (entry->kind == READ) {
        ck_assert(memcmp(entry->buf, model + at, n) == 0);
    } else if (entry->kind == WRITE) {
        memcpy(model + at, entry->buf, n);
    }
}

static void turn(bool inside);

static void entry_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct entry *entry = (struct entry *)iocb;

    (void)opaque;
    ck_assert(entry >= entries && entry < entries + depth);
    ck_assert_msg(entry->out, "completed twice or never queued");
    ck_assert_int_eq(ret, entry->expected);
    if (entry->kind == READ || entry->kind == WRITE) {
        apply(entry, ret);
        mark(entry, false);
    }
    entry->out = false;
    ended++;
    if (nested < 3 && random_below(16) == 0) {
        nested++;
        turn(true);
        nested--;
    }
}

static void run(void)
{
    event_notifier_test_and_clear(ioq_get_notifier(&ioq));
    ioq_run_completion(&ioq, entry_done, NULL);
}

static void submit_some(void)
{
    struct iovec iov[64][PARTS];
    unsigned int i, n = random_below(64);

    for (i = 0; i < n && begun < wanted; i++) {
        if (random_below(12) == 0)
            queue_bare();
        else
            queue_transfer(iov[i]);
    }
    n = ioq_num_queued(&ioq);
    ck_assert_int_eq(ioq_submit(&ioq), (int)n);
    ck_assert_uint_eq(ioq_num_queued(&ioq), 0);
    memset(iov, 0xa5, sizeof(iov));
}

/* One turn of an event loop; nothing but the notifier brings completions. */
static void turn(bool inside)
{
    EventNotifier *notifier = ioq_get_notifier(&ioq);
    struct pollfd fd = {event_notifier_get_fd(notifier), POLLIN, 0};
    unsigned int i, n = sk_in_flight() ? random_below(sk_in_flight() + 1) : 0;

    submit_some();
    for (i = 0; i < n && sk_in_flight() > 0; i++)
        sk_complete_at(random_below(sk_in_flight()));
    if (poll(&fd, 1, 0) == 1)
        run();
    else if (!inside && sk_in_flight() == 0)
        ck_assert_msg(begun == ended, "%lu requests and no wake-up",
                      begun - ended);
    else if (!inside)
        sk_complete_all();
}

START_TEST(random_operations_agree_with_the_model)
{
    unsigned int i;

    sk_reset();
    sk.on_submit = submit_mood;
    sk.on_result = result_mood;
    memset(sk_disk, 0, sizeof(sk_disk));
    state = seed * 0x9e3779b97f4a7c15u + 1;
    entries = calloc(depth, sizeof(*entries));
    ck_assert_int_eq(ioq_try_init(&ioq, SK_FD, depth), 0);
    for (i = 0; i < depth; i++)
        ioq_put_iocb(&ioq, &entries[i].iocb);
    while (ended < wanted)
        turn(false);
    ck_assert_uint_eq(begun, ended);
    ck_assert_uint_eq(ioq.freelist_idx, depth);
    ck_assert_uint_eq(sk_in_flight() + sk_unreaped(), 0);
    ck_assert(memcmp(model, sk_disk, sizeof(model)) == 0);
    ioq_cleanup(&ioq);
    free(entries);
}
END_TEST

static unsigned long argument(int argc, char **argv, int i, unsigned long other)
{
    return i < argc ? strtoul(argv[i], NULL, 10) : other;
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("queue_model");
    TCase *tcase = tcase_create("all");
    const char *fewer = getenv("IOQ_TEST_REQUESTS");

    wanted = argument(argc, argv, 1, wanted);
    if (fewer)
        wanted = strtoul(fewer, NULL, 10);
    depth = (unsigned int)argument(argc, argv, 2, depth);
    seed = argument(argc, argv, 3, seed);
    printf("%lu requests, depth %u, seed %llu\n", wanted, depth,
           (unsigned long long)seed);
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, random_operations_agree_with_the_model);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
