#include "proto/link/harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>

enum kw_err kw_harden(bool traceable)
{
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, traceable ? 1 : 0, 0, 0, 0) != 0)
		return KW_EIO;
	return KW_OK;
}
