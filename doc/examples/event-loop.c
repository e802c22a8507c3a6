/* SPDX-License-Identifier: MIT */
/*
 * Compares two disks, or images of them, in an epoll loop of its own: both are
 * attached to one handle, whose fd is one more in the set, beside a timer that
 * shows how far it is.
 *
 *  - requests are queued where they come up, and submitted once a turn;
 *  - the fd says that there may be completions; reaping until fewer come back
 *    than asked for finds them all, so that EPOLLET would do as well;
 *  - what comes beyond the end of a disk reads as zeroes: no case of its own.
 *
 * Build it with:
 *   cc -o event-loop event-loop.c $(pkg-config --cflags --libs libioq)
 *   ./event-loop DISK DISK
 * It exits with 0 if the disks are the same, 1 if not, 2 if it cannot tell.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <ioq/handle.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PIECE (256u << 10)
#define PIECES 16u /* under way */
#define REAP 32u

struct piece {
    int64_t offset;
    char *data[2]; /* of each disk */
    int missing;   /* reads that did not complete yet */
};

struct job {
    struct ioq_handle *handle;
    const char *names[2];
    int fds[2];
    int files[2]; /* as the handle numbers them */
    int64_t length, next;
    int64_t compared;
    struct piece pieces[PIECES];
    unsigned int busy; /* pieces */
    int64_t differs;   /* the first byte that does; -1 if none is known */
};

static void fail(const char *name, const char *what)
{
    fprintf(stderr, "event-loop: %s: %s\n", name, what);
    exit(2);
}

static void open_disk(struct job *job, int disk, const char *name)
{
    struct ioq_file_info info = {.size = sizeof(info)};
    int fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0 && errno == EINVAL) /* as on tmpfs */
        fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(name, strerror(errno));
    job->names[disk] = name;
    job->fds[disk] = fd;
    job->files[disk] = ioq_handle_attach(job->handle, fd, 0);
    if (job->files[disk] < 0 ||
        ioq_handle_file_info(job->handle, job->files[disk], &info) < 0)
        fail(name, ioq_last_error());
    if (disk == 0)
        job->length = info.length;
    else if (info.length != job->length)
        fail(name, "not as long as the other one");
}

/* Queues the reads of the next piece, if there is one left. The last one may
 * reach beyond the end, so that all are whole blocks. */
static void begin_piece(struct job *job, struct piece *piece)
{
    int disk;

    if (job->next >= job->length || job->differs >= 0)
        return;
    piece->offset = job->next;
    piece->missing = 2;
    for (disk = 0; disk < 2; disk++)
        if (ioq_handle_read(job->handle, job->files[disk], piece->data[disk],
                            PIECE, piece->offset, 0, piece) < 0)
            fail(job->names[disk], ioq_last_error());
    job->next += PIECE;
    job->busy++;
}

static void compare(struct job *job, const struct piece *piece)
{
    unsigned int i = 0;

    job->compared += PIECE;
    if (memcmp(piece->data[0], piece->data[1], PIECE) == 0)
        return;
    while (piece->data[0][i] == piece->data[1][i])
        i++;
    if (job->differs < 0 || piece->offset + i < job->differs)
        job->differs = piece->offset + i;
}

static void read_done(struct job *job, const struct ioq_completion *done)
{
    struct piece *piece = done->user_data;

    if (done->result < 0)
        fail("read error", strerror((int)-done->result));
    if (--piece->missing > 0)
        return;
    job->busy--;
    compare(job, piece);
    begin_piece(job, piece);
}

static void reap(struct job *job)
{
    struct ioq_completion done[REAP];
    int n, i;

    do {
        n = ioq_handle_reap(job->handle, done, REAP);
        for (i = 0; i < n; i++)
            read_done(job, &done[i]);
    } while (n == REAP);
}

static void show_progress(const struct job *job, int timer)
{
    uint64_t ticks;

    if (read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
        fprintf(stderr, "%" PRId64 " of %" PRId64 " MiB\n", job->compared >> 20,
                job->length >> 20);
}

static int start_timer(void)
{
    struct itimerspec second = {{1, 0}, {1, 0}};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (timer < 0 || timerfd_settime(timer, 0, &second, NULL) < 0)
        fail("timerfd", strerror(errno));
    return timer;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll", strerror(errno));
}

static void loop(struct job *job)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = start_timer();
    struct epoll_event events[2];
    int n, i;

    watch(epoll, ioq_handle_fd(job->handle));
    watch(epoll, timer);
    while (job->busy > 0) {
        ioq_handle_submit(job->handle);
        n = epoll_wait(epoll, events, 2, -1);
        for (i = 0; i < n; i++) {
            if (events[i].data.fd == timer)
                show_progress(job, timer);
            else
                reap(job);
        }
    }
    close(timer);
    close(epoll);
}

static int report(const struct job *job)
{
    if (job->differs < 0) {
        printf("%s and %s are the same\n", job->names[0], job->names[1]);
        return 0;
    }
    printf("%s and %s differ at byte %" PRId64 "\n", job->names[0],
           job->names[1], job->differs);
    return 1;
}

int main(int argc, char **argv)
{
    struct job job = {.differs = -1};
    int disk, i;

    if (argc != 3)
        fail("usage", "event-loop DISK DISK");
    if (ioq_handle_open(NULL, &job.handle) < 0)
        fail("libioq", ioq_last_error());
    for (disk = 0; disk < 2; disk++)
        open_disk(&job, disk, argv[1 + disk]);
    for (i = 0; i < (int)PIECES; i++) {
        for (disk = 0; disk < 2; disk++)
            if (!(job.pieces[i].data[disk] = aligned_alloc(4096, PIECE)))
                fail("memory", strerror(errno));
        begin_piece(&job, &job.pieces[i]);
    }
    loop(&job);
    ioq_handle_close(job.handle);
    for (disk = 0; disk < 2; disk++) {
        for (i = 0; i < (int)PIECES; i++)
            free(job.pieces[i].data[disk]);
        close(job.fds[disk]);
    }
    return report(&job);
}
