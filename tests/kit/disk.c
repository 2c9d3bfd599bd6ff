#include "tests/kit/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

static void put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* A namespace in which we are who we are, and may mount. */
static bool own_namespace(void)
{
	char map[64];
	unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	put_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	put_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	put_text("/proc/self/gid_map", map);
	return true;
}

bool disk_small(const char *folder, uint32_t mib)
{
	char options[32];
	snprintf(options, sizeof(options), "size=%um", mib);
	if (mount("kinward-test", folder, "tmpfs", 0, options) == 0)
		return true;
	if (own_namespace() && mount("kinward-test", folder, "tmpfs", 0, options) == 0)
		return true;
	print_message("skipped: no disk of our own (%s)\n", strerror(errno));
	return false;
}

void disk_fill(const char *path, uint32_t left)
{
	static const uint8_t bytes[65536];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	size_t size = sizeof(bytes);
	assert_true(fd >= 0);
	while (size > 0) {
		if (write(fd, bytes, size) <= 0)
			size /= 2;
	}
	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - (off_t)left), 0);
	close(fd);
}
