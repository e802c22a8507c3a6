/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for the kernel edge of calls that may sleep, linked in place of
 * sys_file.c. There is one file, or device: the disk of the scripted kernel, as
 * far as it is long. Nothing of it sleeps, unless the test does in a hook.
 *
 * Hooks are called without a lock, by whichever thread works.
 */
#ifndef IOQ_TEST_SCRIPTED_FILES_H
#define IOQ_TEST_SCRIPTED_FILES_H

#include <limits.h>

#include "scripted_kernel.h"
#include "sys_file.h"

/* A hook's answer: no fault. */
#define SF_ALL INT_MAX

struct sf_transfer {
    bool read;
    int64_t offset, wanted; /* bytes */
    int flags;              /* RWF_* */
};

struct sf_files {
    /* What the file is. */
    struct ioq__sys_info info;
    int info_error;
    bool direct; /* what info's alignment forbids is EINVAL */

    /* Each may return -errno; the first also how many bytes, at most. */
    int (*on_transfer)(const struct sf_transfer *transfer);
    int (*on_fallocate)(int mode);
    int datasync_error, discard_error, zero_error;

    /* What was seen. */
    unsigned long reads, writes, datasyncs, truncates, fallocates, discards,
        zeroes;
};

extern struct sf_files sf;

/* A buffered regular file of that many bytes, no faults. */
void sf_reset(int64_t length);

/* Makes it direct, in blocks of that many bytes. */
void sf_make_direct(unsigned int align);

/* Makes it a device with sectors of that many bytes, direct, too. */
void sf_make_device(unsigned int sector);

int64_t sf_length(void);
void sf_set_length(int64_t length);

#endif /* IOQ_TEST_SCRIPTED_FILES_H */
