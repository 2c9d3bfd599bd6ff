/* Who is who, over real sessions (TLS on loopback): a hub as it is, with 10,000 agencies, and a hub that lies, with one key or
 * another stolen. Each lie is refused by its rule, which stands in the log, also after the agent was started again. */
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
#include <uv.h>

#include "agent/shell/agent_roles.h"
#include "broker/shell/doors.h"
#include "proto/link/file.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"
#include "tests/kit/live_hub.h"
#include "tests/kit/site.h"

#define DEADLINE_NS (20u * UINT64_C(1000000000))
#define SCRIPT_MAX 8u
#define DAY_MS INT64_C(86400000)

struct rig {
	struct kit_site site;
	struct kw_digest fingerprint;
	char state[64]; /* the agent's */
	int stderr_was;
	FILE *log;
	uv_loop_t loop;
	struct kw_net *net;
	char address[KIT_LIVE_HUB_ADDRESS_SIZE];
	int64_t now; /* of the agent */

	/* the hub as it is */
	struct config config;
	uv_prepare_t turn_end;
	struct office *office;
	struct doors *doors;
	struct hub *hub;

	/* the one that lies */
	struct kw_tls_context *context;
	struct kw_link_server *server;
	struct {
		enum kw_role_kind kind;
		struct kw_buf bytes;
	} script[SCRIPT_MAX];
	uint32_t script_count;
	uint32_t wants;
};

struct reader {
	struct rig *rig;
	size_t agency;
	struct kw_tls_context *context;
	struct kw_link *link;
	struct agent_roles *roles;
	uint32_t parts;
	uint32_t wholes[KW_ROLE_KIND_DELTA + 1];
	uint32_t wholes_count;
	uint32_t asked;
	enum kw_err error;
	enum kw_err close_err;
	bool closed;
};

static void load_self(struct rig *rig, size_t agency, struct agent_roles_self *out)
{
	const char *file;
	struct kw_roles *roles = NULL;
	char text[32];
	(void)snprintf(text, sizeof(text), "agency-%zu", agency);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	*out = (struct agent_roles_self){.hub = rig->site.hub, .tls_root_digest = rig->fingerprint};
	assert_int_equal(kw_name_from(kw_view_str(text), &out->agency), KW_OK);
	const struct kw_directory_entry *entry = kw_directory_find(roles->directory, &out->agency);
	assert_non_null(entry);
	memcpy(out->identity_keys[out->identity_count++], entry->identity_key, KW_KEY_SIZE);
	memcpy(out->sealing_keys[out->sealing_count++], entry->sealing_keys[0].public_key, KW_KEY_SIZE);
	out->tls_key_digests[out->tls_count++] = entry->tls_key_digest;
	kw_roles_free(roles);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	kit_site_init(&rig->site, 3);
	rig->now = (int64_t)time(NULL) * 1000;
	assert_int_equal(kw_spki_digest(rig->site.root.certificate, &rig->fingerprint), KW_OK);
	memcpy(rig->state, "/tmp/kw-agent-XXXXXX", sizeof("/tmp/kw-agent-XXXXXX"));
	assert_non_null(mkdtemp(rig->state));
	rig->log = tmpfile();
	assert_non_null(rig->log);
	rig->stderr_was = dup(STDERR_FILENO);
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(kw_net_new(&rig->loop, &rig->net), KW_OK);
	(void)fflush(stderr);
	(void)dup2(fileno(rig->log), STDERR_FILENO);
	*state = rig;
	return 0;
}

/* How often the log says these words; begins anew after it. */
static uint32_t logged(struct rig *rig, const char *words)
{
	char line[2048];
	uint32_t count = 0;
	rewind(rig->log);
	while (fgets(line, sizeof(line), rig->log) != NULL)
		count += strstr(line, words) != NULL;
	assert_int_equal(fseek(rig->log, 0, SEEK_END), 0);
	return count;
}

