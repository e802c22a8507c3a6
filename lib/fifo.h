/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The indices of a first-in-first-out ring over arrays of fixed size. It keeps
 * a count, so that full and empty differ at any size, and divides nothing.
 */
#ifndef IOQ_FIFO_H
#define IOQ_FIFO_H

struct ioq__fifo {
    unsigned int head;  /* index of the oldest entry */
    unsigned int count; /* entries in use */
    unsigned int size;  /* entries that there are */
};

/* Returns the index of the i-th oldest entry; i is at most size. */
static inline unsigned int ioq__fifo_at(const struct ioq__fifo *fifo,
                                        unsigned int i)
{
    unsigned int room = fifo->size - fifo->head;

    return i < room ? fifo->head + i : i - room;
}

/* Returns the index of a new entry. The caller knows that there is room. */
static inline unsigned int ioq__fifo_push(struct ioq__fifo *fifo)
{
    return ioq__fifo_at(fifo, fifo->count++);
}

/*
 * The oldest entries leave: so many, no more than there are. An empty fifo
 * starts over, so that what comes next lies in one piece, for one system call.
 */
static inline void ioq__fifo_drop(struct ioq__fifo *fifo, unsigned int count)
{
    unsigned int next = ioq__fifo_at(fifo, count);

    fifo->count -= count;
    fifo->head = fifo->count > 0 ? next : 0;
}

/* Returns the index of the oldest entry, which leaves. */
static inline unsigned int ioq__fifo_pop(struct ioq__fifo *fifo)
{
    unsigned int oldest = fifo->head;

    ioq__fifo_drop(fifo, 1);
    return oldest;
}

/* Returns how many entries lie in one piece from the oldest on. */
static inline unsigned int ioq__fifo_run(const struct ioq__fifo *fifo)
{
    unsigned int room = fifo->size - fifo->head;

    return fifo->count < room ? fifo->count : room;
}

#endif /* IOQ_FIFO_H */
