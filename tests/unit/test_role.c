/* The signed roles of the directory, and what a client accepts: the known mistakes of clients, each tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/role_client.h"

#define NOW_MS INT64_C(1780000000000)
#define DAY_MS INT64_C(86400000)

enum { ROOT_A, ROOT_B, ROOT_C, REGISTRAR, SNAPSHOT, TIMESTAMP, LOG, FOREIGN, OTHER, KEYS };

struct world {
	struct kw_ed25519 keys[KEYS];
	struct kw_root root;
	struct kw_snapshot snapshot;
	struct kw_timestamp timestamp;
	struct kw_directory directory;
	struct kw_directory_entry entries[2];
	struct kw_role_client client;
	struct kw_buf bytes[KW_ROLE_COUNT]; /* signed */
	struct kw_digest fingerprint;
};

static struct kw_name name(const char *text)
{
	struct kw_name out;
	assert_int_equal(kw_name_from(kw_view_str(text), &out), KW_OK);
	return out;
}

static void give(struct kw_role_keys *keys, const struct world *w, const int *which, int count)
{
	*keys = (struct kw_role_keys){.threshold = (uint8_t)count};
	for (int i = 0; i < count; i++)
		assert_int_equal(kw_role_keys_put(keys, w->keys[which[i]].public_key), KW_OK);
}

static void one(struct kw_role_keys *keys, const struct world *w, int which)
{
	give(keys, w, &which, 1);
}

/* Signs a payload with these keys. */
static void sign(const struct world *w, enum kw_role kind, struct kw_buf *payload, const int *which, int count,
	struct kw_buf *out)
{
	struct kw_role_signed role = {.payload = kw_buf_view(payload)};
	for (int i = 0; i < count; i++)
		assert_int_equal(kw_role_sign(&role, kind, &w->keys[which[i]]), KW_OK);
	kw_buf_fini(out);
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_role_add(out, &role), KW_OK);
}

static void make_root(struct world *w, const int *which, int count)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_root_add(&payload, &w->root), KW_OK);
	sign(w, KW_ROLE_ROOT, &payload, which, count, &w->bytes[KW_ROLE_ROOT]);
	kw_buf_fini(&payload);
}

static void make_directory(struct world *w, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_directory_pack(&w->directory, &payload), KW_OK);
	sign(w, KW_ROLE_REGISTRAR, &payload, &signer, 1, &w->bytes[KW_ROLE_REGISTRAR]);
	struct kw_snapshot_entry *entry = &w->snapshot.directories[0];
	entry->version = w->directory.version;
	assert_int_equal(kw_role_digest(kw_buf_view(&payload), &entry->digest), KW_OK);
	kw_buf_fini(&payload);
}

static void make_snapshot(struct world *w, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_snapshot_add(&payload, &w->snapshot), KW_OK);
	sign(w, KW_ROLE_SNAPSHOT, &payload, &signer, 1, &w->bytes[KW_ROLE_SNAPSHOT]);
	w->timestamp.snapshot_version = w->snapshot.version;
	assert_int_equal(kw_role_digest(kw_buf_view(&payload), &w->timestamp.snapshot_digest), KW_OK);
	kw_buf_fini(&payload);
}

static void make_timestamp(struct world *w, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_timestamp_add(&payload, &w->timestamp), KW_OK);
	sign(w, KW_ROLE_TIMESTAMP, &payload, &signer, 1, &w->bytes[KW_ROLE_TIMESTAMP]);
	kw_buf_fini(&payload);
}

static void make_rest(struct world *w)
{
	make_directory(w, REGISTRAR);
	make_snapshot(w, SNAPSHOT);
	make_timestamp(w, TIMESTAMP);
}

/* All versions one up. */
static void next_versions(struct world *w)
{
	w->directory.version++;
	w->snapshot.version++;
	w->timestamp.version++;
	w->timestamp.signed_unix_ms += 1000;
	make_rest(w);
}

static enum kw_err take(struct world *w, enum kw_role role, enum kw_role_rule *rule)
{
	struct kw_view bytes = kw_buf_view(&w->bytes[role]);
	struct kw_directory *directory = NULL;
	enum kw_err err = KW_OK;
	switch (role) {
	case KW_ROLE_ROOT:
		return kw_role_client_root(&w->client, bytes, rule);
	case KW_ROLE_TIMESTAMP:
		return kw_role_client_timestamp(&w->client, bytes, NOW_MS, rule);
	case KW_ROLE_SNAPSHOT:
		return kw_role_client_snapshot(&w->client, bytes, NOW_MS, rule);
	case KW_ROLE_REGISTRAR:
		err = kw_role_client_directory(&w->client, &w->client.hub, bytes, &directory, rule);
		kw_directory_free(directory);
		return err;
	case KW_ROLE_LOG:
	case KW_ROLE_WITNESS:
	case KW_ROLE_COUNT:
		break;
	}
	return KW_EFIELD;
}