static void close_servers(struct rig *rig)
{
	struct kw_net_stats stats;
	if (rig->doors != NULL)
		doors_shut(rig->doors);
	kw_link_server_close(rig->server);
	rig->server = NULL;
	do {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		kw_net_stats_get(rig->net, &stats);
	} while (stats.links > 0);
	if (rig->doors != NULL) {
		hub_free(rig->hub);
		uv_close((uv_handle_t *)&rig->turn_end, NULL);
	}
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	(void)dup2(rig->stderr_was, STDERR_FILENO);
	(void)close(rig->stderr_was);
	close_servers(rig);
	kw_net_free(rig->net);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	if (rig->doors != NULL) {
		doors_free(rig->doors);
		office_close(rig->office);
		config_fini(&rig->config);
	}
	kw_tls_context_free(rig->context);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	for (uint32_t i = 0; i < rig->script_count; i++)
		kw_buf_fini(&rig->script[i].bytes);
	(void)fclose(rig->log);
	assert_int_equal(folder_remove(rig->state), 0);
	kit_site_fini(&rig->site);
	free(rig);
	return 0;
}

/* ---- the agent */

static void reader_on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct reader *reader = user;
	struct kw_roles_have have;
	assert_int_equal(peer->kind, KW_PEER_HUB);
	agent_roles_have(reader->roles, &have);
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 77, .clock_unix_ms = 1,
		.directory_version = have.directory, .root_version = have.root, .timestamp_version = have.timestamp,
		.snapshot_version = have.snapshot};
	assert_int_equal(kw_frame_hello_add(kw_link_out(link), &hello), KW_OK);
	kw_link_ready(link);
}

static void reader_on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct reader *reader = user;
	struct kw_frame_error error;
	struct kw_role_part part;
	enum agent_roles_news news;
	struct kw_roles_have have;
	if (frame->type == KW_FRAME_ERROR && kw_frame_error_parse(frame->body, &error) == KW_OK)
		reader->error = error.code;
	if (frame->type != KW_FRAME_ROLE_PART)
		return;
	assert_int_equal(kw_role_part_parse(frame->body, &part), KW_OK);
	assert_int_equal(agent_roles_take(reader->roles, &part, reader->rig->now, &news), KW_OK);
	reader->parts++;
	if (part.offset + part.bytes.size == part.total) {
		reader->wholes[part.kind]++;
		reader->wholes_count++;
	}
	if (news != AGENT_ROLES_WANT)
		return;
	reader->asked++;
	agent_roles_have(reader->roles, &have);
	have.directory = 0;
	assert_int_equal(kw_roles_want_add(kw_link_out(link), &have), KW_OK);
	kw_link_ready(link);
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void reader_on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct reader *reader = user;
	(void)link;
	reader->closed = true;
	reader->close_err = err;
}

static void start(struct reader *reader, struct rig *rig, size_t agency)
{
	struct agent_roles_self self;
	const char *file;
	*reader = (struct reader){.rig = rig, .agency = agency, .context = kit_site_context(&rig->site, agency)};
	load_self(rig, agency, &self);
	assert_int_equal(agent_roles_open(rig->state, &self, &reader->roles, &file), KW_OK);
}

static void dial(struct reader *reader)
{
	const struct kw_link_hooks hooks = {.user = reader, .on_open = reader_on_open, .on_frame = reader_on_frame,
		.on_drained = on_drained, .on_close = reader_on_close};
	reader->closed = false;
	agent_roles_reset(reader->roles);
	assert_int_equal(kw_link_connect(reader->rig->net, reader->rig->address, reader->context, &hooks, &reader->link), KW_OK);
}

static void wait_closed(struct reader *reader)
{
	uint64_t begin = uv_hrtime();
	while (!reader->closed) {
		(void)uv_run(&reader->rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - begin < DEADLINE_NS);
	}
}

static void hang_up(struct reader *reader)
{
	if (!reader->closed)
		kw_link_close(reader->link, KW_OK);
	wait_closed(reader);
}

static void stop(struct reader *reader)
{
	agent_roles_close(reader->roles);
	kw_tls_context_free(reader->context);
}

static uint64_t version_of(const struct reader *reader)
{
	const struct kw_directory *directory = agent_roles_directory(reader->roles);
	return directory == NULL ? 0 : directory->version;
}

static void wait_version(struct reader *reader, uint64_t version)
{
	uint64_t begin = uv_hrtime();
	while (version_of(reader) != version) {
		(void)uv_run(&reader->rig->loop, UV_RUN_NOWAIT);
		assert_true(uv_hrtime() - begin < DEADLINE_NS);
	}
}

