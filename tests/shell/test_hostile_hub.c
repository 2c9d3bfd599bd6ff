/* A hub that lies about messages, and senders that cheat, against the program kinward-agent. Each attack is refused for its own
 * reason, which stands in the victim's log; the hub hears "cannot open" and no more; and nothing else changes: the good message
 * behind it arrives, the inbox holds what it should, also after a restart. tests/ATTACKS.md has the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/link/file.h"
#include "proto/link/roles.h"
#include "proto/wire/message.h"
#include "proto/wire/open.h"
#include "proto/wire/role_frame.h"
#include "tests/kit/hostile_hub.h"
#include "tests/kit/hostile_letter.h"

#define GOOD_MAX 64u

struct rig {
	struct hostile_hub hub;
	struct hostile_letter letter; /* the one under attack */
	struct kw_id good[GOOD_MAX];  /* what the inbox should hold */
	size_t good_count;
	uint32_t refused;             /* attacks that were set aside */
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	hostile_hub_init(&rig->hub);
	hostile_hub_agent_start(&rig->hub);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	hostile_letter_fini(&rig->letter);
	hostile_hub_fini(&rig->hub);
	free(rig);
	return 0;
}

/* ---- what every attack is judged by */

static struct hostile_writing honest(struct rig *rig)
{
	return (struct hostile_writing){.from = &rig->hub.parties[1], .to = {&rig->hub.parties[0]}};
}

/* Of three agencies: agency-0, agency-2 and agency-3. */
static struct hostile_writing to_three(struct rig *rig)
{
	struct kw_view none = {NULL, 0};
	return (struct hostile_writing){.from = &rig->hub.parties[1],
		.to = {&rig->hub.parties[0], &rig->hub.parties[2], &rig->hub.parties[3]}, .content = none};
}

static void check_inbox(struct rig *rig)
{
	struct kw_id found[GOOD_MAX];
	size_t count = hostile_hub_inbox(&rig->hub, found, GOOD_MAX);
	assert_int_equal(count, rig->good_count);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(&found[i], &rig->good[i], sizeof(found[i]));
}

static void check_counts(struct rig *rig)
{
	struct hostile_status status;
	hostile_hub_status(&rig->hub, &status);
	assert_int_equal(status.received, rig->good_count);
	assert_int_equal(status.unopened, rig->refused);
	assert_int_equal(rig->hub.unopened, rig->refused);
}

static void give_good(struct rig *rig, struct hostile_letter *letter)
{
	assert_true(rig->good_count < GOOD_MAX);
	hostile_hub_give(&rig->hub, KW_URGENT, hostile_letter_envelope(letter, 0));
	rig->good[rig->good_count++] = letter->message_id;
	check_counts(rig);
}

/* The next honest message arrives and is confirmed to its sender. */
static void good_one_arrives(struct rig *rig)
{
	struct hostile_letter letter = {.dek = {0}};
	struct hostile_writing writing = honest(rig);
	uint32_t good = 0;
	hostile_letter_write(&letter, &writing);
	give_good(rig, &letter);
	HOSTILE_WAIT(&rig->hub, hostile_hub_receipts(&rig->hub, &letter.sealed.digest, &good) > 0);
	assert_int_equal(good, 1);
	hostile_letter_fini(&letter);
}

/* The victim sets it aside for this reason, and says "cannot open" in the same words as ever. */
static void is_refused(struct rig *rig, struct kw_view envelope, enum kw_open_reason reason)
{
	struct hostile_hub *hub = &rig->hub;
	struct kw_envelope_label label = {.suite = 0};
	struct kw_buf words;
	char line[64];
	char id[64];
	(void)snprintf(line, sizeof(line), "\"event\":\"cannot_open\",\"reason\":\"%s\"", kw_open_reason_name(reason));
	(void)snprintf(id, sizeof(id), "\"sequence\":%llu", (unsigned long long)hub->last[KW_URGENT] + 1);
	uint32_t before = kit_daemon_logged(&hub->agent, line, NULL);
	uint32_t heard = hub->heard_count;
	hostile_hub_give(hub, KW_URGENT, envelope);
	rig->refused++;
	if (kit_daemon_logged(&hub->agent, line, NULL) != before + 1)
		fail_msg("not refused with %s", line);
	assert_true(kit_daemon_logged(&hub->agent, line, id) >= 1);
	if (kw_envelope_peek(envelope, &label) != KW_OK)
		label.id = (struct kw_id){{0}};
	/* All that the hub hears is which one, in a frame that has room for nothing else. */
	kw_buf_init(&words, 256);
	const struct kw_frame_unopened *said = &hub->unopened_last;
	assert_memory_equal(&said->envelope_id, &label.id, sizeof(label.id));
	assert_int_equal(said->msg_class, KW_URGENT);
	assert_int_equal(said->sequence, hub->last[KW_URGENT]);
	assert_int_equal(kw_frame_unopened_add(&words, said), KW_OK);
	assert_int_equal(hub->unopened_size, words.size - KW_FRAME_HEAD_SIZE);
	assert_int_equal(hub->heard_count, heard);
	kw_buf_fini(&words);
	check_counts(rig);
	/* And what the operator sees. */
	struct hostile_aside aside;
	assert_true(hostile_hub_aside(hub, rig->refused, &aside));
	assert_string_equal(aside.reason, kw_open_reason_name(reason));
	assert_memory_equal(&aside.envelope_id, &label.id, sizeof(label.id));
	assert_int_equal(aside.size, envelope.size);
	assert_in_range(aside.at_ms, ((int64_t)time(NULL) - 60) * 1000, ((int64_t)time(NULL) + 1) * 1000);
}