static void accept(struct world *w, enum kw_role role)
{
	enum kw_role_rule rule;
	enum kw_err err = take(w, role, &rule);
	if (err != KW_OK)
		print_error("%s: %s, %s\n", kw_role_name(role), kw_err_name(err), kw_role_rule_name(rule));
	assert_int_equal(err, KW_OK);
	assert_int_equal(rule, KW_ROLE_RULE_NONE);
}

/* Refused with this rule, and the client is as it was. */
static void refused(struct world *w, enum kw_role role, enum kw_err err, enum kw_role_rule rule)
{
	enum kw_role_rule got;
	struct kw_role_client *before = malloc(sizeof(*before));
	assert_non_null(before);
	memcpy(before, &w->client, sizeof(*before));
	enum kw_err result = take(w, role, &got);
	if (got != rule)
		print_error("%s instead of %s\n", kw_role_rule_name(got), kw_role_rule_name(rule));
	assert_int_equal(got, rule);
	assert_int_equal(result, err);
	assert_memory_equal(before, &w->client, sizeof(*before));
	free(before);
}

static void accept_rest(struct world *w)
{
	accept(w, KW_ROLE_TIMESTAMP);
	accept(w, KW_ROLE_SNAPSHOT);
	accept(w, KW_ROLE_REGISTRAR);
}

static const int ROOTS[] = {ROOT_A, ROOT_B, ROOT_C};

static void make_entries(struct world *w)
{
	for (size_t i = 0; i < 2; i++) {
		struct kw_directory_entry *entry = &w->entries[i];
		entry->agency = name(i == 0 ? "amal" : "najda");
		entry->sealing_keys_count = 1;
		entry->sealing_keys[0].suites[0] = 1;
		entry->sealing_keys[0].suites_count = 1;
		entry->sealing_keys[0].public_key[0] = (uint8_t)(i + 1);
		assert_int_equal(kw_directory_key_id(entry->sealing_keys[0].public_key, entry->sealing_keys[0].key_id), KW_OK);
	}
	w->directory = (struct kw_directory){.hub = name("hub-a"), .version = 5, .signed_unix_ms = NOW_MS,
		.expires_unix_ms = NOW_MS + 90 * DAY_MS, .entries = w->entries,
		.count = 2};
}

static int setup(void **state)
{
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(kw_ed25519_generate(&w->keys[i]), KW_OK);
	struct kw_view parts[] = {KW_VIEW_OF(head), KW_VIEW_OF(w->keys[ROOT_A].public_key)};
	assert_int_equal(kw_sha256(parts, 2, &w->fingerprint), KW_OK);
	w->root = (struct kw_root){.version = 1, .expires_unix_ms = NOW_MS + 365 * DAY_MS, .tls_root_digest = w->fingerprint,
		.hub_count = 2};
	give(&w->root.root, w, ROOTS, 3);
	w->root.root.threshold = 2;
	struct kw_hub_role *hub = &w->root.hubs[0];
	hub->hub = name("hub-a");
	one(&hub->registrar, w, REGISTRAR);
	one(&hub->snapshot, w, SNAPSHOT);
	one(&hub->timestamp, w, TIMESTAMP);
	one(&hub->log, w, LOG);
	w->root.hubs[1] = *hub;
	w->root.hubs[1].hub = name("hub-b");
	one(&w->root.hubs[1].registrar, w, FOREIGN);
	one(&w->root.hubs[1].timestamp, w, FOREIGN);
	w->snapshot = (struct kw_snapshot){.hub = hub->hub, .version = 7, .expires_unix_ms = NOW_MS + 30 * DAY_MS, .count = 1};
	w->snapshot.directories[0].hub = hub->hub;
	w->timestamp = (struct kw_timestamp){.hub = hub->hub, .version = 9, .signed_unix_ms = NOW_MS - 1000,
		.expires_unix_ms = NOW_MS + DAY_MS, .root_version = 1};
	make_entries(w);
	kw_role_client_init(&w->client, &hub->hub, &w->fingerprint);
	make_root(w, ROOTS, 2);
	make_rest(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < KW_ROLE_COUNT; i++)
		kw_buf_fini(&w->bytes[i]);
	free(w);
	return 0;
}

static void test_all_in_order_is_taken_and_again(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		accept(w, KW_ROLE_ROOT);
		accept_rest(w);
	}
	next_versions(w);
	accept_rest(w);
	assert_int_equal(w->client.snapshot.directories[0].version, 6);
}

