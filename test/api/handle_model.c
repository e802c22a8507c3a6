/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random requests of every kind, to several files at once, against a copy of
 * the files in memory.
 *
 *     handle_model [ENGINE [REQUESTS [sqpoll|iopoll]]]
 *
 * The environment goes before: IOQ_TEST_REQUESTS=1000000 is the full run, and
 * IOQ_TEST_SEED=n runs the one world of that seed again. A world is a handle
 * with random options, and up to ten thousand requests.
 */
#include <errno.h>
#include <inttypes.h>
#include <ioq/handle.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines.h"

#define FILES 4
#define AREA (1L << 20)          /* bytes of each file that are used */
#define BEYOND (3 * PLACE_BLOCK) /* how far requests reach over its end */
#define LONGEST (600L * 1024)    /* more than two of the bounce buffers */
#define GUARD 64                 /* bytes around each buffer */
#define DEPTH_MOST 128
#define SEGMENTS_MOST 1500 /* more than IOV_MAX */
#define STALL_MS 60000

#define WORLD 10000ul

static enum ioq_engine engine = IOQ_ENGINE_AUTO;
static unsigned long usual = 100000; /* requests */
static uint32_t polls;               /* options of io_uring alone */

struct file {
    int fd;
    int number; /* attached as; -1 if it is not */
    bool block;
    bool open_end;    /* the end of the area is the end of the file */
    long base;        /* where the area starts */
    long length;      /* of the area's part that is in the file */
    long reach;       /* what length may be, with what is out */
    unsigned growers; /* requests out that may make it grow */
    unsigned out;

    unsigned char *data, *unknown; /* AREA + BEYOND + LONGEST of each */
};

struct task {
    struct file *file; /* NULL while it is free */
    enum ioq_kind kind;
    uint32_t flags;
    long offset, length; /* in the area */
    long sure;           /* the file's length when it was queued */
    bool cancelled;
    unsigned char *memory, *buf; /* buf is somewhere in memory */
};

struct world {
    struct ioq_handle *handle;
    struct file files[FILES];
    struct task tasks[DEPTH_MOST];
    unsigned int depth, segments, out, queued;
    bool silent; /* set_notify is off */
    uint64_t state;
    unsigned long begun, ended, most;
    uint64_t accepted[IOQ_KINDS];
};

static struct iovec iov[SEGMENTS_MOST];

static uint64_t random_word(struct world *world)
{
    world->state ^= world->state << 13;
    world->state ^= world->state >> 7;
    return world->state ^= world->state << 17;
}

static long pick(struct world *world, long below)
{
    return (long)((random_word(world) >> 11) % (uint64_t)below);
}

static bool chance(struct world *world, long percent)
{
    return pick(world, 100) < percent;
}

static long least(long a, long b)
{
    return a < b ? a : b;
}

static bool changes(enum ioq_kind kind)
{
    return kind != IOQ_KIND_READ && kind != IOQ_KIND_FLUSH;
}

/* What the header forbids: the same bytes in flight twice, with a write. */
static bool clashes(const struct world *world, const struct task *task)
{
    unsigned int i;

    for (i = 0; i < world->depth; i++) {
        const struct task *other = &world->tasks[i];

        if (other->file == task->file && other != task &&
            (changes(other->kind) || changes(task->kind)) &&
            other->offset < task->offset + task->length &&
            task->offset < other->offset + other->length)
            return true;
    }
    return false;
}

static long pick_length(struct world *world)
{
    long dice = pick(world, 1000);

    if (dice < 800)
        return 1 + pick(world, 2 * PLACE_BLOCK);
    if (dice < 980)
        return 1 + pick(world, 65536);
    if (dice < 998)
        return 1 + pick(world, 262144);
    return dice == 998 ? LONGEST - pick(world, 1000) : 0;
}

/* Half of all are such as O_DIRECT likes best, and some have odd bytes. */
static long pick_unit(struct world *world)
{
    long dice = pick(world, 100);

    return dice < 60 ? PLACE_BLOCK : dice < 80 ? 512 : 1;
}

