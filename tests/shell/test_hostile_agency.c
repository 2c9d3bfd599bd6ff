/* An agency that is enrolled and cheats, against the program kinward-broker, and with an agent's program behind it. What it does
 * wrong it hears of itself, in a notice or by the end of its session, and the hub's log says so; nothing of it falls on others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/link/file.h"
#include "proto/wire/open.h"
#include "proto/wire/pbscan.h"
#include "tests/kit/hostile_hub.h"
#include "tests/kit/hostile_letter.h"

struct client {
	struct hostile_hub *hub;
	struct kw_tls_context *context;
	struct kw_link *link;
	bool open;
	bool closed;
	bool welcomed;
	uint64_t sequence;
	struct kw_frame_ack ack;
	enum kw_err error;
	char field[64]; /* of the error */
	struct kw_frame_notice notice;
	uint32_t notices;
	uint32_t messages;
	uint32_t parts; /* of signed roles */
};

struct rig {
	struct hostile_hub hub; /* its folder, keys and victim; the hub itself is shut, and the program is in its place */
	struct kit_daemon broker;
	struct client honest;   /* agency-1 */
	struct client thief;    /* agency-2 */
	struct hostile_letter letter;
};

/* ---- agencies that speak by hand */

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct client *client = user;
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 77, .clock_unix_ms = 1};
	assert_int_equal(peer->kind, KW_PEER_HUB);
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		hello.credits[c] = (struct kw_credit){.messages = 1000, .bytes = 10u << 20};
	client->open = true;
	assert_int_equal(kw_frame_hello_add(kw_link_out(link), &hello), KW_OK);
	kw_link_ready(link);
}

static void on_message(struct client *client, struct kw_view body)
{
	struct kw_frame_message message;
	assert_int_equal(kw_frame_message_parse(body, &message), KW_OK);
	if (message.msg_class != KW_CONTROL) {
		client->messages++;
		return;
	}
	assert_int_equal(kw_frame_notice_parse(message.notice, &client->notice), KW_OK);
	client->notices++;
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct client *client = user;
	struct kw_frame_hello welcome;
	struct kw_frame_error error;
	struct kw_frame_ack ack;
	(void)link;
	if (frame->type == KW_FRAME_WELCOME) {
		assert_int_equal(kw_frame_welcome_parse(frame->body, &welcome), KW_OK);
		client->sequence = welcome.cursors[KW_URGENT].epoch == 77 ? welcome.cursors[KW_URGENT].sequence : 0;
		client->welcomed = true;
	} else if (frame->type == KW_FRAME_ROLE_PART) {
		client->parts++;
	} else if (frame->type == KW_FRAME_MESSAGE) {
		on_message(client, frame->body);
	} else if (frame->type == KW_FRAME_ERROR) {
		assert_int_equal(kw_frame_error_parse(frame->body, &error), KW_OK);
		client->error = error.code;
		memcpy(client->field, error.field, sizeof(client->field));
	} else if (frame->type == KW_FRAME_ACK) {
		assert_int_equal(kw_frame_ack_parse(frame->body, &ack), KW_OK);
		if (ack.cursor_mask & (1u << KW_URGENT))
			client->ack.cursors[KW_URGENT] = ack.cursors[KW_URGENT];
	}
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct client *client = user;
	(void)link;
	(void)err;
	client->closed = true;
}

