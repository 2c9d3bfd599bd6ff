#include "proto/link/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_PATH_SIZE 4096
#define LOCK_STEP_MS 10u

static enum kw_err from_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return KW_ENOTFOUND;
	case EACCES:
	case EPERM:
	case ELOOP:
	case EROFS:
		return KW_EDENIED;
	case ENOSPC:
	case EDQUOT:
		return KW_ENOSPACE;
	default:
		return KW_EIO;
	}
}

static enum kw_err check_mode(int fd, enum kw_file_kind kind, size_t *size)
{
	struct stat info;
	if (fstat(fd, &info) != 0)
		return KW_EIO;
	if (!S_ISREG(info.st_mode))
		return KW_EDENIED;
	if ((info.st_mode & 022) != 0)
		return KW_EDENIED;
	if (kind == KW_FILE_SECRET && ((info.st_mode & 077) != 0 || (info.st_uid != geteuid() && info.st_uid != 0)))
		return KW_EDENIED;
	*size = (size_t)info.st_size;
	return KW_OK;
}

static enum kw_err read_all(int fd, struct kw_buf *out, size_t size)
{
	enum kw_err err = kw_buf_reserve(out, size);
	while (err == KW_OK && size > 0) {
		ssize_t got = read(fd, out->data + out->size, size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return KW_EIO;
		if (got == 0)
			break; /* it shrank while we read: what is there counts */
		out->size += (size_t)got;
		size -= (size_t)got;
	}
	return err;
}

enum kw_err kw_file_read(const char *path, enum kw_file_kind kind, struct kw_buf *out)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return from_errno();
	size_t size = 0;
	enum kw_err err = check_mode(fd, kind, &size);
	if (err == KW_OK)
		err = read_all(fd, out, size);
	(void)close(fd); /* only read from */
	return err;
}

static enum kw_err write_all(int fd, struct kw_view bytes)
{
	while (bytes.size > 0) {
		ssize_t put = write(fd, bytes.data, bytes.size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return from_errno();
		bytes.data += put;
		bytes.size -= (size_t)put;
	}
	return fsync(fd) == 0 ? KW_OK : KW_EIO;
}

static enum kw_err sync_dir_of(const char *path)
{
	char dir[FILE_PATH_SIZE];
	const char *slash = strrchr(path, '/');
	size_t size = slash == NULL ? 1 : (slash == path ? 1 : (size_t)(slash - path));
	memcpy(dir, slash == NULL ? "." : path, size);
	dir[size] = '\0';
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return from_errno();
	enum kw_err err = fsync(fd) == 0 ? KW_OK : KW_EIO;
	(void)close(fd); /* only synced */
	return err;
}

enum kw_err kw_file_write_atomic(const char *path, struct kw_view bytes, mode_t mode)
{
	char temporary[FILE_PATH_SIZE];
	int size = snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (size <= 0 || (size_t)size >= sizeof(temporary))
		return KW_ETOOBIG;
	(void)unlink(temporary); /* left behind by a crash */
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return from_errno();
	enum kw_err err = fchmod(fd, mode) == 0 ? write_all(fd, bytes) : KW_EIO;
	if (close(fd) != 0 && err == KW_OK)
		err = KW_EIO;
	if (err == KW_OK && rename(temporary, path) != 0)
		err = from_errno();
	if (err != KW_OK) {
		(void)unlink(temporary); /* the old file is still whole */
		return err;
	}
	return sync_dir_of(path);
}

enum kw_err kw_file_lock(const char *path, uint32_t wait_ms, int *lock)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return from_errno();
	for (uint32_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
		const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
		bool busy = errno == EWOULDBLOCK || errno == EINTR;
		if (!busy || waited >= wait_ms) {
			(void)close(fd); /* it holds nothing */
			return busy ? KW_EBUSY : KW_EIO;
		}
		(void)nanosleep(&step, NULL);
	}
	*lock = fd;
	return KW_OK;
}

void kw_file_unlock(int lock)
{
	if (lock >= 0)
		(void)close(lock); /* the lock goes with it */
}
