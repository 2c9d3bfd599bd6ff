#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/shell/keys.h"

/* One at a time writes the key file: the agent for as long as it runs, or a command. The kernel lets go of it with the process. */

enum kw_err keys_lock(const char *folder, int *out)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%s/keys.lock", folder);

	if (size < 0 || (size_t)size >= sizeof(path))
		return KW_ETOOBIG;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? KW_ENOTFOUND : errno == EACCES || errno == EROFS ? KW_EDENIED : KW_EIO;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		enum kw_err err = errno == EWOULDBLOCK ? KW_EBUSY : KW_EIO;
		(void)close(fd); /* it holds nothing */
		return err;
	}
	*out = fd;
	return KW_OK;
}

void keys_unlock(int lock)
{
	if (lock >= 0)
		(void)close(lock); /* the lock goes with it */
}