static void join(struct client *client, struct hostile_hub *hub, size_t agency)
{
	char address[32];
	static const struct kw_link_hooks empty = {.on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	struct kw_link_hooks hooks = empty;
	*client = (struct client){.hub = hub, .context = kit_site_context(&hub->site, agency)};
	hooks.user = client;
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", hub->port);
	assert_int_equal(kw_link_connect(hub->net, address, client->context, &hooks, &client->link), KW_OK);
	HOSTILE_WAIT(hub, client->welcomed);
}

static void leave(struct client *client)
{
	if (client->context == NULL)
		return;
	if (!client->closed)
		kw_link_close(client->link, KW_OK);
	HOSTILE_WAIT(client->hub, client->closed);
	kw_tls_context_free(client->context);
	client->context = NULL;
}

static void put(struct client *client, enum kw_msg_class msg_class, uint64_t sequence, struct kw_view envelope)
{
	const struct kw_frame_message message = {.msg_class = msg_class, .sequence = sequence, .envelope = envelope};
	assert_int_equal(kw_frame_message_add(kw_link_out(client->link), &message), KW_OK);
	kw_link_ready(client->link);
}

/* Sends the next one and waits until the hub has taken it, in whatever way. */
static void send_next(struct client *client, struct kw_view envelope)
{
	put(client, KW_URGENT, ++client->sequence, envelope);
	HOSTILE_WAIT(client->hub, client->ack.cursors[KW_URGENT].sequence >= client->sequence);
}

/* ---- the hub, and the agent behind it */

static bool broker_is_ready(struct rig *rig)
{
	if (kit_daemon_is_gone(&rig->broker)) {
		kit_daemon_tell(&rig->broker);
		fail_msg("the hub has ended");
	}
	return kit_daemon_logged(&rig->broker, "\"event\":\"ready\"", NULL) > 0;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	char config[200];
	char log[100];
	assert_non_null(rig);
	hostile_hub_init(&rig->hub);
	hostile_hub_shut(&rig->hub);
	(void)snprintf(config, sizeof(config), "hub: hub-0\nlisten: 127.0.0.1:%u\nmap_size_mib: 64\nhandshakes_per_s_max: 0\n", rig->hub.port);
	assert_int_equal(kw_file_write_atomic(kit_site_path(&rig->hub.site, "broker.yaml"), kw_view_str(config), 0644), KW_OK);
	(void)snprintf(log, sizeof(log), "%s", kit_site_path(&rig->hub.site, "broker.log"));
	kit_daemon_start(&rig->broker, "kinward-broker", kit_site_path(&rig->hub.site, "broker.yaml"), log);
	HOSTILE_WAIT(&rig->hub, broker_is_ready(rig));
	join(&rig->honest, &rig->hub, 1);
	join(&rig->thief, &rig->hub, 2);
	*state = rig;
	return 0;
}

static void stops_well(struct kit_daemon *daemon)
{
	int code = kit_daemon_stop(daemon);
	if (code != 0)
		kit_daemon_tell(daemon);
	assert_int_equal(code, 0);
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	leave(&rig->honest);
	leave(&rig->thief);
	stops_well(&rig->hub.agent);
	memset(&rig->hub.agent, 0, sizeof(rig->hub.agent));
	stops_well(&rig->broker);
	hostile_letter_fini(&rig->letter);
	hostile_hub_fini(&rig->hub);
	free(rig);
	return 0;
}

static struct hostile_writing honest(struct rig *rig)
{
	return (struct hostile_writing){.from = &rig->hub.parties[1], .to = {&rig->hub.parties[0]}};
}

static struct hostile_writing stolen(struct rig *rig)
{
	return (struct hostile_writing){.from = &rig->hub.parties[2], .sender = "agency-2", .to = {&rig->hub.parties[0]}};
}

static bool has_received(struct rig *rig, uint64_t count)
{
	struct hostile_status status;
	return hostile_hub_try_status(&rig->hub, &status) && status.received == count;
}

static void has_one_message(struct rig *rig, const struct kw_id *id)
{
	struct kw_id found[4];
	HOSTILE_WAIT(&rig->hub, has_received(rig, 1));
	assert_int_equal(hostile_hub_inbox(&rig->hub, found, 4), 1);
	assert_memory_equal(&found[0], id, sizeof(*id));
}

/* ---- what the hub says no to */

/* The hub takes it from the thief, tells the thief why it goes nowhere, and writes that down. */
static void is_noticed(struct rig *rig, struct kw_view envelope, enum kw_err reason)
{
	struct client *thief = &rig->thief;
	uint32_t notices = thief->notices;
	char error[48];
	(void)snprintf(error, sizeof(error), "\"error\":\"%s\"", kw_err_name(reason));
	uint32_t logged = kit_daemon_logged(&rig->broker, "\"event\":\"message_refused\"", error);
	send_next(thief, envelope);
	HOSTILE_WAIT(&rig->hub, thief->notices > notices);
	assert_int_equal(thief->notices, notices + 1);
	assert_string_equal(kw_err_name(thief->notice.reason), kw_err_name(reason));
	assert_int_equal(thief->notice.retry_after_ms, 0);
	assert_int_equal(kit_daemon_logged(&rig->broker, "\"event\":\"message_refused\"", error), logged + 1);
	assert_false(thief->closed); /* a message's fault never ends the session */
}

static void test_what_a_hub_cannot_carry_comes_back_as_a_notice(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	struct hostile_writing writing = stolen(rig);
	/* At home elsewhere. */
	writing.home_hub = "hub-1";
	hostile_letter_write(letter, &writing);
	is_noticed(rig, hostile_letter_envelope(letter, 0), KW_EFIELD);
	writing.home_hub = NULL;
	/* For another hub; for nobody. */
	hostile_letter_write(letter, &writing);
	letter->parts.label.hub = kw_view_str("hub-1");
	hostile_letter_new_slot(letter);
	is_noticed(rig, hostile_letter_encode(letter), KW_ENOAGENCY);
	writing.to_name[0] = "ministry";
	hostile_letter_write(letter, &writing);
	is_noticed(rig, hostile_letter_envelope(letter, 0), KW_ENOAGENCY);
	writing.to_name[0] = NULL;
	/* Over before it was sent. */
	writing.expiry_hour = hostile_hour_in(-2);
	hostile_letter_write(letter, &writing);
	is_noticed(rig, hostile_letter_envelope(letter, 0), KW_EEXPIRED);
	writing.expiry_hour = 0;
	/* Of a class that is not the header's; a suite that nobody knows; rubbish. */
	hostile_letter_write(letter, &writing);
	letter->parts.label.msg_class = KW_BULK;
	hostile_letter_new_header(letter);
	is_noticed(rig, hostile_letter_encode(letter), KW_EFIELD);
	hostile_letter_take_apart(letter, 0);
	letter->parts.label.suite = (enum kw_suite)3;
	hostile_letter_new_header(letter);
	is_noticed(rig, hostile_letter_encode(letter), KW_EVERSION);
	is_noticed(rig, kw_view_str("\x0a\x7f and no more"), KW_EFORMAT);
	/* What is good goes on from there, and arrives. */
	hostile_letter_write(letter, &writing);
	send_next(&rig->thief, hostile_letter_envelope(letter, 0));
	hostile_hub_agent_spawn(&rig->hub);
	has_one_message(rig, &letter->message_id);
	assert_int_equal(rig->honest.notices, 0);
}

/* What breaks the rules of the session ends it, with a word on which rule; the next session goes on. */
static void ends_session(struct rig *rig, enum kw_err error, const char *line)
{
	HOSTILE_WAIT(&rig->hub, rig->thief.closed);
	assert_int_equal(rig->thief.error, error);
	assert_true(kit_daemon_logged(&rig->broker, line, "\"agency\":\"agency-2\"") > 0);
	leave(&rig->thief);
	join(&rig->thief, &rig->hub, 2);
	assert_false(rig->honest.closed);
}

static void test_who_breaks_the_session_ends_his_own(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = stolen(rig);
	static const uint8_t huge_head[] = {0x01, 0x00, 0x01, KW_FRAME_MESSAGE}; /* a body of 65,537 bytes */
	static uint8_t rest[4096];
	static uint8_t large[KW_ENVELOPE_SIZE_MAX + 1];
	hostile_letter_write(&rig->letter, &writing);
	struct kw_view envelope = hostile_letter_envelope(&rig->letter, 0);
	/* Nobody writes notices but the hub. */
	struct kw_frame_notice notice = {.envelope_id = rig->letter.sealed.envelope_id, .reason = KW_EEXPIRED};
	struct kw_buf bytes;
	kw_buf_init(&bytes, 256);
	assert_int_equal(kw_name_from(kw_view_str("agency-0"), &notice.agency), KW_OK);
	assert_int_equal(kw_frame_notice_add(&bytes, &notice), KW_OK);
	const struct kw_frame_message message = {.msg_class = KW_CONTROL, .sequence = 1, .notice = kw_buf_view(&bytes)};
	assert_int_equal(kw_frame_message_add(kw_link_out(rig->thief.link), &message), KW_OK);
	kw_link_ready(rig->thief.link);
	ends_session(rig, KW_EPROTO, "\"event\":\"frame_refused\"");
	kw_buf_fini(&bytes);
	/* An envelope of one byte more than there may be. */
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	assert_int_equal(kw_pb_add_uint(&bytes, 1, KW_URGENT), KW_OK);
	assert_int_equal(kw_pb_add_uint(&bytes, 2, 1), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&bytes, 3, KW_VIEW_OF(large)), KW_OK);
	assert_int_equal(kw_frame_add(kw_link_out(rig->thief.link), KW_FRAME_MESSAGE, kw_buf_view(&bytes)), KW_OK);
	kw_link_ready(rig->thief.link);
	ends_session(rig, KW_ETOOBIG, "\"event\":\"frame_refused\"");
	kw_buf_fini(&bytes);
	/* A frame that is larger than any. */
	assert_int_equal(kw_buf_add(kw_link_out(rig->thief.link), KW_VIEW_OF(huge_head)), KW_OK);
	for (int i = 0; i < 17; i++)
		assert_int_equal(kw_buf_add(kw_link_out(rig->thief.link), KW_VIEW_OF(rest)), KW_OK);
	kw_link_ready(rig->thief.link);
	HOSTILE_WAIT(&rig->hub, rig->thief.closed);
	HOSTILE_WAIT(&rig->hub, kit_daemon_logged(&rig->broker, "\"event\":\"connection_ended\"", "\"error\":\"too_big\"") == 2);
	leave(&rig->thief);
	join(&rig->thief, &rig->hub, 2);
	send_next(&rig->thief, envelope);
	assert_false(rig->honest.closed);
}

