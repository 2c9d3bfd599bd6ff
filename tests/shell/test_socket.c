#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "agent/shell/socket.h"
#include "tests/kit/folder.h"

/* The socket over a real spool, with a host that sends nothing: it answers, refuses or keeps a call. */
struct rig {
	uv_loop_t loop;
	struct spool *spool;
	struct socket *socket;
	char folder[64];
	char path[96];
	struct socket_call *kept;
	bool keep;
	int fd;
	uint8_t reply[1 << 20];
	Kinward__V1__LocalReply *last;
};

static void host_send(void *user, Kinward__V1__SendRequest *request, struct socket_call *call)
{
	struct rig *rig = user;
	struct socket_sent sent = {.message_id = {{1}}, .thread_id = {{2}}, .envelope_id = {{3}}, .repeated = true};
	if (rig->keep)
		rig->kept = call;
	else if (strcmp(request->agency, "agency-b") == 0)
		socket_call_sent(call, &sent);
	else
		socket_call_refuse(call, KW_ENOAGENCY, "send.agency", NULL);
}

static void host_status(void *user, Kinward__V1__StatusReply *reply)
{
	(void)user;
	reply->agency = (char *)(uintptr_t)"agency-a";
	reply->online = true;
}

static void host_identity(void *user, struct socket_identity *out)
{
	(void)user;
	memset(out->sealing_key_id, 4, sizeof(out->sealing_key_id));
}

static void open_socket(struct rig *rig)
{
	struct socket_options options = {.path = rig->path, .connections_max = 3};
	struct socket_host host = {
		.user = rig, .spool = rig->spool, .send = host_send, .status = host_status, .identity = host_identity};
	assert_int_equal(socket_open(&options, &host, &rig->loop, &rig->socket), KW_OK);
}

static int dial(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	uint8_t key[SPOOL_KEY_SIZE] = {1};
	char spool[96];
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-socket-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/sock", rig->folder);
	snprintf(spool, sizeof(spool), "%s/spool", rig->folder);
	uv_loop_init(&rig->loop);
	struct spool_options options = {.path = spool, .store_key = key, .map_size = 64u << 20};
	assert_int_equal(spool_open(&options, &rig->loop, &rig->spool), KW_OK);
	open_socket(rig);
	rig->fd = dial(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->last != NULL)
		kinward__v1__local_reply__free_unpacked(rig->last, NULL);
	close(rig->fd);
	spool_close(rig->spool);
	socket_close(rig->socket);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	assert_int_equal(folder_remove(rig->folder), 0);
	free(rig);
	return 0;
}

/* Runs the loop until the caller can read `size` bytes, or a while. False when the agent closed. */
static bool take(struct rig *rig, uint8_t *out, size_t size)
{
	for (size_t got = 0; got < size;) {
		struct pollfd wait = {.fd = rig->fd, .events = POLLIN};
		for (int i = 0; i < 2000 && poll(&wait, 1, 0) == 0; i++) {
			uv_run(&rig->loop, UV_RUN_NOWAIT);
			usleep(500);
		}
		ssize_t n = poll(&wait, 1, 0) == 1 ? read(rig->fd, out + got, size - got) : 0;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

/* The next reply; NULL when the agent closed the connection or is silent. */
static Kinward__V1__LocalReply *next(struct rig *rig)
{
	uint8_t head[4];
	if (rig->last != NULL)
		kinward__v1__local_reply__free_unpacked(rig->last, NULL);
	rig->last = NULL;
	if (!take(rig, head, 4))
		return NULL;
	uint32_t size = kw_get_u32(head);
	assert_true(size <= sizeof(rig->reply));
	assert_true(take(rig, rig->reply, size));
	rig->last = kinward__v1__local_reply__unpack(NULL, size, rig->reply);
	assert_non_null(rig->last);
	return rig->last;
}

static void put(struct rig *rig, const Kinward__V1__LocalRequest *request)
{
	uint8_t bytes[4096];
	size_t size = kinward__v1__local_request__get_packed_size(request);
	assert_true(size + 4 <= sizeof(bytes));
	kw_put_u32(bytes, (uint32_t)size);
	kinward__v1__local_request__pack(request, bytes + 4);
	assert_int_equal(write(rig->fd, bytes, size + 4), size + 4);
}

static void put_status(struct rig *rig, uint64_t id)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__StatusRequest status = KINWARD__V1__STATUS_REQUEST__INIT;
	request.id = id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &status;
	put(rig, &request);
}

static void put_send(struct rig *rig, uint64_t id, const char *agency)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__SendRequest send_request = KINWARD__V1__SEND_REQUEST__INIT;
	send_request.agency = (char *)(uintptr_t)agency;
	request.id = id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SEND;
	request.send = &send_request;
	put(rig, &request);
}

