/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile emulator: the input is a row of messages, each with the file
 * descriptors that it brings, and the memory that they share.
 *
 * It may not shrink that memory: whoever shares it can, and the README of the
 * server says so.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"
#include "fuzz.h"

#define SHARED_SIZE 65536
#define MESSAGES_MAX 48
#define QUEUES 2

static int shared = -1, event = -1;

/* Queues without threads: what is in the ring is served as they start. */
int queue_init(struct queue *queue, unsigned int number)
{
    memset(queue, 0, sizeof(*queue));
    queue->ring.number = number;
    queue->kick = queue->call = queue->error = -1;
    return 0;
}

int queue_start(struct queue *queue, const struct queue_place *place)
{
    if (queue->running || !queue->started || !queue->enabled)
        return 0;
    lane_close(&queue->lane, place->totals);
    if (ring_start(&queue->ring, &queue->layout, place->memory, place->log) < 0)
        return -1;
    if (lane_open(&queue->lane, place->disk, &queue->ring, place->features) < 0)
        return -1;
    lane_take(&queue->lane);
    queue->running = true;
    return 0;
}

void queue_stop(struct queue *queue)
{
    if (!queue->running)
        return;
    lane_drain(&queue->lane);
    ring_wants_notification(&queue->ring);
    queue->running = false;
    queue->layout.base = queue->ring.next_avail;
}

void queue_reset(struct queue *queue, struct block_totals *totals)
{
    int *fds[] = {&queue->kick, &queue->call, &queue->error};
    unsigned int i;

    queue_stop(queue);
    lane_close(&queue->lane, totals);
    for (i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    queue->enabled = queue->started = false;
    queue->layout = (struct ring_layout){.size = 0};
}

void queue_cleanup(struct queue *queue, struct block_totals *totals)
{
    queue_reset(queue, totals);
}

static void send_message(int socket, struct input *input)
{
    uint32_t request = (uint32_t)input_number(input, 1);
    uint32_t flags = (uint32_t)input_number(input, 1);
    unsigned int fds = (unsigned int)input_number(input, 1), i;
    uint32_t size = (uint32_t)input_number(input, 2) % 400;
    int list[MESSAGE_FDS + 2];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(list))];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    uint32_t wire[128] = {request, flags & 0x7f, size};
    struct iovec iov = {wire, 12 + size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    unsigned int count = fds % 11;

    input_bytes(input, wire + 3, size);
    if (flags & 0x80) /* not what its header says */
        iov.iov_len = 12 + size / 2;
    for (i = 0; i < count; i++)
        list[i] = fds >= 128 ? event : shared;
    if (count > 0) {
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), list, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

static void set_up(void)
{
    if (shared >= 0)
        return;
    shared = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared < 0 || event < 0 || ftruncate(shared, SHARED_SIZE) < 0 ||
        fcntl(shared, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        abort();
}

static void fill_memory(struct input *input)
{
    static uint8_t content[SHARED_SIZE];
    size_t size = input_number(input, 2) % 2048;

    memset(content, 0, sizeof(content));
    input_bytes(input, content, size);
    if (pwrite(shared, content, SHARED_SIZE, 0) != SHARED_SIZE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char answer[512];
    struct device device;
    struct disk disk;
    int ends[2];
    unsigned int i;

    set_up();
    fuzz_library((unsigned int)input_number(&input, 1));
    fuzz_disk(&disk, (unsigned int)input_number(&input, 1));
    fill_memory(&input);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
        device_init(&device, &disk, QUEUES) < 0)
        abort();
    device_connect(&device, ends[0]);
    for (i = 0; i < MESSAGES_MAX && input.left > 0; i++)
        send_message(ends[1], &input);
    shutdown(ends[1], SHUT_WR);
    while (device_handle_message(&device) == 1)
        while (recv(ends[1], answer, sizeof(answer), MSG_DONTWAIT) > 0)
            ;
    device_cleanup(&device);
    close(ends[1]);
    return 0;
}
