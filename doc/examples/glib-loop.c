/* SPDX-License-Identifier: MIT */
/*
 * Prints the SHA-256 of a disk or file as sha256sum does, in GLib's main loop:
 * struct disk_source makes a GSource of a handle, and can be taken as it is.
 *
 * Several reads are under way, and complete in any order; each block waits
 * until those before it have been digested.
 *
 * Build it with:
 *   cc -o glib-loop glib-loop.c $(pkg-config --cflags --libs libioq glib-2.0)
 *   ./glib-loop FILE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <ioq/handle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The GSource. Before the loop sleeps, it submits what was queued. */

struct disk_source {
    GSource source;
    struct ioq_handle *handle;
    gpointer tag; /* of the handle's fd */
    ioq_completion_fn *done;
    gpointer opaque;
};

static gboolean disk_prepare(GSource *source, gint *timeout)
{
    struct disk_source *disk = (struct disk_source *)source;

    *timeout = -1;
    ioq_handle_submit(disk->handle);
    return FALSE;
}

static gboolean disk_check(GSource *source)
{
    struct disk_source *disk = (struct disk_source *)source;

    return g_source_query_unix_fd(source, disk->tag) & G_IO_IN;
}

static gboolean disk_dispatch(GSource *source, GSourceFunc callback,
                              gpointer opaque)
{
    struct disk_source *disk = (struct disk_source *)source;

    (void)callback; /* GLib's type for it has too few arguments */
    (void)opaque;
    ioq_handle_run_completion(disk->handle, disk->done, disk->opaque);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs disk_functions = {
    .prepare = disk_prepare, .check = disk_check, .dispatch = disk_dispatch};

/* done is called for each request of the handle that completes. */
static GSource *disk_source_new(struct ioq_handle *handle,
                                ioq_completion_fn *done, gpointer opaque)
{
    GSource *source = g_source_new(&disk_functions, sizeof(struct disk_source));
    struct disk_source *disk = (struct disk_source *)source;

    disk->handle = handle;
    disk->tag = g_source_add_unix_fd(source, ioq_handle_fd(handle), G_IO_IN);
    disk->done = done;
    disk->opaque = opaque;
    return source;
}

/* The program. */

#define BLOCK (128u << 10)
#define BLOCKS 8u /* under way or waiting for their turn */

struct block {
    char *data;
    gint64 result;
    gboolean done;
};

struct job {
    GMainLoop *loop;
    struct ioq_handle *handle;
    int file;
    struct block blocks[BLOCKS]; /* block i of the file is blocks[i % BLOCKS] */
    gint64 asked, digested;      /* numbers of the next block to be */
    GChecksum *checksum;
    gboolean over;
    const char *error;
};

static void stop(struct job *job)
{
    job->over = TRUE;
    g_main_loop_quit(job->loop);
}

static void read_block(struct job *job)
{
    struct block *block = &job->blocks[job->asked % BLOCKS];

    block->done = FALSE;
    if (ioq_handle_read(job->handle, job->file, block->data, BLOCK,
                        job->asked * BLOCK, 0, block) < 0) {
        job->error = ioq_last_error();
        stop(job);
        return;
    }
    job->asked++;
}

static void block_done(void *user_data, int64_t result, void *opaque)
{
    struct job *job = opaque;
    struct block *block = user_data;

    block->result = result;
    block->done = TRUE;
    while (!job->over && job->blocks[job->digested % BLOCKS].done) {
        block = &job->blocks[job->digested % BLOCKS];
        if (block->result < 0)
            job->error = strerror((int)-block->result);
        else
            g_checksum_update(job->checksum, (guchar *)block->data,
                              (gssize)block->result);
        job->digested++;
        if (block->result == BLOCK)
            read_block(job);
        else
            stop(job); /* the end of the file, or an error */
    }
}

static int digest(struct job *job, const char *name)
{
    GSource *source = disk_source_new(job->handle, block_done, job);
    unsigned int i;

    job->loop = g_main_loop_new(NULL, FALSE);
    job->checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_source_attach(source, NULL);
    for (i = 0; i < BLOCKS; i++) {
        job->blocks[i].data = aligned_alloc(4096, BLOCK);
        read_block(job);
    }
    if (!job->over) /* the loop would forget that it was told to quit */
        g_main_loop_run(job->loop);
    if (job->error)
        fprintf(stderr, "glib-loop: %s: %s\n", name, job->error);
    else
        printf("%s  %s\n", g_checksum_get_string(job->checksum), name);

    g_source_destroy(source);
    g_source_unref(source);
    ioq_handle_close(job->handle); /* waits for reads beyond the end */
    for (i = 0; i < BLOCKS; i++)
        free(job->blocks[i].data);
    g_checksum_free(job->checksum);
    g_main_loop_unref(job->loop);
    return job->error != NULL;
}

int main(int argc, char **argv)
{
    struct job job = {0};
    int fd, status;

    if (argc != 2) {
        fprintf(stderr, "usage: glib-loop FILE\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "glib-loop: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    if (ioq_handle_open(NULL, &job.handle) < 0 ||
        (job.file = ioq_handle_attach(job.handle, fd, 0)) < 0) {
        fprintf(stderr, "glib-loop: %s: %s\n", argv[1], ioq_last_error());
        return 1;
    }
    status = digest(&job, argv[1]);
    close(fd);
    return status;
}
