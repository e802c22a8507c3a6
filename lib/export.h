/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All is hidden but what is marked with this and listed in libioq.map.
 */
#ifndef IOQ_EXPORT_H
#define IOQ_EXPORT_H

#define IOQ_EXPORT __attribute__((visibility("default")))

#endif /* IOQ_EXPORT_H */
