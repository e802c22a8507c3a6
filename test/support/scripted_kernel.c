/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scripted_kernel.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys_aio.h"

enum { ID, NR, HEAD, TAIL, MAGIC, COMPAT, INCOMPAT, HEADER_LENGTH, WORDS };

struct request {
    struct iocb *iocb;
    struct iocb taken; /* as it was when it was taken */
    struct iovec *iov;
    unsigned int iovcnt;
};

static struct {
    uint32_t *words; /* the ring's header; NULL if there is no context */
    struct io_event *events;
    uint32_t tail; /* the true one */
    uint32_t nr;
    unsigned int depth;

    struct request *requests; /* a ring of depth entries */
    unsigned int oldest, count;

    /* The iocbs in flight and their indices in requests, hashed. */
    struct slot {
        struct iocb *iocb;
        unsigned int at;
    } * slots;
    size_t mask;
} ctx;

static struct {
    const int *answers;
    unsigned int left;
} script;

/* The kernel may complete requests while the library submits others. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct sk_kernel sk;
unsigned char sk_disk[SK_DISK_SIZE];

static void violation(const char *what)
{
    fprintf(stderr, "scripted kernel: %s\n", what);
    abort();
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        violation("out of memory");
    return memory;
}

__attribute__((constructor)) static void start(void)
{
    sk_reset();
}

void sk_reset(void)
{
    if (ctx.words)
        violation("a context was left behind");
    script.left = 0;
    memset(sk_disk, 0, sizeof(sk_disk));
    sk = (struct sk_kernel){
        .fd = SK_FD,
        .magic = 0xa10a10a1,
        .header_length = 32,
    };
}

static int play(unsigned int count)
{
    (void)count;
    if (script.left == 0)
        return SK_ALL;
    script.left--;
    return *script.answers++;
}

void sk_answers(const int *answers, unsigned int count)
{
    script.answers = answers;
    script.left = count;
    sk.on_submit = play;
}

unsigned int sk_answers_left(void)
{
    return script.left;
}

/* The set of iocbs in flight: open addressing, linear probing. */

static size_t slot_of(const struct iocb *iocb)
{
    uint64_t hash = (uint64_t)(uintptr_t)iocb * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(hash >> 32) & ctx.mask;

    while (ctx.slots[i].iocb && ctx.slots[i].iocb != iocb)
        i = (i + 1) & ctx.mask;
    return i;
}

static void slot_remove(const struct iocb *iocb)
{
    size_t i = slot_of(iocb);

    ctx.slots[i].iocb = NULL;
    /* What follows without a gap may have wanted to be further up. */
    for (i = (i + 1) & ctx.mask; ctx.slots[i].iocb; i = (i + 1) & ctx.mask) {
        struct slot moved = ctx.slots[i];

        ctx.slots[i].iocb = NULL;
        ctx.slots[slot_of(moved.iocb)] = moved;
    }
}

/* The context. */

static bool header_is_sane(void)
{
    return sk.header_length >= 32 && sk.header_length <= 4096 &&
           sk.header_length % 8 == 0;
}

static void make_ring(unsigned int depth)
{
    size_t header = header_is_sane() ? sk.header_length : 32;

    ctx.nr = sk.nr ? sk.nr : 2 * depth + 2;
    ctx.words = allocate(1, header + ctx.nr * sizeof(struct io_event));
    /* A reader that goes where no event is finds what cannot be one. */
    memset(ctx.words, 0x55, header + ctx.nr * sizeof(struct io_event));
    ctx.events = (struct io_event *)((char *)ctx.words + header);
    ctx.tail = 0;
    ctx.words[ID] = 0;
    ctx.words[NR] = ctx.nr;
    ctx.words[HEAD] = ctx.words[TAIL] = 0;
    ctx.words[MAGIC] = sk.magic;
    ctx.words[COMPAT] = 1;
    ctx.words[INCOMPAT] = sk.incompat;
    ctx.words[HEADER_LENGTH] = sk.header_length;
}

int ioq__sys_aio_setup(unsigned int depth, io_context_t *ret_ctx)
{
    size_t size = 4;

    if (sk.setup_error)
        return sk.setup_error;
    if (depth == 0 || depth > SK_DEPTH_MAX)
        return -EINVAL;
    if (ctx.words)
        violation("a second context");
    make_ring(depth);
    ctx.depth = depth;
    ctx.oldest = ctx.count = 0;
    ctx.requests = allocate(depth, sizeof(*ctx.requests));
    while (size < 2 * (size_t)depth)
        size *= 2;
    ctx.slots = allocate(size, sizeof(*ctx.slots));
    ctx.mask = size - 1;
    sk.setups++;
    *ret_ctx = (io_context_t)(void *)ctx.words;
    return 0;
}

static bool exists(io_context_t context)
{
    return context && (void *)context == (void *)ctx.words;
}

static struct request *request_at(unsigned int i)
{
    return &ctx.requests[(ctx.oldest + i) % ctx.depth];
}