static void test_nothing_is_taken_before_what_it_hangs_on(void **state)
{
	struct world *w = *state;
	refused(w, KW_ROLE_TIMESTAMP, KW_ESTATE, KW_ROLE_RULE_ORDER);
	refused(w, KW_ROLE_SNAPSHOT, KW_ESTATE, KW_ROLE_RULE_ORDER);
	refused(w, KW_ROLE_REGISTRAR, KW_ESTATE, KW_ROLE_RULE_ORDER);
	accept(w, KW_ROLE_ROOT);
	refused(w, KW_ROLE_SNAPSHOT, KW_ESTATE, KW_ROLE_RULE_ORDER);
	accept(w, KW_ROLE_TIMESTAMP);
	refused(w, KW_ROLE_REGISTRAR, KW_ESTATE, KW_ROLE_RULE_ORDER);
	w->timestamp.version++;
	w->timestamp.root_version = 2; /* a root that we have not got */
	make_timestamp(w, TIMESTAMP);
	refused(w, KW_ROLE_TIMESTAMP, KW_ESTATE, KW_ROLE_RULE_ORDER);
}

static void test_a_first_root_hangs_on_the_fingerprint(void **state)
{
	static const int without[] = {ROOT_B, ROOT_C};
	struct world *w = *state;
	make_root(w, without, 2); /* enough keys, but not the one that the code names */
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_FINGERPRINT);
	make_root(w, ROOTS, 1); /* the key of the code alone */
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	w->root.tls_root_digest.bytes[0] ^= 1;
	make_root(w, ROOTS, 3);
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_FINGERPRINT);
	w->root.tls_root_digest.bytes[0] ^= 1;
	give(&w->root.root, w, without, 2); /* another network's keys under our digest */
	make_root(w, without, 2);
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_FINGERPRINT);
	w->root.version = 2;
	make_root(w, ROOTS, 3);
	refused(w, KW_ROLE_ROOT, KW_EVERSION, KW_ROLE_RULE_SKIPPED);
}

static void test_a_new_root_needs_the_old_keys_and_its_own(void **state)
{
	static const int new_keys[] = {OTHER, ROOT_B};
	static const int both[] = {ROOT_A, ROOT_B, OTHER};
	static const int old_only[] = {ROOT_A, ROOT_C};
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	w->root.version = 2;
	give(&w->root.root, w, new_keys, 2);
	make_root(w, new_keys, 2); /* one of the old keys only */
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	make_root(w, old_only, 2); /* none of its own */
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	w->root.version = 3;
	make_root(w, both, 3);
	refused(w, KW_ROLE_ROOT, KW_EVERSION, KW_ROLE_RULE_SKIPPED);
	w->root.version = 2;
	make_root(w, both, 3);
	accept(w, KW_ROLE_ROOT);
	w->root.expires_unix_ms++;
	make_root(w, both, 3);
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_FORKED);
	w->root.version = 1;
	make_root(w, both, 3);
	refused(w, KW_ROLE_ROOT, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
	w->root.version = 3;
	make_root(w, ROOTS, 3); /* the keys of version 1 are gone: one of two */
	refused(w, KW_ROLE_ROOT, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
}

/* A threshold counts keys. One key that signs twice is one, and so is one that stands twice among the keys. */
static void test_thresholds_count_keys_not_signatures(void **state)
{
	struct world *w = *state;
	struct kw_role_signed role;
	struct kw_role_keys keys;
	uint32_t good;
	give(&keys, w, ROOTS, 3);
	keys.threshold = 2;
	make_root(w, ROOTS, 1);
	assert_int_equal(kw_role_parse(kw_buf_view(&w->bytes[KW_ROLE_ROOT]), &role), KW_OK);
	assert_int_equal(kw_role_sign(&role, KW_ROLE_ROOT, &w->keys[ROOT_A]), KW_EEXIST);
	role.signatures[role.count++] = role.signatures[0];
	assert_int_equal(kw_role_check(&role, KW_ROLE_ROOT, &keys, &good), KW_EAUTH);
	assert_int_equal(good, 1);
	struct kw_buf twice;
	struct kw_role_signed again;
	kw_buf_init(&twice, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_role_add(&twice, &role), KW_OK);
	assert_int_equal(kw_role_parse(kw_buf_view(&twice), &again), KW_EFIELD);
	kw_buf_fini(&twice);
	assert_int_equal(kw_role_keys_put(&keys, w->keys[ROOT_A].public_key), KW_EEXIST);
	keys = (struct kw_role_keys){.count = 2, .threshold = 2};
	memcpy(keys.keys[0], w->keys[ROOT_A].public_key, KW_KEY_SIZE);
	memcpy(keys.keys[1], w->keys[ROOT_A].public_key, KW_KEY_SIZE);
	assert_int_equal(kw_role_check(&role, KW_ROLE_ROOT, &keys, &good), KW_EAUTH);
	assert_int_equal(good, 0);
	w->root.root = keys;
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_root_add(&payload, &w->root), KW_EFIELD);
	kw_buf_fini(&payload);
}

