/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "learn.h"

#define ALLOWED_MOST 65536u
#define SKIP_FIRST 16u
#define SKIP_MOST 1024u

bool ioq__learn_try(struct ioq__learn *learn)
{
    if (learn->refused || learn->under_way >= learn->allowed)
        return false;
    if (learn->skip > 0) {
        learn->skip--;
        return false;
    }
    learn->under_way++;
    return true;
}

void ioq__learn_hit(struct ioq__learn *learn)
{
    learn->under_way--;
    learn->penalty = 0;
    if (learn->allowed < ALLOWED_MOST)
        learn->allowed++;
}

void ioq__learn_miss(struct ioq__learn *learn)
{
    learn->under_way--;
    if (learn->allowed > 1) {
        learn->allowed -= learn->allowed / 8 + 1;
        return;
    }
    learn->penalty = learn->penalty ? learn->penalty * 2 : SKIP_FIRST;
    if (learn->penalty > SKIP_MOST)
        learn->penalty = SKIP_MOST;
    learn->skip = learn->penalty;
}

void ioq__learn_drop(struct ioq__learn *learn)
{
    learn->under_way--;
}
