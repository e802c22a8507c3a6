/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words behind ioq_last_error(). One text for each thread.
 */
#ifndef IOQ_ERROR_H
#define IOQ_ERROR_H

/*
 * Keeps the text and returns error, a -errno, so that a function can end with
 * it. errno stays as it was.
 */
int ioq__fail(int error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a number such as that of a sysctl; -1 if there is none. */
long long ioq__read_number(const char *path);

#endif /* IOQ_ERROR_H */
