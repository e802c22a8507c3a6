/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile guest: the input is the ring and the memory that it points to, and
 * what the guest writes to both in between.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "fuzz.h"
#include "ring.h"

/* Two regions are neighbours for the guest only, and one lies apart. Each is a
 * piece of the heap: the sanitizer sees a step beyond its end. */
#define PART 8192u
static const uint64_t guest_at[] = {0x1000, 0x1000 + PART, 0x100000};
#define PARTS (sizeof(guest_at) / sizeof(guest_at[0]))

#define AVAIL_AT 2048u
#define USED_AT 2560u
#define DATA_AT 4096u
#define SIZE_MAX_HERE 128u

static void map_all(struct memory *memory)
{
    unsigned int i;

    for (i = 0; i < PARTS; i++) {
        char *part = calloc(1, PART);

        if (!part)
            abort();
        memory->regions[i] = (struct region){.guest = guest_at[i],
                                             .user = guest_at[i],
                                             .size = PART,
                                             .host = part};
        memory->count++;
    }
}

static void unmap_all(struct memory *memory)
{
    unsigned int i;

    for (i = 0; i < PARTS; i++)
        free(memory->regions[i].host);
}

static void scribble(struct memory *memory, struct input *input)
{
    uint64_t place = input_number(input, 2);
    char *part = memory->regions[place % PARTS].host;
    size_t at = place / PARTS % PART;

    input_bytes(input, part + at, PART - at < 14 ? PART - at : 14);
}

static void fill(struct memory *memory, struct input *input, unsigned int size)
{
    char *base = memory->regions[0].host;

    input_bytes(input, base, size * sizeof(struct vring_desc));
    input_bytes(input, base + AVAIL_AT, 4 + 2 * size + 2);
    input_bytes(input, base + DATA_AT, PART - DATA_AT);
    input_bytes(input, memory->regions[1].host, PART);
}

static void serve(struct lane *lane, struct memory *memory, struct input *steps)
{
    while (steps->left > 0) {
        ring_want_kicks(lane->ring, false);
        lane_take(lane);
        scribble(memory, steps);
        lane_reap(lane);
        ring_want_kicks(lane->ring, true);
        ring_wants_notification(lane->ring);
    }
    lane_take(lane);
    lane_drain(lane);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* As a log of a server before, this must fit the largest ring. */
    static union {
        struct inflight_log log;
        char space[sizeof(struct inflight_log) +
                   SIZE_MAX_HERE * sizeof(struct inflight_request)];
    } kept;
    struct input input = {data, size}, steps;
    unsigned int choice = (unsigned int)input_number(&input, 2);
    struct ring_layout layout = {
        .size = (uint16_t)(1u << input_number(&input, 1) % 8),
        .descriptors = guest_at[0],
        .available = guest_at[0] + AVAIL_AT,
        .used = guest_at[0] + USED_AT,
        .event_idx = choice & 1,
        .indirect = choice & 2,
    };
    struct memory memory = {.count = 0};
    struct ring ring = {.number = 0};
    struct disk disk;
    struct lane lane;

    memset(&kept, 0, sizeof(kept));
    kept.log.size = SIZE_MAX_HERE;
    steps.data = input.data + 1;
    steps.left = input_number(&input, 1) % 64;
    if (steps.left > input.left)
        steps.left = input.left;
    input.data += steps.left;
    input.left -= steps.left;
    if (choice & 8)
        input_bytes(&input, kept.log.requests, 128);

    fuzz_library(choice >> 4 & 7);
    fuzz_disk(&disk, choice >> 7);
    map_all(&memory);
    fill(&memory, &input, layout.size);
    if (ring_start(&ring, &layout, &memory, choice & 4 ? &kept.log : NULL) ==
            0 &&
        lane_open(&lane, &disk, &ring, choice >> 9 << 9) == 0) {
        serve(&lane, &memory, &steps);
        lane_close(&lane, NULL);
    }
    unmap_all(&memory);
    return 0;
}