/* Its name is signed with a role. */
static void test_no_role_passes_for_another(void **state)
{
	struct world *w = *state;
	struct kw_role_signed role;
	uint32_t good;
	struct kw_role_keys keys;
	one(&keys, w, TIMESTAMP);
	assert_int_equal(kw_role_parse(kw_buf_view(&w->bytes[KW_ROLE_TIMESTAMP]), &role), KW_OK);
	for (int kind = 0; kind < KW_ROLE_COUNT; kind++)
		assert_int_equal(kw_role_check(&role, (enum kw_role)kind, &keys, &good),
			kind == KW_ROLE_TIMESTAMP ? KW_OK : KW_EAUTH);
	accept(w, KW_ROLE_ROOT);
	make_timestamp(w, SNAPSHOT);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	make_timestamp(w, TIMESTAMP);
	accept(w, KW_ROLE_TIMESTAMP);
	make_snapshot(w, TIMESTAMP);
	refused(w, KW_ROLE_SNAPSHOT, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	make_snapshot(w, SNAPSHOT);
	accept(w, KW_ROLE_SNAPSHOT);
	make_directory(w, SNAPSHOT);
	refused(w, KW_ROLE_REGISTRAR, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
}

static void restart(struct world *w, const struct kw_role_kept *kept)
{
	enum kw_role_rule rule;
	kw_role_client_init(&w->client, &w->root.hubs[0].hub, &w->fingerprint);
	assert_int_equal(kw_role_client_restore(&w->client, kept, &rule), KW_OK);
}

static void keep(struct kw_buf *out, const struct kw_buf *from)
{
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_buf_add(out, kw_buf_view(from)), KW_OK);
}

static void test_a_rollback_is_refused_also_after_a_restart(void **state)
{
	struct world *w = *state;
	struct kw_buf old[KW_ROLE_COUNT];
	struct kw_buf kept[KW_ROLE_COUNT];
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	for (int i = 0; i < KW_ROLE_COUNT; i++)
		keep(&old[i], &w->bytes[i]);
	next_versions(w);
	accept_rest(w);
	for (int i = 0; i < KW_ROLE_COUNT; i++)
		keep(&kept[i], &w->bytes[i]);
	for (int round = 0; round < 2; round++) {
		kw_buf_fini(&w->bytes[KW_ROLE_TIMESTAMP]);
		keep(&w->bytes[KW_ROLE_TIMESTAMP], &old[KW_ROLE_TIMESTAMP]);
		refused(w, KW_ROLE_TIMESTAMP, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
		kw_buf_fini(&w->bytes[KW_ROLE_SNAPSHOT]);
		keep(&w->bytes[KW_ROLE_SNAPSHOT], &old[KW_ROLE_SNAPSHOT]);
		refused(w, KW_ROLE_SNAPSHOT, KW_EAUTH, KW_ROLE_RULE_MIXED);
		kw_buf_fini(&w->bytes[KW_ROLE_REGISTRAR]);
		keep(&w->bytes[KW_ROLE_REGISTRAR], &old[KW_ROLE_REGISTRAR]);
		refused(w, KW_ROLE_REGISTRAR, KW_EAUTH, KW_ROLE_RULE_MIXED);
		restart(w, &(struct kw_role_kept){.root = kw_buf_view(&kept[KW_ROLE_ROOT]),
			.timestamp = kw_buf_view(&kept[KW_ROLE_TIMESTAMP]), .snapshot = kw_buf_view(&kept[KW_ROLE_SNAPSHOT])});
	}
	for (int i = 0; i < KW_ROLE_COUNT; i++) {
		kw_buf_fini(&old[i]);
		kw_buf_fini(&kept[i]);
	}
}

/* It stopped between the timestamp and the snapshot: the directory does not go back all the same. */
static void test_a_directory_does_not_go_back_after_half_an_update(void **state)
{
	struct world *w = *state;
	struct kw_buf snapshot;
	w->directory.version = 50;
	make_rest(w);
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	keep(&snapshot, &w->bytes[KW_ROLE_SNAPSHOT]);
	w->directory.version = 49; /* the hub's keys are stolen */
	w->snapshot.version++;
	w->timestamp.version++;
	make_rest(w);
	accept(w, KW_ROLE_TIMESTAMP);
	restart(w, &(struct kw_role_kept){.root = kw_buf_view(&w->bytes[KW_ROLE_ROOT]),
		.timestamp = kw_buf_view(&w->bytes[KW_ROLE_TIMESTAMP]), .snapshot = kw_buf_view(&snapshot)});
	refused(w, KW_ROLE_SNAPSHOT, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
	w->directory.version = 50;
	w->directory.signed_unix_ms++; /* the same version with other content */
	make_rest(w);
	w->timestamp.version++;
	w->snapshot.version++;
	make_rest(w);
	accept(w, KW_ROLE_TIMESTAMP);
	refused(w, KW_ROLE_SNAPSHOT, KW_EAUTH, KW_ROLE_RULE_FORKED);
	kw_buf_fini(&snapshot);
}

static void test_what_has_expired_is_refused_and_age_shows(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	w->timestamp.expires_unix_ms = NOW_MS;
	make_timestamp(w, TIMESTAMP);
	refused(w, KW_ROLE_TIMESTAMP, KW_EEXPIRED, KW_ROLE_RULE_FROZEN);
	w->timestamp.expires_unix_ms = NOW_MS + 1;
	w->snapshot.expires_unix_ms = NOW_MS;
	make_rest(w);
	assert_int_equal(kw_role_client_age(&w->client, NOW_MS), KW_ROLE_OLD);
	accept(w, KW_ROLE_TIMESTAMP);
	refused(w, KW_ROLE_SNAPSHOT, KW_EEXPIRED, KW_ROLE_RULE_FROZEN);
	int64_t at = w->timestamp.signed_unix_ms;
	assert_int_equal(kw_role_client_age(&w->client, at + KW_ROLE_WARN_MS - 1), KW_ROLE_FRESH);
	assert_int_equal(kw_role_client_age(&w->client, at + KW_ROLE_WARN_MS), KW_ROLE_STALE);
	assert_int_equal(kw_role_client_age(&w->client, at + KW_ROLE_REFUSE_MS - 1), KW_ROLE_STALE);
	assert_int_equal(kw_role_client_age(&w->client, at + KW_ROLE_REFUSE_MS), KW_ROLE_OLD);
}

/* A root's end, and a directory's, count as well. */
static void test_an_expired_root_and_directory_are_refused(void **state)
{
	struct world *w = *state;
	w->root.expires_unix_ms = NOW_MS;
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT); /* a later one may follow */
	refused(w, KW_ROLE_TIMESTAMP, KW_EEXPIRED, KW_ROLE_RULE_FROZEN);
	w->root.version++;
	w->root.expires_unix_ms = NOW_MS + 1;
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT);
	w->directory.expires_unix_ms = w->timestamp.signed_unix_ms;
	make_rest(w);
	accept(w, KW_ROLE_TIMESTAMP);
	accept(w, KW_ROLE_SNAPSHOT);
	refused(w, KW_ROLE_REGISTRAR, KW_EEXPIRED, KW_ROLE_RULE_FROZEN);
}

static void test_two_of_one_version_are_refused(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	w->timestamp.signed_unix_ms++;
	make_timestamp(w, TIMESTAMP);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_FORKED);
	w->timestamp.version++;
	w->snapshot.expires_unix_ms++; /* the version stays */
	make_rest(w);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_FORKED);
}

