/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ioq/version.h>

#include "export.h"

IOQ_EXPORT unsigned int ioq_version(void)
{
    return IOQ_VERSION;
}
