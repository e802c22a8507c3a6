/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io_uring, through liburing. io_uring_enter(2) does not sleep to submit: what
 * would sleep, the kernel gives to threads of its own. Buffered files go with
 * RWF_NOWAIT all the same, and to our workers, since the kernel's attempt at a
 * read that is not cached takes long.
 *
 * The ring has room for a completion of each request, so it cannot overflow.
 */
#include "engine.h"

#include <errno.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sys_eventfd.h"

/* BLOCK_URING_CMD_DISCARD of <linux/blkdev.h>, which came with Linux 6.12. */
#define DISCARD_COMMAND _IO(0x12, 0)

/* The kernel's own bounds of a ring and of one piece of registered memory. */
#define ENTRIES_MOST 32768u
#define PIECE_MOST (UINT64_C(1) << 30)
#define PIECES_MOST 16384u

#define REAP_CHUNK 32u

struct ioq__engine {
    struct io_uring ring;
    int event_fd;
    unsigned int max_batch;
    unsigned int in_flight;
    bool holds;              /* a wait follows: it submits, too */
    struct ioq__list unsent; /* was held, and the kernel does not take it */
    uint32_t flags;          /* IOQ_OPT_* */
    bool has_discard;        /* the kernel knows commands for devices */
    unsigned int slots;      /* for files that the ring knows by number */
    bool *fixed;             /* by that: whether it does */
    struct iovec *pieces;    /* of registered memory, by address */
    unsigned int piece_count;
    uint64_t submits, fetches, retries;
};

static int forbidden(int rc)
{
    long long disabled = ioq__read_number("/proc/sys/kernel/io_uring_disabled");

    if (disabled > 0)
        return ioq__fail(
            rc,
            "io_uring: kernel.io_uring_disabled is %lld; set it to "
            "0%s with sysctl, or use another engine",
            disabled, disabled == 1 ? ", or join kernel.io_uring_group," : "");
    return ioq__fail(rc,
                     "io_uring: a seccomp filter or security module forbids "
                     "it; allow it there, or use another engine");
}

static int explain(int rc, unsigned int depth)
{
    switch (rc) {
    case -ENOSYS:
        return ioq__fail(rc, "io_uring: this kernel or sandbox has none, or "
                             "none of Linux 5.6; use another engine");
    case -EPERM:
    case -EACCES:
        return forbidden(rc);
    case -ENOMEM:
        return ioq__fail(rc,
                         "io_uring: no memory for depth %u; raise "
                         "RLIMIT_MEMLOCK or ask for less",
                         depth);
    case -EMFILE:
        return ioq__fail(rc, "io_uring: no file descriptor left; raise "
                             "RLIMIT_NOFILE");
    default:
        return ioq__fail(rc, "io_uring: %s", strerror(-rc));
    }
}

/*
 * SUBMIT_ALL is wanted but came late. The flags that defer work to the thread
 * that submits are not: that thread may do something else for long, while
 * another one waits on the fd.
 */
static int set_up_ring(struct ioq__engine *engine, unsigned int depth)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = depth,
        .sq_thread_idle = 20, /* milliseconds */
    };
    unsigned int entries = depth < ENTRIES_MOST ? depth : ENTRIES_MOST;
    int rc;

    if (engine->flags & IOQ_OPT_SQPOLL)
        params.flags |= IORING_SETUP_SQPOLL;
    if (engine->flags & IOQ_OPT_IOPOLL)
        params.flags |= IORING_SETUP_IOPOLL;
    if (params.cq_entries < entries)
        params.cq_entries = entries;
    params.flags |= IORING_SETUP_SUBMIT_ALL;
    rc = io_uring_queue_init_params(entries, &engine->ring, &params);
    if (rc == -EINVAL) {
        params.flags &= ~IORING_SETUP_SUBMIT_ALL;
        rc = io_uring_queue_init_params(entries, &engine->ring, &params);
    }
    return rc;
}

static bool knows(const struct io_uring_probe *probe, int opcode)
{
    return io_uring_opcode_supported(probe, opcode);
}

static int probe(struct ioq__engine *engine)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&engine->ring);
    int rc = 0;

    if (!probe)
        return -ENOSYS;
    if (!knows(probe, IORING_OP_READ) || !knows(probe, IORING_OP_WRITE) ||
        !knows(probe, IORING_OP_READV) || !knows(probe, IORING_OP_FSYNC))
        rc = -ENOSYS;
    engine->has_discard = knows(probe, IORING_OP_URING_CMD);
    io_uring_free_probe(probe);
    return rc;
}

