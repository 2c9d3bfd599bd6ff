/* A whole hub in this process (real TLS on loopback, real LMDB), and clients that speak the protocol by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "broker/shell/doors.h"
#include "proto/link/file.h"
#include "proto/wire/spki.h"
#include "tests/kit/sealing.h"
#include "tests/kit/live_hub.h"
#include "tests/kit/site.h"

#define DEADLINE_MS 10000u
#define MESSAGES_MAX 256u

struct rig {
	struct kit_site site;
	struct config config;
	uv_loop_t loop;
	uv_prepare_t turn_end;
	uv_timer_t clock;
	struct kw_net *net;
	struct office *office;
	struct doors *doors;
	struct hub *hub;
	char address[KIT_LIVE_HUB_ADDRESS_SIZE];
	enum kw_err fatal;
};

struct client {
	struct rig *rig;
	struct kw_tls_context *context;
	struct kw_link *link;
	bool open;
	bool closed;
	enum kw_err close_err;
	bool welcomed;
	struct kw_frame_hello welcome;
	struct kw_frame_ack ack; /* the last cursor of each class */
	enum kw_err error;       /* of the last ERROR frame */
	struct kw_frame_notice notice;
	uint32_t notices;
	uint32_t messages;
	uint64_t sequences[MESSAGES_MAX];
	struct kw_id ids[MESSAGES_MAX];
};

static void on_fatal(void *user, enum kw_err err)
{
	((struct rig *)user)->fatal = err;
}

static void on_clock(uv_timer_t *timer)
{
	hub_tick(((struct rig *)timer->data)->hub);
}

static void rig_open(struct rig *rig)
{
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(kw_net_new(&rig->loop, &rig->net), KW_OK);
	kit_live_hub_open(&(const struct kit_live_hub){.config_file = kit_site_path(&rig->site, "broker.yaml"), .loop = &rig->loop, .net = rig->net,
		.conns_max = 64, .config = &rig->config, .office = &rig->office, .doors = &rig->doors, .hub = &rig->hub, .address = rig->address,
		.turn_end = &rig->turn_end, .fatal = on_fatal, .user = rig});
	(void)uv_timer_init(&rig->loop, &rig->clock);
	rig->clock.data = rig;
	(void)uv_timer_start(&rig->clock, on_clock, 20, 20);
}

static void rig_close(struct rig *rig)
{
	doors_shut(rig->doors);
	struct kw_net_stats stats;
	do {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		kw_net_stats_get(rig->net, &stats);
	} while (stats.links > 0);
	hub_free(rig->hub);
	uv_close((uv_handle_t *)&rig->turn_end, NULL);
	uv_close((uv_handle_t *)&rig->clock, NULL);
	kw_net_free(rig->net);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	doors_free(rig->doors);
	office_close(rig->office);
	config_fini(&rig->config);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	assert_int_equal(rig->fatal, KW_OK);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	kit_site_init(&rig->site, 4);
	rig_open(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	rig_close(rig);
	kit_site_fini(&rig->site);
	free(rig);
	return 0;
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct client *client = user;
	(void)link;
	assert_int_equal(peer->kind, KW_PEER_HUB);
	client->open = true;
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct client *client = user;
	struct kw_frame_message message;
	struct kw_frame_error error;
	struct kw_frame_ack ack;
	(void)link;
	switch (frame->type) {
	case KW_FRAME_WELCOME:
		assert_int_equal(kw_frame_welcome_parse(frame->body, &client->welcome), KW_OK);
		client->welcomed = true;
		break;
	case KW_FRAME_ACK:
		assert_int_equal(kw_frame_ack_parse(frame->body, &ack), KW_OK);
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			if (ack.cursor_mask & (1u << c))
				client->ack.cursors[c] = ack.cursors[c];
		break;
	case KW_FRAME_ERROR:
		assert_int_equal(kw_frame_error_parse(frame->body, &error), KW_OK);
		client->error = error.code;
		break;
	case KW_FRAME_MESSAGE:
		assert_int_equal(kw_frame_message_parse(frame->body, &message), KW_OK);
		if (message.msg_class == KW_CONTROL) {
			assert_int_equal(kw_frame_notice_parse(message.notice, &client->notice), KW_OK);
			client->notices++;
			break;
		}
		assert_true(client->messages < MESSAGES_MAX);
		struct kw_envelope_label label;
		assert_int_equal(kw_envelope_peek(message.envelope, &label), KW_OK);
		client->ids[client->messages] = label.id;
		client->sequences[client->messages++] = message.sequence;
		break;
	default:
		break;
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
	client->closed = true;
	client->close_err = err;
}

/* Runs the loop until *flag, or fails. */
static void wait_for(struct rig *rig, const bool *flag)
{
	uint64_t start = uv_hrtime();
	while (!*flag) {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - start < (uint64_t)DEADLINE_MS * 1000000u);
	}
}

static void wait_count(struct rig *rig, const uint32_t *count, uint32_t target)
{
	uint64_t start = uv_hrtime();
	while (*count < target) {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - start < (uint64_t)DEADLINE_MS * 1000000u);
	}
}

