/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "learn.h"

#define ALLOWED_MOST 1024u
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

/* Not far more than are made use of, for if the file gets worse, all are. */
void ioq__learn_hit(struct ioq__learn *learn)
{
    if (learn->allowed < ALLOWED_MOST && learn->allowed <= learn->under_way * 4)
        learn->allowed++;
    learn->under_way--;
    learn->penalty = 0;
}

void ioq__learn_miss(struct ioq__learn *learn, int64_t submit_ns)
{
    learn->under_way--;
    if (submit_ns <= learn->missed_ns)
        return;
    learn->missed_ns = submit_ns;
    if (learn->allowed > 1) {
        learn->allowed -= (learn->allowed + 3) / 4;
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
