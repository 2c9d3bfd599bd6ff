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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/clients/c/kinward.h"

/* A fake agent: a thread that listens on a socket in a temporary folder and plays one script. */

struct fake {
	char folder[32];
	char path[64];
	int listener;
	pthread_t thread;
	void (*script)(struct fake *fake, int fd);
	uint64_t seen_id; /* of the last request */
	Kinward__V1__LocalRequest__BodyCase seen_body;
};

static bool read_exactly(int fd, uint8_t *out, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(fd, out + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool hear(struct fake *fake, int fd)
{
	uint8_t head[4];
	if (!read_exactly(fd, head, 4))
		return false;
	size_t size = kw_get_u32(head);
	uint8_t *body = malloc(size + 1);
	bool whole = read_exactly(fd, body, size);
	Kinward__V1__LocalRequest *request = whole ? kinward__v1__local_request__unpack(NULL, size, body) : NULL;
	free(body);
	if (!request)
		return false;
	fake->seen_id = request->id;
	fake->seen_body = request->body_case;
	kinward__v1__local_request__free_unpacked(request, NULL);
	return true;
}

static void say(int fd, const Kinward__V1__LocalReply *reply, bool slowly)
{
	uint8_t out[4096];
	size_t size = kinward__v1__local_reply__pack(reply, out + 4);
	kw_put_u32(out, (uint32_t)size);
	for (size_t i = 0; slowly && i < size + 4; i++) {
		(void)!write(fd, out + i, 1);
		usleep(200);
	}
	if (!slowly)
		(void)!write(fd, out, size + 4);
}

static void say_status(int fd, uint64_t id, bool slowly)
{
	Kinward__V1__StatusReply status = KINWARD__V1__STATUS_REPLY__INIT;
	status.agency = (char *)(uintptr_t)"agency-a";
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_STATUS;
	reply.status = &status;
	say(fd, &reply, slowly);
}

static void say_item(int fd, uint64_t id, uint64_t number)
{
	Kinward__V1__Item item = KINWARD__V1__ITEM__INIT;
	item.number = number;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEM;
	reply.item = &item;
	say(fd, &reply, false);
}

static void say_error(int fd, uint64_t id)
{
	Kinward__V1__LocalError error = KINWARD__V1__LOCAL_ERROR__INIT;
	error.code = (char *)(uintptr_t)"bad_field";
	error.field = (char *)(uintptr_t)"send.agency";
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ERROR;
	reply.error = &error;
	say(fd, &reply, false);
}

static void *serve(void *context)
{
	struct fake *fake = context;
	int fd = accept(fake->listener, NULL, NULL);
	if (fd >= 0) {
		fake->script(fake, fd);
		(void)close(fd);
	}
	return NULL;
}

static void fake_listen(struct fake *fake)
{
	snprintf(fake->folder, sizeof(fake->folder), "/tmp/kw-client-XXXXXX");
	assert_non_null(mkdtemp(fake->folder));
	snprintf(fake->path, sizeof(fake->path), "%s/agent.sock", fake->folder);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->path);
	fake->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fake->listener, 4), 0);
}