static void wait_acked(struct rig *rig, const struct client *client, enum kw_msg_class msg_class, uint64_t sequence)
{
	uint64_t start = uv_hrtime();
	while (client->ack.cursors[msg_class].sequence < sequence) {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - start < (uint64_t)DEADLINE_MS * 1000000u);
	}
}

static void dial(struct client *client, struct rig *rig, struct kw_tls_context *context)
{
	*client = (struct client){.rig = rig, .context = context};
	const struct kw_link_hooks hooks = {
		.user = client, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	assert_int_equal(kw_link_connect(rig->net, rig->address, context, &hooks, &client->link), KW_OK);
}

static void hang_up(struct client *client)
{
	if (!client->closed)
		kw_link_close(client->link, KW_OK);
	wait_for(client->rig, &client->closed);
	kw_tls_context_free(client->context);
}

/* cursors: what the client has stored of the hub, NULL for nothing. */
static void hello(struct client *client, const struct kw_cursor *cursors)
{
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 77, .clock_unix_ms = 1};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		hello.credits[c] = (struct kw_credit){.messages = 1000, .bytes = 10u << 20};
		if (cursors != NULL)
			hello.cursors[c] = cursors[c];
	}
	wait_for(client->rig, &client->open);
	assert_int_equal(kw_frame_hello_add(kw_link_out(client->link), &hello), KW_OK);
	kw_link_ready(client->link);
	wait_for(client->rig, &client->welcomed);
}

static void join(struct client *client, struct rig *rig, size_t agency)
{
	dial(client, rig, kit_site_context(&rig->site, agency));
	hello(client, NULL);
}

static uint32_t hour_in(uint32_t hours)
{
	return (uint32_t)(time(NULL) / 3600) + hours;
}

/* Seals to agency-`to` of hub-0 and sends as `sequence`; the envelope's id goes to *id. */
static void send_to(struct client *client, size_t to, uint64_t sequence, struct kw_id *id)
{
	static struct kit_sealing kit;
	struct kw_sealed sealed;
	kit_sealing_init(&kit, KW_SUITE_AES, 1, kw_view_str("not for the hub"));
	kit.seed = sequence * 16 + to;
	(void)snprintf(kit.recipients[0].agency.text, sizeof(kit.recipients[0].agency.text), "agency-%zu", to);
	kit.request.expiry_hour = hour_in(24);
	kit.request.msg_class = KW_NORMAL;
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	struct kw_frame_message message = {
		.msg_class = KW_NORMAL, .sequence = sequence, .envelope = kw_buf_view(&sealed.envelopes[0])};
	assert_int_equal(kw_frame_message_add(kw_link_out(client->link), &message), KW_OK);
	kw_link_ready(client->link);
	*id = sealed.envelope_id;
	kw_sealed_fini(&sealed);
}

static void send_ack(struct client *client, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct kw_frame_ack ack = {.cursor_mask = (uint8_t)(1u << msg_class)};
	ack.cursors[msg_class] = (struct kw_cursor){.epoch = client->welcome.epoch, .sequence = sequence};
	assert_int_equal(kw_frame_ack_add(kw_link_out(client->link), &ack), KW_OK);
	kw_link_ready(client->link);
}

static void test_waits_for_an_offline_agency_and_survives_a_restart(void **state)
{
	struct rig *rig = *state;
	struct client sender;
	struct client recipient;
	struct kw_id ids[50];
	join(&sender, rig, 1);
	for (uint32_t i = 0; i < 50; i++)
		send_to(&sender, 2, i + 1, &ids[i]);
	wait_acked(rig, &sender, KW_NORMAL, 50);
	hang_up(&sender);
	rig_close(rig);
	rig_open(rig);
	join(&recipient, rig, 2);
	wait_count(rig, &recipient.messages, 50);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(recipient.sequences[i], i + 1);
		assert_true(kw_id_equal(&recipient.ids[i], &ids[i]));
	}
	send_ack(&recipient, KW_NORMAL, 50);
	hang_up(&recipient);
	/* The sender resumes where it was: the cursor is as durable as the messages. */
	join(&sender, rig, 1);
	assert_int_equal(sender.welcome.cursors[KW_NORMAL].sequence, 50);
	send_to(&sender, 2, 50, &ids[0]);
	send_to(&sender, 2, 51, &ids[0]);
	wait_acked(rig, &sender, KW_NORMAL, 51);
	join(&recipient, rig, 2);
	wait_count(rig, &recipient.messages, 1);
	assert_int_equal(recipient.sequences[0], 51);
	struct hub_stats stats;
	hub_stats_get(rig->hub, &stats);
	assert_int_equal(stats.counts.repeats, 1);
	hang_up(&sender);
	hang_up(&recipient);
}