static void refused(struct rig *rig, enum kw_err err, const char *field)
{
	const Kinward__V1__LocalReply *reply = next(rig);
	assert_non_null(reply);
	assert_int_equal(reply->body_case, KINWARD__V1__LOCAL_REPLY__BODY_ERROR);
	assert_string_equal(reply->error->code, kw_err_name(err));
	assert_string_equal(reply->error->field, field);
	assert_true(reply->error->text[0] != '\0');
}

static void test_socket_answers_with_the_requests_id(void **state)
{
	struct rig *rig = *state;
	put_status(rig, 41);
	put_status(rig, 42);
	assert_int_equal(next(rig)->id, 41);
	assert_string_equal(rig->last->status->agency, "agency-a");
	assert_int_equal(next(rig)->id, 42);
}

static void test_socket_send_waits_for_the_host(void **state)
{
	struct rig *rig = *state;
	put_send(rig, 1, "agency-b");
	assert_int_equal(next(rig)->body_case, KINWARD__V1__LOCAL_REPLY__BODY_SENT);
	assert_true(rig->last->sent->repeated_request);
	assert_int_equal(rig->last->sent->message_id.len, KW_ID_SIZE);
	put_send(rig, 2, "agency-x");
	refused(rig, KW_ENOAGENCY, "send.agency");
	rig->keep = true;
	put_send(rig, 3, "agency-b");
	put_status(rig, 4);
	assert_int_equal(next(rig)->id, 4); /* overtakes */
	struct socket_sent sent = {0};
	socket_call_sent(rig->kept, &sent);
	assert_int_equal(next(rig)->id, 3);
}

