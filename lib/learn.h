/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many attempts that must not sleep (RWF_NOWAIT) a file may have under way:
 * more with each that went well, fewer with each submit some of whose would
 * have slept. A file that answers so again and again is not even asked for a
 * while, ever longer, since an attempt in vain takes time in submit.
 *
 * The attempts of a submit are refused together, for one cause: a lock that was
 * held, a journal that was closing. So they count as one.
 */
#ifndef IOQ_LEARN_H
#define IOQ_LEARN_H

#include <stdbool.h>
#include <stdint.h>

struct ioq__learn {
    bool refused;       /* the file does not know the flag */
    unsigned under_way; /* attempts */
    unsigned allowed;   /* attempts at a time, 1 or more */
    unsigned skip;      /* requests that still go to workers untried */
    unsigned penalty;   /* the last skip; 0 after an attempt that went well */
    int64_t missed_ns;  /* the submit whose attempts were refused last */
};

/*
 * Before an attempt: whether to make it. Then one of the three: how it went, or
 * that nothing came of it. submit_ns is when it was submitted, the same for all
 * of one submit.
 */
bool ioq__learn_try(struct ioq__learn *learn);
void ioq__learn_hit(struct ioq__learn *learn);
void ioq__learn_miss(struct ioq__learn *learn, int64_t submit_ns);
void ioq__learn_drop(struct ioq__learn *learn);

#endif /* IOQ_LEARN_H */
