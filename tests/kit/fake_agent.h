#ifndef TESTS_KIT_FAKE_AGENT_H
#define TESTS_KIT_FAKE_AGENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "tests/kit/folder.h"

/* The command line against an agent that a test plays: a thread that listens on a socket in a folder of its own. */

struct fake_agent {
	char folder[32];
	char path[64]; /* the socket */
	char file[64]; /* a file in the folder, for tests that need one */
	int listener;
	pthread_t thread;
	/* Answers one request, in the thread; fake_reply fills `out`. */
	void (*answer)(struct fake_agent *agent, const Kinward__V1__LocalRequest *request, struct kw_buf *out);
};

static inline char *text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static inline void fake_reply(const Kinward__V1__LocalReply *reply, struct kw_buf *out)
{
	size_t size = kinward__v1__local_reply__get_packed_size(reply);
	assert_int_equal(kw_buf_reserve(out, size + 4), KW_OK);
	kw_put_u32(out->data, (uint32_t)size);
	out->size = 4 + kinward__v1__local_reply__pack(reply, out->data + 4);
}

static inline bool read_exactly(int fd, uint8_t *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, out + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static inline void fake_serve_one(struct fake_agent *agent, int fd)
{
	uint8_t head[4];
	while (read_exactly(fd, head, 4)) {
		size_t size = kw_get_u32(head);
		uint8_t *body = malloc(size + 1);
		Kinward__V1__LocalRequest *request = read_exactly(fd, body, size)
			? kinward__v1__local_request__unpack(NULL, size, body) : NULL;
		free(body);
		if (!request)
			break;
		struct kw_buf out;
		kw_buf_init(&out, 65536);
		agent->answer(agent, request, &out);
		(void)!write(fd, out.data, out.size);
		kw_buf_fini(&out);
		kinward__v1__local_request__free_unpacked(request, NULL);
	}
}

static inline void *fake_serve(void *context)
{
	struct fake_agent *agent = context;
	for (int fd; (fd = accept(agent->listener, NULL, NULL)) >= 0;) {
		fake_serve_one(agent, fd);
		(void)close(fd);
	}
	return NULL;
}

/* `answer` is set. */
static inline void fake_start(struct fake_agent *agent)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(agent->folder, sizeof(agent->folder), "/tmp/kw-cli-XXXXXX");
	assert_non_null(mkdtemp(agent->folder));
	(void)snprintf(agent->path, sizeof(agent->path), "%s/agent.sock", agent->folder);
	(void)snprintf(agent->file, sizeof(agent->file), "%s/file.csv", agent->folder);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", agent->path);
	agent->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(agent->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(agent->listener, 8), 0);
	assert_int_equal(pthread_create(&agent->thread, NULL, fake_serve, agent), 0);
}

static inline void fake_stop(struct fake_agent *agent)
{
	(void)shutdown(agent->listener, SHUT_RDWR);
	(void)pthread_join(agent->thread, NULL);
	(void)close(agent->listener);
	assert_int_equal(folder_remove(agent->folder), 0);
}

static inline void fake_file(const struct fake_agent *agent, const char *content)
{
	FILE *file = fopen(agent->file, "wb");
	assert_non_null(file);
	(void)fputs(content, file);
	assert_int_equal(fclose(file), 0);
}

/* What a command printed. */
static char OUT[262144];
static char ERR[65536];

#define WORDS_MAX 48

/* Runs "kinward" with words of a NULL-ended list; the agent's socket is added unless agent is NULL. */
static inline int kinward(const struct fake_agent *agent, ...)
{
	char *argv[WORDS_MAX] = {text("kinward")};
	int argc = 1;
	va_list args;
	va_start(args, agent);
	for (char *word; (word = va_arg(args, char *)) && argc < WORDS_MAX - 2;)
		argv[argc++] = word;
	va_end(args);
	if (agent) {
		argv[argc++] = text("--socket");
		argv[argc++] = text(agent->path);
	}
	char *out_text = NULL, *err_text = NULL;
	size_t out_size = 0, err_size = 0;
	FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(&err_text, &err_size);
	int code = cli_main(argc, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	(void)snprintf(OUT, sizeof(OUT), "%s", out_text);
	(void)snprintf(ERR, sizeof(ERR), "%s", err_text);
	free(out_text);
	free(err_text);
	return code;
}

#endif
