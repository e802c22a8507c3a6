/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What O_DIRECT asks of offsets, lengths and memory, on any usual device. */
#define DIRECT_ALIGNMENT 4096u

/* A file that ends inside of a unit is short there for ever. */
#define STALLS_MAX 20u

volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/*
 * The first failure only: what is in flight behind it fails for the same
 * reason, more often than not.
 */
void copy_fail(struct copy *copy, enum side side, const char *what,
               off_t offset, int error)
{
    if (copy->failed)
        return;
    copy->failed = true;
    fprintf(stderr, "%s%s: %s: %s", copy->bar ? "\r\033[K" : "",
            program_invocation_short_name, copy->files[side].path, what);
    if (offset >= 0)
        fprintf(stderr, " at offset %jd", (intmax_t)offset);
    fprintf(stderr, "%s%s\n", error ? ": " : "", error ? strerror(error) : "");
    if (error == EINVAL && copy->alignment > 1)
        fprintf(stderr, "%s: try --buffered\n", program_invocation_short_name);
}

bool block_allocate(const struct copy *copy, struct block *block)
{
    void *data;

    if (posix_memalign(&data, DIRECT_ALIGNMENT, 2 * copy->block_size) != 0)
        return false;
    *block = (struct block){.side = IDLE, .data = data};
    return true;
}

/*
 * Finds the next data, so that holes are neither read nor written. While
 * comparing, data of either file counts. A file that cannot tell is all data.
 */
static bool find_segment(struct copy *copy)
{
    off_t start = copy->size, end = copy->size;
    int side, last = copy->comparing ? TARGET : SOURCE;

    for (side = SOURCE; side <= last; side++) {
        int fd = copy->files[side].fd;
        off_t data = lseek(fd, copy->position, SEEK_DATA), hole;

        if (data < 0 && errno == ENXIO)
            continue; /* a hole up to the end */
        if (data < 0)
            data = copy->position;
        if (data >= start)
            continue;
        hole = lseek(fd, data, SEEK_HOLE);
        start = data;
        end = hole > data && hole < copy->size ? hole : copy->size;
    }
    copy->position = start - start % (off_t)copy->alignment;
    copy->segment_end = end;
    return start < copy->size;
}

bool block_next_piece(struct copy *copy, struct block *block)
{
    size_t length = copy->block_size;

    if (copy->position >= copy->segment_end && !find_segment(copy))
        return false;
    if (copy->segment_end - copy->position < (off_t)length)
        length = (size_t)(copy->segment_end - copy->position);
    block->side = SOURCE;
    block->offset = copy->position;
    block->length = length;
    block->done = 0;
    block->stalls = 0;
    copy->position += (off_t)length;
    return true;
}

struct transfer *block_next_transfer(const struct copy *copy,
                                     struct block *block)
{
    size_t unit = copy->alignment;
    size_t whole = (block->length + unit - 1) / unit * unit;
    bool compared = copy->comparing && block->side == TARGET;
    char *data = block->data + (compared ? copy->block_size : 0);

    block->next = (struct transfer){
        .side = block->side,
        .read = block->side == SOURCE || compared,
        .offset = block->offset + (off_t)block->done,
        .iov = {data + block->done, whole - block->done},
    };
    return &block->next;
}

/* The file of the current side has dealt with all of the block. */
static void side_done(struct copy *copy, struct block *block)
{
    size_t unit = copy->alignment, tail = block->length % unit;

    block->done = 0;
    block->stalls = 0;
    if (block->side == SOURCE) {
        /* O_DIRECT writes whole units; pass_end cuts the file to its size. */
        if (tail)
            memset(block->data + block->length, 0, unit - tail);
        block->side = TARGET;
        return;
    }
    if (copy->comparing &&
        memcmp(block->data, block->data + copy->block_size, block->length) != 0)
        copy_fail(copy, TARGET, "differs from the source in the block",
                  block->offset, 0);
    copy->moved += block->length;
    block->side = IDLE;
}

void block_transferred(struct copy *copy, struct block *block, ssize_t ret)
{
    bool read = block->side == SOURCE || copy->comparing;
    off_t offset = block->offset + (off_t)block->done;
    size_t done;

    if (ret < 0) {
        copy_fail(copy, block->side, read ? "read error" : "write error",
                  offset, (int)-ret);
        return;
    }
    done = block->done + (size_t)ret;
    if (done >= block->length) {
        side_done(copy, block);
        return;
    }
    /* O_DIRECT goes on from a whole unit only, so part of one is repeated. */
    done -= done % copy->alignment;
    block->stalls = done == block->done ? block->stalls + 1 : 0;
    if (ret == 0 || block->stalls > STALLS_MAX) {
        copy_fail(copy, block->side,
                  read ? "unexpected end" : "takes no more data", offset, 0);
        return;
    }
    block->done = done;
}

void pass_begin(struct copy *copy, bool comparing)
{
    copy->comparing = comparing;
    copy->position = copy->segment_end = 0;
    copy->moved = 0;
    copy->percent = -1;
    copy->started = now();
}

void pass_show_progress(struct copy *copy)
{
    static const char full[] =
        "##################################################";
    int percent = (int)(100 * (double)copy->position / (double)copy->size);

    if (!copy->bar || percent <= copy->percent)
        return;
    copy->percent = percent;
    fprintf(stderr, "\r%-7s [%-50.*s] %3d %%",
            copy->comparing ? "compare" : "copy", percent / 2, full, percent);
}

