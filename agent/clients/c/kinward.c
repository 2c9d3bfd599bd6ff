#include "agent/clients/c/kinward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Happy path: connect · write u32 length and request · read until a whole reply is there · unpack.
 * Every wait is a poll() with the rest of the deadline. After a failure in the middle of a write the stream has no meaning
 * any more and is closed; a read that timed out keeps its bytes and goes on with the next call. */

#define LENGTH_SIZE 4u
#define READ_SIZE 65536u

__attribute__((format(printf, 3, 4))) static enum kw_err fail(struct kinward *agent, enum kw_err err, const char *format,
	...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(agent->problem, sizeof(agent->problem), format, args); /* cut short is good enough */
	va_end(args);
	return err;
}

static void disconnect(struct kinward *agent)
{
	if (agent->fd >= 0)
		(void)close(agent->fd); /* nothing to do about a failure: the descriptor is gone either way */
	agent->fd = -1;
	agent->subscription = 0;
	kw_buf_fini(&agent->in);
}

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A point of the monotonic clock; negative is never. */
static int64_t deadline_after(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

/* Waits until the socket can be read or written. KW_ETIMEOUT, KW_EIO. */
static enum kw_err wait_for(struct kinward *agent, short events, int64_t deadline)
{
	for (;;) {
		int64_t rest = deadline < 0 ? -1 : deadline - now_ms();
		if (deadline >= 0 && rest < 0)
			rest = 0;
		struct pollfd item = {.fd = agent->fd, .events = events};
		int n = poll(&item, 1, (int)rest);
		if (n > 0)
			return KW_OK;
		if (n == 0)
			return fail(agent, KW_ETIMEOUT,
				"The agent did not answer in time. Look at its log (journalctl -u kinward-agent), then try again.");
		if (errno != EINTR)
			return fail(agent, KW_EIO, "Waiting for the agent failed: %s.", strerror(errno));
	}
}

const char *kinward_socket_path(void)
{
	const char *path = getenv(KINWARD_SOCKET_ENV);
	return path && path[0] ? path : KINWARD_SOCKET_DEFAULT;
}

static enum kw_err fail_connect(struct kinward *agent, const char *path, int code)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return fail(agent, KW_ENOTFOUND,
			"There is no agent socket at %s. Start kinward-agent (systemctl start kinward-agent), or name the right "
			"path with --socket or in %s.", path, KINWARD_SOCKET_ENV);
	case ECONNREFUSED:
		return fail(agent, KW_ECLOSED,
			"Nobody listens at %s: the agent has stopped. Start it (systemctl start kinward-agent) and look at its log "
			"(journalctl -u kinward-agent).", path);
	case EACCES:
	case EPERM:
		return fail(agent, KW_EDENIED,
			"You may not use %s. Run as the user that the agent's configuration names, or ask its administrator to "
			"add you to the socket's group (kinward).", path);
	default:
		return fail(agent, KW_EIO, "Cannot connect to the agent at %s: %s.", path, strerror(code));
	}
}

static enum kw_err connect_until(struct kinward *agent, const struct sockaddr_un *address, int64_t deadline)
{
	for (;;) {
		if (connect(agent->fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EISCONN)
			return KW_OK;
		int code = errno;
		if (code == EINTR)
			continue;
		if (code != EAGAIN) /* EAGAIN: its backlog is full */
			return fail_connect(agent, address->sun_path, code);
		if (now_ms() >= deadline)
			return fail(agent, KW_ETIMEOUT, "The agent at %s is too busy to take a connection; try again.",
				address->sun_path);
		(void)poll(NULL, 0, 20);
	}
}

enum kw_err kinward_open(struct kinward *agent, const char *path, int timeout_ms)
{
	*agent = (struct kinward){.fd = -1, .timeout_ms = timeout_ms < 1 ? 1 : timeout_ms};
	kw_buf_init(&agent->in, LENGTH_SIZE + KINWARD_REPLY_SIZE_MAX);
	if (!path)
		path = kinward_socket_path();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(path);
	if (size == 0 || size >= sizeof(address.sun_path))
		return fail(agent, KW_EFIELD, "A socket path has 1 to %zu characters; this one has %zu.",
			sizeof(address.sun_path) - 1, size);
	memcpy(address.sun_path, path, size);
	agent->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (agent->fd < 0)
		return fail(agent, KW_EIO, "Cannot make a socket: %s.", strerror(errno));
	enum kw_err err = connect_until(agent, &address, deadline_after(agent->timeout_ms));
	if (err != KW_OK)
		disconnect(agent);
	return err;
}

void kinward_close(struct kinward *agent)
{
	if (agent)
		disconnect(agent);
}

static enum kw_err write_all(struct kinward *agent, struct kw_view bytes, int64_t deadline)
{
	size_t done = 0;
	while (done < bytes.size) {
		ssize_t n = send(agent->fd, bytes.data + done, bytes.size - done, MSG_NOSIGNAL);
		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			enum kw_err err = wait_for(agent, POLLOUT, deadline);
			if (err != KW_OK)
				return err;
		} else if (n < 0 && errno != EINTR) {
			return fail(agent, KW_ECLOSED, "The agent closed the connection (%s); try again.", strerror(errno));
		}
	}
	return KW_OK;
}