/* The keys of hub B sign for hub A, and hub A's directory is put under hub B's name. */
static void test_a_hub_speaks_for_itself_alone(void **state)
{
	struct world *w = *state;
	enum kw_role_rule rule;
	struct kw_directory *directory = NULL;
	struct kw_name foreign = name("hub-b");
	struct kw_buf payload;
	accept(w, KW_ROLE_ROOT);
	w->timestamp.hub = foreign;
	make_timestamp(w, TIMESTAMP);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_PREFIX);
	w->timestamp.hub = name("hub-a");
	/* Hub A's snapshot names a directory of hub B, made and signed by hub A. */
	w->snapshot.count = 2;
	w->snapshot.directories[1] = w->snapshot.directories[0];
	w->snapshot.directories[1].hub = foreign;
	make_rest(w);
	accept_rest(w);
	assert_int_equal(kw_role_client_directory(&w->client, &foreign, kw_buf_view(&w->bytes[KW_ROLE_REGISTRAR]), &directory,
		&rule), KW_EAUTH);
	assert_int_equal(rule, KW_ROLE_RULE_THRESHOLD);
	/* Signed by hub B, but it speaks of hub A. */
	int signer = FOREIGN;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_directory_pack(&w->directory, &payload), KW_OK);
	sign(w, KW_ROLE_REGISTRAR, &payload, &signer, 1, &w->bytes[KW_ROLE_REGISTRAR]);
	kw_buf_fini(&payload);
	assert_int_equal(kw_role_client_directory(&w->client, &foreign, kw_buf_view(&w->bytes[KW_ROLE_REGISTRAR]), &directory,
		&rule), KW_EAUTH);
	assert_int_equal(rule, KW_ROLE_RULE_PREFIX);
	assert_null(directory);
	foreign = name("hub-c");
	assert_int_equal(kw_role_client_directory(&w->client, &foreign, kw_buf_view(&w->bytes[KW_ROLE_REGISTRAR]), &directory,
		&rule), KW_EAUTH);
	assert_int_equal(rule, KW_ROLE_RULE_HUB);
}

