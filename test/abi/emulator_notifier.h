/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an emulator brings as its event notifier: a type of two ints, and
 * functions of its own with external linkage, which libioq must not touch.
 */
#ifndef QEMU_EVENT_NOTIFIER_H
#define QEMU_EVENT_NOTIFIER_H

typedef struct EventNotifier {
    int rfd;
    int wfd;
} EventNotifier;

int event_notifier_get_fd(EventNotifier *notifier);
int event_notifier_set(EventNotifier *notifier);
int event_notifier_test_and_clear(EventNotifier *notifier);

/* How often any of these was called. */
extern int emulator_notifier_calls;

#endif /* QEMU_EVENT_NOTIFIER_H */
