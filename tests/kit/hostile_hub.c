#include "tests/kit/hostile_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/clients/c/kinward.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/link/file.h"
#include "proto/link/roles.h"
#include "proto/wire/message.h"
#include "proto/wire/open.h"
#include "proto/wire/role_frame.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"

#define PASSPHRASE "a passphrase of the test"
#define ASK_MS 20000

/* Valid until the call after the next. */
static const char *path_in(const struct hostile_hub *hub, const char *name)
{
	static char paths[2][160];
	static int turn;
	turn = !turn;
	(void)snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", hub->dir, name);
	return paths[turn];
}

/* ---- the victim's folder */

static void copy(const struct hostile_hub *hub, const char *from, const char *to)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, 65536);
	assert_int_equal(kw_file_read(kit_site_path(&hub->site, from), KW_FILE_PUBLIC, &bytes), KW_OK);
	assert_int_equal(kw_file_write_atomic(path_in(hub, to), kw_buf_view(&bytes), 0644), KW_OK);
	kw_buf_fini(&bytes);
}

static void make_parties(struct hostile_hub *hub)
{
	for (size_t i = 0; i < HOSTILE_PARTIES; i++) {
		size_t size = KW_KEY_SIZE;
		assert_int_equal(keys_generate(&hub->parties[i]), KW_OK);
		assert_int_equal(EVP_PKEY_get_raw_private_key(hub->site.agency_keys[i], hub->parties[i].tls_seed, &size), 1);
	}
}

static void write_victim(struct hostile_hub *hub)
{
	char text[600];
	memcpy(hub->dir, "/tmp/kw-victim-XXXXXX", sizeof("/tmp/kw-victim-XXXXXX"));
	assert_non_null(mkdtemp(hub->dir));
	assert_int_equal(mkdir(path_in(hub, "state"), 0700), 0);
	assert_int_equal(kw_file_write_atomic(path_in(hub, "passphrase"), kw_view_str(PASSPHRASE), 0400), KW_OK);
	assert_int_equal(keys_save(path_in(hub, "state/keys"), &hub->parties[0], kw_view_str(PASSPHRASE)), KW_OK);
	copy(hub, "agency-0.pem", "state/chain.pem");
	copy(hub, "root.pem", "state/root.pem");
	(void)snprintf(hub->socket, sizeof(hub->socket), "%s/socket", hub->dir);
	int size = snprintf(text, sizeof(text), "state: %s/state\nhub: 127.0.0.1:%u\nsocket: %s\npassphrase_file: %s/passphrase\nstore_mib: 256\n",
		hub->dir, hub->port, hub->socket, hub->dir);
	assert_in_range(size, 1, sizeof(text) - 1);
	assert_int_equal(kw_file_write_atomic(path_in(hub, "agent.yaml"), KW_VIEW(text, (size_t)size), 0600), KW_OK);
}

/* ---- the session */

static void say(struct hostile_hub *hub, enum kw_role_kind kind, const char *name)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&hub->site, name), KW_FILE_PUBLIC, &bytes), KW_OK);
	struct kw_view whole = kw_buf_view(&bytes);
	for (size_t at = 0; at < whole.size;) {
		size_t size = whole.size - at < KW_ROLE_PART_SIZE_MAX ? whole.size - at : KW_ROLE_PART_SIZE_MAX;
		const struct kw_role_part part = {.kind = kind, .offset = (uint32_t)at, .total = (uint32_t)whole.size,
			.bytes = KW_VIEW(whole.data + at, size)};
		assert_int_equal(kw_role_part_add(kw_link_out(hub->link), &part), KW_OK);
		at += size;
	}
	kw_buf_fini(&bytes);
}

void hostile_hub_say_roles(struct hostile_hub *hub)
{
	if (hub->hello.root_version == 0)
		say(hub, KW_ROLE_KIND_ROOT, "roots/1.bin");
	say(hub, KW_ROLE_KIND_TIMESTAMP, "timestamp.bin");
	say(hub, KW_ROLE_KIND_SNAPSHOT, "snapshot.bin");
	say(hub, KW_ROLE_KIND_DIRECTORY, "directory.bin");
	kw_link_ready(hub->link);
}

