/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A handle over the scripted kernel, with the scripted file attached.
 */
#ifndef IOQ_TEST_HANDLE_FIXTURE_H
#define IOQ_TEST_HANDLE_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ioq/handle.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "../support/runner.h"
#include "../support/scripted_files.h"
#include "faults.h"

#define BLOCK 512
#define LENGTH (64 * BLOCK) /* of the file, to begin with */
#define SECONDS INT64_C(1000000000)
#define TOO_LONG (10 * SECONDS) /* nothing takes as long */

extern struct ioq_handle *hx;

/* 64 blocks, aligned to one. Those of writes hold a pattern. */
extern unsigned char hx_buf[LENGTH] __attribute__((aligned(4096)));

/* Attaches the file as 0; 0 workers is the default. */
void hx_open(unsigned int depth, unsigned int workers);
void hx_close(void);    /* also what each test's teardown does */
void hx_teardown(void); /* and no faults are left */

/* Each queues one request to file 0, and must be accepted. */
void hx_read(void *buf, uint64_t len, int64_t offset);
void hx_write(const void *buf, uint64_t len, int64_t offset, uint32_t flags);
void hx_zero(int64_t offset, uint64_t len, uint32_t flags);
void hx_discard(int64_t offset, uint64_t len);
void hx_flush(void);

/*
 * Submits and lets the kernel complete what it has, until one request, which
 * must be the only one, completes. Returns its result.
 */
int64_t hx_result(void);

/* Likewise for several; adds up results, which must not be errors. */
int64_t hx_results(unsigned int count);

/* One request and its result. */
int64_t hx_read_now(void *buf, uint64_t len, int64_t offset);
int64_t hx_write_now(const void *buf, uint64_t len, int64_t offset,
                     uint32_t flags);

/* For sf.on_transfer: the file does not know RWF_NOWAIT. */
int hx_no_nowait(const struct sf_transfer *transfer);

struct ioq_stats hx_stats(void);
uint32_t hx_file_flags(void);

/* Fills the disk's first LENGTH bytes, and hx_buf with something else. */
void hx_pattern(void);

/* A suite with one test case, whose tests end with hx_teardown. */
TCase *hx_tcase(const char *name, Suite **ret_suite);

#endif /* IOQ_TEST_HANDLE_FIXTURE_H */
