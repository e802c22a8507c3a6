/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioq_handle_register_memory and ioq_handle_unregister_memory. */
#include "late.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define AREA (64 * BLOCK)

static unsigned char *map(void)
{
    unsigned char *memory = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* Other pages, where the memory was. */
static void map_anew(unsigned char *memory)
{
    ck_assert_ptr_eq(mmap(memory, AREA, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     memory);
}

static int register_one(struct rig *rig, void *memory, size_t len)
{
    const struct iovec iov = {memory, len};

    return ioq_handle_register_memory(rig->handle, &iov, 1);
}

/* Writes from the memory and reads back into it, in pieces of any kind. */
static void use(struct rig *rig, unsigned char *memory, unsigned int seed)
{
    static const struct {
        size_t at, len;
        int64_t offset;
    } pieces[] = {
        {0, 2 * BLOCK, 0},
        {BLOCK, BLOCK, BLOCK},
        {3, 100, 5},
        {512, 1024, 512},
        {BLOCK - 1, BLOCK + 2, 1},
        {20 * BLOCK, 30 * BLOCK, 0},
        {63 * BLOCK, BLOCK, 0},
        {17, 0, 0},
    };
    unsigned int i;

    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        unsigned char *buf = memory + pieces[i].at;
        size_t len = pieces[i].len;

        fill(buf, len, seed + i);
        ck_assert_int_eq(do_write(rig, 0, buf, len, pieces[i].offset, 0), len);
        memset(buf, 0xee, len);
        ck_assert_int_eq(do_read(rig, 0, buf, len, pieces[i].offset), len);
        ck_assert(is_filled(buf, len, seed + i));
        ck_assert_int_eq(do_read(rig, 0, rig->buf, len, pieces[i].offset), len);
        ck_assert(is_filled(rig->buf, len, seed + i));
    }
}

/*
 * "Tells the engine of memory that many buffers will lie in, such as the
 * guest's, so that it can prepare it once instead of each time."
 * "It changes speed only, and nothing on some engines."
 * "Undoes ioq_handle_register_memory. Returns 0"
 */
TEST(memory_changes_no_result, "")
{
    unsigned char *memory = map();
    struct rig rig;

    rig_open(&rig, 8, 0);
    use(&rig, memory, 10);
    ck_assert_int_eq(register_one(&rig, memory, AREA), 0);
    use(&rig, memory, 20);
    ck_assert_int_eq(ioq_handle_unregister_memory(rig.handle), 0);
    use(&rig, memory, 30);
    ck_assert_int_eq(ioq_handle_unregister_memory(rig.handle), 0);
    rig_close(&rig);
    munmap(memory, AREA);
}

/* "memory that many buffers will lie in" Or partly, or not at all. */
TEST(memory_need_not_hold_a_buffer, "")
{
    unsigned char *memory = map();
    struct iovec pieces[3];
    struct rig rig;

    pieces[0] = (struct iovec){memory, 10 * BLOCK};
    pieces[1] = (struct iovec){memory + 12 * BLOCK, BLOCK};
    pieces[2] = (struct iovec){memory + 20 * BLOCK, 15 * BLOCK};
    rig_open(&rig, 8, 0);
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, pieces, 3), 0);
    use(&rig, memory, 1);
    fill(memory, AREA, 2);
    ck_assert_int_eq(do_write(&rig, 0, memory, AREA, 0, 0), AREA);
    memset(memory, 0, AREA);
    ck_assert_int_eq(do_read(&rig, 0, memory, AREA, 0), AREA);
    ck_assert(is_filled(memory, AREA, 2));
    rig_close(&rig);
    munmap(memory, AREA);
}

/*
 * "Replaces what was registered before." "The memory stays mapped until it is
 * unregistered"
 */
TEST(memory_is_replaced, "")
{
    unsigned char *first = map(), *second = map();
    struct rig rig;
    int i;

    rig_open(&rig, 8, 0);
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(register_one(&rig, first, AREA), 0);
        use(&rig, first, 1);
        ck_assert_int_eq(register_one(&rig, second, AREA), 0);
        /* Nobody knows the first any more: other pages may be there now. */
        map_anew(first);
        use(&rig, first, 2);
        use(&rig, second, 3);
    }
    rig_close(&rig);
    munmap(first, AREA);
    munmap(second, AREA);
}