static unsigned int unreaped(void)
{
    uint32_t head = __atomic_load_n(&ctx.words[HEAD], __ATOMIC_ACQUIRE);

    if (head >= ctx.nr)
        violation("the ring's head points outside");
    return (ctx.tail + ctx.nr - head) % ctx.nr;
}

static void drop_context(void)
{
    unsigned int i;

    for (i = 0; i < ctx.count; i++)
        free(request_at(i)->iov);
    free(ctx.requests);
    free(ctx.slots);
    free(ctx.words);
    memset(&ctx, 0, sizeof(ctx));
}

/* What a request does to the disk. */

static bool is_read(const struct iocb *iocb)
{
    return iocb->aio_lio_opcode == IO_CMD_PREADV;
}

static bool is_vectored(const struct iocb *iocb)
{
    return is_read(iocb) || iocb->aio_lio_opcode == IO_CMD_PWRITEV;
}

static ssize_t wanted(const struct request *request)
{
    size_t bytes = 0;
    unsigned int i;

    for (i = 0; i < request->iovcnt; i++)
        bytes += request->iov[i].iov_len;
    return (ssize_t)bytes;
}

static size_t transfer(const struct request *request, size_t limit)
{
    size_t at = (size_t)request->taken.u.c.offset, start_at = at;
    unsigned int i;

    if (limit > SK_DISK_SIZE - at)
        limit = SK_DISK_SIZE - at;
    for (i = 0; i < request->iovcnt && at - start_at < limit; i++) {
        size_t length = request->iov[i].iov_len;

        if (length > limit - (at - start_at))
            length = limit - (at - start_at);
        if (is_read(&request->taken))
            memcpy(request->iov[i].iov_base, sk_disk + at, length);
        else
            memcpy(sk_disk + at, request->iov[i].iov_base, length);
        at += length;
    }
    return at - start_at;
}

static void publish(const struct request *request, ssize_t result)
{
    const uint64_t one = 1;

    ctx.events[ctx.tail] = (struct io_event){
        .data = request->taken.data,
        .obj = request->iocb,
        .res = (unsigned long)result,
        .res2 = sk.res2,
    };
    ctx.tail = (ctx.tail + 1) % ctx.nr;
    __atomic_store_n(&ctx.words[TAIL], ctx.tail, __ATOMIC_RELEASE);
    if (write((int)request->taken.u.c.resfd, &one, sizeof(one)) < 0 &&
        errno != EAGAIN)
        violation("a request's eventfd is not open");
}

/* Results beyond what was asked for are passed on: they are the test's. */
static void finish(struct request *request, const ssize_t *forced)
{
    ssize_t full = wanted(request), result = full;

    if (forced)
        result = *forced;
    else if (sk.on_result)
        result = sk.on_result(request->iocb, full);
    if (result > 0 && result <= full && is_vectored(&request->taken))
        result = (ssize_t)transfer(request, (size_t)result);
    free(request->iov);
    slot_remove(request->iocb);
    if (sk.on_done)
        sk.on_done(request->iocb, result);
    publish(request, result);
}

static void complete_at(unsigned int i, const ssize_t *forced)
{
    struct request done;

    if (i >= ctx.count)
        violation("the test completes what is not in flight");
    done = *request_at(i);
    if (i > 0) {
        *request_at(i) = *request_at(0);
        ctx.slots[slot_of(request_at(i)->iocb)].at =
            (ctx.oldest + i) % ctx.depth;
    }
    ctx.oldest = (ctx.oldest + 1) % ctx.depth;
    ctx.count--;
    finish(&done, forced);
}

static void complete_iocb(struct iocb *iocb, const ssize_t *forced)
{
    struct slot *slot = &ctx.slots[slot_of(iocb)];

    if (!slot->iocb)
        violation("the test completes what is not in flight");
    complete_at((slot->at + ctx.depth - ctx.oldest) % ctx.depth, forced);
}

int ioq__sys_aio_destroy(io_context_t context)
{
    pthread_mutex_lock(&lock);
    if (exists(context)) {
        sk.destroys++;
        while (ctx.count > 0)
            complete_at(0, NULL);
        drop_context();
        pthread_mutex_unlock(&lock);
        return 0;
    }
    pthread_mutex_unlock(&lock);
    return -EINVAL;
}

/* Submission. */

static int check(const struct iocb *iocb)
{
    if (!(iocb->u.c.flags & 1))
        violation("a request that signals no eventfd");
    if ((int)iocb->aio_fildes != sk.fd)
        return -EBADF;
    if (iocb->aio_lio_opcode == IO_CMD_FDSYNC)
        return sk.no_fdsync ? -EINVAL : 0;
    if (!is_vectored(iocb))
        return -EINVAL;
    if (iocb->u.c.offset < 0 || iocb->u.c.offset > SK_DISK_SIZE)
        return -EINVAL;
    if (iocb->u.c.nbytes > IOV_MAX)
        return -EINVAL;
    return iocb->u.c.nbytes > 0 && !iocb->u.c.buf ? -EFAULT : 0;
}

