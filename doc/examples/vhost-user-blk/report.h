/* SPDX-License-Identifier: MIT */
#ifndef REPORT_H
#define REPORT_H

/* Prints one error line. Returns -1, for the caller to return in turn. */
__attribute__((format(printf, 1, 2))) int report(const char *format, ...);

#endif /* REPORT_H */