/* "until it is unregistered or the handle closed" */
TEST(memory_is_forgotten, "")
{
    unsigned char *memory = map();
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(register_one(&rig, memory, AREA), 0);
    use(&rig, memory, 1);
    ck_assert_int_eq(ioq_handle_unregister_memory(rig.handle), 0);
    map_anew(memory);
    use(&rig, memory, 2);
    ck_assert_int_eq(register_one(&rig, memory, AREA), 0);
    rig_close(&rig);
    munmap(memory, AREA);

    memory = map();
    rig_open(&rig, 8, 0);
    use(&rig, memory, 3);
    rig_close(&rig);
    munmap(memory, AREA);
}

/* "Returns 0; -EINVAL for a bad array" "After -EINVAL and -EBUSY all is as
 * before" */
TEST(memory_refuses_bad_arrays, "")
{
    unsigned char *memory = map();
    struct iovec bad[2] = {{memory, BLOCK}, {NULL, BLOCK}};
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(register_one(&rig, memory, AREA), 0);
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, NULL, 1), -EINVAL);
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, bad, 0), -EINVAL);
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, bad, -1), -EINVAL);
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, bad, 2), -EINVAL);
    bad[1] = (struct iovec){memory, 0};
    ck_assert_int_eq(ioq_handle_register_memory(rig.handle, bad, 2), -EINVAL);
    ck_assert_int_eq(ioq_handle_register_memory(NULL, bad, 1), -EINVAL);
    ck_assert_int_eq(ioq_handle_unregister_memory(NULL), -EINVAL);
    use(&rig, memory, 1);
    rig_close(&rig);
    munmap(memory, AREA);
}

/*
 * "-EBUSY while requests are out" "Returns 0, -EBUSY, -ECHILD."
 * "After -EINVAL and -EBUSY all is as before"
 */
TEST(memory_waits_for_no_request, "")
{
    unsigned char *memory = map();
    struct rig rig;

    rig_open(&rig, 8, 0);
    ck_assert_int_eq(register_one(&rig, memory, AREA), 0);
    fill(memory, BLOCK, 1);
    ck_assert_int_eq(ioq_handle_write(rig.handle, 0, memory, BLOCK, 0, 0, &rig),
                     0);
    ck_assert_int_eq(register_one(&rig, rig.buf, MIB), -EBUSY);
    ck_assert_int_eq(ioq_handle_unregister_memory(rig.handle), -EBUSY);
    ck_assert_int_eq(result_of(&rig, &rig), BLOCK);
    ck_assert_int_eq(do_read(&rig, 0, rig.buf, BLOCK, 0), BLOCK);
    ck_assert(is_filled(rig.buf, BLOCK, 1));
    use(&rig, memory, 2);
    ck_assert_int_eq(register_one(&rig, rig.buf, MIB), 0);
    rig_close(&rig);
    munmap(memory, AREA);
}

static void lower_limit(void)
{
    const struct rlimit limit = {16 * BLOCK, 16 * BLOCK};

    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    /* Who may lock memory is not limited. */
    if (geteuid() == 0)
        ck_assert_int_eq(setresuid(65533, 65533, 65533), 0);
}

/*
 * "-ENOMEM if it exceeds RLIMIT_MEMLOCK" "after another error nothing is
 * registered"
 */
TEST(memory_is_limited, "prlimit64 geteuid setresuid")
{
    struct ioq_options options = engine_options(8, 0);
    struct rig rig = {.fd = place_open(), .buf = place_buffer(MIB)};
    unsigned char *memory = map();
    int rc;

    lower_limit();
    rig.handle = patient_open(&options);
    ck_assert_int_eq(ioq_handle_attach(rig.handle, rig.fd, 0), 0);
    ck_assert_int_eq(register_one(&rig, memory, BLOCK), 0);
    rc = register_one(&rig, memory, AREA);
    ck_assert_int_eq(rc, engine == IOQ_ENGINE_URING ? -ENOMEM : 0);
    if (rc < 0) {
        ck_assert_ptr_nonnull(strstr(ioq_last_error(), "RLIMIT_MEMLOCK"));
        map_anew(memory);
    }
    use(&rig, memory, 1);
    rig_close(&rig);
    munmap(memory, AREA);
}
