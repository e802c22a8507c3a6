/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opaque handle: one queue for many files, on any engine.
 *
 *     struct ioq_options options = IOQ_OPTIONS_INIT;
 *     struct ioq_handle *h;
 *     int file;
 *
 *     ioq_handle_open(&options, &h);
 *     file = ioq_handle_attach(h, fd, 0);
 *     ioq_handle_read(h, file, buf, len, offset, 0, request);    ...and more
 *     ioq_handle_submit(h);
 *
 *     poll ioq_handle_fd(h), then
 *     while ((n = ioq_handle_reap(h, done, 64)) > 0)
 *         ...answer done[0] to done[n - 1]...
 *
 * Every request that was accepted completes exactly once, whatever the kernel
 * does. Submitting does not sleep: what the kernel cannot do at once goes to
 * worker threads of the handle.
 *
 * Results: functions return 0 or a count, or -errno. After a negative result,
 * ioq_last_error() gives the cause and the remedy in words. Requests that the
 * kernel fails complete with their own -errno instead. No function changes
 * errno itself.
 *
 * Order: requests may be done in any order, whatever order they were queued in;
 * what moves to a worker keeps no place. Two that touch the same bytes, with at
 * least one write, must not be in flight together. The one exception is the
 * library's own: where it must rewrite a whole block to write a part of it,
 * requests that change bytes of that block are held in order. This goes for
 * those to one file number of one handle: another number, handle or process
 * must not change the block meanwhile.
 *
 * Threads: different handles are independent. One handle is used by one thread
 * at a time, unless it was opened with IOQ_OPT_SHARED: then any thread may call
 * any function but ioq_handle_close, at any time. A request may then complete,
 * and another thread have its completion, before the call that queued it
 * returns. Completions are each given out once, so let one thread reap. Workers
 * block all signals.
 *
 * After fork(2) the child may call ioq_handle_close and nothing else; what can
 * fail returns -ECHILD there and leaves the parent's requests alone.
 *
 * The library never exits, aborts or prints, and installs no signal handler.
 */
#ifndef IOQ_HANDLE_H
#define IOQ_HANDLE_H

#include <stdint.h>
#include <sys/uio.h>

#include <ioq/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ioq_handle;

/**
 * What carries the requests. IOQ_ENGINE_AUTO tries io_uring, Linux AIO and
 * threads, in this order, until one comes up; but where a seccomp filter
 * watches the calling thread, it leaves io_uring alone, as many filters kill
 * for that. IOQ_OPT_SQPOLL and IOQ_OPT_IOPOLL stand for io_uring. Any other
 * value is that engine or none. doc/engines.md lists the system calls of each.
 * Since 1.1.
 */
enum ioq_engine {
    IOQ_ENGINE_AUTO = 0,    /**< the best one that this system allows */
    IOQ_ENGINE_AIO = 1,     /**< Linux AIO, with workers for what would sleep */
    IOQ_ENGINE_URING = 2,   /**< io_uring */
    IOQ_ENGINE_THREADS = 3, /**< workers alone: runs everywhere */
};

/** Any thread may queue and submit, while one reaps. */
#define IOQ_OPT_SHARED (1u << 0)
/** RWF_NOWAIT on reads with O_DIRECT, too, which seldom sleep. */
#define IOQ_OPT_NEVER_BLOCK (1u << 1)
/** io_uring only: a kernel thread polls for submissions. */
#define IOQ_OPT_SQPOLL (1u << 2)
/** io_uring only: completions are polled for; needs O_DIRECT files. */
#define IOQ_OPT_IOPOLL (1u << 3)

/**
 * How to open a handle. 0 in any member but the first means the default. Start
 * from IOQ_OPTIONS_INIT, so that members of later versions are 0.
 */
struct ioq_options {
    uint32_t size;   /**< sizeof(struct ioq_options) */
    uint32_t engine; /**< enum ioq_engine */
    uint32_t depth;  /**< requests at a time; 128 by default */
    uint32_t flags;  /**< IOQ_OPT_* */
    /** requests in one system call; 16 by default, with io_uring all */
    uint32_t max_batch;
    uint32_t workers;      /**< threads at most; 4 by default, 64 at most */
    uint32_t max_segments; /**< iovecs in one request; 128 by default */
    uint32_t reserved;     /**< 0 */
};

#ifdef __cplusplus
#define IOQ_OPTIONS_INIT                                \
    {                                                   \
        sizeof(struct ioq_options), 0, 0, 0, 0, 0, 0, 0 \
    }