/* ---- mail of somebody who joined meanwhile */

static void agency_4_has_another_key(struct kw_directory *directory)
{
	memset(directory->entries[4].identity_key, 0x44, sizeof(directory->entries[4].identity_key));
}

static const struct hostile_hub *joining;

static void agency_4_has_its_key(struct kw_directory *directory)
{
	memcpy(directory->entries[4].identity_key, joining->parties[4].identity.public_key, KW_KEY_SIZE);
}

static bool victim_is_online(struct rig *rig)
{
	struct hostile_status status;
	return hostile_hub_try_status(&rig->hub, &status) && status.online && status.directory_version > 0;
}

/* As a command does; the hub sees it within a second, and tells who is there. */
static void publish(struct rig *rig, void (*change)(struct kw_directory *directory))
{
	uint32_t parts = rig->honest.parts;
	hostile_hub_publish(&rig->hub, change);
	HOSTILE_WAIT(&rig->hub, rig->honest.parts > parts);
}

/* Not an attack: what waits for an agent may be of somebody whom only the newest directory has. A hub that delivered before it told
 * the roles made the agent set good mail aside, and the sender's agent call it dead. */
static void test_mail_that_waits_comes_behind_the_roles(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	struct hostile_letter late = {.dek = {0}};
	struct hostile_writing writing = honest(rig);
	struct hostile_status status;
	publish(rig, agency_4_has_another_key);
	hostile_letter_write(&rig->letter, &writing);
	send_next(&rig->honest, hostile_letter_envelope(&rig->letter, 0));
	hostile_hub_agent_spawn(hub); /* it has no directory at all */
	has_one_message(rig, &rig->letter.message_id);
	HOSTILE_WAIT(hub, victim_is_online(rig));
	assert_int_equal(kit_daemon_stop(&hub->agent), 0);
	joining = hub;
	publish(rig, agency_4_has_its_key);
	writing.from = &hub->parties[4];
	writing.sender = "agency-4";
	hostile_letter_write(&late, &writing);
	send_next(&rig->honest, hostile_letter_envelope(&late, 0)); /* whoever brings it */
	hostile_hub_agent_spawn(hub);
	HOSTILE_WAIT(hub, has_received(rig, 2));
	hostile_hub_status(hub, &status);
	assert_int_equal(status.unopened, 0);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"cannot_open\"", NULL), 0);
	assert_int_equal(rig->honest.notices, 0);
	hostile_letter_fini(&late);
}