/* Packs and writes one request. On failure the connection is closed, because half a request may be out. */
static enum kw_err write_request(struct kinward *agent, Kinward__V1__LocalRequest *request, int64_t deadline)
{
	if (agent->fd < 0)
		return fail(agent, KW_ECLOSED, "The connection is closed; open it again.");
	request->id = ++agent->last_id;
	size_t size = kinward__v1__local_request__get_packed_size(request);
	if (size > KINWARD_REQUEST_SIZE_MAX)
		return fail(agent, KW_ETOOBIG, "The request has %zu bytes, at most %u go; send less at once.", size,
			KINWARD_REQUEST_SIZE_MAX);
	struct kw_buf out;
	kw_buf_init(&out, LENGTH_SIZE + size);
	enum kw_err err = kw_buf_reserve(&out, LENGTH_SIZE + size);
	if (err != KW_OK)
		return fail(agent, err, "%s", kw_err_text(err));
	kw_put_u32(out.data, (uint32_t)size);
	out.size = LENGTH_SIZE + kinward__v1__local_request__pack(request, out.data + LENGTH_SIZE);
	err = write_all(agent, kw_buf_view(&out), deadline);
	kw_buf_fini(&out);
	if (err != KW_OK)
		disconnect(agent);
	return err;
}

/* Reads what is there, at least one byte. */
static enum kw_err fill(struct kinward *agent, size_t want, int64_t deadline)
{
	enum kw_err err = kw_buf_reserve(&agent->in, want < READ_SIZE ? want : READ_SIZE);
	if (err != KW_OK)
		return fail(agent, err, "%s", kw_err_text(err));
	for (;;) {
		ssize_t n = recv(agent->fd, agent->in.data + agent->in.size, agent->in.cap - agent->in.size, 0);
		if (n > 0) {
			agent->in.size += (size_t)n;
			return KW_OK;
		}
		if (n == 0)
			return fail(agent, KW_ECLOSED, "The agent closed the connection; it may be restarting. Try again.");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(agent, KW_ECLOSED, "The agent closed the connection (%s); try again.", strerror(errno));
		err = wait_for(agent, POLLIN, deadline);
		if (err != KW_OK)
			return err;
	}
}

static enum kw_err read_reply(struct kinward *agent, int64_t deadline, Kinward__V1__LocalReply **reply)
{
	struct kw_buf *in = &agent->in;
	for (;;) {
		size_t whole = LENGTH_SIZE;
		if (in->size >= LENGTH_SIZE) {
			uint32_t size = kw_get_u32(in->data);
			if (size > KINWARD_REPLY_SIZE_MAX)
				return fail(agent, KW_ETOOBIG, "The agent's reply has %u bytes; ask for fewer items.", size);
			whole += size;
		}
		if (in->size >= LENGTH_SIZE && in->size >= whole) {
			Kinward__V1__LocalReply *got =
				kinward__v1__local_reply__unpack(NULL, whole - LENGTH_SIZE, in->data + LENGTH_SIZE);
			kw_buf_drop(in, whole);
			if (!got)
				return fail(agent, KW_EFORMAT,
					"The agent's reply does not parse: the agent and this client are of different versions.");
			*reply = got;
			return KW_OK;
		}
		enum kw_err err = fill(agent, whole - in->size, deadline);
		if (err != KW_OK)
			return err;
	}
}

/* The next reply with this id. Replies to earlier requests, which timed out here, are let go. */
static enum kw_err read_reply_to(struct kinward *agent, uint64_t id, int64_t deadline, Kinward__V1__LocalReply **reply)
{
	for (;;) {
		Kinward__V1__LocalReply *got = NULL;
		enum kw_err err = read_reply(agent, deadline, &got);
		if (err != KW_OK) {
			if (err != KW_ETIMEOUT)
				disconnect(agent);
			return err;
		}
		/* An agent that cannot read a request answers with id 0. */
		if (got->id == id || (got->id == 0 && kinward_refusal(got))) {
			*reply = got;
			return KW_OK;
		}
		bool earlier = got->id != 0 && got->id < id;
		kinward_reply_free(got);
		if (!earlier) {
			disconnect(agent);
			return fail(agent, KW_EFORMAT, "The agent answered a request that was not made; try again.");
		}
	}
}

enum kw_err kinward_ask(struct kinward *agent, Kinward__V1__LocalRequest *request, Kinward__V1__LocalReply **reply)
{
	if (agent->subscription)
		return fail(agent, KW_ESTATE, "This connection is subscribed; open a second one to ask.");
	int64_t deadline = deadline_after(agent->timeout_ms);
	enum kw_err err = write_request(agent, request, deadline);
	if (err != KW_OK)
		return err;
	return read_reply_to(agent, agent->last_id, deadline, reply);
}

enum kw_err kinward_subscribe(struct kinward *agent, uint64_t after)
{
	if (agent->subscription)
		return fail(agent, KW_ESTATE, "This connection is subscribed already.");
	Kinward__V1__SubscribeRequest body = KINWARD__V1__SUBSCRIBE_REQUEST__INIT;
	body.after = after;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SUBSCRIBE;
	request.subscribe = &body;
	enum kw_err err = write_request(agent, &request, deadline_after(agent->timeout_ms));
	if (err == KW_OK)
		agent->subscription = agent->last_id;
	return err;
}

enum kw_err kinward_next(struct kinward *agent, int timeout_ms, Kinward__V1__LocalReply **reply)
{
	if (!agent->subscription)
		return fail(agent, KW_ESTATE, "Subscribe first (or again, if the connection was lost).");
	return read_reply_to(agent, agent->subscription, deadline_after(timeout_ms), reply);
}

const Kinward__V1__LocalError *kinward_refusal(const Kinward__V1__LocalReply *reply)
{
	return reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_ERROR ? reply->error : NULL;
}

void kinward_reply_free(Kinward__V1__LocalReply *reply)
{
	if (reply)
		kinward__v1__local_reply__free_unpacked(reply, NULL);
}