static bool may_pass_the_end(struct world *world, const struct task *task)
{
    if (!task->file->open_end)
        return false;
    return task->kind == IOQ_KIND_READ || chance(world, 2);
}

static long pick_range(struct world *world, struct task *task)
{
    long unit = pick_unit(world), room = AREA;

    if (may_pass_the_end(world, task))
        room += BEYOND;
    task->length = (pick_length(world) + unit - 1) / unit * unit;
    task->length = least(task->length, room / unit * unit);
    task->offset = pick(world, (room - task->length) / unit + 1) * unit;
    /* Ends of files are where things go wrong. */
    if (task->file->open_end && chance(world, 5))
        task->offset = least(task->offset, task->file->length / unit * unit);
    return unit;
}

static void fill(struct world *world, struct task *task)
{
    uint64_t word = random_word(world);
    long i;

    for (i = 0; i + 8 <= task->length; i += 8) {
        memcpy(task->buf + i, &word, 8);
        word = word * 6364136223846793005u + 1442695040888963407u;
    }
    for (; i < task->length; i++)
        task->buf[i] = (unsigned char)(word >> (i % 8 * 8));
}

/* Puts the buffer somewhere, mostly aligned, between two guards. */
static void place_task_buffer(struct world *world, struct task *task, long unit)
{
    long shift = unit;

    if (chance(world, 10))
        shift = 1 + pick(world, PLACE_BLOCK - 1);
    task->buf = task->memory + PLACE_BLOCK + (chance(world, 50) ? 0 : shift);
    memset(task->buf - GUARD, 0xa5, GUARD);
    memset(task->buf + task->length, 0xa5, GUARD);
    if (task->kind == IOQ_KIND_WRITE)
        fill(world, task);
    else
        memset(task->buf, 0xee, (size_t)task->length);
}

/* Cuts the buffer into pieces of whole units, of none at all now and then. */
static int cut(struct world *world, const struct task *task, long unit)
{
    long at = 0, piece, most = 1 + pick(world, 16);
    int n = 0;

    if (chance(world, 2))
        most = world->segments;
    most = least(most, world->segments);
    while (at < task->length && n < most) {
        piece = task->length - at;
        if (n < most - 1)
            piece = least(piece, (1 + pick(world, 3)) * unit);
        if (n < most - 1 && chance(world, 3))
            piece = 0;
        iov[n++] = (struct iovec){piece ? task->buf + at : NULL, (size_t)piece};
        at += piece;
    }
    return n;
}

static int queue_vector(struct world *world, struct task *task, long unit)
{
    int64_t offset = task->file->base + task->offset;
    int n = cut(world, task, unit), rc;

    if (task->kind == IOQ_KIND_READ)
        rc = ioq_handle_readv(world->handle, task->file->number, iov, n, offset,
                              task->flags, task);
    else
        rc = ioq_handle_writev(world->handle, task->file->number, iov, n,
                               offset, task->flags, task);
    memset(iov, 0xff, (size_t)n * sizeof(*iov));
    return rc;
}

static int queue_task(struct world *world, struct task *task, long unit)
{
    struct ioq_handle *handle = world->handle;
    int number = task->file->number;
    int64_t offset = task->file->base + task->offset;
    uint64_t length = (uint64_t)task->length;

    switch (task->kind) {
    case IOQ_KIND_READ:
        if (chance(world, 50))
            break;
        return ioq_handle_read(handle, number, task->buf, length, offset,
                               task->flags, task);
    case IOQ_KIND_WRITE:
        if (chance(world, 50))
            break;
        return ioq_handle_write(handle, number, task->buf, length, offset,
                                task->flags, task);
    case IOQ_KIND_FLUSH:
        return ioq_handle_flush(handle, number, task->flags, task);
    case IOQ_KIND_DISCARD:
        return ioq_handle_discard(handle, number, offset, length, task->flags,
                                  task);
    case IOQ_KIND_WRITE_ZEROES:
        return ioq_handle_write_zeroes(handle, number, offset, length,
                                       task->flags, task);
    }
    return queue_vector(world, task, unit);
}

