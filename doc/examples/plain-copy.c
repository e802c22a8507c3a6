/* SPDX-License-Identifier: MIT */
/*
 * The copy of image-copy.c with blocking calls, one at a time, to compare with.
 */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void move_block(struct copy *copy, struct block *block)
{
    while (block->side != IDLE && !copy->failed && !interrupted) {
        struct transfer *next = block_next_transfer(copy, block);
        int fd = copy->files[next->side].fd;
        void *data = next->iov.iov_base;
        size_t length = next->iov.iov_len;
        ssize_t ret = next->read ? pread(fd, data, length, next->offset)
                                 : pwrite(fd, data, length, next->offset);

        if (ret < 0 && errno == EINTR)
            continue;
        block_transferred(copy, block, ret < 0 ? -errno : ret);
    }
}

static void run_pass(struct copy *copy, struct block *block, bool comparing)
{
    pass_begin(copy, comparing);
    while (!copy->failed && !interrupted && block_next_piece(copy, block)) {
        move_block(copy, block);
        pass_show_progress(copy);
    }
    pass_end(copy);
    if (!comparing && !copy->failed && fdatasync(copy->files[TARGET].fd) < 0)
        copy_fail(copy, TARGET, "flush error", -1, errno);
    pass_report(copy);
}

int main(int argc, char **argv)
{
    struct copy copy;
    struct block block = {.side = IDLE};

    copy_open(&copy, argc, argv);
    if (!block_allocate(&copy, &block))
        copy_fail(&copy, SOURCE, "no memory for the blocks", -1, 0);
    if (!copy.failed)
        run_pass(&copy, &block, false);
    if (!copy.failed && !copy.no_verify)
        run_pass(&copy, &block, true);
    copy_close(&copy);
    free(block.data);
    return copy.failed;
}