static void grant(struct kw_credit *credit)
{
	*credit = (struct kw_credit){.messages = 1000000, .bytes = UINT64_C(1) << 40};
}

/* Ours writes no WELCOME of epoch 0: that one is made by hand. */
static void add_welcome(struct hostile_hub *hub, struct kw_frame_hello *welcome)
{
	static const uint64_t MARK = UINT64_C(0x1112131415161718);
	struct kw_buf *out = kw_link_out(hub->link);
	uint8_t mark[8];
	size_t from = out->size;
	welcome->epoch = hub->epoch != 0 ? hub->epoch : MARK;
	assert_int_equal(kw_frame_welcome_add(out, welcome), KW_OK);
	memcpy(mark, &MARK, sizeof(mark)); /* the same in its place on the wire: little-endian, as are we */
	uint8_t *at = hub->epoch == 0 ? memmem(out->data + from, out->size - from, mark, sizeof(mark)) : NULL;
	assert_true((at != NULL) == (hub->epoch == 0));
	if (at != NULL)
		memset(at, 0, sizeof(mark));
}

static void on_hello(struct hostile_hub *hub, struct kw_view body)
{
	struct kw_frame_hello welcome = {.version_min = 1, .version_max = 1,
		.clock_unix_ms = (int64_t)time(NULL) * 1000, .envelope_size_max = KW_ENVELOPE_SIZE_MAX};
	assert_int_equal(kw_frame_hello_parse(body, &hub->hello), KW_OK);
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		grant(&welcome.credits[c]);
		welcome.cursors[c] = hub->claims[c].epoch != 0 ? hub->claims[c] : hub->held[c];
	}
	add_welcome(hub, &welcome);
	if (!hub->no_roles)
		hostile_hub_say_roles(hub);
	kw_link_ready(hub->link);
	hub->hellos++;
}

static void on_message(struct hostile_hub *hub, struct kw_view body)
{
	struct kw_frame_message message;
	struct kw_frame_ack ack = {.cursor_mask = 0};
	assert_int_equal(kw_frame_message_parse(body, &message), KW_OK);
	hub->held[message.msg_class] = (struct kw_cursor){.epoch = hub->hello.epoch, .sequence = message.sequence};
	ack.cursor_mask = ack.credit_mask = (uint8_t)(1u << message.msg_class);
	ack.cursors[message.msg_class] = hub->held[message.msg_class];
	grant(&ack.credits[message.msg_class]);
	assert_int_equal(kw_frame_ack_add(kw_link_out(hub->link), &ack), KW_OK);
	kw_link_ready(hub->link);
	assert_true(hub->heard_count < HOSTILE_HEARD_MAX);
	struct kw_buf *copy_of = &hub->heard[hub->heard_count++];
	kw_buf_init(copy_of, KW_ENVELOPE_SIZE_MAX);
	assert_int_equal(kw_buf_add(copy_of, message.envelope), KW_OK);
}