/* The same as parts of rig->letter. */
static void parts_are_refused(struct rig *rig, enum kw_open_reason reason)
{
	is_refused(rig, hostile_letter_encode(&rig->letter), reason);
	hostile_letter_take_apart(&rig->letter, 0);
}

/* After all of it, and after a restart, everything is as it should be. */
static void nothing_else_has_changed(struct rig *rig)
{
	good_one_arrives(rig);
	check_inbox(rig);
	hostile_hub_agent_stop(&rig->hub);
	hostile_hub_agent_start(&rig->hub);
	check_counts(rig);
	check_inbox(rig);
	good_one_arrives(rig);
	check_inbox(rig);
}

static void write_letter(struct rig *rig, struct hostile_writing writing)
{
	hostile_letter_write(&rig->letter, &writing);
}

/* ---- downgraded suite */

static void suites_of_victim_are(struct kw_directory *directory, uint8_t first, uint8_t second)
{
	struct kw_directory_sealing_key *key = &directory->entries[0].sealing_keys[0];
	key->suites[0] = first;
	key->suites[1] = second;
	key->suites_count = second != 0 ? 2 : 1;
}

static void victim_lists_aes_alone(struct kw_directory *directory)
{
	suites_of_victim_are(directory, KW_SUITE_AES, 0);
}

static void victim_lists_chacha_alone(struct kw_directory *directory)
{
	suites_of_victim_are(directory, KW_SUITE_CHACHA, 0);
}

static void test_a_suite_changed_on_the_way_opens_nothing(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = to_three(rig);
	write_letter(rig, writing);
	rig->letter.parts.label.suite = KW_SUITE_CHACHA;
	hostile_letter_new_header(&rig->letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	writing.suite = KW_SUITE_CHACHA;
	write_letter(rig, writing);
	rig->letter.parts.label.suite = KW_SUITE_AES;
	hostile_letter_new_header(&rig->letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	/* To the hybrid one, whose slots have another size, and to one that nobody knows. */
	rig->letter.parts.label.suite = KW_SUITE_HYBRID;
	hostile_letter_new_header(&rig->letter);
	parts_are_refused(rig, KW_OPEN_STRUCTURE);
	assert_int_equal(kit_daemon_logged(&rig->hub.agent, "\"cannot_open\"", "\"error\":\"bad_version\""), 0);
	rig->letter.parts.label.suite = (enum kw_suite)3;
	hostile_letter_new_header(&rig->letter);
	parts_are_refused(rig, KW_OPEN_STRUCTURE);
	assert_int_equal(kit_daemon_logged(&rig->hub.agent, "\"cannot_open\"", "\"error\":\"bad_version\""), 1);
	nothing_else_has_changed(rig);
}

static void test_a_suite_that_the_agency_does_not_list_is_refused(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	hostile_hub_change(&rig->hub, victim_lists_aes_alone);
	writing.suite = KW_SUITE_CHACHA;
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SUITE);
	hostile_hub_change(&rig->hub, victim_lists_chacha_alone);
	writing.suite = KW_SUITE_AES;
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SUITE);
	writing.suite = KW_SUITE_CHACHA;
	write_letter(rig, writing);
	give_good(rig, &rig->letter);
	check_inbox(rig);
}

static void give_a_hybrid_key(struct kw_directory *directory)
{
	struct kw_directory_entry *entry = &directory->entries[1];
	struct kw_directory_hybrid_key *key = &entry->hybrid_keys[0];
	memset(key->public_key, 0x31, sizeof(key->public_key));
	key->suites[0] = KW_SUITE_HYBRID;
	key->suites_count = 1;
	assert_int_equal(kw_directory_hybrid_key_id(key->public_key, key->key_id), KW_OK);
	entry->hybrid_keys_count = 1;
}

