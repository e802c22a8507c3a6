/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the fuzzers share: input, and a stand-in for libioq and its files. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "disk.h"

/* The fuzzer's bytes. What is not there reads as zeroes. */
struct input {
    const uint8_t *data;
    size_t left;
};

uint64_t input_number(struct input *input, unsigned int bytes);

/* Copies up to size bytes to where they shall be. Returns how many. */
size_t input_bytes(struct input *input, void *to, size_t size);

/* A disk of 1 MiB without an image. */
#define FUZZ_DISK_SIZE (1u << 20)
void fuzz_disk(struct disk *disk, unsigned int choice);

/*
 * The stand-in for libioq completes in an order and with results that choice
 * says. It ends the process if a request is not what the library's header asks
 * for, or lies beyond the disk. It touches each byte of the buffers.
 */
void fuzz_library(unsigned int choice);

#endif /* FUZZ_H */
