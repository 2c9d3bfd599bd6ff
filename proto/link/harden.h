#ifndef KW_LINK_HARDEN_H
#define KW_LINK_HARDEN_H

#include <stdbool.h>

#include "proto/base/err.h"

/* Keys and cases in memory stay out of core files, and other processes of the user cannot attach. traceable: the second is left away, for
 * profilers. KW_EIO: the kernel refuses. */
KW_MUST_USE enum kw_err kw_harden(bool traceable);

#endif