static void on_ack(struct hostile_hub *hub, struct kw_view body)
{
	struct kw_frame_ack ack;
	assert_int_equal(kw_frame_ack_parse(body, &ack), KW_OK);
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		if (ack.cursor_mask & (1u << c))
			hub->acked[c] = ack.cursors[c];
	}
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct hostile_hub *hub = user;
	struct kw_frame_error error;
	uint64_t nonce;
	if (link != hub->link)
		return;
	switch (frame->type) {
	case KW_FRAME_HELLO:
		on_hello(hub, frame->body);
		break;
	case KW_FRAME_MESSAGE:
		on_message(hub, frame->body);
		break;
	case KW_FRAME_ACK:
		on_ack(hub, frame->body);
		break;
	case KW_FRAME_UNOPENED:
		assert_int_equal(kw_frame_unopened_parse(frame->body, &hub->unopened_last), KW_OK);
		hub->unopened_size = frame->body.size;
		hub->unopened++;
		break;
	case KW_FRAME_ERROR:
		assert_int_equal(kw_frame_error_parse(frame->body, &error), KW_OK);
		hub->error = error.code;
		break;
	case KW_FRAME_PING:
		assert_int_equal(kw_frame_ping_parse(frame->body, &nonce), KW_OK);
		assert_int_equal(kw_frame_ping_add(kw_link_out(link), KW_FRAME_PONG, nonce), KW_OK);
		kw_link_ready(link);
		break;
	default:
		break;
	}
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct hostile_hub *hub = user;
	assert_int_equal(peer->kind, KW_PEER_AGENCY);
	assert_string_equal(peer->agency.text, "agency-0");
	kw_link_user_set(link, hub);
	hub->link = link;
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct hostile_hub *hub = user;
	(void)err;
	hub->ends++;
	if (hub->link == link)
		hub->link = NULL;
}

