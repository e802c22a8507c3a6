/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventNotifier: a file descriptor that becomes readable when something
 * happened.
 *
 * Emulators that descend from QEMU bring a type of this name, with the same two
 * members. This file uses the include guard of theirs: where the emulator's own
 * header was included first, all of this one is skipped and theirs is used.
 * libioq exports no event_notifier_* symbol, for it would collide with theirs.
 */
#ifndef QEMU_EVENT_NOTIFIER_H
#define QEMU_EVENT_NOTIFIER_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * In libioq both members name the same eventfd, which is non-blocking and
 * close-on-exec. A copy by value names the same eventfd as the original; the
 * queue that it came from owns it and closes it. -1 stands for none.
 *
 * ABI sensitive: part of IOQueue. Since 1.0.
 */
typedef struct EventNotifier {
    int rfd; /**< poll and read this one */
    int wfd; /**< write this one */
} EventNotifier;

/** Returns the descriptor to poll for reading, -1 if there is none. */
static inline int event_notifier_get_fd(const EventNotifier *notifier)
{
    return notifier->rfd;
}

/**
 * Makes the notifier readable. Returns 0, or the -errno of write(2). Any
 * thread may call it.
 */
static inline int event_notifier_set(EventNotifier *notifier)
{
    const uint64_t one = 1;
    ssize_t n;

    do {
        n = write(notifier->wfd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);

    /* EAGAIN: the counter is at its maximum, hence readable already. */
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

/**
 * Makes the notifier unreadable until it is set again. Returns 1 if it was
 * set, 0 if it was not. Any thread may call it.
 */
static inline int event_notifier_test_and_clear(EventNotifier *notifier)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(notifier->rfd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);

    return n == (ssize_t)sizeof(count);
}

#ifdef __cplusplus
}
#endif

#endif /* QEMU_EVENT_NOTIFIER_H */