static void test_socket_caller_may_leave_before_the_answer(void **state)
{
	struct rig *rig = *state;
	rig->keep = true;
	put_send(rig, 3, "agency-b");
	while (rig->kept == NULL)
		uv_run(&rig->loop, UV_RUN_ONCE);
	close(rig->fd);
	for (int i = 0; i < 20; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	socket_call_refuse(rig->kept, KW_EIO, NULL, NULL);
	rig->fd = dial(rig);
	put_status(rig, 5);
	assert_int_equal(next(rig)->id, 5);
}

static void test_socket_refuses_bad_requests_and_goes_on(void **state)
{
	struct rig *rig = *state;
	static const uint8_t garbage[] = {0, 0, 0, 3, 0xff, 0xff, 0xff};
	assert_int_equal(write(rig->fd, garbage, sizeof(garbage)), sizeof(garbage));
	refused(rig, KW_EFORMAT, "");
	put_status(rig, 0);
	refused(rig, KW_EFIELD, "id");
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.id = 9;
	put(rig, &request);
	refused(rig, KW_EFIELD, "body");

	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	uint8_t id[KW_ID_SIZE] = {7};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	put(rig, &request);
	refused(rig, KW_EFIELD, "show.message_id");
	show.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	put(rig, &request);
	refused(rig, KW_ENOTFOUND, "show.message_id");

	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	list.limit = SPOOL_LIST_MAX + 1;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
	request.inbox = &list;
	put(rig, &request);
	refused(rig, KW_EFIELD, "limit");
	list.limit = SPOOL_LIST_MAX;
	put(rig, &request);
	assert_int_equal(next(rig)->body_case, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS);
	assert_int_equal(rig->last->items->n_items, 0);
}

static void test_socket_refuses_and_ends_after_an_oversized_request(void **state)
{
	struct rig *rig = *state;
	uint8_t head[4];
	kw_put_u32(head, SOCKET_REQUEST_SIZE_MAX + 1);
	assert_int_equal(write(rig->fd, head, 4), 4);
	refused(rig, KW_ETOOBIG, "");
	assert_null(next(rig));
}

static void test_socket_takes_a_request_byte_by_byte(void **state)
{
	struct rig *rig = *state;
	static const uint8_t status[] = {0, 0, 0, 5, 0x08, 0x2a, 0x82, 0x01, 0x00}; /* id 42, field 16 */
	for (size_t i = 0; i < sizeof(status); i++) {
		assert_int_equal(write(rig->fd, status + i, 1), 1);
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(next(rig)->id, 42);
}

static void test_socket_limits_connections(void **state)
{
	struct rig *rig = *state;
	put_status(rig, 1);
	assert_non_null(next(rig));
	int first = rig->fd;
	int second = dial(rig);
	int third = dial(rig);
	rig->fd = dial(rig);
	for (int i = 0; i < 10; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	assert_null(next(rig)); /* closed: one too many */
	close(rig->fd);
	rig->fd = third;
	put_status(rig, 2);
	assert_non_null(next(rig));
	close(first);
	close(second);
}

static void test_socket_replaces_a_stale_file_and_refuses_a_live_one(void **state)
{
	struct rig *rig = *state;
	struct socket *other = NULL;
	struct socket_options options = {.path = rig->path};
	struct socket_host host = {.spool = rig->spool};
	assert_int_equal(socket_open(&options, &host, &rig->loop, &other), KW_EEXIST);
	socket_close(rig->socket);
	for (int i = 0; i < 10; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);

	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* as a crash leaves it */
	open_socket(rig);
	struct stat file;
	assert_int_equal(stat(rig->path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	close(rig->fd);
	rig->fd = dial(rig);
	put_status(rig, 3);
	assert_int_equal(next(rig)->id, 3);
}

static void test_socket_does_not_read_from_who_does_not_read(void **state)
{
	struct rig *rig = *state;
	uint8_t keys[] = {0, 0, 0, 5, 0x08, 0x01, 0x9a, 0x01, 0x00}; /* keys: a reply longer than its request */
	size_t sent = 0;
	int quiet = 0;
	while (quiet < 200) {
		ssize_t n = send(rig->fd, keys, sizeof(keys), MSG_DONTWAIT);
		quiet = n == (ssize_t)sizeof(keys) ? 0 : quiet + 1;
		assert_true(n == (ssize_t)sizeof(keys) || n < 0);
		sent += n > 0;
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		assert_true(sent < 200000);
	}
	/* Now it reads, and every request is answered. */
	for (size_t i = 0; i < sent; i++)
		assert_non_null(next(rig));
}

static void on_received(struct spool_op *op, enum kw_err err)
{
	struct rig *rig = op->user;
	assert_int_equal(err, KW_OK);
	socket_news(rig->socket);
}

static void receive(struct rig *rig, uint8_t n)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 1, .sequence = n};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.item.message_id.bytes[0] = n;
	op->u.receive.item.digest.bytes[0] = n;
	snprintf(op->u.receive.item.agency.text, sizeof(op->u.receive.item.agency.text), "agency-b");
	op->user = rig;
	op->done = on_received;
	spool_do(rig->spool, op);
}

static void test_socket_subscriber_hears_old_and_new_items(void **state)
{
	struct rig *rig = *state;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__SubscribeRequest subscribe = KINWARD__V1__SUBSCRIBE_REQUEST__INIT;
	receive(rig, 1);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	request.id = 8;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SUBSCRIBE;
	request.subscribe = &subscribe;
	put(rig, &request);
	assert_int_equal(next(rig)->item->number, 1);
	assert_int_equal(rig->last->id, 8);
	receive(rig, 2);
	assert_int_equal(next(rig)->item->number, 2);
	assert_string_equal(rig->last->item->agency, "agency-b");
	put(rig, &request);
	refused(rig, KW_ESTATE, "");

	Kinward__V1__AckRequest ack = KINWARD__V1__ACK_REQUEST__INIT;
	uint8_t id[KW_ID_SIZE] = {2};
	ProtobufCBinaryData ids = {.len = sizeof(id), .data = id};
	ack.message_ids = &ids;
	ack.n_message_ids = 1;
	request.id = 9;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ACK;
	request.ack = &ack;
	put(rig, &request);
	assert_int_equal(next(rig)->acked->count, 1);
	put(rig, &request);
	assert_int_equal(next(rig)->acked->count, 0);
}

/* --- cases */

#define DAY 86400000

struct told {
	uint8_t thread;
	enum kw_thread_kind kind;
	uint8_t state;
	bool opening;
	uint64_t sequence;
	enum kw_risk risk;
	int64_t age_ms; /* how long ago */
};

static void told_done(struct spool_op *op, enum kw_err err)
{
	(void)op;
	assert_int_equal(err, KW_OK);
}

/* A message of agency-b arrives; the thread is theirs, so that it waits for us. */
static void tell(struct rig *rig, struct told told)
{
	static uint64_t sequence = 0;
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	struct spool_item *item = &op->u.receive.item;
	int64_t now_ms = (int64_t)time(NULL) * 1000;
	op->done = told_done;
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++sequence};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = (uint32_t)(now_ms / 3600000) + 24;
	kw_put_u64(item->message_id.bytes, sequence);
	kw_put_u64(item->digest.bytes, sequence);
	memset(item->thread_id.bytes, told.thread, KW_ID_SIZE);
	item->thread_sequence = told.sequence;
	item->at_ms = now_ms - told.age_ms;
	memcpy(item->agency.text, told.thread == 4 ? "agency-c" : "agency-b", sizeof("agency-b"));
	op->u.receive.act =
		(struct spool_act){.kind = told.kind, .opening = told.opening, .state = told.state, .risk = told.risk};
	memcpy(op->u.receive.act.case_ref, "K-1", sizeof("K-1"));
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("x")), KW_OK);
	spool_do(rig->spool, op);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static void tell_all(struct rig *rig)
{
	tell(rig, (struct told){1, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, true, 1, KW_RISK_LOW, DAY});    /* due in 2 days */
	tell(rig, (struct told){2, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, true, 1, KW_RISK_HIGH, DAY});   /* late: 23 h */
	tell(rig, (struct told){3, KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED, true, 1, KW_RISK_LOW, DAY});
	tell(rig, (struct told){4, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, true, 1, KW_RISK_HIGH, 3 * DAY}); /* later still */
	tell(rig, (struct told){4, KW_THREAD_REFERRAL, KW_REFERRAL_CLOSED, false, 3, KW_RISK_NONE, 0});    /* early */
	tell(rig, (struct told){5, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, true, 1, KW_RISK_HIGH, DAY});
	tell(rig, (struct told){5, KW_THREAD_REFERRAL, KW_REFERRAL_CONSENT_WITHDRAWN, false, 2, KW_RISK_NONE, 0}); /* over */
	tell(rig, (struct told){6, KW_THREAD_TRACING, KW_TRACING_REGISTERED, true, 1, KW_RISK_NONE, DAY}); /* their move */
}

/* The threads of the next reply, in their order, as digits of a number. */
static unsigned cases(struct rig *rig)
{
	unsigned digits = 0;
	assert_int_equal(next(rig)->body_case, KINWARD__V1__LOCAL_REPLY__BODY_CASES);
	for (size_t i = 0; i < rig->last->cases->n_cases; i++)
		digits = digits * 10 + rig->last->cases->cases[i]->thread_id.data[0];
	return digits;
}

static unsigned ask_cases(struct rig *rig, const Kinward__V1__CaseListRequest *from)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__CaseListRequest list = *from;
	request.id = 1;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASES;
	request.cases = &list;
	put(rig, &request);
	return cases(rig);
}