/* Polling for completions gives no signal; see uring_reap. */
static int set_up(struct ioq__engine *engine, unsigned int depth)
{
    int rc = set_up_ring(engine, depth);

    if (rc < 0)
        return rc;
    rc = probe(engine);
    if (rc == 0 && !(engine->flags & IOQ_OPT_IOPOLL))
        rc = io_uring_register_eventfd(&engine->ring, engine->event_fd);
    if (rc < 0)
        io_uring_queue_exit(&engine->ring);
    return rc;
}

/*
 * Returns for how many files there is room. The others, if Linux is older than
 * 5.19 all, are looked up with each request. By the bare call, as liburing
 * would raise the process's RLIMIT_NOFILE.
 */
static unsigned int get_slots(const struct io_uring *ring, unsigned int wanted)
{
    struct io_uring_rsrc_register table = {
        .nr = wanted,
        .flags = IORING_RSRC_REGISTER_SPARSE,
    };
    int rc;

    do {
        rc = io_uring_register((unsigned int)ring->ring_fd,
                               IORING_REGISTER_FILES2, &table, sizeof(table));
        if (rc >= 0)
            return table.nr;
        table.nr /= 4;
    } while (rc == -EMFILE && table.nr > 0);
    return 0;
}

static void free_engine(struct ioq__engine *engine)
{
    free(engine->fixed);
    free(engine->pieces);
    free(engine);
}

static int uring_open(const struct ioq__engine_params *params,
                      struct ioq__engine **ret_engine)
{
    struct ioq__engine *engine = calloc(1, sizeof(*engine));
    int rc = -ENOMEM;

    if (!engine)
        return ioq__fail(-ENOMEM, "no memory");
    engine->event_fd = params->event_fd;
    engine->max_batch = params->max_batch ? params->max_batch : UINT_MAX;
    engine->flags = params->flags;
    engine->fixed = calloc(params->files, sizeof(*engine->fixed));
    if (engine->fixed)
        rc = set_up(engine, params->depth);
    if (rc < 0) {
        free_engine(engine);
        return explain(rc, params->depth);
    }
    engine->slots = get_slots(&engine->ring, params->files);
    *ret_engine = engine;
    return 0;
}

static unsigned int fetch(struct ioq__engine *engine,
                          struct ioq__attempt *ret_attempts, unsigned int max);

static void uring_close(struct ioq__engine *engine, bool forked)
{
    struct ioq__attempt attempts[REAP_CHUNK];
    struct io_uring_cqe *cqe;

    /* A child only loses its mapping and its descriptor of the ring. */
    while (!forked && engine->in_flight > 0) {
        if (!engine->unsent.head)
            io_uring_wait_cqe(&engine->ring, &cqe);
        fetch(engine, attempts, REAP_CHUNK);
    }
    /* The kernel is slow to take a ring down; files must not wait for that. */
    if (!forked && engine->slots > 0)
        io_uring_unregister_files(&engine->ring);
    io_uring_queue_exit(&engine->ring);
    free_engine(engine);
}

static int uring_attach(struct ioq__engine *engine, struct ioq__file *file)
{
    int fd = file->fd;

    if ((unsigned int)file->number < engine->slots)
        engine->fixed[file->number] =
            io_uring_register_files_update(
                &engine->ring, (unsigned int)file->number, &fd, 1) == 1;
    return 0;
}

static void uring_detach(struct ioq__engine *engine, struct ioq__file *file)
{
    int none = -1;

    if (!engine->fixed[file->number])
        return;
    io_uring_register_files_update(&engine->ring, (unsigned int)file->number,
                                   &none, 1);
    engine->fixed[file->number] = false;
}

static bool can_discard(const struct ioq__engine *engine,
                        const struct ioq__request *request)
{
    const struct ioq__file *file = request->file;
    uint64_t mask = file->logical_block - 1u;

    return engine->has_discard && file->block && request->length > 0 &&
           !(request->flags & IOQ_F_FUA) &&
           !ioq__file_lacks(file, IOQ__NO_RING_DISCARD) &&
           (((uint64_t)request->offset | request->length) & mask) == 0;
}

static enum ioq__route uring_route(struct ioq__engine *engine,
                                   struct ioq__request *request)
{
    const struct ioq__file *file = request->file;
    bool polled = engine->flags & IOQ_OPT_IOPOLL;