static void pick_kind(struct world *world, struct task *task)
{
    long dice = pick(world, 1000);

    task->flags = 0;
    if (dice < 480)
        task->kind = IOQ_KIND_READ;
    else if (dice < 900)
        task->kind = IOQ_KIND_WRITE;
    else if (dice < 905)
        task->kind = IOQ_KIND_FLUSH;
    else if (dice < 930)
        task->kind = IOQ_KIND_DISCARD;
    else
        task->kind = IOQ_KIND_WRITE_ZEROES;
    if (changes(task->kind) && pick(world, 200) == 0)
        task->flags |= IOQ_F_FUA;
    if (task->kind != IOQ_KIND_WRITE_ZEROES)
        return;
    task->flags |= chance(world, 50) ? IOQ_F_MAY_UNMAP : 0;
    task->flags |= chance(world, 30) ? IOQ_F_NO_FALLBACK : 0;
}

static bool grows(const struct task *task)
{
    return !task->file->block &&
           (task->kind == IOQ_KIND_WRITE ||
            task->kind == IOQ_KIND_WRITE_ZEROES) &&
           task->length > 0 && task->offset + task->length > task->file->length;
}

static void accepted(struct world *world, struct task *task)
{
    struct file *file = task->file;

    task->cancelled = false;
    task->sure = file->length;
    if (changes(task->kind) && !file->block) {
        /* Rewriting the last block makes the file longer for a moment. */
        long end = (task->offset + task->length + PLACE_BLOCK - 1) &
                   ~(PLACE_BLOCK - 1L);

        file->growers++;
        if (end > file->reach)
            file->reach = end;
    }
    file->out++;
    world->accepted[task->kind]++;
    world->out++;
    world->queued++;
    world->begun++;
}

/* Queues one request, or none if it would clash with one that is out. */
static void queue_one(struct world *world)
{
    struct task *task = &world->tasks[pick(world, world->depth)];
    long unit = 1;
    int rc;

    if (task->file)
        return;
    task->file = &world->files[pick(world, FILES)];
    pick_kind(world, task);
    task->offset = task->length = 0;
    if (task->kind != IOQ_KIND_FLUSH)
        unit = pick_range(world, task);
    if (task->file->number < 0 || clashes(world, task)) {
        task->file = NULL;
        return;
    }
    if (task->kind <= IOQ_KIND_WRITE)
        place_task_buffer(world, task, unit);
    rc = queue_task(world, task, unit);
    MUST(rc == 0, "queueing: %d, %s", rc, ioq_last_error());
    accepted(world, task);
}

/* What completion says about the files. */

static bool is_guard(const unsigned char *bytes)
{
    int i;

    for (i = 0; i < GUARD; i++)
        if (bytes[i] != 0xa5)
            return false;
    return true;
}

static void check_bytes(const struct file *file, const unsigned char *have,
                        long offset, long length)
{
    const unsigned char *want = file->data + offset;
    long i;

    if (memcmp(have, want, (size_t)length) == 0)
        return;
    for (i = 0; i < length; i++)
        MUST(have[i] == want[i] || file->unknown[offset + i],
             "wrong data at %ld + %ld of %ld: %02x, not %02x", offset, i,
             length, have[i], want[i]);
}

static void check_read(const struct task *task, int64_t result)
{
    const struct file *file = task->file;
    long low = least(task->length, task->sure - task->offset);
    long high = least(task->length, file->reach - task->offset);

    if (!file->open_end)
        low = high = task->length;
    low = low < 0 ? 0 : low;
    high = high < 0 ? 0 : high;
    MUST(result >= low && result <= high,
         "%" PRId64 " bytes read of %ld at %ld, not %ld to %ld", result,
         task->length, task->offset, low, high);
    check_bytes(file, task->buf, task->offset, task->length);
}

/* The bytes may be anything from now on, until they are written. */
static void forget(struct task *task)
{
    memset(task->file->unknown + task->offset, 1, (size_t)task->length);
}

static void learn(struct task *task, const unsigned char *bytes)
{
    struct file *file = task->file;

    if (bytes)
        memcpy(file->data + task->offset, bytes, (size_t)task->length);
    else
        memset(file->data + task->offset, 0, (size_t)task->length);
    memset(file->unknown + task->offset, 0, (size_t)task->length);
    if (grows(task))
        file->length = task->offset + task->length;
}

