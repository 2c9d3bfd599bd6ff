#include <limits.h>
#include <stdio.h>

#include "agent/shell/keys.h"
#include "proto/link/file.h"

/* One at a time writes the key file: the agent for as long as it runs, or a command. The kernel lets go of it with the process. */

enum kw_err keys_lock(const char *folder, int *out)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%s/keys.lock", folder);

	if (size < 0 || (size_t)size >= sizeof(path))
		return KW_ETOOBIG;
	return kw_file_lock(path, 0, out);
}

void keys_unlock(int lock)
{
	kw_file_unlock(lock);
}
