#include "proto/link/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIPE_SIZE 4096u

/* What is there loses its name first, so that a stop in between destroys nothing that is still needed. */
static void overwrite(int fd)
{
	static const uint8_t zeros[WIPE_SIZE];
	struct stat info;
	if (fstat(fd, &info) != 0)
		return;
	for (off_t at = 0; at < info.st_size;) {
		size_t left = (size_t)(info.st_size - at);
		ssize_t put = pwrite(fd, zeros, left < WIPE_SIZE ? left : WIPE_SIZE, at);
		if (put <= 0)
			return; /* it has no name any more, and was sealed */
		at += put;
	}
	(void)fsync(fd); /* as above */
}

enum kw_err kw_file_replace_secret(const char *path, struct kw_view bytes)
{
	/* Its mode is 0400; for ourselves it is opened by way of 0600, which is as close. */
	struct stat info;
	int fd = -1;
	if (lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1 && chmod(path, 0600) == 0)
		fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	enum kw_err err = kw_file_write_atomic(path, bytes, 0400);
	if (fd >= 0 && err == KW_OK)
		overwrite(fd);
	else if (fd >= 0)
		(void)fchmod(fd, 0400); /* it is the one that stays */
	if (fd >= 0)
		(void)close(fd); /* nothing more to be done with it */
	return err;
}
