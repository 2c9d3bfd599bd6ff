#include "agent/shell/socket_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/check.h"
#include "proto/link/log.h"

/* Connections: accept, check who it is, cut the bytes into requests, write replies.
 *
 * What can fail: a stranger is closed without a word; a request over the limit is refused and the connection ends, since
 * the rest cannot be found; memory for a reply is out: the connection ends. */

#define LISTEN_BACKLOG 64
#define IN_SIZE_MAX (SOCKET_REQUEST_SIZE_MAX + 4u + 65536u)

static void conn_free(struct socket_conn *conn)
{
	if (!conn->closed || conn->calls > 0 || conn->pumping)
		return;
	kw_buf_fini(&conn->in);
	free(conn);
}

static void socket_free(struct socket *socket)
{
	if (!socket->closed || socket->count > 0)
		return;
	free(socket->path);
	free(socket);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct socket_conn *conn = handle->data;
	struct socket *socket = conn->socket;

	if (socket->host.gone != NULL)
		socket->host.gone(socket->host.user, conn);
	*conn->at = conn->next;
	if (conn->next != NULL)
		conn->next->at = conn->at;
	socket->count--;
	conn->closed = true;
	conn_free(conn);
	socket_free(socket);
}

static void conn_close(struct socket_conn *conn)
{
	if (conn->closing)
		return;
	conn->closing = true;
	uv_close((uv_handle_t *)&conn->pipe, on_conn_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct socket_conn *conn = handle->data;

	(void)suggested;
	*out = uv_buf_init(conn->socket->space, sizeof(conn->socket->space));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
	struct socket_conn *conn = stream->data;

	if (size < 0) {
		conn_close(conn);
		return;
	}
	enum kw_err err = kw_buf_add(&conn->in, KW_VIEW(bytes->base, (size_t)size));
	kw_wipe(bytes->base, (size_t)size);
	if (err != KW_OK)
		conn_close(conn);
	else
		socket_pump(conn);
}

static void set_reading(struct socket_conn *conn, bool on)
{
	if (on == conn->reading || conn->closing)
		return;
	conn->reading = on;
	if (!on)
		(void)uv_read_stop((uv_stream_t *)&conn->pipe); /* always succeeds */
	else if (uv_read_start((uv_stream_t *)&conn->pipe, on_alloc, on_read) != 0)
		conn_close(conn);
}

static bool is_busy(const struct socket_conn *conn)
{
	return conn->calls >= SOCKET_CALLS_MAX ||
	       uv_stream_get_write_queue_size((const uv_stream_t *)&conn->pipe) > SOCKET_PENDING_BYTES;
}

void socket_pump(struct socket_conn *conn)
{
	if (conn->pumping)
		return;
	conn->pumping = true;
	size_t used = 0;
	while (!conn->closing && !conn->ending && !is_busy(conn) && conn->in.size - used >= 4) {
		uint32_t size = kw_get_u32(conn->in.data + used);

		if (size > SOCKET_REQUEST_SIZE_MAX) {
			socket_refuse(conn, 0, KW_ETOOBIG, &(struct socket_detail){.text = "A request has at most 65536 bytes."});
			conn->ending = true;
			break;
		}
		if (conn->in.size - used < 4 + (size_t)size)
			break;
		socket_request(conn, KW_VIEW(conn->in.data + used + 4, size));
		used += 4 + (size_t)size;
	}
	kw_buf_drop(&conn->in, used);
	socket_push(conn);
	set_reading(conn, !conn->ending && !is_busy(conn));
	if (conn->ending && conn->calls == 0 && uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) == 0)
		conn_close(conn);
	conn->pumping = false;
	conn_free(conn);
}

struct write {
	uv_write_t request;
	struct socket_conn *conn;
	size_t size;
	uint8_t data[];
};

static void on_written(uv_write_t *request, int status)
{
	struct write *write = (struct write *)request;
	struct socket_conn *conn = write->conn;

	kw_wipe(write->data, write->size); /* replies hold content */
	free(write);
	if (status != 0)
		conn_close(conn);
	else if (!conn->closing)
		socket_pump(conn);
}

void socket_reply(struct socket_conn *conn, const Kinward__V1__LocalReply *reply)
{
	size_t size = kinward__v1__local_reply__get_packed_size(reply);
	struct write *write;

	if (conn->closing)
		return;
	write = malloc(sizeof(*write) + 4 + size);
	if (write == NULL || size > UINT32_MAX) {
		free(write);
		conn_close(conn);
		return;
	}
	write->conn = conn;
	write->size = 4 + size;
	kw_put_u32(write->data, (uint32_t)size);
	(void)kinward__v1__local_reply__pack(reply, write->data + 4); /* the size, which is known */
	uv_buf_t bytes = uv_buf_init((char *)write->data, (unsigned)write->size);
	if (uv_write(&write->request, (uv_stream_t *)&conn->pipe, &bytes, 1, on_written) != 0) {
		free(write);
		conn_close(conn);
	}
}

struct socket_call *socket_call_new(struct socket_conn *conn, uint64_t id)
{
	struct socket_call *call = malloc(sizeof(*call));

	if (call == NULL)
		return NULL;
	*call = (struct socket_call){.conn = conn, .id = id};
	conn->calls++;
	return call;
}