static void key_of(const struct rig *rig, const char *name, struct kw_ed25519 *out)
{
	EVP_PKEY *key;
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	assert_int_equal(kw_pki_key_load(kit_site_path(&rig->hub.site, name), &key), KW_OK);
	assert_int_equal(EVP_PKEY_get_raw_private_key(key, seed, &size), 1);
	assert_int_equal(kw_ed25519_from_seed(seed, out), KW_OK);
	EVP_PKEY_free(key);
}

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
	struct kw_view whole = kw_buf_view(&bytes);
	const struct kw_role_part part = {.kind = kinds[role], .total = (uint32_t)whole.size, .bytes = whole};
	assert_int_equal(kw_role_part_add(kw_link_out(rig->hub.link), &part), KW_OK);
	kw_link_ready(rig->hub.link);
	kw_buf_fini(&bytes);
}

/* The hub makes a next directory without these keys. It has the keys of timestamp and snapshot, which lie where it runs. */
static void say_directory_without_hybrid_keys(struct rig *rig, const char *registrar_key)
{
	const char *file;
	struct kw_roles *roles = NULL;
	struct kw_buf directory;
	struct kw_buf snapshot;
	struct kw_buf timestamp;
	kw_buf_init(&directory, KW_DIRECTORY_SIZE_MAX);
	kw_buf_init(&snapshot, 65536);
	kw_buf_init(&timestamp, 65536);
	assert_int_equal(kw_roles_load(rig->hub.site.dir, &rig->hub.site.hub, &rig->hub.fingerprint, &roles, &file), KW_OK);
	roles->directory->version++;
	roles->directory->entries[1].hybrid_keys_count = 0;
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
	say_signed(rig, KW_ROLE_TIMESTAMP, kw_buf_view(&timestamp), "timestamp.key");
	say_signed(rig, KW_ROLE_SNAPSHOT, kw_buf_view(&snapshot), "snapshot.key");
	say_signed(rig, KW_ROLE_REGISTRAR, kw_buf_view(&directory), registrar_key);
	kw_buf_fini(&directory);
	kw_buf_fini(&snapshot);
	kw_buf_fini(&timestamp);
	kw_roles_free(roles);
}

static void test_a_hub_takes_no_suite_out_of_the_directory(void **state)
{
	struct rig *rig = *state;
	struct hostile_status status;
	hostile_hub_change(&rig->hub, give_a_hybrid_key);
	hostile_hub_status(&rig->hub, &status);
	uint64_t version = status.directory_version;
	say_directory_without_hybrid_keys(rig, "snapshot.key");
	HOSTILE_WAIT(&rig->hub, kit_daemon_logged(&rig->hub.agent, "\"event\":\"role_refused\"", "\"rule\":\"threshold\"") > 0);
	hostile_hub_status(&rig->hub, &status);
	assert_int_equal(status.directory_version, version);
	assert_string_equal(status.refused, "threshold");
	good_one_arrives(rig);
	check_inbox(rig);
}

/* ---- replayed envelope */

static uint32_t repeats_logged(struct rig *rig)
{
	return kit_daemon_logged(&rig->hub.agent, "\"event\":\"repeat\"", NULL);
}

/* One more that is known by its digest: logged, counted, and confirmed to its sender once more. */
static void is_repeat(struct rig *rig, enum kw_msg_class msg_class, struct kw_view envelope)
{
	struct hostile_status before;
	struct hostile_status after;
	uint32_t logged = repeats_logged(rig);
	hostile_hub_status(&rig->hub, &before);
	hostile_hub_give(&rig->hub, msg_class, envelope);
	hostile_hub_status(&rig->hub, &after);
	assert_int_equal(after.repeats, before.repeats + 1);
	assert_int_equal(repeats_logged(rig), logged + 1);
	check_counts(rig);
	check_inbox(rig);
}

