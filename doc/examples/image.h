/* SPDX-License-Identifier: MIT */
/*
 * What copying a disk image is about, however its bytes are moved: two files,
 * the holes in them, and blocks on their way from one to the other. Nothing in
 * here knows of libioq; image-copy.c and plain-copy.c share it.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum side { SOURCE, TARGET, IDLE };

struct file {
    const char *path;
    int fd; /* -1 if it is not open */
};

/* One read or write. It stays where it is until it has completed. */
struct transfer {
    enum side side;
    bool read;
    off_t offset;
    struct iovec iov;
};

/* A piece of the image on its way: from the source, then to the target. */
struct block {
    enum side side; /* the file that it is to meet next */
    off_t offset;
    size_t length;
    size_t done; /* bytes of length that the current side has dealt with */
    unsigned int stalls; /* transfers in a row that got us nowhere */
    char *data; /* from the source, and behind it room for the target's */
    struct transfer next;
};

struct copy {
    struct file files[2];
    unsigned int depth;
    size_t block_size;
    bool buffered, no_verify;

    size_t alignment; /* of offsets, lengths and memory */
    off_t size;
    bool comparing; /* the second pass: reads the target, writes nothing */
    bool failed;

    off_t position, segment_end; /* the next piece is taken from here */
    uint64_t moved;              /* bytes of this pass */
    double started;
    bool bar; /* a progress bar is shown */
    int percent;
};

/* Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t interrupted;

/* Reads the command line and opens the files; exits if it cannot. */
void copy_open(struct copy *copy, int argc, char **argv);

/* Closes the files. Removes the target after a failure. */
void copy_close(struct copy *copy);

/* Reports the first failure. offset may be -1; error is an errno or 0. */
void copy_fail(struct copy *copy, enum side side, const char *what,
               off_t offset, int error);

bool block_allocate(const struct copy *copy, struct block *block);

/* Gives the block the next piece of the image; false if there is none. */
bool block_next_piece(struct copy *copy, struct block *block);

/* Returns what the block needs next, kept in the block itself. */
struct transfer *block_next_transfer(const struct copy *copy,
                                     struct block *block);

/* Takes the result of that transfer: bytes or -errno. */
void block_transferred(struct copy *copy, struct block *block, ssize_t ret);

/* Around each pass over the image. The target is to be flushed after end. */
void pass_begin(struct copy *copy, bool comparing);
void pass_show_progress(struct copy *copy);
void pass_end(struct copy *copy);
void pass_report(struct copy *copy);

#endif /* IMAGE_H */
