/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file that a test does its I/O on. Meson runs each program once for each
 * kind of place, through support/place.sh, which prepares it. A program that is
 * started by hand gets a file in the working directory.
 */
#ifndef IOQ_TEST_PLACE_H
#define IOQ_TEST_PLACE_H

#include <stdbool.h>

/* Bytes, on every kind of place. */
#define PLACE_SIZE (16L << 20)

/* A multiple of what O_DIRECT asks for on any of them, in bytes. */
#define PLACE_BLOCK 4096

/* Opens it for reading and writing, with O_DIRECT where the kind says so. */
int place_open(void);

/*
 * Opens one more file of the same kind, of no length: number tells it from the
 * others. It goes with the place. A block device is the same one once more.
 */
int place_open_another(unsigned int number);

/* "xfs", "loop512", ... */
const char *place_kind(void);

/* Tells whether place_open opens with O_DIRECT. */
bool place_is_direct(void);

/* Writes the size bytes at data to the place's start, by pwrite(2). */
void place_fill(int fd, const void *data, long size);

/* Memory for I/O on any place; exits the test if there is none. */
void *place_buffer(long size);

#endif /* IOQ_TEST_PLACE_H */