static void test_a_replay_is_dropped_wherever_it_comes_from(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	struct hostile_status status;
	write_letter(rig, honest(rig));
	give_good(rig, &rig->letter);
	struct kw_view envelope = hostile_letter_envelope(&rig->letter, 0);
	/* The same sequence: the session's own count refuses it. It is said once a session, or a hub would fill the log. */
	for (int i = 0; i < 3; i++)
		hostile_hub_deliver(hub, KW_URGENT, hub->last[KW_URGENT], envelope);
	good_one_arrives(rig);
	hostile_hub_status(hub, &status);
	assert_int_equal(status.repeats, 0);
	assert_int_equal(repeats_logged(rig), 0);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"hub_repeats\"", NULL), 1);
	check_inbox(rig);
	/* Another sequence, another class. */
	is_repeat(rig, KW_URGENT, envelope);
	is_repeat(rig, KW_NORMAL, envelope);
	is_repeat(rig, KW_BULK, envelope);
	/* After a restart of the agent. */
	hostile_hub_agent_stop(hub);
	hostile_hub_agent_start(hub);
	hostile_hub_deliver(hub, KW_URGENT, 1, envelope);
	is_repeat(rig, KW_URGENT, envelope);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"hub_repeats\"", NULL), 2);
	/* A hub that says to have lost its memory: its sequences begin anew. */
	hostile_hub_hang_up(hub);
	hub->epoch = 815;
	memset(hub->last, 0, sizeof(hub->last));
	hostile_hub_wait_online(hub);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"hub_new_epoch\"", NULL), 1);
	is_repeat(rig, KW_URGENT, envelope);
	is_repeat(rig, KW_URGENT, envelope);
	nothing_else_has_changed(rig);
}

/* The digest is kept for 48 hours past the expiry; what is older is not taken at all. The hour before and the hour itself. */
static void test_a_replay_past_the_memory_is_refused_as_expired(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	uint32_t good = 0;
	int64_t in_hour = (int64_t)time(NULL) % 3600;
	if (in_hour > 3570)
		(void)sleep((unsigned)(3600 - in_hour)); /* the hour must not end in between */
	writing.expiry_hour = hostile_hour_in(-47);
	write_letter(rig, writing);
	give_good(rig, &rig->letter);
	is_repeat(rig, KW_URGENT, hostile_letter_envelope(&rig->letter, 0));
	writing.expiry_hour = hostile_hour_in(-48);
	write_letter(rig, writing);
	for (uint32_t i = 1; i <= 2; i++) {
		hostile_hub_give(&rig->hub, KW_URGENT, hostile_letter_envelope(&rig->letter, 0));
		assert_int_equal(kit_daemon_logged(&rig->hub.agent, "\"event\":\"content_refused\"", "\"error\":\"expired\""), i);
		check_counts(rig);
	}
	HOSTILE_WAIT(&rig->hub, hostile_hub_receipts(&rig->hub, &rig->letter.sealed.digest, &good) > 0);
	assert_int_equal(good, 0);
	nothing_else_has_changed(rig);
}

/* The certificate of another hub, from the same authority: it cannot even say what is in the mail. */
static void test_another_hub_under_the_same_root_has_no_session(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	struct kw_name other;
	X509 *issuing;
	X509 *server;
	int64_t now = (int64_t)time(NULL) * 1000;
	assert_int_equal(kw_name_from(kw_view_str("hub-1"), &other), KW_OK);
	assert_int_equal(kw_pki_issuing_new(&hub->site.root, hub->site.issuing.key, &other, now, &issuing), KW_OK);
	const struct kw_pki_issuer issuer = {.key = hub->site.issuing.key, .certificate = issuing};
	assert_int_equal(kw_pki_server_new(&issuer, hub->site.server_key, &other, now, &server), KW_OK);
	X509 *const chain[] = {server, issuing, hub->site.root.certificate};
	assert_int_equal(kw_pki_certs_save(kit_site_path(&hub->site, "other.pem"), chain, 3), KW_OK);
	hostile_hub_shut(hub);
	uint32_t hellos = hub->hellos;
	uint32_t ends = hub->ends;
	hostile_hub_listen(hub, kit_site_path(&hub->site, "other.pem"));
	HOSTILE_WAIT(hub, hub->ends > ends &&
		kit_daemon_logged(&hub->agent, "\"event\":\"offline\"", "\"error\":\"not_authentic\"") > 0);
	assert_int_equal(hub->hellos, hellos);
	hostile_hub_shut(hub);
	hostile_hub_listen(hub, kit_site_path(&hub->site, "server.pem"));
	hostile_hub_wait_online(hub);
	good_one_arrives(rig);
	check_inbox(rig);
	X509_free(issuing);
	X509_free(server);
}

/* ---- retargeted slot */