/* Stolen timestamp keys use up all version numbers; new keys by the root help. */
static void test_new_keys_recover_from_used_up_versions(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	w->timestamp.version = UINT64_MAX;
	make_rest(w);
	accept_rest(w);
	w->timestamp.version = 10;
	w->snapshot.version++;
	w->directory.version++;
	make_rest(w);
	refused(w, KW_ROLE_TIMESTAMP, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
	w->root.version = 2;
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT); /* the same keys: nothing is forgotten */
	refused(w, KW_ROLE_TIMESTAMP, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
	w->root.version = 3;
	one(&w->root.hubs[0].timestamp, w, OTHER);
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_THRESHOLD);
	make_timestamp(w, OTHER);
	accept_rest(w);
}

static void test_a_removed_hub_is_not_followed(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	w->root.version = 2;
	w->root.hubs[0] = w->root.hubs[1];
	w->root.hub_count = 1;
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT);
	refused(w, KW_ROLE_TIMESTAMP, KW_EAUTH, KW_ROLE_RULE_HUB);
}

static void test_each_flipped_bit_is_refused(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	for (size_t i = 0; i < w->bytes[KW_ROLE_TIMESTAMP].size; i++) {
		enum kw_role_rule rule;
		w->bytes[KW_ROLE_TIMESTAMP].data[i] ^= (uint8_t)(1u << (i % 8));
		assert_int_not_equal(take(w, KW_ROLE_TIMESTAMP, &rule), KW_OK);
		assert_int_not_equal(rule, KW_ROLE_RULE_NONE);
		w->bytes[KW_ROLE_TIMESTAMP].data[i] ^= (uint8_t)(1u << (i % 8));
	}
	accept(w, KW_ROLE_TIMESTAMP);
}

static void fill_keys(struct kw_role_keys *keys, uint8_t count)
{
	*keys = (struct kw_role_keys){.count = count, .threshold = count};
	for (uint8_t i = 0; i < count; i++)
		keys->keys[i][0] = (uint8_t)(i + 1);
}

static void test_limits(void **state)
{
	struct world *w = *state;
	struct kw_root *got = calloc(1, sizeof(*got));
	struct kw_root *full = &w->root;
	struct kw_buf payload;
	uint8_t key[KW_KEY_SIZE] = {0xff};
	assert_non_null(got);
	full->hub_count = KW_ROLE_HUBS_MAX;
	fill_keys(&full->root, KW_ROLE_KEYS_MAX);
	for (uint32_t i = 0; i < KW_ROLE_HUBS_MAX; i++) {
		char text[16];
		(void)snprintf(text, sizeof(text), "hub-%02u", i); /* fits */
		struct kw_hub_role *hub = &full->hubs[i];
		hub->hub = name(text);
		fill_keys(&hub->registrar, KW_ROLE_KEYS_MAX);
		hub->snapshot = hub->timestamp = hub->log = hub->registrar;
	}
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_root_add(&payload, full), KW_OK);
	assert_int_equal(kw_root_read(kw_buf_view(&payload), got), KW_OK);
	assert_memory_equal(got, full, sizeof(*got));
	assert_int_equal(kw_role_keys_put(&full->root, key), KW_EFULL);
	kw_buf_clear(&payload);
	full->hub_count++;
	assert_int_equal(kw_root_add(&payload, full), KW_EFIELD);
	full->hub_count--;
	kw_buf_clear(&payload);
	full->version = KW_ROLE_ROOTS_MAX;
	assert_int_equal(kw_root_add(&payload, full), KW_OK);
	assert_int_equal(kw_root_read(kw_buf_view(&payload), got), KW_OK);
	assert_int_equal(payload.data[1], 0xe8); /* 1000 is e8 07; 1001 is e9 07 */
	payload.data[1]++;
	assert_int_equal(kw_root_read(kw_buf_view(&payload), got), KW_EFIELD);
	kw_buf_clear(&payload);
	full->version++;
	assert_int_equal(kw_root_add(&payload, full), KW_EFIELD);
	full->version = 1;
	full->root.threshold++;
	assert_int_equal(kw_root_add(&payload, full), KW_EFIELD);
	full->root.threshold = 0;
	kw_buf_clear(&payload);
	assert_int_equal(kw_root_add(&payload, full), KW_EFIELD);
	kw_buf_fini(&payload);
	free(got);
}

