/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

#define BIT(n) (1ull << (n))

#define PROTOCOL_FEATURES                                                      \
    (BIT(PROTOCOL_F_MQ) | BIT(PROTOCOL_F_REPLY_ACK) | BIT(PROTOCOL_F_CONFIG) | \
     BIT(PROTOCOL_F_INFLIGHT_SHMFD))

/* What a handler returns: the message is done, or it was answered, too. */
enum { DONE = 0, ANSWERED = 1 };

static uint64_t offered_features(const struct device *device)
{
    return device->disk->features | BIT(VIRTIO_F_VERSION_1) |
           BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
           BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

static int start_queue(struct device *device, unsigned int index)
{
    struct queue *queue = &device->queues[index];
    struct queue_place place = {
        .disk = device->disk,
        .memory = &device->memory,
        .log = inflight_of(&device->inflight, index, queue->layout.size),
        .features = device->features,
        .totals = &device->totals,
    };

    queue->layout.event_idx = device->features & BIT(VIRTIO_RING_F_EVENT_IDX);
    queue->layout.indirect =
        device->features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
    return device->paused ? 0 : queue_start(queue, &place);
}

static int start_queues(struct device *device)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; i < device->num_queues; i++)
        rc |= start_queue(device, i);
    return rc;
}

static void stop_queues(struct device *device)
{
    unsigned int i;

    for (i = 0; i < device->num_queues; i++)
        queue_stop(&device->queues[i]);
}

static int answer(struct device *device, struct message *message, uint32_t size)
{
    if (message_reply(device->socket, message, size, -1) < 0)
        return -1;
    return ANSWERED;
}

static int answer_number(struct device *device, struct message *message,
                         uint64_t number)
{
    message->payload.number = number;
    return answer(device, message, sizeof(number));
}

static int get_features(struct device *device, struct message *message)
{
    return answer_number(device, message, offered_features(device));
}