static void test_a_slot_serves_its_own_recipient_alone(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	static const uint8_t OTHER_KEY[8] = {9, 9, 9, 9, 9, 9, 9, 9};
	uint8_t hash[KW_DIGEST_SIZE];
	write_letter(rig, to_three(rig));
	/* Another recipient's envelope as it is; with our name on its slot; with our key id as well. */
	is_refused(rig, hostile_letter_envelope(letter, 1), KW_OPEN_NOT_FOR_US);
	hostile_letter_take_apart(letter, 1);
	letter->parts.label.agency = kw_view_str("agency-0");
	hostile_letter_new_slot(letter);
	parts_are_refused(rig, KW_OPEN_KEY_UNKNOWN);
	hostile_letter_take_apart(letter, 1);
	letter->parts.label.agency = kw_view_str("agency-0");
	letter->parts.key_id = KW_VIEW_OF(rig->hub.parties[0].sealing_id);
	hostile_letter_new_slot(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	/* Our own slot, to another destination, and with another key id. */
	letter->parts.label.agency = kw_view_str("agency-2");
	hostile_letter_new_slot(letter);
	parts_are_refused(rig, KW_OPEN_NOT_FOR_US);
	letter->parts.label.hub = kw_view_str("hub-1");
	hostile_letter_new_slot(letter);
	parts_are_refused(rig, KW_OPEN_NOT_FOR_US);
	letter->parts.key_id = KW_VIEW_OF(OTHER_KEY);
	hostile_letter_new_slot(letter);
	parts_are_refused(rig, KW_OPEN_KEY_UNKNOWN);
	/* In another place of the tree; beside another slot; in a smaller tree; in the place of another. */
	letter->parts.path.index ^= 1;
	parts_are_refused(rig, KW_OPEN_AUTH);
	memcpy(hash, letter->parts.path.hashes[0], sizeof(hash));
	hash[3] ^= 1;
	letter->parts.path.hashes[0] = hash;
	parts_are_refused(rig, KW_OPEN_AUTH);
	letter->parts.path.depth--;
	parts_are_refused(rig, KW_OPEN_AUTH);
	struct kw_envelope second;
	assert_int_equal(kw_envelope_parse(hostile_letter_envelope(letter, 1), &second), KW_OK);
	letter->parts.path = second.path;
	parts_are_refused(rig, KW_OPEN_AUTH);
	/* It is all as it was but for that: the envelope itself arrives. */
	give_good(rig, letter);
	nothing_else_has_changed(rig);
}

/* What the hub would gain by: a longer life, another class, another home. */
static void test_a_header_is_as_it_was_sealed(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	uint8_t commit[KW_DIGEST_SIZE];
	write_letter(rig, honest(rig));
	letter->parts.label.expiry_hour += 24;
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	letter->parts.label.msg_class = KW_BULK;
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	letter->parts.label.home_hub = kw_view_str("hub-1");
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	letter->parts.label.id.bytes[0] ^= 1;
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	letter->parts.label.hops_max++;
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	memcpy(commit, letter->parts.commit, sizeof(commit));
	commit[0] ^= 1;
	letter->parts.commit = commit;
	parts_are_refused(rig, KW_OPEN_SLOT);
	nothing_else_has_changed(rig);
}

/* ---- truncated body */

#define LARGE_SIZE 40000u

static void test_a_body_is_whole_or_refused(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	struct hostile_writing writing = to_three(rig);
	static uint8_t changed[KW_ENVELOPE_SIZE_MAX];
	writing.content_size = LARGE_SIZE;
	write_letter(rig, writing);
	struct kw_view body = letter->parts.body;
	struct kw_view whole = hostile_letter_envelope(letter, 0);
	uint32_t bucket = letter->parts.label.size_bucket;
	assert_true(bucket > 2 * KW_CHUNK_SIZE); /* three chunks */
	/* The last chunk cut, a byte cut, a byte more, a chunk more; the end of the envelope cut. */
	letter->parts.body.size = 2 * (KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE);
	parts_are_refused(rig, KW_OPEN_STRUCTURE);
	letter->parts.body.size--;
	parts_are_refused(rig, KW_OPEN_STRUCTURE);
	memcpy(changed, body.data, body.size);
	letter->parts.body = KW_VIEW(changed, body.size + 1);
	parts_are_refused(rig, KW_OPEN_STRUCTURE);
	is_refused(rig, KW_VIEW(whole.data, whole.size - 1), KW_OPEN_STRUCTURE);
	memcpy(changed, whole.data, whole.size);
	is_refused(rig, KW_VIEW(changed, whole.size + 1), KW_OPEN_STRUCTURE);
	/* Cut with a header that says so: the slot was sealed under another header. */
	letter->parts.label.size_bucket = 2 * KW_CHUNK_SIZE;
	letter->parts.body.size = 2 * (KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE);
	hostile_letter_new_header(letter);
	parts_are_refused(rig, KW_OPEN_SLOT);
	/* Two chunks swapped; one bit. */
	memcpy(changed, body.data + KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE, KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE);
	memcpy(changed + KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE, body.data, KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE);
	memcpy(changed + 2 * (size_t)(KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE), body.data + 2 * (size_t)(KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE),
		body.size - 2 * (size_t)(KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE));
	letter->parts.body = KW_VIEW(changed, body.size);
	parts_are_refused(rig, KW_OPEN_AUTH);
	memcpy(changed, body.data, body.size);
	changed[body.size / 2] ^= 1;
	letter->parts.body = KW_VIEW(changed, body.size);
	parts_are_refused(rig, KW_OPEN_AUTH);
	/* A co-recipient, who has the message key, cuts it with all that goes with that; the signature is not his to make. */
	letter->parts.label.size_bucket = 2 * KW_CHUNK_SIZE;
	hostile_letter_new_header(letter);
	hostile_letter_new_keys(letter, letter->dek);
	hostile_letter_seal_slot(letter, letter->dek, &rig->hub.parties[0].sealing);
	hostile_letter_new_body(letter, KW_VIEW(letter->content.data, 2 * KW_CHUNK_SIZE - 1));
	hostile_letter_new_auth(letter, &letter->claims, NULL);
	parts_are_refused(rig, KW_OPEN_SIGNATURE);
	give_good(rig, letter);
	nothing_else_has_changed(rig);
}

/* ---- two recipients, two texts */

/* The sender itself cheats: it signs what it likes. The slots are those of one T. */
static void test_two_recipients_of_one_digest_read_one_text(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	static const uint8_t OTHER_DEK[KW_DEK_SIZE] = {1, 2, 3};
	struct kw_digest digest;
	write_letter(rig, to_three(rig));
	/* A second message key in our slot. The slot is new, so S is, and T; the sender signs that. The commitment is to the other. */
	hostile_letter_seal_slot(letter, OTHER_DEK, &rig->hub.parties[0].sealing);
	hostile_letter_new_auth(letter, &letter->claims, &rig->hub.parties[1].identity);
	parts_are_refused(rig, KW_OPEN_COMMIT);
	/* The commitment is to the second key: then the body and the AuthBlock that the others read do not open with it, ... */
	hostile_letter_new_keys(letter, OTHER_DEK);
	hostile_letter_seal_slot(letter, OTHER_DEK, &rig->hub.parties[0].sealing);
	parts_are_refused(rig, KW_OPEN_AUTH);
	/* ... and with another body it is another digest: the receipts of the two name different messages. */
	hostile_letter_new_keys(letter, OTHER_DEK);
	hostile_letter_seal_slot(letter, OTHER_DEK, &rig->hub.parties[0].sealing);
	hostile_letter_new_body(letter, kw_buf_view(&letter->content));
	hostile_letter_new_auth(letter, &letter->claims, &rig->hub.parties[1].identity);
	hostile_letter_digest(letter, &digest);
	assert_memory_not_equal(&digest, &letter->sealed.digest, sizeof(digest));
	struct kw_buf other;
	kw_buf_init(&other, KW_ENVELOPE_SIZE_MAX);
	assert_int_equal(kw_buf_add(&other, hostile_letter_encode(letter)), KW_OK);
	/* One T with two bodies: what was signed for the one does not open with the other. */
	hostile_letter_take_apart(letter, 0);
	hostile_letter_new_keys(letter, letter->dek);
	hostile_letter_new_body(letter, KW_VIEW(letter->content.data, letter->content.size - 1));
	parts_are_refused(rig, KW_OPEN_AUTH);
	/* The control: such a letter is a message of its own, with a digest of its own; a person has two of them before his eyes. */
	uint32_t good = 0;
	hostile_hub_give(&rig->hub, KW_URGENT, kw_buf_view(&other));
	rig->good[rig->good_count++] = letter->message_id;
	HOSTILE_WAIT(&rig->hub, hostile_hub_receipts(&rig->hub, &digest, &good) > 0);
	assert_int_equal(good, 1);
	assert_int_equal(hostile_hub_receipts(&rig->hub, &letter->sealed.digest, &good), 0);
	kw_buf_fini(&other);
	nothing_else_has_changed(rig);
}

/* A co-recipient has the message key and the sender's signature, and wants other claims under them. */
static void test_a_co_recipient_changes_no_claim(void **state)
{
	struct rig *rig = *state;
	struct hostile_letter *letter = &rig->letter;
	const struct kw_ed25519 *thief = &rig->hub.parties[2].identity;
	write_letter(rig, to_three(rig));
	hostile_letter_new_keys(letter, letter->dek);
	struct kw_claims claims = letter->claims;
	for (int which = 0; which < 4; which++) {
		claims = letter->claims;
		if (which == 0)
			claims.thread_id.bytes[0] ^= 1;
		else if (which == 1)
			claims.thread_sequence++;
		else if (which == 2)
			claims.content_type++;
		else
			claims.sent_unix_ms += 1000;
		hostile_letter_new_auth(letter, &claims, NULL);
		parts_are_refused(rig, KW_OPEN_SIGNATURE);
	}
	/* Another text, with the claims and the signature of the true one; or signed by himself. */
	hostile_letter_new_body(letter, KW_VIEW(letter->content.data, letter->content.size - 1));
	hostile_letter_new_auth(letter, &letter->claims, NULL);
	parts_are_refused(rig, KW_OPEN_SIGNATURE);
	hostile_letter_new_body(letter, KW_VIEW(letter->content.data, letter->content.size - 1));
	hostile_letter_new_auth(letter, &letter->claims, thief);
	parts_are_refused(rig, KW_OPEN_SIGNATURE);
	/* The control: with the claims that were signed it is the message. */
	hostile_letter_new_auth(letter, &letter->claims, NULL);
	hostile_hub_give(&rig->hub, KW_URGENT, hostile_letter_encode(letter));
	rig->good[rig->good_count++] = letter->message_id;
	nothing_else_has_changed(rig);
}

/* ---- forged sender */

static void shut_out_agency_3(struct kw_directory *directory)
{
	directory->entries[3].revoked = true;
}

static void test_nobody_writes_under_a_name_that_is_not_his(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	/* agency-2 signs as agency-1, with its own key's id and with the true one. */
	writing.from = &rig->hub.parties[2];
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SENDER_UNKNOWN);
	struct keys mixed = rig->hub.parties[2];
	memcpy(mixed.identity_id, rig->hub.parties[1].identity_id, sizeof(mixed.identity_id));
	writing.from = &mixed;
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SIGNATURE);
	kw_wipe(&mixed, sizeof(mixed));
	/* In the victim's own name; as somebody whom the directory does not have; of another hub. */
	writing.from = &rig->hub.parties[2];
	writing.sender = "agency-0";
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SENDER_UNKNOWN);
	writing.sender = "ministry";
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SENDER_UNKNOWN);
	writing.sender = "agency-2";
	writing.sender_hub = writing.home_hub = "hub-1";
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SENDER_UNKNOWN);
	/* A header that names another home than the signed claims: whose log would prove it? */
	writing.sender_hub = NULL;
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_CLAIMS);
	writing.home_hub = NULL;
	write_letter(rig, writing); /* the control */
	give_good(rig, &rig->letter);
	nothing_else_has_changed(rig);
}

