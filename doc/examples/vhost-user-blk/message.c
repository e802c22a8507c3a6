/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

struct wire_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
};

_Static_assert(sizeof(struct wire_header) == MESSAGE_HEADER_SIZE, "as sent");
_Static_assert(sizeof(struct message_addresses) == 40, "as sent");
_Static_assert(sizeof(struct message_region) == 32, "as sent");

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
};

/* Some of them may be of another kind than file descriptors. */
static void collect_fds(struct message *message, struct msghdr *received)
{
    struct cmsghdr *c;
    unsigned int i, count;
    int fd;

    for (c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (i = 0; i < count; i++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (message->num_fds < MESSAGE_FDS)
                message->fds[message->num_fds++] = fd;
            else
                close(fd);
        }
    }
}

static int receive_header(int socket, struct message *message)
{
    struct wire_header header;
    union control control;
    struct iovec iov = {&header, sizeof(header)};
    struct msghdr received = {.msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control)};
    ssize_t n;

    do
        n = recvmsg(socket, &received, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ECONNRESET)
        n = 0;
    if (n < 0)
        return report("cannot receive: %s", strerror(errno));
    if (n == 0)
        return 0;
    collect_fds(message, &received);
    if (n != sizeof(header) || received.msg_flags & MSG_CTRUNC)
        return report("a message came in part only");
    message->request = header.request;
    message->flags = header.flags;
    message->size = header.size;
    return 1;
}

static int receive_payload(int socket, struct message *message)
{
    ssize_t n;

    if ((message->flags & MESSAGE_VERSION_MASK) != MESSAGE_VERSION)
        return report("message %u has unknown flags 0x%x", message->request,
                      message->flags);
    if (message->size > sizeof(message->payload))
        return report("message %u is too long: %u bytes", message->request,
                      message->size);
    if (message->size == 0)
        return 1;
    do
        n = recv(socket, &message->payload, message->size, MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)message->size)
        return report("message %u came in part only", message->request);
    return 1;
}

int message_receive(int socket, struct message *message)
{
    int rc;

    memset(message, 0, sizeof(*message));
    rc = receive_header(socket, message);
    if (rc == 1)
        rc = receive_payload(socket, message);
    if (rc != 1)
        message_close_fds(message);
    return rc;
}

int message_reply(int socket, const struct message *message, uint32_t size,
                  int fd)
{
    struct wire_header header = {message->request,
                                 MESSAGE_VERSION | MESSAGE_REPLY, size};
    struct iovec iov[2] = {{&header, sizeof(header)},
                           {(void *)&message->payload, size}};
    union control control = {.header = {.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct msghdr sent = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        sent.msg_control = &control;
        sent.msg_controllen = CMSG_SPACE(sizeof(int));
    }
    do
        n = sendmsg(socket, &sent, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)(sizeof(header) + size))
        return report("cannot answer message %u", message->request);
    return 0;
}

int message_take_fd(struct message *message)
{
    unsigned int i;
    int fd;

    for (i = 0; i < message->num_fds; i++) {
        fd = message->fds[i];
        if (fd >= 0) {
            message->fds[i] = -1;
            return fd;
        }
    }
    return -1;
}

void message_close_fds(struct message *message)
{
    unsigned int i;

    for (i = 0; i < message->num_fds; i++)
        if (message->fds[i] >= 0)
            close(message->fds[i]);
    message->num_fds = 0;
}