static int set_features(struct device *device, struct message *message)
{
    uint64_t features = message->payload.number;
    unsigned int i;

    if (features & ~offered_features(device))
        return report("features that were not offered: 0x%llx",
                      (unsigned long long)features);
    stop_queues(device);
    device->features = features;
    for (i = 0; i < device->num_queues; i++) {
        /* The handle of before served another set of features. */
        lane_close(&device->queues[i].lane, &device->totals);
        if (!(features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
            device->queues[i].enabled = true;
    }
    return start_queues(device);
}

static int get_protocol_features(struct device *device, struct message *message)
{
    return answer_number(device, message, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct device *device, struct message *message)
{
    if (message->payload.number & ~PROTOCOL_FEATURES)
        return report("protocol features that were not offered");
    device->protocol_features = message->payload.number;
    return DONE;
}

static int set_owner(struct device *device, struct message *message)
{
    (void)device;
    (void)message;
    return DONE;
}

static int reset_owner(struct device *device, struct message *message)
{
    unsigned int i;

    (void)message;
    for (i = 0; i < device->num_queues; i++)
        queue_reset(&device->queues[i], &device->totals);
    return DONE;
}

static int get_queue_num(struct device *device, struct message *message)
{
    return answer_number(device, message, device->num_queues);
}

static int set_mem_table(struct device *device, struct message *message)
{
    stop_queues(device);
    if (memory_map(&device->memory, &message->payload.table, message->fds,
                   message->num_fds) < 0)
        return -1;
    return start_queues(device);
}

/* The queue that a message is about, stopped; NULL if there is no such. */
static struct queue *stopped_queue(struct device *device, unsigned int index)
{
    if (index >= device->num_queues) {
        report("there is no queue %u", index);
        return NULL;
    }
    queue_stop(&device->queues[index]);
    return &device->queues[index];
}

static int set_vring_num(struct device *device, struct message *message)
{
    const struct message_vring *vring = &message->payload.vring;
    struct queue *queue = stopped_queue(device, vring->index);

    if (!queue)
        return -1;
    if (vring->num == 0 || vring->num > RING_SIZE_MAX)
        return report("queue %u: no size of %u", vring->index, vring->num);
    queue->layout.size = (uint16_t)vring->num;
    return DONE;
}

static int set_vring_addr(struct device *device, struct message *message)
{
    const struct message_addresses *addresses = &message->payload.addresses;
    struct queue *queue = stopped_queue(device, addresses->index);

    if (!queue)
        return -1;
    queue->layout.descriptors = addresses->descriptors;
    queue->layout.available = addresses->available;
    queue->layout.used = addresses->used;
    return start_queue(device, addresses->index);
}

static int set_vring_base(struct device *device, struct message *message)
{
    const struct message_vring *vring = &message->payload.vring;
    struct queue *queue = stopped_queue(device, vring->index);

    if (!queue)
        return -1;
    queue->layout.base = (uint16_t)vring->num;
    return DONE;
}

/* This is how the emulator stops a queue. */
static int get_vring_base(struct device *device, struct message *message)
{
    struct queue *queue = stopped_queue(device, message->payload.vring.index);

    if (!queue)
        return -1;
    queue->started = false;
    message->payload.vring.num = queue->layout.base;
    return answer(device, message, sizeof(message->payload.vring));
}

static int set_vring_enable(struct device *device, struct message *message)
{
    const struct message_vring *vring = &message->payload.vring;
    struct queue *queue = stopped_queue(device, vring->index);

    if (!queue)
        return -1;
    queue->enabled = vring->num != 0;
    return start_queue(device, vring->index);
}

/* A queue's thread must not wait, whatever kind of file the emulator sends. */
static void never_wait(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Puts the message's fd in the place of the queue's. */
static int set_vring_fd(struct device *device, struct message *message,
                        size_t place)
{
    uint64_t number = message->payload.number;
    unsigned int index = number & MESSAGE_VRING_MASK;
    struct queue *queue = stopped_queue(device, index);
    int *fd;

    if (!queue)
        return -1;
    if (message->num_fds != (number & MESSAGE_VRING_NO_FD ? 0 : 1))
        return report("queue %u: %u file descriptors", index, message->num_fds);
    fd = (int *)(void *)((char *)queue + place);
    if (*fd >= 0)
        close(*fd);
    *fd = message_take_fd(message);
    if (*fd >= 0)
        never_wait(*fd);
    if (place == offsetof(struct queue, kick))
        queue->started = true;
    return start_queue(device, index);
}

static int set_vring_kick(struct device *device, struct message *message)
{
    if (message->payload.number & MESSAGE_VRING_NO_FD)
        return report("a queue without kicks would have to be polled");
    return set_vring_fd(device, message, offsetof(struct queue, kick));
}

static int set_vring_call(struct device *device, struct message *message)
{
    return set_vring_fd(device, message, offsetof(struct queue, call));
}

static int set_vring_err(struct device *device, struct message *message)
{
    return set_vring_fd(device, message, offsetof(struct queue, error));
}

/* An answer without payload says that there is no such part. */
static int get_config(struct device *device, struct message *message)
{
    struct message_config *config = &message->payload.config;

    if (message->size < MESSAGE_CONFIG_HEADER ||
        disk_read_config(device->disk, config->offset, config->size,
                         config->bytes) < 0)
        return answer(device, message, 0);
    return answer(device, message, MESSAGE_CONFIG_HEADER + config->size);
}

/* Off if the driver has switched it off, at whichever server. */
static void agree_on_cache(struct device *device)
{
    uint8_t *writethrough = inflight_writethrough(&device->inflight);

    if (!writethrough)
        return;
    if (*writethrough)
        __atomic_store_n(&device->disk->writeback, 0, __ATOMIC_RELAXED);
    *writethrough = !device->disk->writeback;
}

/* A driver that has switched the cache off never flushes again. */
static int empty_cache(struct device *device)
{
    stop_queues(device);
    if (fdatasync(device->disk->fd) < 0)
        return report("cannot flush: %s", strerror(errno));
    return start_queues(device);
}

static int set_config(struct device *device, struct message *message)
{
    const struct message_config *config = &message->payload.config;
    uint8_t *writethrough = inflight_writethrough(&device->inflight);

    if (config->size > message->size - MESSAGE_CONFIG_HEADER ||
        disk_write_config(device->disk, config->offset, config->size,
                          config->bytes) < 0)
        return report("the driver wrote to what it must not");
    if (writethrough)
        *writethrough = !device->disk->writeback;
    return device->disk->writeback ? DONE : empty_cache(device);
}

static int get_inflight_fd(struct device *device, struct message *message)
{
    struct message_inflight *wanted = &message->payload.inflight;
    uint32_t size = sizeof(*wanted);
    int fd, rc;

    if (wanted->queues == 0 || wanted->queues > device->num_queues ||
        wanted->queue_size == 0 || wanted->queue_size > RING_SIZE_MAX)
        return report("no in-flight log for %u queues of %u", wanted->queues,
                      wanted->queue_size);
    fd = inflight_create(wanted->queues, wanted->queue_size, wanted);
    if (fd < 0)
        return -1;
    if (size > message->size) /* with the padding, or without it */
        size = message->size;
    rc = message_reply(device->socket, message, size, fd);
    close(fd); /* it comes back with SET_INFLIGHT_FD */
    return rc < 0 ? -1 : ANSWERED;
}

static int set_inflight_fd(struct device *device, struct message *message)
{
    const struct message_inflight *kept = &message->payload.inflight;

    if (message->num_fds != 1 || kept->queues > device->num_queues ||
        kept->queue_size > RING_SIZE_MAX)
        return report("an in-flight log for %u queues of %u", kept->queues,
                      kept->queue_size);
    stop_queues(device);
    if (inflight_map(&device->inflight, kept, message->fds[0]) < 0)
        return -1;
    agree_on_cache(device);
    return start_queues(device);
}

static const struct handler {
    int (*handle)(struct device *device, struct message *message);
    uint32_t size; /* of the payload, at least */
} handlers[] = {
    [GET_FEATURES] = {get_features, 0},
    [SET_FEATURES] = {set_features, 8},
    [SET_OWNER] = {set_owner, 0},
    [RESET_OWNER] = {reset_owner, 0},
    [SET_MEM_TABLE] = {set_mem_table, 8},
    [SET_VRING_NUM] = {set_vring_num, sizeof(struct message_vring)},
    [SET_VRING_ADDR] = {set_vring_addr, sizeof(struct message_addresses)},
    [SET_VRING_BASE] = {set_vring_base, sizeof(struct message_vring)},
    [GET_VRING_BASE] = {get_vring_base, sizeof(struct message_vring)},
    [SET_VRING_KICK] = {set_vring_kick, 8},
    [SET_VRING_CALL] = {set_vring_call, 8},
    [SET_VRING_ERR] = {set_vring_err, 8},
    [GET_PROTOCOL_FEATURES] = {get_protocol_features, 0},
    [SET_PROTOCOL_FEATURES] = {set_protocol_features, 8},
    [GET_QUEUE_NUM] = {get_queue_num, 0},
    [SET_VRING_ENABLE] = {set_vring_enable, sizeof(struct message_vring)},
    [GET_CONFIG] = {get_config, 0},
    [SET_CONFIG] = {set_config, MESSAGE_CONFIG_HEADER},
    [GET_INFLIGHT_FD] = {get_inflight_fd, MESSAGE_INFLIGHT_SIZE},
    [SET_INFLIGHT_FD] = {set_inflight_fd, MESSAGE_INFLIGHT_SIZE},
};

static int dispatch(struct device *device, struct message *message)
{
    const struct handler *handler = &handlers[0];

    if (message->request < sizeof(handlers) / sizeof(handlers[0]))
        handler = &handlers[message->request];
    if (!handler->handle)
        return report("message %u is not known", message->request);
    if (message->size < handler->size)
        return report("message %u is too short", message->request);
    return handler->handle(device, message);
}

/* With REPLY_ACK the emulator hears of a failure, and decides itself. */
int device_handle_message(struct device *device)
{
    struct message message;
    bool wants_answer;
    int rc = message_receive(device->socket, &message);

    if (rc != 1)
        return rc;
    wants_answer = message.flags & MESSAGE_NEED_REPLY &&
                   device->protocol_features & BIT(PROTOCOL_F_REPLY_ACK);
    rc = dispatch(device, &message);
    if (rc != ANSWERED && wants_answer)
        rc = answer_number(device, &message, rc < 0);
    message_close_fds(&message);
    return rc < 0 ? -1 : 1;
}

void device_pause(struct device *device, bool paused)
{
    device->paused = paused;
    if (paused)
        stop_queues(device);
    else
        start_queues(device);
}

void device_connect(struct device *device, int socket)
{
    device->socket = socket;
    device->features = device->protocol_features = 0;
}

void device_disconnect(struct device *device)
{
    unsigned int i;

    for (i = 0; i < device->num_queues; i++)
        queue_reset(&device->queues[i], &device->totals);
    memory_unmap(&device->memory);
    inflight_unmap(&device->inflight);
    if (device->socket >= 0)
        close(device->socket);
    device->socket = -1;
}

int device_init(struct device *device, struct disk *disk,
                unsigned int num_queues)
{
    unsigned int i;

    *device = (struct device){.disk = disk, .socket = -1};
    device->queues = calloc(num_queues, sizeof(*device->queues));
    if (!device->queues)
        return report("no memory for %u queues", num_queues);
    for (i = 0; i < num_queues; i++) {
        device->num_queues++;
        if (queue_init(&device->queues[i], i) < 0)
            break;
    }
    if (i == num_queues)
        return 0;
    device_cleanup(device);
    return -1;
}

void device_cleanup(struct device *device)
{
    unsigned int i;

    device_disconnect(device);
    for (i = 0; i < device->num_queues; i++)
        queue_cleanup(&device->queues[i], &device->totals);
    free(device->queues);
    device->queues = NULL;
    device->num_queues = 0;
}