static void test_who_was_shut_out_is_not_heard_any_more(void **state)
{
	struct rig *rig = *state;
	struct hostile_writing writing = honest(rig);
	struct hostile_letter early = {.dek = {0}};
	writing.from = &rig->hub.parties[3];
	writing.sender = "agency-3";
	hostile_letter_write(&early, &writing); /* written before, and held back by the hub */
	write_letter(rig, writing);
	give_good(rig, &rig->letter);
	hostile_hub_change(&rig->hub, shut_out_agency_3);
	is_refused(rig, hostile_letter_envelope(&early, 0), KW_OPEN_SENDER_UNKNOWN);
	write_letter(rig, writing);
	is_refused(rig, hostile_letter_envelope(&rig->letter, 0), KW_OPEN_SENDER_UNKNOWN);
	hostile_letter_fini(&early);
	nothing_else_has_changed(rig);
}

/* ---- a flood */

#define ASIDE_MAX 1000u /* SPOOL_ASIDE_MAX */

static void give_garbage(struct rig *rig, uint32_t count)
{
	struct hostile_hub *hub = &rig->hub;
	uint8_t garbage[64];
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(kw_random(garbage, sizeof(garbage)), KW_OK);
		hostile_hub_deliver(hub, KW_URGENT, ++hub->last[KW_URGENT], KW_VIEW_OF(garbage));
	}
	HOSTILE_WAIT(hub, hub->acked[KW_URGENT].sequence >= hub->last[KW_URGENT]);
	rig->refused += count;
}