static void call_end(struct socket_call *call)
{
	struct socket_conn *conn = call->conn;

	free(call);
	KW_ASSERT(conn->calls > 0);
	conn->calls--;
	if (conn->closed)
		conn_free(conn);
	else
		socket_pump(conn);
}

const void *socket_call_caller(const struct socket_call *call)
{
	return call->conn;
}

void socket_call_sent(struct socket_call *call, const struct socket_sent *sent)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__SendReply body = KINWARD__V1__SEND_REPLY__INIT;

	body.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)sent->message_id.bytes};
	body.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)sent->thread_id.bytes};
	body.envelope_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)sent->envelope_id.bytes};
	body.repeated_request = sent->repeated;
	reply.id = call->id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_SENT;
	reply.sent = &body;
	socket_reply(call->conn, &reply);
	call_end(call);
}

void socket_call_reply(struct socket_call *call, Kinward__V1__LocalReply *reply)
{
	reply->id = call->id;
	socket_reply(call->conn, reply);
	call_end(call);
}

void socket_call_refuse(struct socket_call *call, enum kw_err err, const char *field, const char *text)
{
	socket_refuse(call->conn, call->id, err, &(struct socket_detail){.field = field, .text = text});
	call_end(call);
}

static bool is_allowed(const struct socket *socket, uv_pipe_t *pipe)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)pipe, &fd) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
		return false;
	if (who.uid == 0 || who.uid == geteuid())
		return true;
	for (unsigned i = 0; i < socket->options.allow_uids_count; i++) {
		if (who.uid == socket->options.allow_uids[i])
			return true;
	}
	kw_log(KW_LOG_WARN, "socket_stranger", KW_LOG_INT("uid", who.uid));
	return false;
}

static void on_connection(uv_stream_t *server, int status)
{
	struct socket *socket = server->data;
	struct socket_conn *conn;

	if (status != 0)
		return;
	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
		return; /* the caller waits in the queue until memory is there */
	conn->socket = socket;
	kw_buf_init(&conn->in, IN_SIZE_MAX);
	if (uv_pipe_init(socket->loop, &conn->pipe, 0) != 0) {
		free(conn);
		return;
	}
	conn->pipe.data = conn;
	conn->next = socket->conns;
	conn->at = &socket->conns;
	if (conn->next != NULL)
		conn->next->at = &conn->next;
	socket->conns = conn;
	socket->count++;
	if (uv_accept(server, (uv_stream_t *)&conn->pipe) != 0 || !is_allowed(socket, &conn->pipe) ||
		socket->count > socket->options.connections_max)
		conn_close(conn);
	else
		set_reading(conn, true);
}

/* Removes a socket file that nobody listens on, left by a crash. */
static enum kw_err clear_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat file;
	enum kw_err err = KW_OK;

	if (strlen(path) >= sizeof(address.sun_path))
		return KW_ETOOBIG;
	if (lstat(path, &file) != 0)
		return errno == ENOENT ? KW_OK : KW_EIO;
	if (!S_ISSOCK(file.st_mode))
		return KW_EEXIST;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return KW_EIO;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		err = KW_EEXIST;
	else if (unlink(path) != 0)
		err = KW_EIO;
	close(fd);
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct socket *socket = handle->data;

	socket->closed = true;
	socket_free(socket);
}

enum kw_err socket_open(const struct socket_options *options, const struct socket_host *host, struct uv_loop_s *loop,
	struct socket **out)
{
	struct socket *socket;
	enum kw_err err = clear_path(options->path);

	if (err != KW_OK)
		return err;
	socket = calloc(1, sizeof(*socket));
	if (socket == NULL)
		return KW_ENOMEM;
	socket->options = *options;
	if (socket->options.connections_max == 0)
		socket->options.connections_max = SOCKET_CONNECTIONS_DEFAULT;
	socket->host = *host;
	socket->loop = loop;
	socket->path = strdup(options->path);
	if (socket->path == NULL || uv_pipe_init(loop, &socket->pipe, 0) != 0) {
		free(socket->path);
		free(socket);
		return KW_ENOMEM;
	}
	socket->pipe.data = socket;
	if (uv_pipe_bind(&socket->pipe, options->path) != 0 ||
		chmod(options->path, options->allow_uids_count > 0 ? 0666 : 0600) != 0 ||
		uv_listen((uv_stream_t *)&socket->pipe, LISTEN_BACKLOG, on_connection) != 0) {
		uv_close((uv_handle_t *)&socket->pipe, on_closed);
		return KW_EIO;
	}
	*out = socket;
	return KW_OK;
}

void socket_stop(struct socket *socket)
{
	if (socket == NULL)
		return;
	for (struct socket_conn *conn = socket->conns; conn != NULL; conn = conn->next)
		conn->ending = true;
	(void)unlink(socket->path); /* nobody new; a missing one is as good */
	socket->options.connections_max = 0;
}

void socket_close(struct socket *socket)
{
	if (socket == NULL)
		return;
	for (struct socket_conn *conn = socket->conns; conn != NULL; conn = conn->next)
		conn_close(conn);
	uv_close((uv_handle_t *)&socket->pipe, on_closed);
}

void socket_news(struct socket *socket)
{
	struct socket_conn *next;

	if (socket == NULL)
		return;
	for (struct socket_conn *conn = socket->conns; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->subscribed != 0 && !conn->closing)
			socket_pump(conn);
	}
}