#else
#define IOQ_OPTIONS_INIT                   \
    {                                      \
        .size = sizeof(struct ioq_options) \
    }
#endif

/** One request that is over. Since 1.1. */
struct ioq_completion {
    void *user_data; /**< the caller's, from when the request was queued */
    int64_t result;  /**< bytes of a read or write, 0 of others, or -errno */
};

/** What a request is. Since 1.1. */
enum ioq_kind {
    IOQ_KIND_READ = 0,
    IOQ_KIND_WRITE = 1,
    IOQ_KIND_FLUSH = 2,
    IOQ_KIND_DISCARD = 3,
    IOQ_KIND_WRITE_ZEROES = 4,
};
#define IOQ_KINDS 5

/** Where a request is that did not complete yet. Since 1.1. */
enum ioq_stage {
    IOQ_STAGE_QUEUED = 0, /**< not submitted yet */
    IOQ_STAGE_HELD = 1,   /**< behind a write to the same block */
    IOQ_STAGE_PARKED = 2, /**< until the kernel has room */
    IOQ_STAGE_KERNEL = 3, /**< the kernel has it */
    IOQ_STAGE_WORKER = 4, /**< a worker has it, or will */
};

/** One request that did not complete yet. Since 1.1. */
struct ioq_pending {
    void *user_data;
    int64_t offset; /**< in bytes; 0 for a flush */
    int64_t length; /**< in bytes; 0 for a flush */
    int64_t age_ns; /**< since it was submitted; 0 if it was not yet */
    int32_t file;
    uint32_t kind;  /**< enum ioq_kind */
    uint32_t stage; /**< enum ioq_stage */
    uint32_t reserved;
};

/** A write, discard or write-zeroes is on stable storage when it completes. */
#define IOQ_F_FUA (1u << 0)
/** Write-zeroes may free the space, so that later writes can fail for space. */
#define IOQ_F_MAY_UNMAP (1u << 1)
/** Write-zeroes fails with -EOPNOTSUPP rather than write plain zeroes. */
#define IOQ_F_NO_FALLBACK (1u << 2)

/* Bits of ioq_file_info.flags. */
#define IOQ_FILE_BLOCK_DEVICE (1u << 0) /**< else a regular file */
#define IOQ_FILE_DIRECT (1u << 1)       /**< O_DIRECT that the file honours */
#define IOQ_FILE_READ_ONLY (1u << 2)    /**< opened without write access */
#define IOQ_FILE_WRITE_ONLY (1u << 3)   /**< opened without read access */
#define IOQ_FILE_NOWAIT (1u << 4)       /**< knows RWF_NOWAIT for reads */
#define IOQ_FILE_DISCARD (1u << 5)      /**< no discard was refused so far */
#define IOQ_FILE_ZEROES (1u << 6)       /**< nor a write-zeroes by the kernel */

/** What the library knows of an attached file. Since 1.1. */
struct ioq_file_info {
    uint32_t size;           /**< sizeof(struct ioq_file_info), by the caller */
    uint32_t flags;          /**< IOQ_FILE_* */
    int64_t length;          /**< bytes, as of now */
    uint32_t memory_align;   /**< buffers aligned to this are not bounced */
    uint32_t offset_align;   /**< nor are offsets and lengths; 1: any */
    uint32_t logical_block;  /**< bytes; smallest write of the device */
    uint32_t physical_block; /**< bytes; smallest write without a penalty */
    uint32_t optimal_io;     /**< bytes; 0 if unknown */
    uint32_t discard_align;  /**< bytes; smaller discards may do nothing */
    uint32_t requests;       /**< accepted and not yet given out */
    uint32_t reserved;
};

/** Buckets of ioq_stats.latency. */
#define IOQ_LATENCY_BUCKETS 40

/**
 * Counters since the handle was opened. Times are in nanoseconds. Since 1.1.
 */