static void fake_start(struct fake *fake, void (*script)(struct fake *, int))
{
	*fake = (struct fake){.script = script};
	fake_listen(fake);
	assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

static void fake_stop(struct fake *fake)
{
	assert_int_equal(pthread_join(fake->thread, NULL), 0);
	(void)close(fake->listener);
	(void)unlink(fake->path);
	(void)rmdir(fake->folder);
}

static enum kw_err ask_status(struct kinward *agent, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__StatusRequest body = KINWARD__V1__STATUS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &body;
	return kinward_ask(agent, &request, reply);
}

static void script_slow_then_fast(struct fake *fake, int fd)
{
	if (hear(fake, fd))
		say_status(fd, fake->seen_id, true);
	if (hear(fake, fd))
		say_status(fd, fake->seen_id, false);
}

static void test_client_asks_twice_also_when_bytes_come_one_at_a_time(void **state)
{
	(void)state;
	struct fake fake;
	struct kinward agent;
	fake_start(&fake, script_slow_then_fast);
	assert_int_equal(kinward_open(&agent, fake.path, 5000), KW_OK);
	for (uint64_t i = 1; i <= 2; i++) {
		Kinward__V1__LocalReply *reply = NULL;
		assert_int_equal(ask_status(&agent, &reply), KW_OK);
		assert_int_equal(reply->id, i);
		assert_null(kinward_refusal(reply));
		assert_string_equal(reply->status->agency, "agency-a");
		kinward_reply_free(reply);
	}
	kinward_close(&agent);
	fake_stop(&fake);
	assert_int_equal(fake.seen_body, KINWARD__V1__LOCAL_REQUEST__BODY_STATUS);
}

static void script_refuse(struct fake *fake, int fd)
{
	if (hear(fake, fd))
		say_error(fd, fake->seen_id);
}

static void test_client_hands_on_a_refusal_as_an_answer(void **state)
{
	(void)state;
	struct fake fake;
	struct kinward agent;
	Kinward__V1__LocalReply *reply = NULL;
	fake_start(&fake, script_refuse);
	assert_int_equal(kinward_open(&agent, fake.path, 5000), KW_OK);
	assert_int_equal(ask_status(&agent, &reply), KW_OK);
	assert_non_null(kinward_refusal(reply));
	assert_string_equal(kinward_refusal(reply)->field, "send.agency");
	kinward_reply_free(reply);
	kinward_close(&agent);
	fake_stop(&fake);
}

static void script_late(struct fake *fake, int fd)
{
	if (!hear(fake, fd))
		return;
	uint64_t first = fake->seen_id;
	if (!hear(fake, fd)) /* the second is asked only after the first timed out */
		return;
	say_status(fd, first, false);
	say_status(fd, fake->seen_id, false);
}

static void test_client_times_out_and_lets_the_late_answer_go(void **state)
{
	(void)state;
	struct fake fake;
	struct kinward agent;
	Kinward__V1__LocalReply *reply = NULL;
	fake_start(&fake, script_late);
	assert_int_equal(kinward_open(&agent, fake.path, 50), KW_OK);
	assert_int_equal(ask_status(&agent, &reply), KW_ETIMEOUT);
	assert_null(reply);
	assert_non_null(strstr(agent.problem, "in time"));
	agent.timeout_ms = 5000;
	assert_int_equal(ask_status(&agent, &reply), KW_OK);
	assert_int_equal(reply->id, 2);
	kinward_reply_free(reply);
	kinward_close(&agent);
	fake_stop(&fake);
}

static void script_subscription(struct fake *fake, int fd)
{
	if (!hear(fake, fd))
		return;
	say_item(fd, fake->seen_id, 7);
	say_item(fd, fake->seen_id, 8);
	usleep(100000);
	say_item(fd, fake->seen_id, 9);
}

static void test_client_subscription_gives_items_in_order_and_a_timeout_loses_none(void **state)
{
	(void)state;
	struct fake fake;
	struct kinward agent;
	Kinward__V1__LocalReply *reply = NULL;
	fake_start(&fake, script_subscription);
	assert_int_equal(kinward_open(&agent, fake.path, 5000), KW_OK);
	assert_int_equal(kinward_next(&agent, 0, &reply), KW_ESTATE);
	assert_int_equal(kinward_subscribe(&agent, 0), KW_OK);
	assert_int_equal(kinward_subscribe(&agent, 0), KW_ESTATE);
	assert_int_equal(ask_status(&agent, &reply), KW_ESTATE);
	uint64_t expected = 7;
	for (int tries = 0; expected < 10 && tries < 1000; tries++) {
		enum kw_err err = kinward_next(&agent, 20, &reply);
		if (err == KW_ETIMEOUT)
			continue;
		assert_int_equal(err, KW_OK);
		assert_int_equal(reply->item->number, expected++);
		kinward_reply_free(reply);
		reply = NULL;
	}
	assert_int_equal(expected, 10);
	assert_int_equal(kinward_next(&agent, -1, &reply), KW_ECLOSED);
	assert_int_equal(kinward_next(&agent, -1, &reply), KW_ESTATE);
	kinward_close(&agent);
	fake_stop(&fake);
}

static void script_hang_up(struct fake *fake, int fd)
{
	(void)hear(fake, fd);
}

static void script_huge(struct fake *fake, int fd)
{
	static const uint8_t HEAD[4] = {0xff, 0xff, 0xff, 0xff};
	if (hear(fake, fd))
		(void)!write(fd, HEAD, 4);
}

static void script_rubbish(struct fake *fake, int fd)
{
	static const uint8_t RUBBISH[6] = {0, 0, 0, 2, 0xff, 0xff};
	if (hear(fake, fd))
		(void)!write(fd, RUBBISH, 6);
}

static void script_foreign_id(struct fake *fake, int fd)
{
	if (hear(fake, fd))
		say_status(fd, fake->seen_id + 1, false);
}

static void test_client_closes_when_the_agent_breaks_the_rules(void **state)
{
	(void)state;
	static const struct {
		void (*script)(struct fake *, int);
		enum kw_err err;
	} CASES[] = {{script_hang_up, KW_ECLOSED}, {script_huge, KW_ETOOBIG}, {script_rubbish, KW_EFORMAT},
		{script_foreign_id, KW_EFORMAT}};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct fake fake;
		struct kinward agent;
		Kinward__V1__LocalReply *reply = NULL;
		fake_start(&fake, CASES[i].script);
		assert_int_equal(kinward_open(&agent, fake.path, 5000), KW_OK);
		assert_int_equal(ask_status(&agent, &reply), CASES[i].err);
		assert_null(reply);
		assert_true(agent.problem[0] != '\0');
		assert_int_equal(ask_status(&agent, &reply), KW_ECLOSED);
		kinward_close(&agent);
		fake_stop(&fake);
	}
}