/* Beyond its end a device takes nothing, whatever it took before that. */
static bool passes_device(const struct task *task)
{
    return task->file->block && task->length > 0 &&
           task->offset + task->length > AREA;
}

static void check_change(struct task *task, int64_t result)
{
    int64_t good = task->kind == IOQ_KIND_WRITE ? task->length : 0;

    if (passes_device(task)) {
        MUST(result == -ENOSPC || task->kind == IOQ_KIND_DISCARD,
             "kind %d beyond the end: %" PRId64, task->kind, result);
        task->length = AREA > task->offset ? AREA - task->offset : 0;
        forget(task);
        return;
    }
    if (result == -EOPNOTSUPP &&
        (task->kind == IOQ_KIND_DISCARD || (task->flags & IOQ_F_NO_FALLBACK)))
        return;
    MUST(result == good, "kind %d, %ld bytes at %ld, flags %#x: %" PRId64,
         task->kind, task->length, task->offset, task->flags, result);
    if (task->kind == IOQ_KIND_DISCARD)
        forget(task);
    else
        learn(task, task->kind == IOQ_KIND_WRITE ? task->buf : NULL);
}

static void settle(struct world *world, struct task *task)
{
    struct file *file = task->file;

    if (changes(task->kind) && !file->block && --file->growers == 0)
        file->reach = file->length;
    file->out--;
    task->file = NULL;
    world->out--;
    world->ended++;
}

static void done(void *user_data, int64_t result, void *opaque)
{
    struct task *task = user_data;
    struct world *world = opaque;

    MUST(task->file != NULL, "completed twice");
    if (task->kind <= IOQ_KIND_WRITE) {
        MUST(is_guard(task->buf - GUARD), "the buffer was left");
        MUST(is_guard(task->buf + task->length), "the buffer was left");
    }
    if (task->cancelled)
        MUST(result == -ECANCELED, "cancelled: %" PRId64, result);
    else if (task->kind == IOQ_KIND_READ)
        check_read(task, result);
    else if (task->kind == IOQ_KIND_FLUSH)
        MUST(result == 0, "flush: %" PRId64, result);
    else
        check_change(task, result);
    settle(world, task);
}

static void done_and_more(void *user_data, int64_t result, void *opaque)
{
    struct world *world = opaque;

    done(user_data, result, opaque);
    if (world->begun < world->most && chance(world, 40))
        queue_one(world);
    if (chance(world, 2)) {
        ioq_handle_submit(world->handle);
        world->queued = 0;
    }
}

/* How callers get at completions. */

static void finish(struct world *world,
                   const struct ioq_completion *completions, int count)
{
    int i;

    MUST(count >= 0, "reap: %d", count);
    for (i = 0; i < count; i++)
        done(completions[i].user_data, completions[i].result, world);
}

static unsigned int reap_all(struct world *world)
{
    struct ioq_completion completions[64];
    unsigned int max = 1 + (unsigned int)pick(world, 64), count = 0;
    int n;

    do {
        n = ioq_handle_reap(world->handle, completions, max);
        finish(world, completions, n);
        count += (unsigned int)n;
    } while (n == (int)max);
    return count;
}

static void stalled(struct world *world)
{
    struct ioq_pending pending[8];
    int i, count = ioq_handle_pending(world->handle, pending, 8);

    fprintf(stderr, "%u requests out, %d pending\n", world->out, count);
    for (i = 0; i < count && i < 8; i++)
        fprintf(stderr, "kind %u, stage %u, %" PRId64 " at %" PRId64 "\n",
                pending[i].kind, pending[i].stage, pending[i].length,
                pending[i].offset);
    ck_abort_msg("the fd did not become readable");
}

static void poll_and_reap(struct world *world)
{
    struct pollfd fd = {ioq_handle_fd(world->handle), POLLIN, 0};
    int rc;

    do {
        rc = poll(&fd, 1, STALL_MS);
    } while (rc < 0 && errno == EINTR);
    if (rc != 1)
        stalled(world);
    if (chance(world, 50))
        reap_all(world);
    else
        ioq_handle_run_completion(world->handle, done_and_more, world);
}