struct ioq_stats {
    uint32_t size; /**< sizeof(struct ioq_stats), set by the caller */
    uint32_t reserved;
    uint64_t requests[IOQ_KINDS]; /**< accepted, by enum ioq_kind */
    uint64_t succeeded[IOQ_KINDS];
    uint64_t failed[IOQ_KINDS]; /**< with -ECANCELED, too */
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t batches;         /**< submits that had something to hand over */
    uint64_t kernel_submits;  /**< system calls that hand requests over */
    uint64_t kernel_reaps;    /**< system calls that fetch completions */
    uint64_t kernel_notifies; /**< system calls on the completion fd */
    uint64_t retries; /**< EAGAIN, EINTR and the like when handing over */
    /** to workers: the kernel would have slept, or took long for the others */
    uint64_t worker_busy;
    uint64_t worker_learned; /**< to workers: the file is known to sleep */
    uint64_t
        worker_copy; /**< to workers: much to copy, which takes time, too */
    uint64_t worker_unable; /**< to workers: the engine lacks the operation */
    uint64_t worker_short;  /**< to workers: the rest of a short transfer */
    uint64_t
        worker_misaligned;  /**< to workers: bounced or read-modify-written */
    uint64_t worker_none;   /**< done by the caller's thread: no worker */
    uint64_t held;          /**< behind a write to the same block */
    uint64_t bounced_bytes; /**< copied for alignment */
    uint64_t workers_started;
    uint64_t submit_total_ns;   /**< time inside submits */
    uint64_t submit_longest_ns; /**< the longest of them */
    /** latency[i] counts requests that took 2^i ns or more, less than twice. */
    uint64_t latency[IOQ_LATENCY_BUCKETS];
};

/**
 * Opens a handle.
 *
 * options may be NULL for the defaults. Memory for depth requests is set aside
 * here; queueing, submitting and reaping allocate nothing afterwards.
 *
 * Returns 0 and the handle, which the caller closes; or, leaving ret_handle
 * alone:
 *   -EINVAL  an option is unknown or out of range
 *   -E2BIG   options come from a newer version, and use what this one lacks
 *   -EAGAIN  Linux AIO: depth exceeds what is left of fs.aio-max-nr; threads:
 *            none can be started
 *   -ENOSYS, -EPERM  the engine does not exist here, or is forbidden
 *   -EMFILE, -ENFILE  no file descriptor left
 *   -ENOMEM  no memory
 * Since 1.1.
 */
int ioq_handle_open(const struct ioq_options *options,
                    struct ioq_handle **ret_handle);

/**
 * Waits for the requests that the kernel or a worker is working on, without a
 * time limit, and releases everything. Those not begun are dropped, and no
 * completion is given out; see ioq_handle_drain. NULL does nothing. Attached
 * file descriptors stay the caller's. Since 1.1.
 */
void ioq_handle_close(struct ioq_handle *handle);

/**
 * Attaches an open regular file or block device. Looks at what it is and can,
 * which may sleep.
 *
 * fd stays the caller's, who keeps it open, and its O_DIRECT flag as it is,
 * until the file is detached or the handle closed. flags is 0.
 *
 * Returns the file's number, the lowest that is free, counting from 0; or:
 *   -EBADF   fd is not open, or opened with O_PATH
 *   -EINVAL  unknown flags; not a regular file or block device; O_APPEND, which
 *            makes the kernel ignore offsets
 *   -ENFILE  1024 files are attached
 *   -ENOMEM  no memory
 *   others   from fstat(2)
 * Since 1.1.
 */
int ioq_handle_attach(struct ioq_handle *handle, int fd, uint32_t flags);

/**
 * Detaches a file. Returns 0; -EBADF if no such file is attached; -EBUSY while
 * it has requests whose completion was not given out yet. Since 1.1.
 */
int ioq_handle_detach(struct ioq_handle *handle, int file);

/**
 * Tells what is known of an attached file. The caller sets ret_info->size; a
 * shorter struct of an older version is filled as far as it goes.
 *
 * Returns 0; -EBADF if no such file is attached; -EINVAL if size is too small;
 * or an error of fstat(2). Since 1.1.
 */
int ioq_handle_file_info(struct ioq_handle *handle, int file,
                         struct ioq_file_info *ret_info);

/**
 * Queues a read of len bytes at offset. Goes out with ioq_handle_submit.
 *
 * buf belongs to the library until the request has completed. flags is 0.
 * user_data comes back with the completion.
 *
 * The completion's result is the number of bytes that came from the file. The
 * rest of the buffer, beyond the end of the file, is filled with zeroes. Any
 * alignment will do; what O_DIRECT would refuse is copied through a buffer of
 * the library's.
 *
 * Returns 0 if accepted, or:
 *   -EAGAIN  depth requests were accepted and not yet given out: reap first
 *   -EBADF   no such file is attached, or not open for this
 *   -EINVAL  offset negative, offset + len too large, or unknown flags
 *   -EFAULT  buf is NULL and len is not 0
 *   -ECHILD  called in a child of the process that opened the handle
 * Since 1.1.
 */