static void test_client_says_what_to_do_when_there_is_no_agent(void **state)
{
	(void)state;
	struct fake fake = {.listener = -1};
	struct kinward agent;
	assert_int_equal(kinward_open(&agent, "/nonexistent/agent.sock", 100), KW_ENOTFOUND);
	assert_non_null(strstr(agent.problem, "/nonexistent/agent.sock"));
	assert_non_null(strstr(agent.problem, "Start kinward-agent"));
	kinward_close(&agent);

	fake_listen(&fake);
	(void)close(fake.listener); /* the path stays, as after a crash */
	assert_int_equal(kinward_open(&agent, fake.path, 100), KW_ECLOSED);
	assert_non_null(strstr(agent.problem, "stopped"));
	kinward_close(&agent);
	if (geteuid() != 0) {
		assert_int_equal(chmod(fake.folder, 0), 0);
		assert_int_equal(kinward_open(&agent, fake.path, 100), KW_EDENIED);
		kinward_close(&agent);
		assert_int_equal(chmod(fake.folder, 0700), 0);
	}
	(void)unlink(fake.path);
	(void)rmdir(fake.folder);

	char path[109];
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(kinward_open(&agent, path, 100), KW_EFIELD);
	assert_int_equal(kinward_open(&agent, "", 100), KW_EFIELD);
	kinward_close(&agent);
	kinward_close(NULL);
}

static void test_client_path_comes_from_the_environment_first(void **state)
{
	(void)state;
	setenv(KINWARD_SOCKET_ENV, "/elsewhere", 1);
	assert_string_equal(kinward_socket_path(), "/elsewhere");
	setenv(KINWARD_SOCKET_ENV, "", 1);
	assert_string_equal(kinward_socket_path(), KINWARD_SOCKET_DEFAULT);
	unsetenv(KINWARD_SOCKET_ENV);
	assert_string_equal(kinward_socket_path(), KINWARD_SOCKET_DEFAULT);
}

static void test_client_refuses_a_request_over_the_limit_and_stays_usable(void **state)
{
	(void)state;
	struct fake fake;
	struct kinward agent;
	Kinward__V1__LocalReply *reply = NULL;
	fake_start(&fake, script_refuse);
	assert_int_equal(kinward_open(&agent, fake.path, 5000), KW_OK);
	Kinward__V1__RegisterRequest body = KINWARD__V1__REGISTER_REQUEST__INIT;
	body.local_id = malloc(KINWARD_REQUEST_SIZE_MAX + 1);
	memset(body.local_id, 'a', KINWARD_REQUEST_SIZE_MAX);
	body.local_id[KINWARD_REQUEST_SIZE_MAX] = '\0';
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER;
	request.register_ = &body;
	assert_int_equal(kinward_ask(&agent, &request, &reply), KW_ETOOBIG);
	free(body.local_id);
	assert_int_equal(ask_status(&agent, &reply), KW_OK);
	kinward_reply_free(reply);
	kinward_close(&agent);
	fake_stop(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_asks_twice_also_when_bytes_come_one_at_a_time),
		cmocka_unit_test(test_client_hands_on_a_refusal_as_an_answer),
		cmocka_unit_test(test_client_times_out_and_lets_the_late_answer_go),
		cmocka_unit_test(test_client_subscription_gives_items_in_order_and_a_timeout_loses_none),
		cmocka_unit_test(test_client_closes_when_the_agent_breaks_the_rules),
		cmocka_unit_test(test_client_says_what_to_do_when_there_is_no_agent),
		cmocka_unit_test(test_client_path_comes_from_the_environment_first),
		cmocka_unit_test(test_client_refuses_a_request_over_the_limit_and_stays_usable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