void hostile_hub_listen(struct hostile_hub *hub, const char *chain)
{
	char address[32];
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	struct kw_tls_files files = {.chain = chain, .key = hub->site.server_key, .root = hub->site.root.certificate};
	const struct kw_link_hooks hooks = {
		.user = hub, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", hub->port);
	limits.handshakes_per_s_max = 0;
	assert_int_equal(kw_tls_context_new(KW_TLS_HUB, &files, &hub->context), KW_OK);
	assert_int_equal(kw_link_listen(hub->net, address, hub->context, &hooks, &hub->server), KW_OK);
	kw_link_server_limits(hub->server, &limits);
	hub->port = kw_link_server_port(hub->server);
}

void hostile_hub_shut(struct hostile_hub *hub)
{
	struct kw_net_stats stats;
	if (hub->server == NULL)
		return;
	kw_link_server_close(hub->server);
	hub->server = NULL;
	if (hub->link != NULL)
		kw_link_close(hub->link, KW_OK);
	do {
		hostile_hub_turn(hub);
		kw_net_stats_get(hub->net, &stats);
	} while (stats.links > 0);
	kw_tls_context_free(hub->context);
	hub->context = NULL;
}

void hostile_hub_hang_up(struct hostile_hub *hub)
{
	if (hub->link != NULL)
		kw_link_close(hub->link, KW_OK);
	HOSTILE_WAIT(hub, hub->link == NULL);
}

static void on_beat(uv_timer_t *timer)
{
	(void)timer; /* ends a turn in which nothing comes */
}

void hostile_hub_turn(struct hostile_hub *hub)
{
	(void)uv_run(&hub->loop, UV_RUN_ONCE);
}

/* ---- life */

static void real_keys(struct kw_directory *directory, const struct hostile_hub *hub)
{
	for (size_t i = 0; i < HOSTILE_PARTIES; i++) {
		struct kw_directory_entry *entry = &directory->entries[i];
		struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
		memcpy(entry->identity_key, hub->parties[i].identity.public_key, KW_KEY_SIZE);
		memcpy(key->public_key, hub->parties[i].sealing.public_key, KW_KEY_SIZE);
		memcpy(key->key_id, hub->parties[i].sealing_id, sizeof(key->key_id));
		key->suites[0] = 1; /* as an enrolment lists them */
		key->suites[1] = 2;
		key->suites_count = 2;
	}
}

static void publish(struct hostile_hub *hub, void (*change)(struct kw_directory *directory), bool keys)
{
	const char *file;
	struct kw_roles *roles = NULL;
	int lock;
	assert_int_equal(kw_roles_lock(hub->site.dir, 1000, &lock), KW_OK);
	assert_int_equal(kw_roles_load(hub->site.dir, &hub->site.hub, &hub->fingerprint, &roles, &file), KW_OK);
	struct kw_directory next = *roles->directory; /* a copy: what changed is found by comparison */
	next.entries = calloc(next.count, sizeof(*next.entries));
	assert_non_null(next.entries);
	memcpy(next.entries, roles->directory->entries, next.count * sizeof(*next.entries));
	if (keys)
		real_keys(&next, hub);
	if (change != NULL)
		change(&next);
	assert_int_equal(kw_roles_publish(roles, &next, (int64_t)time(NULL) * 1000), KW_OK);
	free(next.entries);
	kw_roles_free(roles);
	kw_roles_unlock(lock);
}

void hostile_hub_publish(struct hostile_hub *hub, void (*change)(struct kw_directory *directory))
{
	publish(hub, change, false);
}

void hostile_hub_change(struct hostile_hub *hub, void (*change)(struct kw_directory *directory))
{
	hostile_hub_publish(hub, change);
	hostile_hub_say_roles(hub);
	hostile_hub_wait_online(hub);
}

static uint64_t directory_version(struct hostile_hub *hub)
{
	const char *file;
	struct kw_roles *roles = NULL;
	assert_int_equal(kw_roles_load(hub->site.dir, &hub->site.hub, &hub->fingerprint, &roles, &file), KW_OK);
	uint64_t version = roles->directory->version;
	kw_roles_free(roles);
	return version;
}

void hostile_hub_init(struct hostile_hub *hub)
{
	memset(hub, 0, sizeof(*hub));
	hub->heard = calloc(HOSTILE_HEARD_MAX, sizeof(*hub->heard));
	assert_non_null(hub->heard);
	hub->epoch = 4711;
	kit_site_init(&hub->site, HOSTILE_PARTIES);
	assert_int_equal(kw_spki_digest(hub->site.root.certificate, &hub->fingerprint), KW_OK);
	make_parties(hub);
	publish(hub, NULL, true);
	assert_int_equal(uv_loop_init(&hub->loop), 0);
	assert_int_equal(uv_timer_init(&hub->loop, &hub->beat), 0);
	assert_int_equal(uv_timer_start(&hub->beat, on_beat, 10, 10), 0);
	assert_int_equal(kw_net_new(&hub->loop, &hub->net), KW_OK);
	hostile_hub_listen(hub, kit_site_path(&hub->site, "server.pem"));
	write_victim(hub);
}

void hostile_hub_agent_spawn(struct hostile_hub *hub)
{
	kit_daemon_start(&hub->agent, "kinward-agent", path_in(hub, "agent.yaml"), path_in(hub, "agent.log"));
}

void hostile_hub_agent_start(struct hostile_hub *hub)
{
	hostile_hub_agent_spawn(hub);
	hostile_hub_wait_online(hub);
}

void hostile_hub_agent_stop(struct hostile_hub *hub)
{
	assert_int_equal(kit_daemon_stop(&hub->agent), 0);
	HOSTILE_WAIT(hub, hub->link == NULL);
}

/* Says what its log ends with when it is not. */
static void check_alive(struct hostile_hub *hub)
{
	if (kit_daemon_is_gone(&hub->agent)) {
		kit_daemon_tell(&hub->agent);
		fail_msg("the agent has ended");
	}
}

void hostile_hub_fini(struct hostile_hub *hub)
{
	if (hub->agent.log[0] != '\0')
		check_alive(hub);
	assert_int_equal(kit_daemon_stop(&hub->agent), 0);
	hostile_hub_shut(hub);
	kw_net_free(hub->net);
	uv_close((uv_handle_t *)&hub->beat, NULL);
	(void)uv_run(&hub->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&hub->loop), 0);
	for (uint32_t i = 0; i < hub->heard_count; i++)
		kw_buf_fini(&hub->heard[i]);
	free(hub->heard);
	for (size_t i = 0; i < HOSTILE_PARTIES; i++)
		keys_fini(&hub->parties[i]);
	assert_int_equal(folder_remove(hub->dir), 0);
	kit_site_fini(&hub->site);
}

/* ---- the victim's own people */

