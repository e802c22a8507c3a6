/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contract: what <ioq/handle.h> says, sentence by sentence, on any engine
 * and any kind of place (support/place.h).
 *
 * The comment above a test quotes what it is for. test/tools/contract.py finds
 * each quote in the header, and a quote for each of the header's sentences.
 *
 * Each test has a process of its own, and with --filtered a seccomp filter,
 * which allows the system calls that doc/engines.md lists for the engine, and
 * those that the test names because it makes them itself.
 */
#ifndef IOQ_TEST_CONTRACT_H
#define IOQ_TEST_CONTRACT_H

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <ioq/handle.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../api/engines.h"
#include "../support/place.h"

/*
 * TEST(name, "pread64 lseek")
 * {
 *     ...
 * }
 *
 * A test must not rely on what an earlier one left in the place, nor make the
 * place longer or shorter.
 */
#define TEST(name, calls)                                     \
    static void name##_body(void);                            \
    START_TEST(name)                                          \
    {                                                         \
        contract_enter(_i);                                   \
        name##_body();                                        \
    }                                                         \
    END_TEST                                                  \
    __attribute__((constructor)) static void name##_add(void) \
    {                                                         \
        TCase *tcase = tcase_create(#name);                   \
        int i = contract_add(tcase, #name, calls);            \
                                                              \
        tcase_add_loop_test(tcase, name, i, i + 1);           \
    }                                                         \
    static void name##_body(void)

int contract_add(TCase *tcase, const char *name, const char *calls);
void contract_enter(int test);

/* Ends the test: what it says means nothing on this engine or place. */
#define DOES_NOT_APPLY(reason)        \
    do {                              \
        contract_note(false, reason); \
        return;                       \
    } while (0)

/* Ends the test: this machine lacks what it needs. A failure in CI. */
#define SKIP(reason)                 \
    do {                             \
        contract_note(true, reason); \
        return;                      \
    } while (0)
void contract_note(bool skipped, const char *reason);

/* The one that is tested. */
extern enum ioq_engine engine;

#define SECOND INT64_C(1000000000)
/* Longer than anything takes that is not broken. */
#define LONG (30 * SECOND)

#define BLOCK PLACE_BLOCK
#define KIB 1024
#define MIB (1 << 20)

#define RIG_OTHERS_MAX 12

/* A handle with the place attached as file 0. */
struct rig {
    struct ioq_handle *handle;
    int fd;
    int file;
    unsigned char *buf; /* MIB bytes, aligned, zeroes */
    int others[RIG_OTHERS_MAX];
    int other_count;
};

/* depth 0 and flags 0 are the defaults. */
void rig_open(struct rig *rig, unsigned int depth, uint32_t flags);
void rig_open_with(struct rig *rig, const struct ioq_options *options);
void rig_close(struct rig *rig);

/*
 * Another file of the place's kind, of no length, attached to the rig; on a
 * block device it is the device once more. Returns its number. The fd is there
 * until rig_close; ret_fd may be NULL.
 */
int rig_attach_another(struct rig *rig, int *ret_fd);

/* The place once more, opened for reading, writing or both: O_RDONLY, ... */
int rig_attach_place(struct rig *rig, int mode);

/* Another file with a MIB of data. */
int rig_attach_allocated(struct rig *rig, int *ret_fd);

/* The space that a file takes once it is flushed, in 512 bytes. */
long long blocks_of(struct rig *rig, int file, int fd);

/* Options for a handle on the engine. */
struct ioq_options engine_options(unsigned int depth, uint32_t flags);

/* Asks for the engine; waits while others have used fs.aio-max-nr up. */
int patient_available(void);

bool place_is_block(void);

/* Takes one completion, of that request, and returns its result. */
int64_t result_of(struct rig *rig, const void *user_data);

/* Takes count completions, in whatever order, into done. */
void take(struct rig *rig, struct ioq_completion *done, unsigned int count);

/* Queues one request on file, waits for it, and returns its result. */
int64_t do_read(struct rig *rig, int file, void *buf, uint64_t len,
                int64_t offset);
int64_t do_write(struct rig *rig, int file, const void *buf, uint64_t len,
                 int64_t offset, uint32_t flags);
/* Of file 0. */
int64_t do_readv(struct rig *rig, const struct iovec *iov, int iovcnt,
                 int64_t offset);
int64_t do_writev(struct rig *rig, const struct iovec *iov, int iovcnt,
                  int64_t offset, uint32_t flags);
int64_t do_flush(struct rig *rig, int file);
int64_t do_discard(struct rig *rig, int file, int64_t offset, uint64_t len,
                   uint32_t flags);
int64_t do_zeroes(struct rig *rig, int file, int64_t offset, uint64_t len,
                  uint32_t flags);

/* Bytes that no other seed gives. */
void fill(void *buf, size_t len, unsigned int seed);
bool is_filled(const void *buf, size_t len, unsigned int seed);
bool is_all(const void *buf, size_t len, unsigned char byte);

/* Fills the rig's buffer and writes it to file 0. */
void write_filled(struct rig *rig, size_t len, int64_t offset,
                  unsigned int seed);
/* Reads all of it into the rig's buffer, which was 0xff before. */
void read_afresh(struct rig *rig, size_t len, int64_t offset);

struct ioq_file_info info_of(struct rig *rig, int file);
struct ioq_stats stats_of(struct rig *rig);

/* Whether fd is readable, now. */
bool is_readable(int fd);

/*
 * A request that stays at a worker, on every engine and place, until it is let
 * go: its buffer is memory that is not there (userfaultfd).
 */
#define STUCK_CALLS "userfaultfd "
struct stuck {
    int fd;
    unsigned char *memory;
    unsigned char *buf; /* of STUCK_BYTES */
};
#define STUCK_BYTES (600 * KIB)

/* Returns false if this machine has no such memory; then SKIP. */
bool stuck_open(struct stuck *stuck);
/*
 * Queues a request whose user_data is the struct, submits, and returns when a
 * worker has begun it.
 */
void stuck_read(struct stuck *stuck, struct rig *rig, int file, int64_t offset);
void stuck_write(struct stuck *stuck, struct rig *rig, int file,
                 int64_t offset);
/* Opens both, the rig with depth 8, and reads file 0. As stuck_open. */
bool rig_open_stuck(struct rig *rig, struct stuck *stuck);
/* The memory is zeroes from now on, and the request goes on. */
void stuck_let_go(struct stuck *stuck);
/* After the request's completion. */
void stuck_close(struct stuck *stuck);
/* Lets go, takes the completion, which is the next to come, and closes. */
void stuck_end(struct stuck *stuck, struct rig *rig);

#endif /* IOQ_TEST_CONTRACT_H */
