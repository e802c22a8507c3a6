/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator_notifier.h"

#include <stdint.h>
#include <unistd.h>

int emulator_notifier_calls;

int event_notifier_get_fd(EventNotifier *notifier)
{
    emulator_notifier_calls++;
    return notifier->rfd;
}

int event_notifier_set(EventNotifier *notifier)
{
    const uint64_t one = 1;

    emulator_notifier_calls++;
    return write(notifier->wfd, &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

int event_notifier_test_and_clear(EventNotifier *notifier)
{
    uint64_t count;

    emulator_notifier_calls++;
    return read(notifier->rfd, &count, sizeof(count)) == sizeof(count);
}