static void wait_for_some(struct world *world, unsigned int min)
{
    struct ioq_completion completions[DEPTH_MOST];
    int n = ioq_handle_wait(world->handle, completions, min, DEPTH_MOST,
                            INT64_C(1000000) * STALL_MS);

    world->queued = 0;
    if (n < (int)min)
        stalled(world);
    finish(world, completions, n);
}

static void drain(struct world *world)
{
    int rc = ioq_handle_drain(world->handle, INT64_C(1000000) * STALL_MS);

    if (rc != 0)
        stalled(world);
    world->queued = 0;
    ck_assert_int_eq(ioq_handle_pending(world->handle, NULL, 0), 0);
    if (!world->silent && world->out > 0)
        poll_and_reap(world);
    reap_all(world);
    while (world->queued > 0 || world->out > 0) /* callbacks queue more */
        wait_for_some(world, world->out);
}

static void toggle_notify(struct world *world)
{
    world->silent = !world->silent;
    ck_assert_int_eq(ioq_handle_set_notify(world->handle, !world->silent), 0);
}

static void get_some(struct world *world)
{
    long dice = pick(world, 100);

    if (world->out == 0)
        return;
    if (dice < 5) {
        drain(world);
    } else if (dice < 40 || world->silent) {
        wait_for_some(world, 1 + (unsigned int)pick(world, world->out));
    } else if (dice < 50) {
        reap_all(world);
    } else {
        if (world->queued > 0)
            ioq_handle_submit(world->handle);
        world->queued = 0;
        poll_and_reap(world);
    }
}

static void submit(struct world *world)
{
    unsigned int queued = world->queued;

    int rc = ioq_handle_submit(world->handle);

    MUST(rc == (int)queued, "%d submitted of %u", rc, queued);
    world->queued = 0;
}

static void cancel_one(struct world *world)
{
    struct task *task = &world->tasks[pick(world, world->depth)];
    unsigned int queued = world->queued;
    int rc;

    /* What is queued must not be counted after it was cancelled. */
    if (queued > 0 && chance(world, 50))
        submit(world);
    queued = world->queued;
    rc = ioq_handle_cancel(world->handle, task);
    if (rc == 1)
        task->cancelled = true;
    else
        MUST(rc == -ENOENT || (rc == -EALREADY && task->file), "cancel: %d",
             rc);
    if (queued > 0) {
        ioq_handle_submit(world->handle);
        world->queued = 0;
    }
}

/* What the handle says of itself. */

static void ask(struct world *world)
{
    struct file *file = &world->files[pick(world, FILES)];
    struct ioq_file_info info = {.size = sizeof(info)};
    struct ioq_pending pending[DEPTH_MOST];
    int count, i;

    count = ioq_handle_pending(world->handle, pending, DEPTH_MOST);
    ck_assert_int_ge(count, (int)world->queued);
    ck_assert_int_le(count, (int)world->out);
    for (i = 0; i < count; i++)
        MUST(((struct task *)pending[i].user_data)->file, "not out");
    if (file->number < 0)
        return;
    ck_assert_int_eq(ioq_handle_file_info(world->handle, file->number, &info),
                     0);
    ck_assert_uint_eq(info.requests, file->out);
    if (!file->block) {
        ck_assert_int_ge(info.length, file->length);
        ck_assert_int_le(info.length, file->reach);
    }
}

static void overfill(struct world *world)
{
    if (world->out == world->depth)
        ck_assert_int_eq(
            ioq_handle_flush(world->handle, world->files[0].number, 0, NULL),
            world->files[0].number < 0 ? -EBADF : -EAGAIN);
}

/* The end of the file moves while nothing is out. */
static void resize(struct world *world, struct file *file)
{
    long length = pick(world, AREA + 1);

    if (file->block)
        return;
    ck_assert_int_eq(ftruncate(file->fd, length), 0);
    memset(file->data + length, 0, (size_t)(AREA + BEYOND - length));
    memset(file->unknown + length, 0, (size_t)(AREA + BEYOND - length));
    file->length = file->reach = length;
}