/* ---- what a hub cannot see, and the agent behind it does */

/* The thief has an envelope of agency-1, from a backup of the hub, and sends it in its own session. The hub does not know who wrote
 * an envelope: the recipient does, and takes it once, whoever brings it, and answers agency-1 alone. */
static void test_a_replay_in_anothers_session_gains_nothing(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	struct hostile_hub *hub = &rig->hub;
	hostile_letter_write(&rig->letter, &writing);
	struct kw_view envelope = hostile_letter_envelope(&rig->letter, 0);
	/* Before its author sends it, in two sessions' worth of sequences; then the author does. */
	send_next(&rig->thief, envelope);
	send_next(&rig->thief, envelope);
	send_next(&rig->honest, envelope);
	hostile_hub_agent_spawn(hub);
	has_one_message(rig, &rig->letter.message_id);
	HOSTILE_WAIT(hub, kit_daemon_logged(&hub->agent, "\"event\":\"repeat\"", "\"agency\":\"agency-1\"") == 2);
	send_next(&rig->thief, envelope);
	HOSTILE_WAIT(hub, kit_daemon_logged(&hub->agent, "\"event\":\"repeat\"", "\"agency\":\"agency-1\"") == 3);
	HOSTILE_WAIT(hub, rig->honest.messages > 0);
	has_one_message(rig, &rig->letter.message_id);
	assert_int_equal(rig->thief.messages, 0); /* receipts go to who signed */
	assert_int_equal(rig->thief.notices, 0);
	/* The same number again is dropped by the hub. */
	put(&rig->thief, KW_URGENT, rig->thief.sequence, envelope);
	writing = stolen(rig);
	hostile_letter_write(&rig->letter, &writing);
	send_next(&rig->thief, hostile_letter_envelope(&rig->letter, 0));
	HOSTILE_WAIT(hub, has_received(rig, 2));
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"repeat\"", NULL), 3);
}

