/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

struct fixture fx;

static void pattern(struct request *request)
{
    unsigned int i;

    for (i = 0; i < BLOCK; i++)
        request->buf[i] = (unsigned char)(request->number * 31 + i + 1);
}

void fx_open(unsigned int depth)
{
    unsigned int i;

    fx = (struct fixture){.depth = depth};
    fx.requests = calloc(depth, sizeof(*fx.requests));
    ck_assert_ptr_nonnull(fx.requests);
    ck_assert_int_eq(ioq_try_init(&fx.ioq, sk.fd, depth), 0);
    for (i = 0; i < depth; i++) {
        fx.requests[i].number = i;
        fx.requests[i].ret = NOT_DONE;
        ioq_put_iocb(&fx.ioq, &fx.requests[i].iocb);
    }
}

void fx_close(void)
{
    ioq_cleanup(&fx.ioq);
    free(fx.requests);
    fx.requests = NULL;
}

void fx_teardown(void)
{
    allocations_fail = false;
    eventfd_error = 0;
    fx_close();
    sk_reset();
}

struct request *fx_request_of(struct iocb *iocb)
{
    return (struct request *)iocb;
}

static struct request *queue_block(bool read, unsigned int block)
{
    struct iovec iov;
    struct request *request;
    struct iocb *iocb;

    /* The iocb tells which request it is, so the iovec comes second. */
    iocb = ioq_rdwr(&fx.ioq, read, &iov, 1, (long long)block * BLOCK);
    ck_assert_ptr_nonnull(iocb);
    request = fx_request_of(iocb);
    request->ret = NOT_DONE;
    request->iov = (struct iovec){request->buf, BLOCK};
    iocb->u.c.buf = &request->iov;
    return request;
}

struct request *fx_write(unsigned int block)
{
    struct request *request = queue_block(false, block);

    pattern(request);
    return request;
}

struct request *fx_read(unsigned int block)
{
    struct request *request = queue_block(true, block);

    memset(request->buf, 0xee, BLOCK);
    return request;
}

struct request *fx_bad(int error)
{
    struct request *request = fx_write(0);

    if (error == -EBADF)
        request->iocb.aio_fildes = (uint32_t)sk.fd + 1;
    else if (error == -EINVAL)
        request->iocb.u.c.offset = -1;
    else if (error == -EFAULT)
        request->iocb.u.c.buf = NULL;
    else
        ck_abort_msg("the scripted kernel rejects nothing with %d", error);
    return request;
}

struct iocb *fx_bare(void)
{
    struct iocb *iocb = ioq_get_iocb(&fx.ioq);

    ck_assert_ptr_nonnull(iocb);
    io_prep_fdsync(iocb, sk.fd);
    fx_request_of(iocb)->ret = NOT_DONE;
    return iocb;
}

/* Block i of the disk for the i-th of them. */
void fx_write_n(unsigned int count)
{
    unsigned int i;

    for (i = 0; i < count; i++)
        fx_write(i);
}

void fx_done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    struct request *request = fx_request_of(iocb);

    ck_assert_ptr_eq(opaque, &fx);
    request->ret = ret;
    request->completed++;
    fx.completed++;
    fx.last = request;
    if (fx.in_completion)
        fx.in_completion(request);
}

int fx_run(void)
{
    return ioq_run_completion(&fx.ioq, fx_done, &fx);
}

bool fx_readable(void)
{
    struct pollfd fd = {event_notifier_get_fd(ioq_get_notifier(&fx.ioq)),
                        POLLIN, 0};

    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN);
}

bool fx_clear(void)
{
    return event_notifier_test_and_clear(ioq_get_notifier(&fx.ioq));
}

static void turn_the_loop(void)
{
    if (fx_clear())
        fx_run();
    else if (sk_in_flight() > 0)
        sk_complete_at(0);
    else
        ck_abort_msg("asleep after %u completed", fx.completed);
}

void fx_wait(unsigned int count)
{
    unsigned int turns = 0;

    while (fx.completed < count) {
        ck_assert_msg(turns++ < 10 * count + 10000, "it never ends");
        turn_the_loop();
    }
    ck_assert_uint_eq(fx.completed, count);
}

void fx_drain(void)
{
    unsigned int turns = 0;

    while (fx.ioq.freelist_idx < fx.depth) {
        ck_assert_msg(turns++ < 100000, "it never ends");
        turn_the_loop();
    }
}

bool fx_holds(unsigned int block, const struct request *writer)
{
    return memcmp(sk_disk + (size_t)block * BLOCK, writer->buf, BLOCK) == 0;
}

bool fx_ring(void)
{
    const char *choice = getenv("IOQ_AIO_RING");

    return !choice || choice[0] != '0';
}

TCase *fx_tcase(const char *name, Suite **ret_suite)
{
    TCase *tcase = tcase_create("all");

    *ret_suite = suite_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, NULL, fx_teardown);
    suite_add_tcase(*ret_suite, tcase);
    return tcase;
}
