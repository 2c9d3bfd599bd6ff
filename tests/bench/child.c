#include "tests/bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE 512u
#define READY_MS 60000
#define STOP_MS 10000
#define STEP_MS 5

static void sleep_ms(long ms)
{
	(void)usleep((useconds_t)(ms * 1000));
}

static void run(const struct child *child, const char *program)
{
	char config[PATH_SIZE];
	char log[PATH_SIZE];
	char syncs[PATH_SIZE];
	(void)snprintf(config, sizeof(config), "%s/broker.yaml", child->folder);
	(void)snprintf(log, sizeof(log), "%s/broker.log", child->folder);
	(void)snprintf(syncs, sizeof(syncs), "%s/syncs.txt", child->folder);
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(126);
	if (child->counts_syncs)
		(void)execlp("strace", "strace", "--seccomp-bpf", "-f", "-s", "0", "-e", "trace=fdatasync,fsync,msync,pwrite64", "-o",
			syncs, program, config, (char *)NULL);
	else
		(void)execl(program, program, config, (char *)NULL);
	_exit(127);
}

static void show_log(const struct child *child)
{
	char path[PATH_SIZE];
	char line[2048];
	(void)snprintf(path, sizeof(path), "%s/broker.log", child->folder);
	FILE *file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		(void)fprintf(stderr, "broker: %s", line);
	if (file != NULL)
		(void)fclose(file);
}

/* 0 while there is no ready line. */
static uint16_t ready_port(const struct child *child)
{
	char path[PATH_SIZE];
	char line[2048];
	unsigned port = 0;
	(void)snprintf(path, sizeof(path), "%s/broker.log", child->folder);
	FILE *file = fopen(path, "r");
	while (file != NULL && port == 0 && fgets(line, sizeof(line), file) != NULL) {
		const char *at = strstr(line, "\"event\":\"ready\"") != NULL ? strstr(line, "\"port\":") : NULL;
		if (at != NULL && strchr(at, '\n') != NULL)
			port = (unsigned)strtoul(at + 7, NULL, 10);
	}
	if (file != NULL)
		(void)fclose(file);
	return (uint16_t)port;
}

/* strace's own child. */
static pid_t only_child(pid_t parent)
{
	char path[64];
	int pid = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	FILE *file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file != NULL)
		(void)fclose(file);
	return pid;
}