static void attach(struct world *world, struct file *file)
{
    file->number = ioq_handle_attach(world->handle, file->fd, 0);
    MUST(file->number >= 0 && file->number < FILES, "attach: %d, %s",
         file->number, ioq_last_error());
}

static void detach(struct world *world, struct file *file)
{
    int rc = ioq_handle_detach(world->handle, file->number);

    if (file->out > 0) {
        ck_assert_int_eq(rc, -EBUSY);
        return;
    }
    ck_assert_int_eq(rc, 0);
    file->number = -1;
}

static void move_files(struct world *world)
{
    struct file *file = &world->files[pick(world, FILES)];

    if (file->number >= 0)
        detach(world, file);
    if (file->number >= 0)
        return;
    resize(world, file);
    if (chance(world, 90))
        attach(world, file);
}

static void turn(struct world *world)
{
    unsigned int burst = 1 + (unsigned int)pick(world, world->depth);
    long dice = pick(world, 1000);

    while (burst-- > 0 && world->begun < world->most)
        queue_one(world);
    if (dice < 100)
        cancel_one(world);
    else if (dice < 900)
        submit(world);
    if (dice % 100 == 0)
        ask(world);
    if (dice % 100 == 1)
        overfill(world);
    if (dice % 100 == 2)
        move_files(world);
    if (dice % 50 == 3)
        toggle_notify(world);
    get_some(world);
}

/* The beginning and the end of a world. */

static void open_file(struct file *file, unsigned int i)
{
    struct stat st;
    size_t size = AREA + BEYOND + LONGEST;

    *file = (struct file){.fd = place_open_another(i), .number = -1};
    file->data = calloc(2, size);
    ck_assert_ptr_nonnull(file->data);
    file->unknown = file->data + size;
    ck_assert_int_eq(fstat(file->fd, &st), 0);
    file->block = S_ISBLK(st.st_mode);
    file->open_end = !file->block || i == FILES - 1;
    if (!file->block)
        return;
    file->base = PLACE_SIZE / FILES * (i + 1) - AREA;
    file->length = file->reach = AREA;
    memset(file->unknown, 1, AREA);
}

static void open_handle(struct world *world)
{
    static const uint32_t segments[] = {1, 2, 16, 128, SEGMENTS_MOST};
    static const uint32_t batches[] = {0, 0, 1, 7};
    struct ioq_options options = IOQ_OPTIONS_INIT;

    options.engine = engine;
    options.depth = world->depth = 1 + (uint32_t)pick(world, DEPTH_MOST);
    options.max_segments = world->segments = segments[pick(world, 5)];
    options.max_batch = batches[pick(world, 4)];
    options.workers = (uint32_t)pick(world, 5);
    options.flags |= chance(world, 25) ? IOQ_OPT_NEVER_BLOCK : 0;
    options.flags |= chance(world, 25) ? IOQ_OPT_SHARED : 0;
    options.flags |= polls;
    /* Completions of Linux AIO come from its ring or by system call. */
    setenv("IOQ_AIO_RING", chance(world, 50) ? "1" : "0", 1);
    world->handle = patient_open(&options);
}

static void open_world(struct world *world, unsigned long seed)
{
    unsigned int i;

    memset(world, 0, sizeof(*world));
    world->state = seed * 0x9e3779b97f4a7c15u + 1;
    for (i = 0; i < 20; i++)
        random_word(world);
    open_handle(world);
    for (i = 0; i < world->depth; i++)
        world->tasks[i].memory = place_buffer(LONGEST + 3 * PLACE_BLOCK);
    for (i = 0; i < FILES; i++) {
        open_file(&world->files[i], i);
        attach(world, &world->files[i]);
        resize(world, &world->files[i]);
    }
}

/* It may have become longer, by what was under way. */
static void settle_length(struct file *file)
{
    struct stat st;

    ck_assert_int_eq(fstat(file->fd, &st), 0);
    if (file->block)
        return;
    ck_assert_int_ge(st.st_size, file->length);
    ck_assert_int_le(st.st_size, file->reach);
    file->length = st.st_size;
}