/* ---- the hub as it is */

static void open_hub(struct rig *rig)
{
	kit_live_hub_open(&(const struct kit_live_hub){.config_file = kit_site_path(&rig->site, "broker.yaml"), .loop = &rig->loop, .net = rig->net,
		.conns_max = 64, .config = &rig->config, .office = &rig->office, .doors = &rig->doors, .hub = &rig->hub, .address = rig->address,
		.turn_end = &rig->turn_end});
}

/* What a command in the hub's folder does: these entries, signed. `change` edits a copy with room for one more. */
static enum kw_err publish(struct rig *rig, void (*change)(struct kw_directory *directory), int64_t now)
{
	const char *file;
	struct kw_roles *roles = NULL;
	int lock;
	assert_int_equal(kw_roles_lock(rig->site.dir, 1000, &lock), KW_OK);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	struct kw_directory next = *roles->directory;
	next.entries = calloc(KW_DIRECTORY_AGENCIES_MAX + 1, sizeof(*next.entries));
	memcpy(next.entries, roles->directory->entries, next.count * sizeof(*next.entries));
	change(&next);
	enum kw_err err = kw_roles_publish(roles, &next, now);
	free(next.entries);
	kw_roles_free(roles);
	kw_roles_unlock(lock);
	return err;
}

static void add_until(struct kw_directory *directory, size_t count)
{
	while (directory->count < count) {
		struct kw_directory_entry *entry = &directory->entries[directory->count];
		*entry = directory->entries[0];
		(void)snprintf(entry->agency.text, sizeof(entry->agency.text), "more-%05zu", directory->count++);
	}
}

static void add_one(struct kw_directory *directory)
{
	add_until(directory, directory->count + 1);
}

static void add_to_the_most(struct kw_directory *directory)
{
	add_until(directory, KW_DIRECTORY_AGENCIES_MAX - 1);
}

static void shut_out_second(struct kw_directory *directory)
{
	directory->entries[1].revoked = true;
}

static void give_third_another_tls_key(struct kw_directory *directory)
{
	directory->entries[2].tls_key_digest.bytes[0] ^= 1;
}

static void swap_identity_of_second(struct kw_directory *directory)
{
	memset(directory->entries[1].identity_key, 0x66, sizeof(directory->entries[1].identity_key));
	memset(directory->entries[1].sealing_keys[0].public_key, 0x66, KW_DIRECTORY_KEY_SIZE);
	assert_int_equal(kw_directory_key_id(directory->entries[1].sealing_keys[0].public_key,
		directory->entries[1].sealing_keys[0].key_id), KW_OK);
}

static void test_ten_thousand_agencies_come_whole_and_then_as_changes(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	assert_int_equal(publish(rig, add_to_the_most, rig->now), KW_OK);
	open_hub(rig);
	start(&reader, rig, 0);
	dial(&reader);
	uint64_t version = office_directory(rig->office)->version;
	wait_version(&reader, version);
	assert_int_equal(agent_roles_directory(reader.roles)->count, KW_DIRECTORY_AGENCIES_MAX - 1);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DIRECTORY], 1);
	uint32_t parts = reader.parts;
	assert_true(parts > 80);
	/* The last one that has room, made by a command while the hub runs. */
	assert_int_equal(publish(rig, add_one, rig->now), KW_OK);
	doors_tick(rig->doors);
	wait_version(&reader, version + 1);
	assert_int_equal(agent_roles_directory(reader.roles)->count, KW_DIRECTORY_AGENCIES_MAX);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DELTA], 1);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DIRECTORY], 1);
	assert_int_equal(reader.parts - parts, 3); /* timestamp, snapshot, what changed */
	/* One more than that is refused where it is signed. */
	assert_int_equal(publish(rig, add_one, rig->now), KW_EFIELD);
	/* After a restart the agent goes on from what is on its disk, and asks for nothing. */
	hang_up(&reader);
	stop(&reader);
	start(&reader, rig, 0);
	assert_int_equal(version_of(&reader), version + 1);
	dial(&reader);
	assert_int_equal(publish(rig, shut_out_second, rig->now), KW_OK);
	doors_tick(rig->doors);
	wait_version(&reader, version + 2);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DIRECTORY], 0);
	hang_up(&reader);
	stop(&reader);
}

