/* SPDX-License-Identifier: MIT */
/*
 * The messages of the vhost-user protocol, as they travel over the socket:
 * a header, a payload, and file descriptors beside them.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdint.h>

#define MESSAGE_REGIONS 8
#define MESSAGE_FDS MESSAGE_REGIONS
#define MESSAGE_CONFIG_MAX 256

enum message_request {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    RESET_OWNER = 4,
    SET_MEM_TABLE = 5,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    SET_VRING_ERR = 14,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    GET_QUEUE_NUM = 17,
    SET_VRING_ENABLE = 18,
    GET_CONFIG = 24,
    SET_CONFIG = 25,
    GET_INFLIGHT_FD = 31,
    SET_INFLIGHT_FD = 32,
};

/* Bits of struct message.flags. */
#define MESSAGE_VERSION 1u
#define MESSAGE_VERSION_MASK 3u
#define MESSAGE_REPLY (1u << 2)
#define MESSAGE_NEED_REPLY (1u << 3)

/* In the payload of SET_VRING_KICK, CALL and ERR. */
#define MESSAGE_VRING_MASK 0xffu
#define MESSAGE_VRING_NO_FD (1u << 8)

/* Bits of the feature words. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define PROTOCOL_F_MQ 0
#define PROTOCOL_F_REPLY_ACK 3
#define PROTOCOL_F_CONFIG 9
#define PROTOCOL_F_INFLIGHT_SHMFD 12

struct message_vring {
    uint32_t index;
    uint32_t num; /* size, base or whether it is enabled */
};

/* Addresses are the emulator's own, not the guest's. */
struct message_addresses {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors;
    uint64_t used;
    uint64_t available;
    uint64_t log;
};

struct message_region {
    uint64_t guest; /* the guest's physical address */
    uint64_t size;
    uint64_t user;   /* the same place in the emulator's address space */
    uint64_t offset; /* the same place in the file */
};

struct message_table {
    uint32_t count;
    uint32_t padding;
    struct message_region regions[MESSAGE_REGIONS];
};

struct message_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    uint8_t bytes[MESSAGE_CONFIG_MAX];
};

struct message_inflight {
    uint64_t size;
    uint64_t offset;
    uint16_t queues;
    uint16_t queue_size;
    uint32_t padding; /* some emulators send it, some do not */
};

#define MESSAGE_HEADER_SIZE 12
#define MESSAGE_CONFIG_HEADER 12
#define MESSAGE_INFLIGHT_SIZE 20

union message_payload {
    uint64_t number;
    struct message_vring vring;
    struct message_addresses addresses;
    struct message_table table;
    struct message_config config;
    struct message_inflight inflight;
};

struct message {
    uint32_t request; /* enum message_request */
    uint32_t flags;
    uint32_t size; /* of the payload, in bytes */
    unsigned int num_fds;
    union message_payload payload; /* zeroes beyond size */
    int fds[MESSAGE_FDS];          /* -1 where somebody took it over */
};

/*
 * Receives one message. Returns 1; 0 if the emulator has hung up; or -1, after
 * an error line, if the stream makes no sense. After 1, message_close_fds.
 */
int message_receive(int socket, struct message *message);

/* Sends the answer: size bytes of the payload, and fd unless it is -1. */
int message_reply(int socket, const struct message *message, uint32_t size,
                  int fd);

/* Hands over the first descriptor that is left, or -1. The caller closes it. */
int message_take_fd(struct message *message);

/* Closes those that nobody took over. */
void message_close_fds(struct message *message);

#endif /* MESSAGE_H */