static void test_socket_lists_cases_and_turns_pages(void **state)
{
	struct rig *rig = *state;
	Kinward__V1__CaseListRequest list = KINWARD__V1__CASE_LIST_REQUEST__INIT;
	uint8_t after[KW_ID_SIZE];
	tell_all(rig);
	assert_int_equal(ask_cases(rig, &list), 12346);
	list.all = true;
	assert_int_equal(ask_cases(rig, &list), 123456);
	list.limit = 2;
	assert_int_equal(ask_cases(rig, &list), 12);
	assert_int_equal(rig->last->cases->next_after.len, KW_ID_SIZE);
	memcpy(after, rig->last->cases->next_after.data, KW_ID_SIZE);
	list.after = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = after};
	assert_int_equal(ask_cases(rig, &list), 34);
	memcpy(after, rig->last->cases->next_after.data, KW_ID_SIZE);
	assert_int_equal(ask_cases(rig, &list), 56);
	assert_int_equal(rig->last->cases->next_after.len, 0);

	Kinward__V1__CaseListRequest filter = KINWARD__V1__CASE_LIST_REQUEST__INIT;
	filter.kind = KINWARD__V1__THREAD_KIND__THREAD_KIND_TRANSFER;
	assert_int_equal(ask_cases(rig, &filter), 3);
	filter.kind = KINWARD__V1__THREAD_KIND__THREAD_KIND_UNSPECIFIED;
	filter.agency = (char *)(uintptr_t) "agency-c";
	assert_int_equal(ask_cases(rig, &filter), 4);
	filter.agency = (char *)(uintptr_t) "";
	filter.case_ref = (char *)(uintptr_t) "K-2";
	assert_int_equal(ask_cases(rig, &filter), 0);
}