int ioq_handle_read(struct ioq_handle *handle, int file, void *buf,
                    uint64_t len, int64_t offset, uint32_t flags,
                    void *user_data);

/**
 * As ioq_handle_read, but writes. flags may hold IOQ_F_FUA.
 *
 * The completion's result is len, or -errno if not all could be written. Parts
 * of blocks are written by reading and rewriting the block. Since 1.1.
 */
int ioq_handle_write(struct ioq_handle *handle, int file, const void *buf,
                     uint64_t len, int64_t offset, uint32_t flags,
                     void *user_data);

/**
 * As ioq_handle_read, into iovcnt buffers. The array iov is copied: it may be
 * reused at once. Also returns -EINVAL if iovcnt is negative, -E2BIG if it
 * exceeds max_segments. Since 1.1.
 */
int ioq_handle_readv(struct ioq_handle *handle, int file,
                     const struct iovec *iov, int iovcnt, int64_t offset,
                     uint32_t flags, void *user_data);

/** As ioq_handle_write, from iovcnt buffers; see ioq_handle_readv. Since 1.1.
 */
int ioq_handle_writev(struct ioq_handle *handle, int file,
                      const struct iovec *iov, int iovcnt, int64_t offset,
                      uint32_t flags, void *user_data);

/**
 * Queues a flush: when it completes with 0, all writes, discards and
 * write-zeroes of the file that had completed before it was queued are on
 * stable storage. It says nothing of those that were in flight. flags is 0.
 *
 * Returns as ioq_handle_read. A file opened without write access is fine.
 * Since 1.1.
 */
int ioq_handle_flush(struct ioq_handle *handle, int file, uint32_t flags,
                     void *user_data);

/**
 * Queues a discard: the len bytes at offset are no longer needed, and their
 * space may be freed. What they read as afterwards is not defined, and parts of
 * blocks at both ends may stay. flags may hold IOQ_F_FUA.
 *
 * Completes with 0, or with -EOPNOTSUPP if the file cannot, or -errno. Returns
 * as ioq_handle_write. Since 1.1.
 */
int ioq_handle_discard(struct ioq_handle *handle, int file, int64_t offset,
                       uint64_t len, uint32_t flags, void *user_data);

/**
 * Queues a write of len zeroes at offset, without a buffer, by whichever means
 * the file has. A file grows as with a write.
 *
 * flags: without IOQ_F_MAY_UNMAP the space stays allocated. With
 * IOQ_F_NO_FALLBACK it completes with -EOPNOTSUPP where plain zeroes would have
 * to be written. IOQ_F_FUA as for a write.
 *
 * Completes with 0 or -errno. Returns as ioq_handle_write. Since 1.1.
 */
int ioq_handle_write_zeroes(struct ioq_handle *handle, int file, int64_t offset,
                            uint64_t len, uint32_t flags, void *user_data);

/**
 * Cancels the requests that were queued with user_data and that nobody has
 * begun. They complete with -ECANCELED; reap as usual.
 *
 * Returns how many that were; -EALREADY if there are some and all were begun,
 * which complete as if nothing had happened; -ENOENT if there is none.
 * Since 1.1.
 */
int ioq_handle_cancel(struct ioq_handle *handle, void *user_data);

/**
 * Hands over all that is queued, without sleeping, to the kernel or to workers.
 * What the kernel has no room for stays with the library and goes out as soon
 * as there is room; it needs no further call but the usual reaping.
 *
 * Returns how many requests were handed over, or -ECHILD. Since 1.1.
 */
int ioq_handle_submit(struct ioq_handle *handle);

/**
 * Returns the completion fd: poll it for reading, level- or edge-triggered.
 *
 * It is a hint. When it becomes readable, reap until fewer than max completions
 * come back. Only reaping makes it unreadable again; the caller never reads it.
 * It stays the same, and the library's, until ioq_handle_close. With io_uring,
 * epoll_wait(2) may end with EINTR without a signal, when the kernel has used
 * the thread for its own work: poll again. Since 1.1.
 */
int ioq_handle_fd(struct ioq_handle *handle);

/**
 * Takes up to max completions. Does not sleep.
 *
 * Returns how many there were. Fewer than max means that there are no more, and
 * that the fd becomes readable when there are. -EINVAL if ret is NULL or max is
 * 0; -ECHILD. Since 1.1.
 */
int ioq_handle_reap(struct ioq_handle *handle, struct ioq_completion *ret,
                    unsigned int max);