    request->nowait = false;
    if (ioq__is_transfer(request) && polled && !file->direct)
        return IOQ__ROUTE_UNABLE;
    if (ioq__is_transfer(request))
        return ioq__engine_route(request,
                                 polled || !file->direct ||
                                     engine->flags & IOQ_OPT_NEVER_BLOCK);
    /* What has no polled completion cannot be on a polled ring. */
    if (polled)
        return IOQ__ROUTE_UNABLE;
    if (request->kind == IOQ_KIND_FLUSH && !file->no_fdsync)
        return IOQ__ROUTE_ENGINE;
    if (request->kind == IOQ_KIND_DISCARD && can_discard(engine, request))
        return IOQ__ROUTE_ENGINE;
    return IOQ__ROUTE_UNABLE;
}

/*
 * Returns the number of the registered piece that holds buf, or -1. None holds
 * an empty one: Linux 6.18 follows a null pointer when O_DIRECT on btrfs reads
 * nothing into registered memory, and the process can not be ended any more.
 */
static int find_piece(const struct ioq__engine *engine, const struct iovec *buf)
{
    unsigned int low = 0, high = engine->piece_count;
    uintptr_t at = (uintptr_t)buf->iov_base;

    if (buf->iov_len == 0)
        return -1;
    while (low < high) {
        unsigned int middle = low + (high - low) / 2;
        const struct iovec *piece = &engine->pieces[middle];
        uintptr_t start = (uintptr_t)piece->iov_base;

        if (at < start)
            high = middle;
        else if (at - start >= piece->iov_len)
            low = middle + 1;
        else
            return buf->iov_len <= piece->iov_len - (at - start) ? (int)middle
                                                                 : -1;
    }
    return -1;
}

static void prepare_one(struct ioq__engine *engine,
                        struct ioq__request *request, struct io_uring_sqe *sqe,
                        int fd)
{
    const struct iovec *buf = request->iov;
    unsigned int length = (unsigned int)buf->iov_len;
    uint64_t offset = (uint64_t)request->offset;
    int piece = find_piece(engine, buf);
    bool read = request->kind == IOQ_KIND_READ;

    if (read && piece >= 0)
        io_uring_prep_read_fixed(sqe, fd, buf->iov_base, length, offset, piece);
    else if (read)
        io_uring_prep_read(sqe, fd, buf->iov_base, length, offset);
    else if (piece >= 0)
        io_uring_prep_write_fixed(sqe, fd, buf->iov_base, length, offset,
                                  piece);
    else
        io_uring_prep_write(sqe, fd, buf->iov_base, length, offset);
}

static void prepare_transfer(struct ioq__engine *engine,
                             struct ioq__request *request,
                             struct io_uring_sqe *sqe, int fd)
{
    uint64_t offset = (uint64_t)request->offset;
    unsigned int iovcnt = (unsigned int)request->iovcnt;

    if (iovcnt > IOV_MAX)
        iovcnt = IOV_MAX;
    /* A length of 32 bits; the kernel does less than that at a time anyhow. */
    if (iovcnt == 1 && request->iov->iov_len <= INT_MAX)
        prepare_one(engine, request, sqe, fd);
    else if (request->kind == IOQ_KIND_READ)
        io_uring_prep_readv(sqe, fd, request->iov, iovcnt, offset);
    else
        io_uring_prep_writev(sqe, fd, request->iov, iovcnt, offset);
    sqe->rw_flags = request->nowait ? RWF_NOWAIT : 0;
    if (request->flags & IOQ_F_FUA)
        sqe->rw_flags |= RWF_DSYNC;
}

static void prepare_discard(const struct ioq__request *request,
                            struct io_uring_sqe *sqe, int fd)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
    sqe->cmd_op = DISCARD_COMMAND;
    sqe->addr = (uint64_t)request->offset;
    sqe->addr3 = request->length;
}

static void prepare(struct ioq__engine *engine, struct ioq__request *request,
                    struct io_uring_sqe *sqe)
{
    const struct ioq__file *file = request->file;
    bool fixed = engine->fixed[file->number];
    int fd = fixed ? file->number : file->fd;

    if (ioq__is_transfer(request))
        prepare_transfer(engine, request, sqe, fd);
    else if (request->kind == IOQ_KIND_FLUSH)
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    else
        prepare_discard(request, sqe, fd);
    if (fixed)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, request);
}

/*
 * Takes back what the kernel did not take, so that the caller has it again.
 * A thread of the kernel that polls takes it sooner or later.
 */
static unsigned int withdraw(struct ioq__engine *engine)
{
    struct io_uring_sq *sq = &engine->ring.sq;
    unsigned int left = io_uring_sq_ready(&engine->ring);

    if (left == 0 || engine->flags & IOQ_OPT_SQPOLL)
        return 0;
    sq->sqe_tail -= left;
    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    return left;
}