static void test_a_wrong_list_of_changes_costs_the_whole_and_no_more(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	open_hub(rig);
	start(&reader, rig, 0);
	dial(&reader);
	wait_version(&reader, 1);
	hang_up(&reader);
	assert_int_equal(publish(rig, add_one, rig->now), KW_OK);
	assert_int_equal(publish(rig, add_one, rig->now), KW_OK);
	assert_int_equal(kw_file_write_atomic(kit_site_path(&rig->site, "changes.txt"), kw_view_str("from 1\n3 more-00004\n"), 0644), KW_OK);
	doors_tick(rig->doors);
	dial(&reader);
	wait_version(&reader, 3);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DELTA], 1);
	assert_int_equal(reader.asked, 1);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_DIRECTORY], 2);
	assert_int_equal(logged(rig, "delta_refused"), 1);
	hang_up(&reader);
	stop(&reader);
}

static void test_who_is_shut_out_is_sent_away_and_stays_out(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	void (*const changes[])(struct kw_directory *directory) = {shut_out_second, give_third_another_tls_key};
	open_hub(rig);
	for (uint32_t i = 0; i < 2; i++) {
		start(&reader, rig, i + 1);
		dial(&reader);
		wait_version(&reader, i + 1);
		assert_int_equal(publish(rig, changes[i], rig->now), KW_OK);
		doors_tick(rig->doors);
		wait_closed(&reader);
		assert_int_equal(reader.error, KW_EDENIED);
		assert_int_equal(version_of(&reader), i + 1); /* nothing more is told to it */
		assert_int_equal(logged(rig, "\"event\":\"session_ended\""), i + 1);
		dial(&reader);
		wait_closed(&reader);
		assert_int_not_equal(reader.close_err, KW_OK);
		assert_int_equal(logged(rig, "\"event\":\"connection_refused\""), i + 1);
		stop(&reader);
	}
}

static void test_new_keys_of_the_hub_reach_agents_in_a_session(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	const char *file;
	char folder[300];
	struct kw_roles *roles = NULL;
	(void)snprintf(folder, sizeof(folder), "%s", kit_site_path(&rig->site, KW_ROLES_ROOT_FOLDER));
	open_hub(rig);
	start(&reader, rig, 0);
	dial(&reader);
	wait_version(&reader, 1);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	for (int which = 0; which < KW_ROLES_WHICH_COUNT; which++) {
		struct kw_roles_rotation rotation = {.which = (enum kw_roles_which)which, .root_keys = folder, .new_keys = 2,
			.new_threshold = 2, .now_unix_ms = rig->now};
		assert_int_equal(kw_roles_rotate(roles, &rotation), KW_OK);
	}
	assert_int_equal(publish(rig, add_one, rig->now), KW_OK);
	doors_tick(rig->doors);
	wait_version(&reader, office_directory(rig->office)->version);
	assert_int_equal(reader.wholes[KW_ROLE_KIND_ROOT], 1 + KW_ROLES_WHICH_COUNT);
	assert_int_equal(logged(rig, "role_refused"), 0);
	kw_roles_free(roles);
	hang_up(&reader);
	stop(&reader);
}

/* ---- the one that lies */

static void liar_on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	(void)peer;
	kw_link_user_set(link, user);
}

static void liar_on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct rig *rig = user;
	if (frame->type == KW_FRAME_ROLES_WANT)
		rig->wants++;
	if (frame->type != KW_FRAME_HELLO)
		return;
	for (uint32_t i = 0; i < rig->script_count; i++) {
		struct kw_view whole = kw_buf_view(&rig->script[i].bytes);
		const struct kw_role_part part = {.kind = rig->script[i].kind, .total = (uint32_t)whole.size, .bytes = whole};
		assert_int_equal(kw_role_part_add(kw_link_out(link), &part), KW_OK);
	}
	kw_link_ready(link);
}

static void liar_on_close(void *user, struct kw_link *link, enum kw_err err)
{
	(void)user;
	(void)link;
	(void)err;
}