/* NULL when the agent does not listen yet. */
static Kinward__V1__LocalReply *ask(struct hostile_hub *hub, Kinward__V1__LocalRequest *request)
{
	struct kinward agent;
	Kinward__V1__LocalReply *reply = NULL;
	if (kinward_open(&agent, hub->socket, ASK_MS) == KW_OK)
		assert_int_equal(kinward_ask(&agent, request, &reply), KW_OK);
	kinward_close(&agent);
	return reply;
}

bool hostile_hub_try_status(struct hostile_hub *hub, struct hostile_status *out)
{
	Kinward__V1__StatusRequest body = KINWARD__V1__STATUS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &body;
	Kinward__V1__LocalReply *reply = ask(hub, &request);
	if (reply == NULL)
		return false;
	assert_int_equal(reply->body_case, KINWARD__V1__LOCAL_REPLY__BODY_STATUS);
	const Kinward__V1__StatusReply *status = reply->status;
	*out = (struct hostile_status){.online = status->online, .alarm = status->own_key_alarm, .received = status->received,
		.inbox_new = status->inbox_new, .unopened = status->unopened, .repeats = status->repeats_dropped, .held = status->held,
		.opened = status->opened, .dead = status->dead, .directory_version = status->directory_version};
	(void)snprintf(out->refused, sizeof(out->refused), "%s", status->directory_refused);
	kinward_reply_free(reply);
	return true;
}

void hostile_hub_status(struct hostile_hub *hub, struct hostile_status *out)
{
	assert_true(hostile_hub_try_status(hub, out));
}

static bool is_online(struct hostile_hub *hub, uint64_t version)
{
	struct hostile_status status;
	check_alive(hub);
	return hub->link != NULL && hostile_hub_try_status(hub, &status) && status.online && status.directory_version == version;
}

void hostile_hub_wait_online(struct hostile_hub *hub)
{
	uint64_t version = directory_version(hub);
	HOSTILE_WAIT(hub, is_online(hub, version));
}

size_t hostile_hub_inbox(struct hostile_hub *hub, struct kw_id *out, size_t count_max)
{
	Kinward__V1__ListRequest body = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	body.all = true;
	body.limit = 500;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
	request.inbox = &body;
	Kinward__V1__LocalReply *reply = ask(hub, &request);
	assert_non_null(reply);
	assert_int_equal(reply->body_case, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS);
	size_t count = reply->items->n_items;
	for (size_t i = 0; i < count && i < count_max; i++)
		memcpy(out[i].bytes, reply->items->items[i]->message_id.data, KW_ID_SIZE);
	kinward_reply_free(reply);
	return count;
}

bool hostile_hub_aside(struct hostile_hub *hub, uint64_t number, struct hostile_aside *out)
{
	Kinward__V1__ListRequest body = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	body.after = number - 1;
	body.limit = 1;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_UNOPENED;
	request.unopened = &body;
	Kinward__V1__LocalReply *reply = ask(hub, &request);
	assert_non_null(reply);
	assert_int_equal(reply->body_case, KINWARD__V1__LOCAL_REPLY__BODY_UNOPENED);
	bool found = reply->unopened->n_items == 1 && reply->unopened->items[0]->number == number;
	if (found) {
		const Kinward__V1__UnopenedItem *item = reply->unopened->items[0];
		*out = (struct hostile_aside){.size = item->size, .at_ms = item->at_unix_ms};
		(void)snprintf(out->reason, sizeof(out->reason), "%s", item->reason);
		(void)snprintf(out->error, sizeof(out->error), "%s", item->error);
		if (item->envelope_id.len == KW_ID_SIZE)
			memcpy(out->envelope_id.bytes, item->envelope_id.data, KW_ID_SIZE);
	}
	kinward_reply_free(reply);
	return found;
}

void hostile_hub_let_send(struct hostile_hub *hub)
{
	Kinward__V1__SendRequest body = KINWARD__V1__SEND_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__CapacityQuery query = KINWARD__V1__CAPACITY_QUERY__INIT;
	char place[] = "SS0101";
	char agency[] = "agency-1";
	uint32_t before = hub->heard_count;
	query.service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_SHELTER;
	query.admin2_pcode = place;
	content.body_case = KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY;
	content.capacity_query = &query;
	body.agency = agency;
	body.content = &content;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SEND;
	request.send = &body;
	Kinward__V1__LocalReply *reply = ask(hub, &request);
	assert_non_null(reply);
	assert_null(kinward_refusal(reply));
	kinward_reply_free(reply);
	HOSTILE_WAIT(hub, hub->heard_count > before);
}