static void test_signatures_up_to_the_limit(void **state)
{
	struct world *w = *state;
	struct kw_role_signed role = {.payload = KW_VIEW("x", 1)};
	struct kw_role_signed got;
	struct kw_ed25519 key;
	struct kw_buf bytes;
	for (uint32_t i = 0; i < KW_ROLE_SIGNATURES_MAX; i++) {
		assert_int_equal(kw_ed25519_generate(&key), KW_OK);
		assert_int_equal(kw_role_sign(&role, KW_ROLE_ROOT, &key), KW_OK);
	}
	assert_int_equal(kw_role_sign(&role, KW_ROLE_ROOT, &w->keys[OTHER]), KW_EFULL);
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_role_add(&bytes, &role), KW_OK);
	assert_int_equal(kw_role_parse(kw_buf_view(&bytes), &got), KW_OK);
	assert_int_equal(got.count, KW_ROLE_SIGNATURES_MAX);
	/* One more by hand, with the highest id. */
	size_t one_size = 2 + 76;
	uint8_t last[2 + 76];
	memcpy(last, bytes.data + bytes.size - one_size, one_size);
	memset(last + 4, 0xff, KW_ROLE_KEY_ID_SIZE);
	assert_int_equal(kw_buf_add(&bytes, KW_VIEW_OF(last)), KW_OK);
	assert_int_equal(kw_role_parse(kw_buf_view(&bytes), &got), KW_EFIELD);
	kw_buf_fini(&bytes);
}

/* A timestamp of a higher version that names an older snapshot. */
static void test_the_snapshot_does_not_go_back_under_a_new_timestamp(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	w->timestamp.version++;
	w->timestamp.snapshot_version--;
	make_timestamp(w, TIMESTAMP);
	refused(w, KW_ROLE_TIMESTAMP, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
}

static void test_a_version_that_its_role_above_does_not_name_is_refused(void **state)
{
	struct world *w = *state;
	accept(w, KW_ROLE_ROOT);
	w->timestamp.snapshot_version++;
	make_timestamp(w, TIMESTAMP); /* the digest fits, the version does not */
	accept(w, KW_ROLE_TIMESTAMP);
	refused(w, KW_ROLE_SNAPSHOT, KW_EAUTH, KW_ROLE_RULE_MIXED);
	w->snapshot.version = w->timestamp.snapshot_version + 1;
	w->snapshot.directories[0].version++;
	make_snapshot(w, SNAPSHOT);
	w->timestamp.version++;
	make_timestamp(w, TIMESTAMP);
	accept(w, KW_ROLE_TIMESTAMP);
	accept(w, KW_ROLE_SNAPSHOT);
	refused(w, KW_ROLE_REGISTRAR, KW_EAUTH, KW_ROLE_RULE_MIXED);
}

static void test_a_directory_goes_away_with_its_hub_alone(void **state)
{
	struct world *w = *state;
	w->snapshot.count = 2;
	w->snapshot.directories[1] = (struct kw_snapshot_entry){.hub = name("hub-b"), .version = 3};
	make_rest(w);
	accept(w, KW_ROLE_ROOT);
	accept_rest(w);
	w->snapshot.count = 1;
	next_versions(w);
	accept(w, KW_ROLE_TIMESTAMP);
	refused(w, KW_ROLE_SNAPSHOT, KW_EVERSION, KW_ROLE_RULE_ROLLBACK);
	w->root.version = 2;
	w->root.hub_count = 1;
	make_root(w, ROOTS, 2);
	accept(w, KW_ROLE_ROOT);
	accept(w, KW_ROLE_SNAPSHOT);
	accept(w, KW_ROLE_REGISTRAR);
}

/* Where the first field of this number begins. */
static size_t find_field(const struct kw_buf *payload, uint32_t number)
{
	struct kw_pb pb = kw_pb_from(kw_buf_view(payload));
	struct kw_pb_field field;
	while (!kw_pb_is_next(&pb, number))
		assert_true(kw_pb_next(&pb, &field));
	return (size_t)(pb.at - payload->data);
}

/* No hub stands twice, in any order, and there is one at least; by hand, because nothing here writes such bytes. */
static void test_hubs_out_of_order_are_not_read(void **state)
{
	struct world *w = *state;
	struct kw_root *got = calloc(1, sizeof(*got));
	struct kw_buf payload[2];
	struct kw_buf joined;
	assert_non_null(got);
	for (int i = 0; i < 2; i++) {
		struct kw_root *root = &w->root;
		root->hubs[0].hub = name(i == 0 ? "hub-a" : "hub-b");
		root->hub_count = 1;
		kw_buf_init(&payload[i], 1 << 16);
		assert_int_equal(kw_root_add(&payload[i], root), KW_OK);
	}
	size_t head = find_field(&payload[0], 5);
	for (int first = 0; first < 2; first++) {
		for (int second = 0; second < 2; second++) {
			kw_buf_init(&joined, 1 << 16);
			assert_int_equal(kw_buf_add(&joined, kw_buf_view(&payload[first])), KW_OK);
			assert_int_equal(kw_buf_add(&joined, KW_VIEW(payload[second].data + head, payload[second].size - head)), KW_OK);
			assert_int_equal(kw_root_read(kw_buf_view(&joined), got), first < second ? KW_OK : KW_EFIELD);
			kw_buf_fini(&joined);
		}
	}
	assert_int_equal(kw_root_read(KW_VIEW(payload[0].data, head), got), KW_EFIELD);
	kw_buf_fini(&payload[0]);
	kw_buf_fini(&payload[1]);
	free(got);
}

static void test_snapshot_entries_out_of_order_are_not_read(void **state)
{
	struct world *w = *state;
	struct kw_snapshot got;
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 16);
	assert_int_equal(kw_snapshot_add(&payload, &w->snapshot), KW_OK);
	size_t head = find_field(&payload, 4);
	assert_int_equal(kw_snapshot_read(KW_VIEW(payload.data, head), &got), KW_EFIELD);
	assert_int_equal(kw_snapshot_read(kw_buf_view(&payload), &got), KW_OK);
	uint8_t entry[256];
	size_t size = payload.size - head;
	memcpy(entry, payload.data + head, size);
	assert_int_equal(kw_buf_add(&payload, KW_VIEW(entry, size)), KW_OK);
	assert_int_equal(kw_snapshot_read(kw_buf_view(&payload), &got), KW_EFIELD);
	kw_buf_fini(&payload);
}