static void check_file(const struct file *file)
{
    unsigned char *bytes = place_buffer(AREA + BEYOND);
    struct stat st;
    long at = 0;

    ck_assert_int_eq(fstat(file->fd, &st), 0);
    if (!file->block)
        ck_assert_int_eq(st.st_size, file->length);
    while (at < file->length) {
        ssize_t n = pread(file->fd, bytes + at, (size_t)(AREA + BEYOND - at),
                          file->base + at);

        ck_assert_int_gt(n, 0);
        at += n;
    }
    check_bytes(file, bytes, 0, file->length);
    free(bytes);
}

static void check_stats(const struct world *world)
{
    struct ioq_stats stats = {.size = sizeof(stats)};
    uint64_t sum = 0;
    int i;

    ck_assert_int_eq(ioq_handle_stats(world->handle, &stats), 0);
    for (i = 0; i < IOQ_KINDS; i++) {
        ck_assert_uint_eq(stats.requests[i], world->accepted[i]);
        ck_assert_uint_eq(stats.succeeded[i] + stats.failed[i],
                          stats.requests[i]);
    }
    for (i = 0; i < IOQ_LATENCY_BUCKETS; i++)
        sum += stats.latency[i];
    ck_assert_uint_eq(sum, world->ended);
}

/* Ends it in the middle of its work: what is not begun is dropped. */
static void abandon(struct world *world)
{
    static const unsigned char poison = 0x77;
    unsigned int i;
    long k;

    ioq_handle_close(world->handle);
    for (i = 0; i < world->depth; i++) {
        struct task *task = &world->tasks[i];

        if (task->file && changes(task->kind))
            forget(task);
        if (task->file && task->kind <= IOQ_KIND_WRITE)
            memset(task->buf, poison, (size_t)task->length);
    }
    /* P55: the buffers are the caller's again. */
    usleep(2000);
    for (i = 0; i < world->depth; i++) {
        struct task *task = &world->tasks[i];

        for (k = 0;
             task->file && task->kind <= IOQ_KIND_WRITE && k < task->length;
             k++)
            MUST(task->buf[k] == poison, "a buffer was used after close");
    }
    for (i = 0; i < FILES; i++)
        settle_length(&world->files[i]);
}

static void conclude(struct world *world)
{
    unsigned int i;

    drain(world);
    ck_assert_uint_eq(world->out, 0);
    check_stats(world);
    for (i = 0; i < FILES; i++)
        if (world->files[i].number >= 0)
            detach(world, &world->files[i]);
    ioq_handle_close(world->handle);
}

static void close_world(struct world *world)
{
    unsigned int i;

    if (chance(world, 30))
        abandon(world);
    else
        conclude(world);
    for (i = 0; i < FILES; i++) {
        check_file(&world->files[i]);
        close(world->files[i].fd);
        free(world->files[i].data);
    }
    for (i = 0; i < world->depth; i++)
        free(world->tasks[i].memory);
}

static void run_world(unsigned long seed, unsigned long requests)
{
    static struct world world;

    fprintf(stderr, "IOQ_TEST_SEED=%lu\n", seed);
    open_world(&world, seed);
    world.most = requests;
    while (world.begun < requests)
        turn(&world);
    close_world(&world);
}

START_TEST(each_request_does_once_what_the_model_does)
{
    unsigned long left = number_of("IOQ_TEST_REQUESTS", usual);
    unsigned long seed = number_of("IOQ_TEST_SEED", 0), next = 1, some;

    if (seed) {
        run_world(seed, WORLD);
        return;
    }
    for (; left > 0; left -= some) {
        some = left < WORLD ? left : WORLD;
        run_world(next++, some);
    }
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create(place_kind());

    engine = engine_called(argv[1]);
    if (argc > 2)
        usual = strtoul(argv[2], NULL, 10);
    if (argc > 3)
        polls = strcmp(argv[3], "sqpoll") ? IOQ_OPT_IOPOLL : IOQ_OPT_SQPOLL;
    tcase_add_test(tcase, each_request_does_once_what_the_model_does);
    tcase_set_timeout(tcase, 7200);
    return engine_suite(engine, "handle_model", tcase);
}
