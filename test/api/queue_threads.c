/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "One thread at a time": several threads that keep to it, by a lock of their
 * own, may each do anything with a queue; each with a queue of its own needs no
 * lock. Run under ThreadSanitizer, too, which would notice memory of the
 * library that the lock of the caller cannot cover, or that queues share.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

static void *use_a_queue(void *opaque)
{
    struct rig *own = opaque;
    int i, round, count = rounds(1000);

    for (round = 1; round <= count; round++) {
        for (i = 0; i < 8; i++)
            rig_read(own, (long)i);
        rig_submit(own);
        rig_complete(own, 8);
        rig_check(own, round, PLACE_BLOCK);
    }
    return opaque;
}

/* P30: "different queues are independent": no lock, and nothing in common. */
START_TEST(each_thread_may_have_a_queue_of_its_own)
{
    static struct rig own[4];
    pthread_t threads[4];
    unsigned int i;

    choose_ring(_i);
    for (i = 0; i < 4; i++)
        rig_open(&own[i], 8);
    for (i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, use_a_queue, &own[i]), 0);
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        rig_close(&own[i]);
    }
}
END_TEST

static atomic_bool stop;

static void *ring_the_bell(void *opaque)
{
    while (!atomic_load(&stop)) {
        event_notifier_set(ioq_get_notifier(&rig.ioq));
        sched_yield();
    }
    return opaque;
}

/* "Any thread may set or poll it", which costs a look and no more. */
START_TEST(other_threads_may_set_the_notifier_while_one_reaps)
{
    int i, round, count = rounds(1000);
    pthread_t bell;

    choose_ring(_i);
    atomic_store(&stop, false);
    rig_open(&rig, 8);
    ck_assert_int_eq(pthread_create(&bell, NULL, ring_the_bell, NULL), 0);
    for (round = 1; round <= count; round++) {
        for (i = 0; i < 8; i++)
            rig_read(&rig, (long)i);
        rig_submit(&rig);
        rig_complete(&rig, 8);
        rig_check(&rig, round, PLACE_BLOCK);
    }
    atomic_store(&stop, true);
    pthread_join(bell, NULL);
    rig_close(&rig);
}
END_TEST

static void done_again(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct rig *own = opaque;

    rig_done(iocb, ret, opaque);
    if (!atomic_load(&stop)) {
        rig_read(own, 0);
        rig_submit(own);
    }
}

/* Until it is told to stop, which it sees as it is woken. */
static void *reap_until_told(void *opaque)
{
    struct rig *own = opaque;

    while (!atomic_load(&stop)) {
        rig_wait(own);
        ioq_run_completion(&own->ioq, done_again, own);
        atomic_fetch_add(&ended, 1);
    }
    return opaque;
}

/*
 * P54: the reaper sleeps on the notifier, never in the context; it is woken,
 * and joined, and then the queue may go with requests in flight.
 */
START_TEST(a_busy_reaper_is_woken_and_joined_before_cleanup)
{
    int i, round, count = rounds(100);
    pthread_t reaper;

    choose_ring(_i);
    for (round = 0; round < count; round++) {
        atomic_store(&stop, false);
        atomic_store(&ended, 0);
        rig_open(&rig, 16);
        for (i = 0; i < 8; i++)
            rig_read(&rig, 0);
        rig_submit(&rig);
        ck_assert_int_eq(pthread_create(&reaper, NULL, reap_until_told, &rig),
                         0);
        while (atomic_load(&ended) < 5)
            sched_yield();
        atomic_store(&stop, true);
        event_notifier_set(ioq_get_notifier(&rig.ioq));
        pthread_join(reaper, NULL);
        rig_close(&rig);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create(place_kind());

    add_ring_test(tcase, two_threads_may_reap_in_turn);
    add_ring_test(tcase, each_thread_may_have_a_queue_of_its_own);
    add_ring_test(tcase, other_threads_may_set_the_notifier_while_one_reaps);
    add_ring_test(tcase, a_busy_reaper_is_woken_and_joined_before_cleanup);
    return run_case("queue_threads", tcase);
}