static void test_a_flood_of_rubbish_is_bounded(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	good_one_arrives(rig);
	for (uint32_t i = 0; i < ASIDE_MAX + 200; i += 200)
		give_garbage(rig, 200);
	check_counts(rig);
	struct hostile_aside aside;
	assert_false(hostile_hub_aside(hub, rig->refused - ASIDE_MAX, &aside));
	assert_true(hostile_hub_aside(hub, rig->refused - ASIDE_MAX + 1, &aside));
	assert_true(hostile_hub_aside(hub, rig->refused, &aside));
	good_one_arrives(rig);
	/* More than it was allowed to send at once: the session ends, and a new one goes on. */
	uint8_t garbage[64] = {0};
	uint32_t ends = hub->ends;
	for (uint32_t i = 0; i < 2000 && hub->link != NULL; i++)
		hostile_hub_deliver(hub, KW_URGENT, ++hub->last[KW_URGENT], KW_VIEW_OF(garbage));
	HOSTILE_WAIT(hub, hub->ends > ends);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"hub_broke_rules\"", "\"error\":\"protocol\""), 1);
	hostile_hub_wait_online(hub);
	struct hostile_status status;
	hostile_hub_status(hub, &status);
	assert_in_range(status.unopened, rig->refused, rig->refused + 256);
	rig->refused = (uint32_t)status.unopened;
	hub->unopened = rig->refused; /* what was said into the session that ended is lost, and so is nothing */
	nothing_else_has_changed(rig);
}