void pass_end(struct copy *copy)
{
    const struct file *source = &copy->files[SOURCE];
    const struct file *target = &copy->files[TARGET];

    if (interrupted)
        copy_fail(copy, TARGET, "interrupted", -1, 0);
    if (copy->failed)
        return;
    if (lseek(source->fd, 0, SEEK_END) != copy->size)
        copy_fail(copy, SOURCE, "its size has changed", -1, 0);
    else if (!copy->comparing && ftruncate(target->fd, copy->size) < 0)
        copy_fail(copy, TARGET, "cannot set the size", -1, errno);
    else if (lseek(target->fd, 0, SEEK_END) != copy->size)
        copy_fail(copy, TARGET, "has the wrong size", -1, 0);
}

void pass_report(struct copy *copy)
{
    double seconds = now() - copy->started;
    double mib = (double)copy->moved / (1 << 20);

    if (copy->failed)
        return;
    if (copy->bar)
        fprintf(stderr, "\r\033[K");
    printf("%s %.1f MiB of data in %.2f s: %.0f MiB/s%s\n",
           copy->comparing ? "compared" : "copied", mib, seconds, mib / seconds,
           copy->alignment > 1 ? ", O_DIRECT" : ", buffered");
    fflush(stdout);
}

/* O_DIRECT on both files, or on none. */
static bool set_direct(const struct copy *copy)
{
    int source = copy->files[SOURCE].fd, target = copy->files[TARGET].fd;
    int flags = fcntl(source, F_GETFL);

    if (fcntl(source, F_SETFL, flags | O_DIRECT) < 0)
        return false;
    if (fcntl(target, F_SETFL, fcntl(target, F_GETFL) | O_DIRECT) == 0)
        return true;
    fcntl(source, F_SETFL, flags);
    return false;
}

static void open_files(struct copy *copy)
{
    struct file *source = &copy->files[SOURCE], *target = &copy->files[TARGET];
    struct stat status;

    source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &status) < 0) {
        copy_fail(copy, SOURCE, "cannot open", -1, errno);
        return;
    }
    copy->size = lseek(source->fd, 0, SEEK_END);
    if (copy->size < 0 ||
        !(S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
        copy_fail(copy, SOURCE, "neither a file nor a block device", -1, 0);
        return;
    }
    /* Never over something that is there already, so never over the source. */
    target->fd = open(target->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                      status.st_mode & 0777);
    if (target->fd < 0) {
        copy_fail(copy, TARGET, "cannot create", -1, errno);
        return;
    }
    copy->alignment =
        !copy->buffered && set_direct(copy) ? DIRECT_ALIGNMENT : 1;
    /* Now, since a write that makes a file longer blocks in io_submit(2). */
    if (ftruncate(target->fd, copy->size) < 0)
        copy_fail(copy, TARGET, "cannot set the size", -1, errno);
}

void copy_close(struct copy *copy)
{
    const struct file *target = &copy->files[TARGET];
    int side;

    for (side = SOURCE; side <= TARGET; side++)
        if (copy->files[side].fd >= 0)
            close(copy->files[side].fd);
    /* It is ours: open_files would not have taken one that existed. */
    if (copy->failed && target->fd >= 0 && unlink(target->path) < 0)
        fprintf(stderr, "%s: %s is incomplete\n", program_invocation_short_name,
                target->path);
}

static void usage(FILE *stream)
{
    fprintf(stream,
            "Usage: %s [options] SOURCE TARGET\n"
            "Copies a disk image to a new file and compares the two.\n"
            "  --depth=N       blocks under way at a time (default 32)\n"
            "  --block-size=N  bytes in a block; K and M are known (256K)\n"
            "  --buffered      through the page cache, not with O_DIRECT\n"
            "  --no-verify     do not compare afterwards\n"
            "  --help          this text\n",
            program_invocation_short_name);
}

/* Returns 0 if text is not a number from 1 to max. */
static size_t parse_number(const char *text, size_t max)
{
    char *end;
    unsigned long long value;

    if (text[0] < '0' || text[0] > '9')
        return 0;
    value = strtoull(text, &end, 10); /* ULLONG_MAX if it is too large */
    if (value > max)
        return 0;
    if (*end == 'K' || *end == 'M')
        value <<= *end++ == 'K' ? 10 : 20;
    return *end || value > max ? 0 : (size_t)value;
}

/* Returns whether the command line makes sense so far. */
static bool parse_options(struct copy *copy, int argc, char **argv)
{
    static const struct option options[] = {
        {"depth", required_argument, NULL, 'd'},
        {"block-size", required_argument, NULL, 's'},
        {"buffered", no_argument, NULL, 'b'},
        {"no-verify", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'd') {
            copy->depth = (unsigned int)parse_number(optarg, 4096);
        } else if (option == 's') {
            copy->block_size = parse_number(optarg, 64u << 20);
        } else if (option == 'b') {
            copy->buffered = true;
        } else if (option == 'n') {
            copy->no_verify = true;
        } else if (option == 'h') {
            usage(stdout);
            exit(0);
        } else {
            return false;
        }
    }
    return optind + 2 == argc;
}

void copy_open(struct copy *copy, int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};

    *copy = (struct copy){
        .files = {{.fd = -1}, {.fd = -1}},
        .depth = 32,
        .block_size = 256 << 10,
        .alignment = 1,
        .bar = isatty(STDERR_FILENO),
    };
    if (!parse_options(copy, argc, argv)) {
        usage(stderr);
        exit(2);
    }
    if (copy->depth == 0 || copy->block_size == 0 ||
        copy->block_size % DIRECT_ALIGNMENT != 0) {
        fprintf(stderr,
                "%s: --depth is 1 to 4096; --block-size is a multiple "
                "of 4K, up to 64M\n",
                program_invocation_short_name);
        exit(2);
    }
    copy->files[SOURCE].path = argv[optind];
    copy->files[TARGET].path = argv[optind + 1];
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    open_files(copy);
    if (copy->failed) {
        copy_close(copy);
        exit(1);
    }
}
