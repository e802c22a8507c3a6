/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "One thread at a time": several threads that keep to it, by a lock of their
 * own, may each do anything with a queue. Run under ThreadSanitizer, too, which
 * would notice memory of the library that the lock of the caller cannot cover.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define DEPTH 32
#define THREADS 2 /* that submit, and as many that reap */

static struct rig rig;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int wanted, begun, nested;
static atomic_uint ended;

static void queue_block(void)
{
    struct request *request;
    struct iovec iov;

    if (rig.ioq.freelist_idx == 0 || begun == wanted)
        return;
    request = (struct request *)ioq_rdwr(&rig.ioq, begun % 2, &iov, 1,
                                         (long long)(begun % 64) * PLACE_BLOCK);
    request->iov = (struct iovec){request->buf, PLACE_BLOCK};
    request->iocb.u.v.vec = &request->iov;
    begun++;
}

static void *submit_all(void *opaque)
{
    bool more = true;

    while (more) {
        pthread_mutex_lock(&lock);
        queue_block();
        queue_block();
        ioq_submit(&rig.ioq);
        more = begun < wanted;
        pthread_mutex_unlock(&lock);
    }
    return opaque;
}

/* Every other one leads to a new one from within. */
static void done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    ck_assert_ptr_eq(opaque, &rig);
    if (ret != PLACE_BLOCK)
        ck_abort_msg("a result of %zd", ret);
    ((struct request *)iocb)->completed++;
    atomic_fetch_add(&ended, 1);
    if (++nested % 2 == 0)
        queue_block();
}

static void *reap_all(void *opaque)
{
    EventNotifier *notifier = ioq_get_notifier(&rig.ioq);
    struct pollfd fd = {event_notifier_get_fd(notifier), POLLIN, 0};

    while (atomic_load(&ended) < wanted) {
        poll(&fd, 1, 20);
        pthread_mutex_lock(&lock);
        event_notifier_test_and_clear(notifier);
        ioq_run_completion(&rig.ioq, done, &rig);
        ioq_submit(&rig.ioq);
        pthread_mutex_unlock(&lock);
    }
    return opaque;
}

/* P30 */
START_TEST(two_threads_may_reap_in_turn)
{
    unsigned int i, sum = 0;
    pthread_t threads[2 * THREADS];

    choose_ring(_i);
    wanted = (unsigned int)rounds(60000);
    begun = 0;
    atomic_store(&ended, 0);
    rig_open(&rig, DEPTH);
    for (i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL,
                                        i < THREADS ? submit_all : reap_all,
                                        NULL),
                         0);
    for (i = 0; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    for (i = 0; i < DEPTH; i++)
        sum += (unsigned int)rig.requests[i].completed;
    ck_assert_uint_eq(begun, wanted);
    ck_assert_uint_eq(sum, wanted);
    ck_assert_uint_eq(rig.ioq.freelist_idx, DEPTH);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, two_threads_may_reap_in_turn);
    return run_case("queue_threads", tcase);
}