static void test_delivers_at_once_to_who_is_there(void **state)
{
	struct rig *rig = *state;
	struct client sender;
	struct client recipient;
	struct kw_id id;
	join(&recipient, rig, 2);
	join(&sender, rig, 1);
	send_to(&sender, 2, 1, &id);
	wait_acked(rig, &sender, KW_NORMAL, 1);
	wait_count(rig, &recipient.messages, 1);
	assert_true(kw_id_equal(&recipient.ids[0], &id));
	hang_up(&sender);
	hang_up(&recipient);
}

static void test_refusal_reaches_the_sender_as_a_notice(void **state)
{
	struct rig *rig = *state;
	struct client sender;
	struct kw_id id;
	join(&sender, rig, 1);
	send_to(&sender, 9, 1, &id);
	wait_count(rig, &sender.notices, 1);
	assert_int_equal(sender.notice.reason, KW_ENOAGENCY);
	assert_true(kw_id_equal(&sender.notice.envelope_id, &id));
	assert_int_equal(sender.notice.retry_after_ms, 0);
	wait_acked(rig, &sender, KW_NORMAL, 1);
	hang_up(&sender);
	/* Not acknowledged by us: it comes again. */
	join(&sender, rig, 1);
	wait_count(rig, &sender.notices, 1);
	hang_up(&sender);
}

static void test_a_second_session_replaces_the_first(void **state)
{
	struct rig *rig = *state;
	struct client first;
	struct client second;
	join(&first, rig, 1);
	join(&second, rig, 1);
	wait_for(rig, &first.closed);
	assert_int_equal(first.error, KW_ECLOSED);
	assert_false(second.closed);
	hang_up(&first);
	hang_up(&second);
}

static void test_a_frame_that_breaks_the_rules_ends_its_session_only(void **state)
{
	struct rig *rig = *state;
	static const uint8_t JUNK[] = {0, 0, 3, KW_FRAME_MESSAGE, 0xff, 0xff, 0xff};
	struct client good;
	struct client bad;
	struct kw_id id;
	join(&good, rig, 1);
	join(&bad, rig, 2);
	assert_int_equal(kw_buf_add(kw_link_out(bad.link), KW_VIEW_OF(JUNK)), KW_OK);
	kw_link_ready(bad.link);
	wait_for(rig, &bad.closed);
	assert_int_not_equal(bad.error, KW_OK);
	send_to(&good, 3, 1, &id);
	wait_acked(rig, &good, KW_NORMAL, 1);
	hang_up(&good);
	hang_up(&bad);
}

static void test_a_first_frame_over_the_limit_is_refused(void **state)
{
	struct rig *rig = *state;
	static uint8_t big[KW_FRAME_SIZE_MAX_PREAUTH + 1] = {0, 0x0f, 0xfd, KW_FRAME_HELLO};
	struct client client;
	dial(&client, rig, kit_site_context(&rig->site, 1));
	wait_for(rig, &client.open);
	assert_int_equal(kw_buf_add(kw_link_out(client.link), KW_VIEW_OF(big)), KW_OK);
	kw_link_ready(client.link);
	wait_for(rig, &client.closed);
	assert_false(client.welcomed);
	hang_up(&client);
}

static void test_a_stranger_is_not_let_in(void **state)
{
	struct rig *rig = *state;
	struct kit_site other;
	struct client client;
	kit_site_init(&other, 2);
	dial(&client, rig, kit_site_context(&other, 1));
	wait_for(rig, &client.closed);
	assert_false(client.open);
	hang_up(&client);
	kit_site_fini(&other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_delivers_at_once_to_who_is_there),
		CASE(test_waits_for_an_offline_agency_and_survives_a_restart),
		CASE(test_refusal_reaches_the_sender_as_a_notice),
		CASE(test_a_second_session_replaces_the_first),
		CASE(test_a_frame_that_breaks_the_rules_ends_its_session_only),
		CASE(test_a_first_frame_over_the_limit_is_refused),
		CASE(test_a_stranger_is_not_let_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