static void enter(struct ioq__engine *engine)
{
    int rc, tries = 3;

    do {
        engine->submits++;
        rc = io_uring_submit(&engine->ring);
    } while (rc == -EINTR && --tries > 0);
    engine->retries += rc < 0;
}

/* Hands over what was held. What is not taken comes back as if refused. */
static void send_held(struct ioq__engine *engine)
{
    const struct io_uring_sq *sq = &engine->ring.sq;
    unsigned int left, i;

    if (io_uring_sq_ready(&engine->ring) > 0)
        enter(engine);
    left = withdraw(engine);
    for (i = 0; i < left; i++) {
        const struct io_uring_sqe *sqe =
            &sq->sqes[(sq->sqe_tail + i) & sq->ring_mask];

        ioq__list_add(&engine->unsent,
                      (struct ioq__request *)(uintptr_t)sqe->user_data);
    }
    if (left > 0)
        ioq__sys_eventfd_set(engine->event_fd);
}

/* Puts requests on the ring, as many as there is room for. */
static unsigned int fill(struct ioq__engine *engine,
                         struct ioq__request **requests, unsigned int count)
{
    unsigned int n = 0;

    for (; n < engine->max_batch && n < count; n++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

        if (!sqe)
            break;
        prepare(engine, requests[n], sqe);
    }
    engine->in_flight += n;
    return n;
}

/* Whether these can lie on the ring until a wait hands them over. */
static bool can_hold(const struct ioq__engine *engine, unsigned int count)
{
    unsigned int held = io_uring_sq_ready(&engine->ring);

    return engine->holds && count <= engine->ring.sq.ring_entries - held &&
           (engine->max_batch == UINT_MAX || held + count <= engine->max_batch);
}

static unsigned int uring_submit(struct ioq__engine *engine,
                                 struct ioq__request **requests,
                                 unsigned int count)
{
    unsigned int done = 0, chunk, left = 0;

    if (can_hold(engine, count))
        return fill(engine, requests, count);
    if (engine->holds)
        send_held(engine);
    while (left == 0 && done < count) {
        chunk = fill(engine, requests + done, count - done);
        if (chunk == 0)
            break;
        enter(engine);
        left = withdraw(engine);
        engine->in_flight -= left;
        done += chunk - left;
    }
    /* No completion of theirs sets the eventfd, so keep the caller coming. */
    if (engine->flags & IOQ_OPT_IOPOLL && done > 0)
        ioq__sys_eventfd_set(engine->event_fd);
    return done;
}

/* A thread of the kernel that polls need not wait for that. */
static void uring_hold(struct ioq__engine *engine, bool held)
{
    if (!held && engine->holds)
        send_held(engine);
    engine->holds =
        held && !(engine->flags & (IOQ_OPT_SQPOLL | IOQ_OPT_IOPOLL));
}

/*
 * A request whose thread of the kernel goes away, as with the thread that
 * submitted it, is cancelled, though nobody asked for that: it is tried again.
 */
static int64_t result_of(const struct io_uring_cqe *cqe)
{
    return cqe->res == -ECANCELED ? -EINTR : cqe->res;
}

/* To the workers, as nothing may be in flight to come back for. */
static unsigned int fetch_unsent(struct ioq__engine *engine,
                                 struct ioq__attempt *ret_attempts,
                                 unsigned int max)
{
    unsigned int n;

    for (n = 0; n < max && engine->unsent.head; n++) {
        struct ioq__request *request = engine->unsent.head;

        engine->unsent.head = request->next;
        ret_attempts[n] = (struct ioq__attempt){request, -EAGAIN};
    }
    engine->in_flight -= n;
    return n;
}

static unsigned int fetch(struct ioq__engine *engine,
                          struct ioq__attempt *ret_attempts, unsigned int max)
{
    struct io_uring_cqe *cqes[REAP_CHUNK];
    unsigned int n, i;

    if (engine->unsent.head)
        return fetch_unsent(engine, ret_attempts, max);
    n = io_uring_peek_batch_cqe(&engine->ring, cqes,
                                max < REAP_CHUNK ? max : REAP_CHUNK);
    for (i = 0; i < n; i++) {
        struct ioq__request *request = io_uring_cqe_get_data(cqes[i]);

        ret_attempts[i] = (struct ioq__attempt){request, result_of(cqes[i])};
        if (request->kind == IOQ_KIND_DISCARD && cqes[i]->res < 0)
            ioq__file_refuse(request->file, IOQ__NO_RING_DISCARD);
    }
    io_uring_cq_advance(&engine->ring, n);
    engine->in_flight -= n;
    return n;
}