/* ---- sequences */

static void test_a_hub_that_miscounts_hurts_itself_alone(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	good_one_arrives(rig);
	hub->last[KW_URGENT] += 1000; /* rows that are gone */
	good_one_arrives(rig);
	/* Back to a number that was used, with a message that is new: dropped, as a repeat would be; it comes as another. */
	write_letter(rig, honest(rig));
	hostile_hub_deliver(hub, KW_URGENT, 500, hostile_letter_envelope(&rig->letter, 0));
	good_one_arrives(rig);
	check_inbox(rig);
	give_good(rig, &rig->letter);
	/* A store of no epoch is no store. */
	uint64_t epoch = hub->epoch;
	hub->epoch = 0;
	hostile_hub_hang_up(hub);
	HOSTILE_WAIT(hub, kit_daemon_logged(&hub->agent, "\"event\":\"bad_frame\"", "\"type\":2") > 0);
	hub->epoch = epoch;
	hostile_hub_wait_online(hub);
	/* It claims to have more of our log than we ever wrote: we begin a new one, and lose nothing. */
	hostile_hub_hang_up(hub);
	hub->claims[KW_URGENT] = (struct kw_cursor){.epoch = hub->hello.epoch, .sequence = 999999};
	HOSTILE_WAIT(hub, kit_daemon_logged(&hub->agent, "\"event\":\"own_new_epoch\"", NULL) == 1);
	memset(hub->claims, 0, sizeof(hub->claims));
	hostile_hub_wait_online(hub);
	/* It acknowledges what was never sent. */
	struct kw_frame_ack ack = {.cursor_mask = 1u << KW_URGENT};
	ack.cursors[KW_URGENT] = (struct kw_cursor){.epoch = hub->hello.epoch, .sequence = 999999};
	uint32_t ends = hub->ends;
	uint32_t broke = kit_daemon_logged(&hub->agent, "\"event\":\"hub_broke_rules\"", NULL);
	assert_int_equal(kw_frame_ack_add(kw_link_out(hub->link), &ack), KW_OK);
	kw_link_ready(hub->link);
	HOSTILE_WAIT(hub, hub->ends > ends);
	assert_int_equal(kit_daemon_logged(&hub->agent, "\"event\":\"hub_broke_rules\"", NULL), broke + 1);
	hostile_hub_wait_online(hub);
	nothing_else_has_changed(rig);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* argument: only the cases of this pattern */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_suite_changed_on_the_way_opens_nothing),
		CASE(test_a_suite_that_the_agency_does_not_list_is_refused),
		CASE(test_a_hub_takes_no_suite_out_of_the_directory),
		CASE(test_a_replay_is_dropped_wherever_it_comes_from),
		CASE(test_a_replay_past_the_memory_is_refused_as_expired),
		CASE(test_another_hub_under_the_same_root_has_no_session),
		CASE(test_a_slot_serves_its_own_recipient_alone),
		CASE(test_a_header_is_as_it_was_sealed),
		CASE(test_a_body_is_whole_or_refused),
		CASE(test_two_recipients_of_one_digest_read_one_text),
		CASE(test_a_co_recipient_changes_no_claim),
		CASE(test_nobody_writes_under_a_name_that_is_not_his),
		CASE(test_who_was_shut_out_is_not_heard_any_more),
		CASE(test_a_flood_of_rubbish_is_bounded),
		CASE(test_a_hub_that_miscounts_hurts_itself_alone),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