/**
 * Submits what is queued and sleeps until there are min completions, no request
 * is left, or timeout_ns nanoseconds have passed; forever if it is negative.
 * Signals do not end it.
 *
 * Returns how many completions it took: up to max, fewer than min after the
 * time-out or if there was no request left. -EINVAL as ioq_handle_reap, or if
 * min exceeds max. Since 1.1.
 */
int ioq_handle_wait(struct ioq_handle *handle, struct ioq_completion *ret,
                    unsigned int min, unsigned int max, int64_t timeout_ns);

/** Called once for each request that has completed. Since 1.1. */
typedef void ioq_completion_fn(void *user_data, int64_t result, void *opaque);

/**
 * Calls fn for each request that has completed by now.
 *
 * fn may call any function on the handle but ioq_handle_close. The request's
 * place in the queue is free before fn runs, so that it can queue another. A
 * nested event loop inside fn sees the completions that were not reached yet.
 *
 * Returns the number of calls made, those of nested calls not counted; -EINVAL
 * if fn is NULL; -ECHILD. Since 1.1.
 */
int ioq_handle_run_completion(struct ioq_handle *handle, ioq_completion_fn *fn,
                              void *opaque);

/**
 * Submits what is queued and sleeps until all requests have completed, at most
 * timeout_ns nanoseconds; forever if it is negative. Their completions wait to
 * be reaped as usual.
 *
 * Returns the number of requests that are still out, 0 if the handle is quiet;
 * ioq_handle_pending names them. -ECHILD. Since 1.1.
 */
int ioq_handle_drain(struct ioq_handle *handle, int64_t timeout_ns);

/**
 * Lists up to max of the requests that did not complete yet, in no order.
 *
 * Returns how many there are, which may be more than max. ret may be NULL if
 * max is 0. -EINVAL, -ECHILD. Since 1.1.
 */
int ioq_handle_pending(struct ioq_handle *handle, struct ioq_pending *ret,
                       unsigned int max);

/**
 * With enabled 0, tells the library that the caller does not poll the fd for
 * now but reaps on its own, which then costs no system call on the fd. The fd
 * may be readable or not meanwhile. With 1, as after opening, the fd is right
 * again: it is readable if there is anything to reap.
 *
 * Returns 0 or -ECHILD. Since 1.1.
 */
int ioq_handle_set_notify(struct ioq_handle *handle, int enabled);

/**
 * Tells the engine of memory that many buffers will lie in, such as the
 * guest's, so that it can prepare it once instead of each time. Replaces what
 * was registered before. It changes speed only, and nothing on some engines.
 *
 * The memory stays mapped until it is unregistered or the handle closed.
 * Returns 0; -EINVAL for a bad array; -EBUSY while requests are out; -ENOMEM if
 * it exceeds RLIMIT_MEMLOCK; -ECHILD. After -EINVAL and -EBUSY all is as
 * before; after another error nothing is registered. Since 1.1.
 */
int ioq_handle_register_memory(struct ioq_handle *handle,
                               const struct iovec *iov, int iovcnt);

/** Undoes ioq_handle_register_memory. Returns 0, -EBUSY, -ECHILD. Since 1.1. */
int ioq_handle_unregister_memory(struct ioq_handle *handle);

/**
 * Fetches the counters. The caller sets ret_stats->size; a shorter struct of an
 * older version is filled as far as it goes. Returns 0; -EINVAL if size is too
 * small; -ECHILD. Since 1.1.
 */
int ioq_handle_stats(struct ioq_handle *handle, struct ioq_stats *ret_stats);

/**
 * Returns the engine in use; IOQ_ENGINE_AUTO, which none is, if handle is NULL.
 * Since 1.1.
 */
enum ioq_engine ioq_handle_engine(struct ioq_handle *handle);

/**
 * Returns the engine's name, as "aio", for messages and options; NULL if there
 * is no such engine. A constant. Since 1.1.
 */
const char *ioq_engine_name(enum ioq_engine engine);

/**
 * Tries whether an engine can be used here. Returns 0, or the -errno that
 * refuses it: -ENOSYS, -EPERM, -EAGAIN, ... or -EINVAL if there is no such
 * engine. For IOQ_ENGINE_AUTO, 0. Since 1.1.
 */
int ioq_engine_available(enum ioq_engine engine);

/**
 * Returns what went wrong in this thread's last libioq call that returned an
 * error, and what can be done about it, as one line of text. Never NULL; empty
 * if nothing went wrong yet. Valid until the thread's next such call.
 * Since 1.1.
 */
const char *ioq_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* IOQ_HANDLE_H */