static unsigned int uring_reap(struct ioq__engine *engine,
                               struct ioq__attempt *ret_attempts,
                               unsigned int max)
{
    bool polled = engine->flags & IOQ_OPT_IOPOLL && engine->in_flight > 0;
    unsigned int n;

    if (polled) {
        engine->fetches++;
        io_uring_get_events(&engine->ring);
    }
    n = fetch(engine, ret_attempts, max);
    if (polled && engine->in_flight > 0)
        ioq__sys_eventfd_set(engine->event_fd);
    return n;
}

/* Without this feature liburing would submit a timeout of its own. */
static int uring_wait(struct ioq__engine *engine, int64_t timeout_ns)
{
    struct __kernel_timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };
    bool submits = io_uring_sq_ready(&engine->ring) > 0;
    struct io_uring_cqe *cqe;
    int rc;

    if (!(engine->ring.features & IORING_FEAT_EXT_ARG))
        return -EOPNOTSUPP;
    engine->submits += submits;
    engine->fetches += !submits;
    rc = io_uring_submit_and_wait_timeout(&engine->ring, &cqe, 1, &timeout,
                                          NULL);
    engine->retries += submits && rc < 0 && rc != -ETIME;
    return 0;
}

static unsigned int uring_in_flight(const struct ioq__engine *engine)
{
    return engine->in_flight;
}

static void uring_set_notify(struct ioq__engine *engine, bool enabled)
{
    if (enabled == io_uring_cq_eventfd_enabled(&engine->ring))
        return;
    io_uring_cq_eventfd_toggle(&engine->ring, enabled);
    /* The caller looks at the ring next. It must not do so before the kernel
     * can see this, or a completion in between would be told to nobody. */
    atomic_thread_fence(memory_order_seq_cst);
}

static int compare_pieces(const void *left, const void *right)
{
    const struct iovec *a = left, *b = right;

    return (a->iov_base > b->iov_base) - (a->iov_base < b->iov_base);
}

/* Cuts the memory into pieces that the kernel takes. */
static unsigned int cut(const struct iovec *iov, int iovcnt,
                        struct iovec *ret_pieces)
{
    unsigned int count = 0;
    int i;

    for (i = 0; i < iovcnt; i++) {
        char *base = iov[i].iov_base;
        uint64_t left = iov[i].iov_len, piece;

        for (; left > 0 && count < PIECES_MOST; left -= piece) {
            piece = left < PIECE_MOST ? left : PIECE_MOST;
            ret_pieces[count++] = (struct iovec){base, piece};
            base += piece;
        }
    }
    qsort(ret_pieces, count, sizeof(*ret_pieces), compare_pieces);
    return count;
}

static void forget_memory(struct ioq__engine *engine)
{
    if (engine->piece_count > 0)
        io_uring_unregister_buffers(&engine->ring);
    free(engine->pieces);
    engine->pieces = NULL;
    engine->piece_count = 0;
}

static int uring_register_memory(struct ioq__engine *engine,
                                 const struct iovec *iov, int iovcnt)
{
    unsigned int count;
    int rc;

    forget_memory(engine);
    if (iovcnt == 0)
        return 0;
    engine->pieces = calloc(PIECES_MOST, sizeof(*engine->pieces));
    if (!engine->pieces)
        return ioq__fail(-ENOMEM, "no memory");
    count = cut(iov, iovcnt, engine->pieces);
    rc = io_uring_register_buffers(&engine->ring, engine->pieces, count);
    if (rc == 0) {
        engine->piece_count = count;
        return 0;
    }
    forget_memory(engine);
    return ioq__fail(rc, "io_uring: cannot register memory: %s%s",
                     strerror(-rc),
                     rc == -ENOMEM ? "; see RLIMIT_MEMLOCK" : "");
}

static void uring_stats(const struct ioq__engine *engine,
                        struct ioq_stats *ret_stats)
{
    ret_stats->kernel_submits = engine->submits;
    ret_stats->kernel_reaps = engine->fetches;
    ret_stats->retries = engine->retries;
}

const struct ioq__engine_ops ioq__engine_uring = {
    .id = IOQ_ENGINE_URING,
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .attach = uring_attach,
    .detach = uring_detach,
    .route = uring_route,
    .submit = uring_submit,
    .hold = uring_hold,
    .reap = uring_reap,
    .wait = uring_wait,
    .in_flight = uring_in_flight,
    .set_notify = uring_set_notify,
    .register_memory = uring_register_memory,
    .stats = uring_stats,
};