/* The file of the broker that is open with O_DSYNC: LMDB's, for its meta pages. */
static int synced_fd(pid_t pid)
{
	for (int fd = 3; fd < 64; fd++) {
		char path[64];
		char line[128];
		unsigned long flags = 0;
		(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
		FILE *file = fopen(path, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
			if (strncmp(line, "flags:", 6) == 0)
				flags = strtoul(line + 6, NULL, 8);
		if (file != NULL)
			(void)fclose(file);
		if ((flags & O_DSYNC) != 0)
			return fd;
	}
	return -1;
}

static void beside_us(char out[PATH_SIZE])
{
	ssize_t size = readlink("/proc/self/exe", out, PATH_SIZE - 32);
	if (size <= 0)
		bench_die("where am I? use --broker-program");
	out[size] = '\0';
	char *slash = strrchr(out, '/');
	(void)snprintf(slash + 1, 32, "kinward-broker");
}

void child_start(struct child *child, const char *folder, const struct bench_options *options)
{
	char program[PATH_SIZE];
	*child = (struct child){.counts_syncs = options->count_syncs};
	(void)snprintf(child->folder, sizeof(child->folder), "%s", folder);
	if (options->program != NULL)
		(void)snprintf(program, sizeof(program), "%s", options->program);
	else
		beside_us(program);
	if (access(program, X_OK) != 0)
		bench_die("no broker at %s: build it, or use --broker-program", program);
	(void)setenv("KW_DEBUG_DUMPABLE", "1", 0); /* so that profilers and strace may look */
	child->pid = fork();
	if (child->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (child->pid == 0)
		run(child, program);
	for (int waited = 0; child->port == 0; waited += STEP_MS) {
		sleep_ms(STEP_MS);
		child->port = ready_port(child);
		if (child->port == 0 && (waited >= READY_MS || !child_alive(child))) {
			show_log(child);
			bench_die("the broker did not come up");
		}
	}
	child->broker = child->counts_syncs ? only_child(child->pid) : child->pid;
	if (child->broker == 0)
		bench_die("cannot find the broker below strace");
	child->meta_fd = child->counts_syncs ? synced_fd(child->broker) : -1;
	if (child->counts_syncs && child->meta_fd < 0 && !child_is_unsafe())
		bench_die("the broker has no file open with O_DSYNC: its store is no longer what --count-syncs knows");
}

bool child_is_unsafe(void)
{
	return getenv("KW_UNSAFE_NO_SYNC") != NULL;
}

bool child_alive(const struct child *child)
{
	siginfo_t info = {.si_pid = 0};
	return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

bool child_stop(struct child *child)
{
	int status = 0;
	if (child->pid == 0)
		return false;
	(void)kill(child->broker, SIGTERM);
	for (int waited = 0; child_alive(child) && waited < STOP_MS; waited += STEP_MS)
		sleep_ms(STEP_MS);
	if (child_alive(child))
		(void)kill(child->broker, SIGKILL);
	pid_t got = waitpid(child->pid, &status, 0);
	child->pid = 0;
	return got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void child_kill(struct child *child)
{
	if (child->pid == 0)
		return;
	if (child->broker != 0)
		(void)kill(child->broker, SIGKILL);
	(void)kill(child->pid, SIGKILL);
	(void)waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

/* The start of the field that is `skip` fields after the next; the end of the text when there are fewer. */
static const char *field_of(const char *text, uint32_t skip)
{
	text += strspn(text, " ");
	for (; skip > 0; skip--) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

double child_cpu_s(const struct child *child)
{
	char path[64];
	char text[1024];
	unsigned long long ticks = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child->broker);
	FILE *file = fopen(path, "r");
	size_t size = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	if (file != NULL)
		(void)fclose(file);
	/* Fields 14 and 15, utime and stime; the name before field 3 may hold blanks. */
	const char *at = strrchr(text, ')');
	if (at == NULL)
		bench_die("cannot read %s", path);
	at = field_of(at + 1, 11);
	ticks = strtoull(at, NULL, 10) + strtoull(field_of(at, 1), NULL, 10);
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void child_memory(const struct child *child, struct child_memory *out)
{
	char path[64];
	char line[256];
	*out = (struct child_memory){.resident = 0};
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)child->broker);
	FILE *file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			out->resident = strtoull(line + 6, NULL, 10) << 10;
		else if (strncmp(line, "RssAnon:", 8) == 0)
			out->anonymous = strtoull(line + 8, NULL, 10) << 10;
	}
	if (file != NULL)
		(void)fclose(file);
	if (out->resident == 0)
		bench_die("cannot read %s", path);
}

/* Reads the newest transaction's number from the file's own head, without its locks: nothing here disturbs the broker. */
uint64_t child_commits(const char *folder)
{
	char path[PATH_SIZE];
	MDB_env *env = NULL;
	MDB_envinfo info = {.me_last_txnid = 0};
	(void)snprintf(path, sizeof(path), "%s/db", folder);
	if (mdb_env_create(&env) != 0)
		return 0;
	if (mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK, 0600) == 0)
		(void)mdb_env_info(env, &info);
	mdb_env_close(env);
	return info.me_last_txnid;
}

bool child_syncs(const struct child *child, uint64_t *out)
{
	char path[PATH_SIZE];
	char line[512];
	char meta[32];
	uint64_t total = 0;
	if (!child->counts_syncs)
		return false;
	(void)snprintf(path, sizeof(path), "%s/syncs.txt", child->folder);
	(void)snprintf(meta, sizeof(meta), "pwrite64(%d,", child->meta_fd);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return false;
	/* "PID  call(arguments) = result"; a call that another thread's line cuts in two has its name with '(' only once. */
	while (fgets(line, sizeof(line), file) != NULL)
		if (strstr(line, "sync(") != NULL || (child->meta_fd >= 0 && strstr(line, meta) != NULL))
			total++;
	(void)fclose(file);
	*out = total;
	return true;
}
