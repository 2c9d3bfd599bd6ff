#include "tests/kit/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/check.h"

#define LINE_SIZE 2048u

static void become(const char *path, const char *config, const char *log)
{
	char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)config, NULL};
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Stopped in the middle of something, an agent ends with messages in hand; the system takes them back. */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1", 1);
	if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0)
		(void)execv(path, argv);
	_exit(127);
}

void kit_daemon_start(struct kit_daemon *daemon, const char *program, const char *config, const char *log)
{
	const char *build = getenv("KW_BUILD_DIR");
	char path[512];

	KW_ASSERT(build != NULL); /* ctest sets it; by hand: KW_BUILD_DIR=build/dev */
	int size = snprintf(path, sizeof(path), "%s/bin/%s", build, program);
	KW_ASSERT(size > 0 && (size_t)size < sizeof(path));
	size = snprintf(daemon->log, sizeof(daemon->log), "%s", log);
	KW_ASSERT(size > 0 && (size_t)size < sizeof(daemon->log));
	daemon->pid = fork();
	KW_ASSERT(daemon->pid >= 0);
	if (daemon->pid == 0)
		become(path, config, log);
}

static int wait_code(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		KW_ASSERT(errno == EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int kit_daemon_stop(struct kit_daemon *daemon)
{
	pid_t pid = daemon->pid;

	daemon->pid = 0;
	if (pid == 0)
		return 0;
	KW_ASSERT(kill(pid, SIGTERM) == 0);
	return wait_code(pid);
}

int kit_daemon_is_gone(struct kit_daemon *daemon)
{
	int status;

	if (daemon->pid == 0 || waitpid(daemon->pid, &status, WNOHANG) != daemon->pid)
		return daemon->pid == 0;
	daemon->pid = 0;
	return 1;
}

void kit_daemon_tell(const struct kit_daemon *daemon)
{
	char line[LINE_SIZE];
	FILE *file = fopen(daemon->log, "r");

	if (file == NULL)
		return;
	(void)fseek(file, -(long)LINE_SIZE, SEEK_END);
	while (fgets(line, sizeof(line), file) != NULL)
		(void)fputs(line, stderr);
	(void)fclose(file);
}

uint32_t kit_daemon_logged(const struct kit_daemon *daemon, const char *words, const char *more)
{
	char line[LINE_SIZE];
	uint32_t count = 0;
	FILE *file = fopen(daemon->log, "r");

	if (file == NULL)
		return 0; /* it has not written yet */
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, words) != NULL && (more == NULL || strstr(line, more) != NULL);
	(void)fclose(file);
	return count;
}

int64_t kit_daemon_number(const struct kit_daemon *daemon, const char *words, const char *key)
{
	char line[LINE_SIZE];
	char name[64];
	int64_t number = -1;
	FILE *file = fopen(daemon->log, "r");

	if (file == NULL)
		return -1;
	(void)snprintf(name, sizeof(name), "\"%s\":", key);
	while (fgets(line, sizeof(line), file) != NULL) {
		const char *at = strstr(line, words) != NULL ? strstr(line, name) : NULL;

		number = at != NULL ? strtoll(at + strlen(name), NULL, 10) : number;
	}
	(void)fclose(file);
	return number;
}