static void take(struct iocb *iocb)
{
    struct request *request = request_at(ctx.count);
    size_t slot = slot_of(iocb);

    if (ctx.slots[slot].iocb)
        violation("an iocb that is in flight was submitted again");
    if (ctx.count + unreaped() >= ctx.depth)
        violation("more requests than the queue is deep");
    ctx.slots[slot].iocb = iocb;
    ctx.slots[slot].at = (ctx.oldest + ctx.count++) % ctx.depth;
    *request = (struct request){.iocb = iocb, .taken = *iocb};
    if (is_vectored(iocb) && iocb->u.c.nbytes > 0) {
        request->iovcnt = (unsigned int)iocb->u.c.nbytes;
        request->iov = allocate(request->iovcnt, sizeof(struct iovec));
        memcpy(request->iov, iocb->u.c.buf,
               request->iovcnt * sizeof(struct iovec));
    }
    sk.taken++;
}

static int take_some(unsigned int count, struct iocb **iocbs)
{
    unsigned int i;

    for (i = 0; i < count; i++) {
        int rc = check(iocbs[i]);

        if (rc == 0 && ctx.count + unreaped() + 1 >= ctx.nr)
            rc = -EAGAIN;
        if (rc < 0)
            return i > 0 ? (int)i : rc;
        take(iocbs[i]);
    }
    return (int)count;
}

static int submit(io_context_t context, unsigned int count, struct iocb **iocbs)
{
    int limit = SK_ALL;

    sk.submits++;
    if (!exists(context))
        return -EINVAL;
    if (count == 0)
        violation("io_submit of nothing");
    if (sk.full_until_getevents)
        return -EAGAIN;
    if (sk.on_submit)
        limit = sk.on_submit(count);
    if (limit < 0)
        return limit;
    return take_some((unsigned int)limit < count ? (unsigned int)limit : count,
                     iocbs);
}

int ioq__sys_aio_submit(io_context_t context, unsigned int count,
                        struct iocb **iocbs)
{
    int rc;

    pthread_mutex_lock(&lock);
    rc = submit(context, count, iocbs);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* Reaping by system call. */

static int getevents(io_context_t context, unsigned int max,
                     struct io_event *ret_events)
{
    unsigned int count, i;

    if (!exists(context))
        return -EINVAL;
    if (max == 0)
        return 0;
    sk.getevents++;
    if (sk.getevents_error)
        return sk.getevents_error;
    if (sk.getevents_eintr > 0) {
        sk.getevents_eintr--;
        return -EINTR;
    }
    sk.full_until_getevents = false;
    ctx.words[TAIL] = ctx.tail;
    count = unreaped() < max ? unreaped() : max;
    if (sk.getevents_max && count > sk.getevents_max)
        count = sk.getevents_max;
    for (i = 0; i < count; i++) {
        ret_events[i] = ctx.events[ctx.words[HEAD]];
        ctx.words[HEAD] = (ctx.words[HEAD] + 1) % ctx.nr;
    }
    return (int)count;
}

int ioq__sys_aio_getevents(io_context_t context, unsigned int max,
                           struct io_event *ret_events)
{
    int rc;

    pthread_mutex_lock(&lock);
    rc = getevents(context, max, ret_events);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* For the test. */

unsigned int sk_in_flight(void)
{
    unsigned int count;

    pthread_mutex_lock(&lock);
    count = ctx.count;
    pthread_mutex_unlock(&lock);
    return count;
}

unsigned int sk_unreaped(void)
{
    unsigned int count;

    pthread_mutex_lock(&lock);
    count = ctx.words ? unreaped() : 0;
    pthread_mutex_unlock(&lock);
    return count;
}

struct iocb *sk_request(unsigned int i)
{
    struct iocb *iocb;

    pthread_mutex_lock(&lock);
    iocb = i < ctx.count ? request_at(i)->iocb : NULL;
    pthread_mutex_unlock(&lock);
    return iocb;
}

void sk_complete_at(unsigned int i)
{
    pthread_mutex_lock(&lock);
    complete_at(i, NULL);
    pthread_mutex_unlock(&lock);
}

void sk_complete(struct iocb *iocb)
{
    pthread_mutex_lock(&lock);
    complete_iocb(iocb, NULL);
    pthread_mutex_unlock(&lock);
}

void sk_complete_with(struct iocb *iocb, ssize_t result)
{
    pthread_mutex_lock(&lock);
    complete_iocb(iocb, &result);
    pthread_mutex_unlock(&lock);
}

void sk_complete_all(void)
{
    pthread_mutex_lock(&lock);
    while (ctx.count > 0)
        complete_at(0, NULL);
    pthread_mutex_unlock(&lock);
}

void sk_bend_tail(uint32_t tail)
{
    ctx.words[TAIL] = tail;
}

void sk_lose_context(void)
{
    pthread_mutex_lock(&lock);
    while (ctx.count > 0)
        complete_at(0, NULL);
    drop_context();
    pthread_mutex_unlock(&lock);
}