static void open_liar(struct rig *rig)
{
	struct kw_tls_files files = {.chain = kit_site_path(&rig->site, "server.pem"), .key = rig->site.server_key,
		.root = rig->site.root.certificate};
	const struct kw_link_hooks hooks = {.user = rig, .on_open = liar_on_open, .on_frame = liar_on_frame,
		.on_drained = on_drained, .on_close = liar_on_close};
	assert_int_equal(kw_tls_context_new(KW_TLS_HUB, &files, &rig->context), KW_OK);
	assert_int_equal(kw_link_listen(rig->net, "127.0.0.1:0", rig->context, &hooks, &rig->server), KW_OK);
	(void)snprintf(rig->address, sizeof(rig->address), "127.0.0.1:%u", kw_link_server_port(rig->server));
}

static void forget_script(struct rig *rig)
{
	for (uint32_t i = 0; i < rig->script_count; i++)
		kw_buf_fini(&rig->script[i].bytes);
	rig->script_count = 0;
}

static void say(struct rig *rig, enum kw_role_kind kind, struct kw_view bytes)
{
	assert_true(rig->script_count < SCRIPT_MAX);
	struct kw_buf *copy = &rig->script[rig->script_count].bytes;
	kw_buf_init(copy, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_buf_add(copy, bytes), KW_OK);
	rig->script[rig->script_count++].kind = kind;
}

static void say_file(struct rig *rig, enum kw_role_kind kind, const char *name)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&rig->site, name), KW_FILE_PUBLIC, &bytes), KW_OK);
	say(rig, kind, kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
}

static void say_present(struct rig *rig)
{
	say_file(rig, KW_ROLE_KIND_TIMESTAMP, "timestamp.bin");
	say_file(rig, KW_ROLE_KIND_SNAPSHOT, "snapshot.bin");
	say_file(rig, KW_ROLE_KIND_DIRECTORY, "directory.bin");
}

/* One session in which the hub says its script. */
static void listen_to(struct reader *reader)
{
	uint64_t begin = uv_hrtime();
	reader->wholes_count = 0;
	dial(reader);
	while (reader->wholes_count < reader->rig->script_count) {
		(void)uv_run(&reader->rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - begin < DEADLINE_NS);
	}
	hang_up(reader);
}

/* An agent that has everything of an honest hub. */
static void start_well(struct reader *reader, struct rig *rig)
{
	open_liar(rig);
	say_file(rig, KW_ROLE_KIND_ROOT, "roots/1.bin");
	say_present(rig);
	start(reader, rig, 0);
	listen_to(reader);
	assert_int_equal(version_of(reader), 1);
	forget_script(rig);
}

/* The script is refused by this rule, now and after a restart, and what the agent had stays. */
static void refuses(struct reader *reader, enum kw_role_rule rule)
{
	struct rig *rig = reader->rig;
	struct agent_roles_state found;
	char words[64];
	uint64_t version = version_of(reader);
	(void)snprintf(words, sizeof(words), "\"rule\":\"%s\"", kw_role_rule_name(rule));
	for (int again = 0; again < 2; again++) {
		uint32_t before = logged(rig, words);
		listen_to(reader);
		agent_roles_state(reader->roles, rig->now, &found);
		assert_string_equal(kw_role_rule_name(found.refused), kw_role_rule_name(rule));
		assert_true(logged(rig, words) > before);
		assert_int_equal(version_of(reader), version);
		assert_false(found.own_key_alarm);
		stop(reader);
		start(reader, rig, 0);
		assert_int_equal(version_of(reader), version);
	}
	forget_script(rig);
}

static void key_of(const struct rig *rig, const char *name, struct kw_ed25519 *out)
{
	EVP_PKEY *key;
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	assert_int_equal(kw_pki_key_load(kit_site_path(&rig->site, name), &key), KW_OK);
	assert_int_equal(EVP_PKEY_get_raw_private_key(key, seed, &size), 1);
	assert_int_equal(kw_ed25519_from_seed(seed, out), KW_OK);
	EVP_PKEY_free(key);
}

