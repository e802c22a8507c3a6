/* SPDX-License-Identifier: MIT */
/*
 * Serves a disk image to an emulator: a vhost-user-blk device whose requests go
 * through libioq. README.md shows how to start it.
 *
 * This thread has the socket and the signals; each queue has one of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "device.h"
#include "disk.h"
#include "report.h"

struct options {
    struct disk_options disk;
    const char *socket;
    bool stats;
};

static const char usage[] =
    "vhost-user-blk --socket PATH --image FILE [OPTION...]\n"
    "\n"
    "Serves a disk image to an emulator, through libioq.\n"
    "\n"
    "  --socket PATH    the socket that the emulator connects to\n"
    "  --image FILE     the image: a file or a block device\n"
    "  --engine NAME    auto (the default), aio, io_uring or threads\n"
    "  --queues N       how many queues a guest may use; 4 by default\n"
    "  --read-only      the guest may not write\n"
    "  --buffered       through the host's page cache, without O_DIRECT\n"
    "  --stats          print what went through libioq, at the end\n"
    "  --help           print this\n"
    "\n"
    "SIGTERM and SIGINT: finish what is in flight, and end. SIGUSR1: finish\n"
    "what is in flight, flush, and pause, for a copy of the image, say; once\n"
    "more: go on.\n";

static int find_engine(const char *name, enum ioq_engine *ret_engine)
{
    unsigned int engine;

    for (engine = 0; ioq_engine_name(engine); engine++)
        if (strcmp(name, ioq_engine_name(engine)) == 0) {
            *ret_engine = engine;
            return 0;
        }
    return report("no engine is called %s", name);
}

static int set_queues(struct options *options, const char *text)
{
    char *end;
    unsigned long queues = strtoul(text, &end, 10);

    if (*end || queues < 1 || queues > DEVICE_QUEUES_MAX)
        return report("--queues: from 1 to %u", DEVICE_QUEUES_MAX);
    options->disk.queues = (uint16_t)queues;
    return 0;
}

static int set_option(struct options *options, int option)
{
    switch (option) {
    case 's':
        options->socket = optarg;
        return 0;
    case 'i':
        options->disk.image = optarg;
        return 0;
    case 'e':
        return find_engine(optarg, &options->disk.engine);
    case 'q':
        return set_queues(options, optarg);
    case 'r':
        options->disk.read_only = true;
        return 0;
    case 'b':
        options->disk.buffered = true;
        return 0;
    case 't':
        options->stats = true;
        return 0;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        return report("--help tells what there is"); /* after getopt's line */
    }
}

static int parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"socket", required_argument, NULL, 's'},
        {"image", required_argument, NULL, 'i'},
        {"engine", required_argument, NULL, 'e'},
        {"queues", required_argument, NULL, 'q'},
        {"read-only", no_argument, NULL, 'r'},
        {"buffered", no_argument, NULL, 'b'},
        {"stats", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
        if (set_option(options, option) < 0)
            return -1;
    if (optind < argc || !options->socket || !options->disk.image)
        return report("--socket and --image are needed; see --help");
    return 0;
}

/* The name appears when there is somebody to answer. It replaces the socket of
 * a server that died. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s.%d", path,
                     (int)getpid());

    if (n >= (int)sizeof(address.sun_path))
        return report("--socket: the path is too long");
    if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) < 0)
        return report("%s: %s", path, strerror(errno));
    if (listen(fd, 1) == 0 && rename(address.sun_path, path) == 0)
        return fd;
    report("%s: %s", path, strerror(errno));
    unlink(address.sun_path);
    return -1;
}

/* Half a message must not keep us from hearing signals. */
static void greet(struct device *device, int listener)
{
    struct timeval patience = {.tv_sec = 5};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    device_connect(device, fd);
}

static void toggle_pause(struct device *device)
{
    device_pause(device, !device->paused);
    if (device->paused && fdatasync(device->disk->fd) < 0)
        report("cannot flush: %s", strerror(errno));
    puts(device->paused ? "paused" : "going on");
    fflush(stdout);
}

/* Returns whether to go on. */
static bool heed_signal(struct device *device, int signals)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGUSR1)
        return false;
    toggle_pause(device);
    return true;
}

/* One emulator at a time; the next one waits in the backlog. */
static void serve(struct device *device, int listener, int signals)
{
    bool going_on = true;

    while (going_on) {
        bool connected = device->socket >= 0;
        struct pollfd fds[] = {
            {.fd = signals, .events = POLLIN},
            {.fd = connected ? device->socket : listener, .events = POLLIN},
        };

        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents)
            going_on = heed_signal(device, signals);
        else if (!connected)
            greet(device, listener);
        else if (device_handle_message(device) != 1)
            device_disconnect(device);
    }
    device_disconnect(device);
}

static void print_stats(const struct device *device)
{
    const struct block_totals *t = &device->totals;

    printf("engine %s\n", ioq_engine_name(device->disk->engine));
    printf("requests: %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
           " flushes, %" PRIu64 " discards, %" PRIu64 " write-zeroes\n",
           t->requests[IOQ_KIND_READ], t->requests[IOQ_KIND_WRITE],
           t->requests[IOQ_KIND_FLUSH], t->requests[IOQ_KIND_DISCARD],
           t->requests[IOQ_KIND_WRITE_ZEROES]);
    printf("bytes: %" PRIu64 " read, %" PRIu64 " written\n", t->bytes_read,
           t->bytes_written);
    printf("batches: %" PRIu64 ", in %" PRIu64 " system calls; %" PRIu64
           " requests were done by workers\n",
           t->batches, t->kernel_submits, t->workers);
    printf("failed: %" PRIu64 ", refused: %" PRIu64 "\n", t->failed,
           t->refused);
}

static int catch_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd >= 0 ? fd : report("no signalfd: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct options options = {.disk = {.queues = 4}};
    struct disk disk;
    struct device device;
    int signals, listener = -1;

    if (parse(&options, argc, argv) < 0)
        return 2;
    signals = catch_signals();
    if (signals < 0 || disk_open(&disk, &options.disk) < 0)
        return 1;
    if (device_init(&device, &disk, options.disk.queues) < 0)
        return 1;
    listener = listen_at(options.socket);
    if (listener >= 0)
        serve(&device, listener, signals);
    if (listener >= 0)
        unlink(options.socket);
    device_cleanup(&device);
    if (options.stats)
        print_stats(&device);
    disk_close(&disk);
    return listener < 0;
}