static void test_socket_todo_begins_with_the_most_overdue(void **state)
{
	struct rig *rig = *state;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__TodoRequest todo = KINWARD__V1__TODO_REQUEST__INIT;
	tell_all(rig);
	request.id = 1;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_TODO;
	request.todo = &todo;
	put(rig, &request);
	unsigned order = cases(rig);
	assert_true(order == 4213 || order == 4231); /* 1 and 3 are due at the same moment or so */
	const Kinward__V1__CaseRow *row = rig->last->cases->cases[0];
	assert_string_equal(row->state_name, "DELIVERED");
	assert_int_equal(row->clock, KINWARD__V1__THREAD_CLOCK__THREAD_CLOCK_ACKNOWLEDGED);
	assert_true(row->late_ms >= 3 * DAY - 3600000 && row->late_ms < 3 * DAY - 3500000);
	assert_int_equal(row->due_unix_ms, row->since_unix_ms + 3600000);
	assert_true(row->waits_for_us);
	row = rig->last->cases->cases[3];
	assert_int_equal(row->late_ms, 0);
	todo.limit = 1; /* the first of all, not the first that was met */
	put(rig, &request);
	assert_int_equal(cases(rig), 4);
}

static void test_socket_shows_a_case_with_what_waits_in_it(void **state)
{
	struct rig *rig = *state;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__CaseShowRequest show = KINWARD__V1__CASE_SHOW_REQUEST__INIT;
	uint8_t thread[KW_ID_SIZE];
	memset(thread, 4, sizeof(thread));
	tell_all(rig);
	show.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread};
	request.id = 1;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW;
	request.case_show = &show;
	put(rig, &request);
	assert_int_equal(next(rig)->body_case, KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL);
	const Kinward__V1__CaseDetail *detail = rig->last->case_detail;
	assert_string_equal(detail->row->agency, "agency-c");
	assert_int_equal(detail->row->party, KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OTHER);
	assert_int_equal(detail->n_events, 2);
	assert_int_equal(detail->events[0]->author, KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER);
	assert_int_equal(detail->events[0]->verdict, KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_APPLIED);
	assert_string_equal(detail->events[1]->state_name, "CLOSED");
	assert_int_equal(detail->events[1]->thread_sequence, 3);
	assert_int_equal(detail->events[1]->verdict, KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_EARLY);
	thread[0] = 99;
	put(rig, &request);
	refused(rig, KW_ENOTFOUND, "case_show.thread_id");
	show.thread_id.len = 3;
	put(rig, &request);
	refused(rig, KW_EFIELD, "case_show.thread_id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(test_socket_answers_with_the_requests_id),
		CASE(test_socket_send_waits_for_the_host),
		CASE(test_socket_caller_may_leave_before_the_answer),
		CASE(test_socket_refuses_bad_requests_and_goes_on),
		CASE(test_socket_refuses_and_ends_after_an_oversized_request),
		CASE(test_socket_takes_a_request_byte_by_byte),
		CASE(test_socket_limits_connections),
		CASE(test_socket_replaces_a_stale_file_and_refuses_a_live_one),
		CASE(test_socket_does_not_read_from_who_does_not_read),
		CASE(test_socket_subscriber_hears_old_and_new_items),
		CASE(test_socket_lists_cases_and_turns_pages),
		CASE(test_socket_todo_begins_with_the_most_overdue),
		CASE(test_socket_shows_a_case_with_what_waits_in_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