/* Says a payload as whoever has these keys can sign it. */
static void say_signed(struct rig *rig, enum kw_role role, struct kw_view payload, const char *key_name)
{
	static const enum kw_role_kind kinds[] = {[KW_ROLE_ROOT] = KW_ROLE_KIND_ROOT, [KW_ROLE_REGISTRAR] = KW_ROLE_KIND_DIRECTORY,
		[KW_ROLE_SNAPSHOT] = KW_ROLE_KIND_SNAPSHOT, [KW_ROLE_TIMESTAMP] = KW_ROLE_KIND_TIMESTAMP};
	struct kw_ed25519 key;
	struct kw_role_signed said = {.payload = payload};
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	key_of(rig, key_name, &key);
	assert_int_equal(kw_role_sign(&said, role, &key), KW_OK);
	assert_int_equal(kw_role_add(&bytes, &said), KW_OK);
	say(rig, kinds[role], kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
}

/* The next directory with a change in it, and what has to go before it, signed with the keys of these names. `hub`: whose
 * directory it says to be. */
static void say_forged(struct rig *rig, void (*change)(struct kw_directory *directory), const char *hub, const char *const *keys)
{
	const char *file;
	struct kw_roles *roles = NULL;
	struct kw_buf directory;
	struct kw_buf snapshot;
	struct kw_buf timestamp;
	kw_buf_init(&directory, KW_DIRECTORY_SIZE_MAX);
	kw_buf_init(&snapshot, 65536);
	kw_buf_init(&timestamp, 65536);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	roles->directory->version++;
	assert_int_equal(kw_name_from(kw_view_str(hub), &roles->directory->hub), KW_OK);
	change(roles->directory);
	assert_int_equal(kw_directory_pack(roles->directory, &directory), KW_OK);
	struct kw_snapshot *next = &roles->client->snapshot;
	next->version++;
	next->directories[0].version = roles->directory->version;
	assert_int_equal(kw_role_digest(kw_buf_view(&directory), &next->directories[0].digest), KW_OK);
	assert_int_equal(kw_snapshot_add(&snapshot, next), KW_OK);
	struct kw_timestamp *stamp = &roles->client->timestamp;
	stamp->version++;
	stamp->snapshot_version = next->version;
	assert_int_equal(kw_role_digest(kw_buf_view(&snapshot), &stamp->snapshot_digest), KW_OK);
	assert_int_equal(kw_timestamp_add(&timestamp, stamp), KW_OK);
	say_signed(rig, KW_ROLE_TIMESTAMP, kw_buf_view(&timestamp), keys[0]);
	say_signed(rig, KW_ROLE_SNAPSHOT, kw_buf_view(&snapshot), keys[1]);
	say_signed(rig, KW_ROLE_REGISTRAR, kw_buf_view(&directory), keys[2]);
	kw_buf_fini(&directory);
	kw_buf_fini(&snapshot);
	kw_buf_fini(&timestamp);
	kw_roles_free(roles);
}

static const char *const RIGHT_KEYS[] = {"timestamp.key", "snapshot.key", "registrar.key"};

static void test_an_old_directory_is_no_way_back(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	start_well(&reader, rig);
	say_present(rig); /* of today, to be said again */
	assert_int_equal(publish(rig, shut_out_second, rig->now), KW_OK);
	struct rig old = *rig;
	rig->script_count = 0;
	say_present(rig);
	listen_to(&reader);
	assert_int_equal(version_of(&reader), 2);
	forget_script(rig);
	memcpy(rig->script, old.script, sizeof(rig->script));
	rig->script_count = old.script_count;
	refuses(&reader, KW_ROLE_RULE_ROLLBACK);
	assert_true(agent_roles_directory(reader.roles)->entries[1].revoked);
	stop(&reader);
}

static void test_a_frozen_hub_is_told_by_its_clock(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	struct agent_roles_state found;
	start_well(&reader, rig);
	assert_int_equal(publish(rig, shut_out_second, rig->now), KW_OK);
	say_present(rig);
	int64_t now = rig->now;
	rig->now = now + KW_ROLES_TIMESTAMP_LIFE_MS;
	refuses(&reader, KW_ROLE_RULE_FROZEN);
	/* It says nothing at all: that shows as well, and people are told. */
	rig->now = now + 7 * DAY_MS + 1000;
	agent_roles_tick(reader.roles, rig->now, true);
	agent_roles_state(reader.roles, rig->now, &found);
	assert_int_equal(found.age, KW_ROLE_STALE);
	assert_int_equal(found.refused, KW_ROLE_RULE_FROZEN);
	assert_int_equal(logged(rig, "\"event\":\"directory_stale\""), 1);
	agent_roles_tick(reader.roles, rig->now + 1000, true); /* once a day */
	assert_int_equal(logged(rig, "\"event\":\"directory_stale\""), 1);
	rig->now = now + 30 * DAY_MS + 1000;
	agent_roles_tick(reader.roles, rig->now, false);
	agent_roles_state(reader.roles, rig->now, &found);
	assert_int_equal(found.age, KW_ROLE_OLD);
	assert_int_equal(logged(rig, "\"event\":\"directory_old\""), 1);
	stop(&reader);
}

static void test_what_does_not_belong_together_is_refused(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	start_well(&reader, rig);
	struct kw_buf old;
	kw_buf_init(&old, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&rig->site, "directory.bin"), KW_FILE_PUBLIC, &old), KW_OK);
	assert_int_equal(publish(rig, shut_out_second, rig->now), KW_OK);
	say_file(rig, KW_ROLE_KIND_TIMESTAMP, "timestamp.bin");
	say_file(rig, KW_ROLE_KIND_SNAPSHOT, "snapshot.bin");
	say(rig, KW_ROLE_KIND_DIRECTORY, kw_buf_view(&old)); /* the one from before the revocation */
	kw_buf_fini(&old);
	refuses(&reader, KW_ROLE_RULE_MIXED);
	stop(&reader);
}