/* ---- what is delivered, and what is heard */

void hostile_hub_deliver(struct hostile_hub *hub, enum kw_msg_class msg_class, uint64_t sequence, struct kw_view envelope)
{
	const struct kw_frame_message message = {.msg_class = msg_class, .sequence = sequence, .envelope = envelope};
	assert_non_null(hub->link);
	assert_int_equal(kw_frame_message_add(kw_link_out(hub->link), &message), KW_OK);
	kw_link_ready(hub->link);
}

void hostile_hub_give(struct hostile_hub *hub, enum kw_msg_class msg_class, struct kw_view envelope)
{
	hostile_hub_deliver(hub, msg_class, ++hub->last[msg_class], envelope);
	HOSTILE_WAIT(hub, hub->acked[msg_class].epoch == hub->epoch && hub->acked[msg_class].sequence >= hub->last[msg_class]);
}

const char *hostile_hub_sent_to(struct kw_view envelope)
{
	static struct kw_name name;
	struct kw_envelope_label label;
	assert_int_equal(kw_envelope_peek(envelope, &label), KW_OK);
	assert_int_equal(kw_name_from(label.agency, &name), KW_OK);
	return name.text;
}

static enum kw_err find_secret(void *user, struct kw_view key_id, struct kw_x25519 *out)
{
	const struct hostile_hub *hub = user;
	for (size_t i = 0; i < HOSTILE_PARTIES; i++) {
		if (kw_view_equal(key_id, KW_VIEW_OF(hub->parties[i].sealing_id))) {
			*out = hub->parties[i].sealing;
			return KW_OK;
		}
	}
	return KW_ENOTFOUND;
}

static enum kw_err find_identity(void *user, const struct kw_open_sender *sender, uint8_t *out)
{
	const struct hostile_hub *hub = user;
	(void)sender; /* it is the victim's session */
	memcpy(out, hub->parties[0].identity.public_key, KW_KEY_SIZE);
	return KW_OK;
}

static uint32_t entries_in(struct kw_view bytes, const struct kw_digest *digest, uint32_t *good)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;
	uint32_t count = 0;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	assert_int_equal(kw_content_unpack(bytes, &arena, &content, &fault), KW_OK);
	if (content->body_case == KINWARD__V1__CONTENT__BODY_RECEIPT) {
		for (size_t i = 0; i < content->receipt->n_entries; i++) {
			const Kinward__V1__ReceiptEntry *entry = content->receipt->entries[i];
			bool fits = memcmp(entry->digest.data, digest->bytes, KW_DIGEST_SIZE) == 0;
			count += fits;
			*good += fits && entry->level == KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_OPENED;
		}
	}
	kw_arena_fini(&arena);
	return count;
}

uint32_t hostile_hub_receipts(const struct hostile_hub *hub, const struct kw_digest *digest, uint32_t *good)
{
	uint32_t count = 0;
	*good = 0;
	for (uint32_t i = 0; i < hub->heard_count; i++) {
		struct kw_envelope_label label;
		struct kw_opened opened;
		enum kw_open_reason reason;
		struct kw_open_request request = {.envelope = kw_buf_view(&hub->heard[i]), .hub = hub->site.hub,
			.find_secret = find_secret, .find_identity = find_identity, .user = (void *)(uintptr_t)hub};
		assert_int_equal(kw_envelope_peek(request.envelope, &label), KW_OK);
		assert_int_equal(kw_name_from(label.agency, &request.agency), KW_OK);
		assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
		count += entries_in(kw_buf_view(&opened.content), digest, good);
		kw_opened_fini(&opened);
	}
	return count;
}