/* In its own session it writes under another's name: only who brought it hears that it could not be opened. */
static void test_a_forged_name_falls_back_on_its_session(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = stolen(rig);
	writing.sender = "agency-1";
	hostile_letter_write(&rig->letter, &writing);
	send_next(&rig->thief, hostile_letter_envelope(&rig->letter, 0));
	hostile_hub_agent_spawn(&rig->hub);
	HOSTILE_WAIT(&rig->hub, rig->thief.notices > 0);
	assert_int_equal(rig->thief.notice.reason, KW_EOPEN); /* and not why */
	assert_int_equal(kit_daemon_logged(&rig->hub.agent, "\"event\":\"cannot_open\"", "\"reason\":\"sender_unknown\""), 1);
	assert_int_equal(kit_daemon_logged(&rig->broker, "\"event\":\"message_unopened\"", NULL), 1);
	assert_int_equal(rig->honest.notices, 0);
	assert_int_equal(rig->honest.messages, 0);
	writing = honest(rig);
	hostile_letter_write(&rig->letter, &writing);
	send_next(&rig->honest, hostile_letter_envelope(&rig->letter, 0));
	has_one_message(rig, &rig->letter.message_id);
}

/* agency-1's message waits; the thief takes it back, and says that it could not be opened, and that it has it. */
static void test_nobody_disposes_of_anothers_mail(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	hostile_letter_write(&rig->letter, &writing);
	send_next(&rig->honest, hostile_letter_envelope(&rig->letter, 0));
	struct kw_frame_recall recall = {.envelope_id = rig->letter.sealed.envelope_id};
	assert_int_equal(kw_name_from(kw_view_str("agency-0"), &recall.agency), KW_OK);
	assert_int_equal(kw_frame_recall_add(kw_link_out(rig->thief.link), &recall), KW_OK);
	const struct kw_frame_unopened unopened = {
		.msg_class = KW_URGENT, .sequence = 1, .envelope_id = rig->letter.sealed.envelope_id};
	assert_int_equal(kw_frame_unopened_add(kw_link_out(rig->thief.link), &unopened), KW_OK);
	kw_link_ready(rig->thief.link);
	writing = stolen(rig);
	struct hostile_letter after = {.dek = {0}};
	hostile_letter_write(&after, &writing);
	send_next(&rig->thief, hostile_letter_envelope(&after, 0)); /* it has seen the two */
	hostile_letter_fini(&after);
	assert_int_equal(kit_daemon_logged(&rig->broker, "\"event\":\"message_recalled\"", NULL), 0);
	assert_int_equal(kit_daemon_logged(&rig->broker, "\"event\":\"message_unopened\"", NULL), 0);
	assert_int_equal(rig->honest.notices, 0);
	hostile_hub_agent_spawn(&rig->hub);
	HOSTILE_WAIT(&rig->hub, has_received(rig, 2));
	struct kw_id found[4];
	assert_int_equal(hostile_hub_inbox(&rig->hub, found, 4), 2);
	assert_memory_equal(&found[0], &rig->letter.message_id, sizeof(found[0]));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* argument: only the cases of this pattern */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_a_hub_cannot_carry_comes_back_as_a_notice),
		CASE(test_who_breaks_the_session_ends_his_own),
		CASE(test_mail_that_waits_comes_behind_the_roles),
		CASE(test_a_replay_in_anothers_session_gains_nothing),
		CASE(test_a_forged_name_falls_back_on_its_session),
		CASE(test_nobody_disposes_of_anothers_mail),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