/* Two of three root keys are needed. One of them, and one that signs twice, are one. */
static void test_a_threshold_counts_keys_and_not_signatures(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	const char *file;
	struct kw_roles *roles = NULL;
	struct kw_buf payload;
	struct kw_buf bytes;
	struct kw_role_signed root = {.count = 0};
	struct kw_ed25519 key;
	start_well(&reader, rig);
	kw_buf_init(&payload, KW_ROLE_SIZE_MAX);
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	roles->client->root.version++;
	assert_int_equal(kw_root_add(&payload, &roles->client->root), KW_OK);
	say_signed(rig, KW_ROLE_ROOT, kw_buf_view(&payload), KW_ROLES_ROOT_FOLDER "/2.key");
	refuses(&reader, KW_ROLE_RULE_THRESHOLD);
	key_of(rig, KW_ROLES_ROOT_FOLDER "/2.key", &key);
	root.payload = kw_buf_view(&payload);
	assert_int_equal(kw_role_sign(&root, KW_ROLE_ROOT, &key), KW_OK);
	root.signatures[1] = root.signatures[0];
	root.count = 2;
	assert_int_equal(kw_role_add(&bytes, &root), KW_OK);
	say(rig, KW_ROLE_KIND_ROOT, kw_buf_view(&bytes));
	refuses(&reader, KW_ROLE_RULE_FORM);
	/* The same signature under another name is no second key either. */
	bytes.size = 0;
	root.signatures[1].key_id[0] = (uint8_t)(root.signatures[0].key_id[0] + 1);
	if (root.signatures[1].key_id[0] == 0) {
		root.signatures[1] = root.signatures[0];
		root.signatures[0].key_id[0] = 0;
	}
	assert_int_equal(kw_role_add(&bytes, &root), KW_OK);
	say(rig, KW_ROLE_KIND_ROOT, kw_buf_view(&bytes));
	refuses(&reader, KW_ROLE_RULE_THRESHOLD);
	kw_buf_fini(&payload);
	kw_buf_fini(&bytes);
	kw_roles_free(roles);
	stop(&reader);
}

static void test_a_hub_speaks_for_itself_alone(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	start_well(&reader, rig);
	say_forged(rig, shut_out_second, "hub-1", RIGHT_KEYS);
	refuses(&reader, KW_ROLE_RULE_PREFIX);
	stop(&reader);
}

/* The timestamp's key is used most; alone it gives nobody another key, nor does it with the snapshot's. */
static void test_a_thief_of_the_timestamp_key_swaps_no_identity(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	static const char *const STOLEN[] = {"timestamp.key", "timestamp.key", "timestamp.key"};
	static const char *const STOLEN_TWO[] = {"timestamp.key", "snapshot.key", "snapshot.key"};
	start_well(&reader, rig);
	say_forged(rig, swap_identity_of_second, "hub-0", STOLEN);
	refuses(&reader, KW_ROLE_RULE_THRESHOLD);
	say_forged(rig, swap_identity_of_second, "hub-0", STOLEN_TWO);
	refuses(&reader, KW_ROLE_RULE_THRESHOLD);
	stop(&reader);
}