/* A key that stands twice in bytes from outside. */
static void test_keys_that_stand_twice_are_not_read(void **state)
{
	struct world *w = *state;
	struct kw_root *got = calloc(1, sizeof(*got));
	struct kw_buf payload;
	assert_non_null(got);
	kw_buf_init(&payload, 1 << 16);
	fill_keys(&w->root.root, 2);
	assert_int_equal(kw_root_add(&payload, &w->root), KW_OK);
	assert_int_equal(kw_root_read(kw_buf_view(&payload), got), KW_OK);
	uint8_t *keys = payload.data + find_field(&payload, 3) + 2; /* tag and length */
	memcpy(keys + 2 + KW_KEY_SIZE + 2, keys + 2, KW_KEY_SIZE);
	assert_int_equal(kw_root_read(kw_buf_view(&payload), got), KW_EFIELD);
	kw_buf_fini(&payload);
	free(got);
}

static void test_each_rule_has_a_name_and_says_what_to_do(void **state)
{
	(void)state;
	for (int i = 0; i < KW_ROLE_RULE_COUNT; i++) {
		assert_string_not_equal(kw_role_rule_name((enum kw_role_rule)i), "unknown");
		assert_true(strlen(kw_role_rule_text((enum kw_role_rule)i)) > 10);
	}
	assert_string_equal(kw_role_rule_name(KW_ROLE_RULE_COUNT), "unknown");
	assert_string_equal(kw_role_name(KW_ROLE_COUNT), "unknown");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_in_order_is_taken_and_again),
		T(test_nothing_is_taken_before_what_it_hangs_on),
		T(test_a_first_root_hangs_on_the_fingerprint),
		T(test_a_new_root_needs_the_old_keys_and_its_own),
		T(test_thresholds_count_keys_not_signatures),
		T(test_no_role_passes_for_another),
		T(test_a_rollback_is_refused_also_after_a_restart),
		T(test_a_directory_does_not_go_back_after_half_an_update),
		T(test_what_has_expired_is_refused_and_age_shows),
		T(test_an_expired_root_and_directory_are_refused),
		T(test_two_of_one_version_are_refused),
		T(test_a_hub_speaks_for_itself_alone),
		T(test_new_keys_recover_from_used_up_versions),
		T(test_a_removed_hub_is_not_followed),
		T(test_each_flipped_bit_is_refused),
		T(test_limits),
		T(test_signatures_up_to_the_limit),
		T(test_the_snapshot_does_not_go_back_under_a_new_timestamp),
		T(test_a_version_that_its_role_above_does_not_name_is_refused),
		T(test_a_directory_goes_away_with_its_hub_alone),
		T(test_hubs_out_of_order_are_not_read),
		T(test_snapshot_entries_out_of_order_are_not_read),
		T(test_keys_that_stand_twice_are_not_read),
		T(test_each_rule_has_a_name_and_says_what_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