static void test_another_root_than_the_codes_is_refused(void **state)
{
	struct rig *rig = *state;
	struct kit_site other;
	struct reader reader;
	struct kw_buf bytes;
	struct agent_roles_state found;
	kit_site_init(&other, 1); /* of the same name */
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&other, "roots/1.bin"), KW_FILE_PUBLIC, &bytes), KW_OK);
	open_liar(rig);
	say(rig, KW_ROLE_KIND_ROOT, kw_buf_view(&bytes));
	start(&reader, rig, 0);
	listen_to(&reader);
	agent_roles_state(reader.roles, rig->now, &found);
	assert_int_equal(found.refused, KW_ROLE_RULE_FINGERPRINT);
	assert_int_equal(found.root_version, 0);
	assert_int_equal(logged(rig, "\"rule\":\"fingerprint\""), 1);
	stop(&reader);
	kw_buf_fini(&bytes);
	kit_site_fini(&other);
}

/* All keys of the hub are in wrong hands: agents cannot know, but each knows its own. */
static void test_another_key_under_our_own_name_is_an_alarm(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	struct reader victim;
	struct agent_roles_state found;
	start_well(&reader, rig);
	stop(&reader);
	start(&victim, rig, 1); /* the same files, of agency-1 */
	say_forged(rig, swap_identity_of_second, "hub-0", RIGHT_KEYS);
	for (int again = 0; again < 2; again++) {
		listen_to(&victim);
		agent_roles_state(victim.roles, rig->now, &found);
		assert_true(found.own_key_alarm);
		assert_int_equal(version_of(&victim), 1);
		assert_int_equal(logged(rig, "\"event\":\"own_key_alarm\""), again + 1);
		stop(&victim);
		start(&victim, rig, 1);
		assert_int_equal(version_of(&victim), 1);
	}
	stop(&victim);
}

/* A disk that takes nothing: what is not stored is not used. */
static void test_what_cannot_be_stored_is_not_used(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	struct kw_roles_have before;
	struct kw_roles_have after;
	struct kw_buf bytes;
	enum agent_roles_news news;
	start_well(&reader, rig);
	agent_roles_have(reader.roles, &before);
	assert_int_equal(publish(rig, shut_out_second, rig->now), KW_OK);
	char gone[80];
	(void)snprintf(gone, sizeof(gone), "%s.gone", rig->state);
	assert_int_equal(rename(rig->state, gone), 0);
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&rig->site, "timestamp.bin"), KW_FILE_PUBLIC, &bytes), KW_OK);
	const struct kw_role_part part = {
		.kind = KW_ROLE_KIND_TIMESTAMP, .total = (uint32_t)bytes.size, .bytes = kw_buf_view(&bytes)};
	assert_int_not_equal(agent_roles_take(reader.roles, &part, rig->now, &news), KW_OK);
	agent_roles_have(reader.roles, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(rename(gone, rig->state), 0);
	assert_int_equal(agent_roles_take(reader.roles, &part, rig->now, &news), KW_OK);
	agent_roles_have(reader.roles, &after);
	assert_int_equal(after.timestamp, before.timestamp + 1);
	kw_buf_fini(&bytes);
	stop(&reader);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ten_thousand_agencies_come_whole_and_then_as_changes),
		CASE(test_a_wrong_list_of_changes_costs_the_whole_and_no_more),
		CASE(test_who_is_shut_out_is_sent_away_and_stays_out),
		CASE(test_new_keys_of_the_hub_reach_agents_in_a_session),
		CASE(test_an_old_directory_is_no_way_back),
		CASE(test_a_frozen_hub_is_told_by_its_clock),
		CASE(test_what_does_not_belong_together_is_refused),
		CASE(test_a_threshold_counts_keys_and_not_signatures),
		CASE(test_a_hub_speaks_for_itself_alone),
		CASE(test_a_thief_of_the_timestamp_key_swaps_no_identity),
		CASE(test_another_root_than_the_codes_is_refused),
		CASE(test_another_key_under_our_own_name_is_an_alarm),
		CASE(test_what_cannot_be_stored_is_not_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
