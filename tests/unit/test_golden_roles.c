/* tests/golden/roles: what a reader of a directory is told, message by message, and what it says of each by which rule. Made
 * anew here and compared; tests/decoder goes through the same files. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/envelope.h"
#include "proto/wire/role_client.h"
#include "proto/wire/role_delta.h"
#include "proto/wire/role_frame.h"
#include "tests/kit/golden.h"

#define NOW_MS INT64_C(1780000000000)
#define DAY_MS INT64_C(86400000)

enum { ROOT_A, ROOT_B, ROOT_C, ROOT_D, REGISTRAR, SNAPSHOT, TIMESTAMP, TIMESTAMP_2, LOG, FOREIGN, KEYS };

struct world {
	struct kw_ed25519 keys[KEYS];
	struct kw_digest fingerprint;
	struct kw_root root;
	struct kw_snapshot snapshot;
	struct kw_timestamp timestamp;
	struct kw_directory directory;
	struct kw_directory_entry entries[4];
	struct kw_role_client client;
	struct kw_role_client saved;
	struct kw_directory *taken; /* the directory that was accepted last */
	struct kw_buf kept[3];      /* root, timestamp, snapshot: durable */
	struct kw_buf bytes;        /* what was signed last */
	struct kit_golden text;
	enum kw_role kind; /* of the flips */
	int64_t now_ms;
	int told; /* lines of a file that was made elsewhere */
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

/* --- Signing: the result is in w->bytes. */

static void sign_with(struct world *w, enum kw_role kind, struct kw_view payload, const int *which, int count)
{
	struct kw_role_signed role = {.payload = payload};
	for (int i = 0; i < count; i++)
		assert_int_equal(kw_role_sign(&role, kind, &w->keys[which[i]]), KW_OK);
	kw_buf_clear(&w->bytes);
	assert_int_equal(kw_role_add(&w->bytes, &role), KW_OK);
}

static void sign(struct world *w, enum kw_role kind, struct kw_view payload, int which)
{
	sign_with(w, kind, payload, &which, 1);
}

static void make_root(struct world *w, const int *which, int count)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_root_add(&payload, &w->root), KW_OK);
	sign_with(w, KW_ROLE_ROOT, kw_buf_view(&payload), which, count);
	kw_buf_fini(&payload);
}

/* The snapshot's entry fits it afterwards. */
static void make_directory(struct world *w, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_directory_pack(&w->directory, &payload), KW_OK);
	w->snapshot.directories[0].version = w->directory.version;
	assert_int_equal(kw_role_digest(kw_buf_view(&payload), &w->snapshot.directories[0].digest), KW_OK);
	sign(w, KW_ROLE_REGISTRAR, kw_buf_view(&payload), signer);
	kw_buf_fini(&payload);
}

/* The timestamp fits it afterwards. */
static void make_snapshot(struct world *w, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_snapshot_add(&payload, &w->snapshot), KW_OK);
	w->timestamp.snapshot_version = w->snapshot.version;
	assert_int_equal(kw_role_digest(kw_buf_view(&payload), &w->timestamp.snapshot_digest), KW_OK);
	sign(w, KW_ROLE_SNAPSHOT, kw_buf_view(&payload), signer);
	kw_buf_fini(&payload);
}

static void make_timestamp_as(struct world *w, enum kw_role kind, int signer)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_timestamp_add(&payload, &w->timestamp), KW_OK);
	sign(w, kind, kw_buf_view(&payload), signer);
	kw_buf_fini(&payload);
}

static void make_timestamp(struct world *w, int signer)
{
	make_timestamp_as(w, KW_ROLE_TIMESTAMP, signer);
}

/* --- The reader, and the line that tells what it was given. */

static void keep(struct world *w, int which, struct kw_view bytes)
{
	kw_buf_clear(&w->kept[which]);
	assert_int_equal(kw_buf_add(&w->kept[which], bytes), KW_OK);
}

static enum kw_role_rule take(struct world *w, enum kw_role kind, struct kw_view bytes, const char *hub)
{
	enum kw_role_rule rule = KW_ROLE_RULE_NONE;
	struct kw_directory *directory = NULL;
	struct kw_name whose = name(hub);
	enum kw_err err = KW_EFIELD;
	switch (kind) {
	case KW_ROLE_ROOT:
		err = kw_role_client_root(&w->client, bytes, &rule);
		break;
	case KW_ROLE_TIMESTAMP:
		err = kw_role_client_timestamp(&w->client, bytes, w->now_ms, &rule);
		break;
	case KW_ROLE_SNAPSHOT:
		err = kw_role_client_snapshot(&w->client, bytes, w->now_ms, &rule);
		break;
	case KW_ROLE_REGISTRAR:
		err = kw_role_client_directory(&w->client, &whose, bytes, &directory, &rule);
		break;
	case KW_ROLE_LOG:
	case KW_ROLE_WITNESS:
	case KW_ROLE_COUNT:
		break;
	}
	assert_true((err == KW_OK) == (rule == KW_ROLE_RULE_NONE));
	if (directory != NULL) {
		kw_directory_free(w->taken);
		w->taken = directory;
	}
	return rule;
}

static const char *rule_word(enum kw_role_rule rule)
{
	return rule == KW_ROLE_RULE_NONE ? "ok" : kw_role_rule_name(rule);
}

static const char *kind_word(enum kw_role kind)
{
	return kind == KW_ROLE_REGISTRAR ? "directory" : kw_role_name(kind);
}

static void tell_for(struct world *w, enum kw_role kind, const char *hub, enum kw_role_rule rule)
{
	struct kw_view bytes = kw_buf_view(&w->bytes);
	enum kw_role_rule got = take(w, kind, bytes, hub);
	if (got != rule)
		print_error("%s: %s instead of %s\n", kind_word(kind), rule_word(got), rule_word(rule));
	assert_int_equal(got, rule);
	fprintf(w->text.file, "%s %s %s", kind_word(kind), rule_word(rule), hub);
	kit_golden_hex(&w->text, bytes);
	fputc('\n', w->text.file);
	if (rule == KW_ROLE_RULE_NONE && kind != KW_ROLE_REGISTRAR)
		keep(w, kind == KW_ROLE_ROOT ? 0 : kind == KW_ROLE_TIMESTAMP ? 1 : 2, bytes);
}

/* Gives w->bytes to the reader, who must say this. */
static void tell(struct world *w, enum kw_role kind, enum kw_role_rule rule)
{
	tell_for(w, kind, "hub-a", rule);
}

static const char *flip_verdict(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_role_client *before = malloc(sizeof(*before));
	assert_non_null(before);
	*before = w->client;
	const char *verdict = rule_word(take(w, w->kind, bytes, "hub-a"));
	w->client = *before;
	free(before);
	return verdict;
}

/* w->bytes, not yet taken, with one bit changed everywhere. */
static void flip(struct world *w, enum kw_role kind)
{
	w->kind = kind;
	fprintf(w->text.file, "flips %s", kind_word(kind));
	kit_golden_hex(&w->text, kw_buf_view(&w->bytes));
	fputs(" 1", w->text.file);
	kit_golden_flips(&w->text, kw_buf_view(&w->bytes), 1, flip_verdict, w);
	fputc('\n', w->text.file);
}

static void save(struct world *w)
{
	fputs("save\n", w->text.file);
	w->saved = w->client;
}

static void back(struct world *w)
{
	fputs("back\n", w->text.file);
	w->client = w->saved;
}

/* All is lost but what was durable: nothing may change by it. */
static void restart(struct world *w)
{
	enum kw_role_rule rule;
	struct kw_role_kept kept = {kw_buf_view(&w->kept[0]), kw_buf_view(&w->kept[1]), kw_buf_view(&w->kept[2])};
	struct kw_name hub = name("hub-a");
	fputs("restart\n", w->text.file);
	kw_role_client_init(&w->client, &hub, &w->fingerprint);
	assert_int_equal(kw_role_client_restore(&w->client, &kept, &rule), KW_OK);
}

/* --- The world before anything has gone wrong. */

static void fill_entry(struct kw_directory_entry *entry, const char *agency, uint8_t seed)
{
	*entry = (struct kw_directory_entry){.agency = name(agency), .sealing_keys_count = 1};
	memset(entry->identity_key, seed, sizeof(entry->identity_key));
	memset(entry->tls_key_digest.bytes, seed + 1, sizeof(entry->tls_key_digest.bytes));
	struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
	memset(key->public_key, seed + 2, sizeof(key->public_key));
	key->suites[0] = 1;
	key->suites[1] = 2;
	key->suites_count = 2;
	assert_int_equal(kw_directory_key_id(key->public_key, key->key_id), KW_OK);
}

static void add_hybrid(struct kw_directory_entry *entry)
{
	struct kw_directory_hybrid_key *key = &entry->hybrid_keys[0];
	memset(key->public_key, 0x5a, sizeof(key->public_key));
	key->suites[0] = KW_SUITE_HYBRID;
	key->suites_count = 1;
	entry->hybrid_keys_count = 1;
	assert_int_equal(kw_directory_hybrid_key_id(key->public_key, key->key_id), KW_OK);
}

static const int ROOTS[] = {ROOT_A, ROOT_B, ROOT_C};

static void make_keys(struct world *w)
{
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	for (int i = 0; i < KEYS; i++) {
		uint8_t seed[KW_KEY_SIZE];
		memset(seed, 0x40 + i, sizeof(seed));
		assert_int_equal(kw_ed25519_from_seed(seed, &w->keys[i]), KW_OK);
	}
	struct kw_view parts[] = {KW_VIEW_OF(head), KW_VIEW(w->keys[ROOT_A].public_key, KW_KEY_SIZE)};
	assert_int_equal(kw_sha256(parts, 2, &w->fingerprint), KW_OK);
}

static void make_hubs(struct world *w)
{
	static const char *const names[] = {"hub-a", "hub-b", "hub-c"};
	w->root.hub_count = 3;
	for (int i = 0; i < 3; i++) {
		struct kw_hub_role *hub = &w->root.hubs[i];
		hub->hub = name(names[i]);
		one(&hub->registrar, w, i == 0 ? REGISTRAR : FOREIGN);
		one(&hub->snapshot, w, i == 0 ? SNAPSHOT : FOREIGN);
		one(&hub->timestamp, w, i == 0 ? TIMESTAMP : FOREIGN);
		one(&hub->log, w, LOG);
	}
}

static void begin(struct world *w)
{
	struct kw_name hub = name("hub-a");
	w->now_ms = NOW_MS;
	w->root =
		(struct kw_root){.version = 1, .expires_unix_ms = NOW_MS + 700 * DAY_MS, .tls_root_digest = w->fingerprint};
	give(&w->root.root, w, ROOTS, 3);
	w->root.root.threshold = 2;
	make_hubs(w);
	fill_entry(&w->entries[0], "amal", 0x11);
	fill_entry(&w->entries[1], "najda", 0x22);
	fill_entry(&w->entries[2], "rayan", 0x33);
	add_hybrid(&w->entries[1]);
	w->entries[2].revoked = true;
	w->directory = (struct kw_directory){.hub = hub,
		.version = 5,
		.signed_unix_ms = NOW_MS,
		.expires_unix_ms = NOW_MS + 90 * DAY_MS,
		.entries = w->entries,
		.count = 3};
	w->snapshot = (struct kw_snapshot){.hub = hub, .version = 7, .expires_unix_ms = NOW_MS + 7 * DAY_MS, .count = 2};
	w->snapshot.directories[0].hub = hub;
	w->snapshot.directories[1] = (struct kw_snapshot_entry){.hub = name("hub-b"), .version = 3};
	memset(w->snapshot.directories[1].digest.bytes, 0xb0, KW_DIGEST_SIZE);
	w->timestamp = (struct kw_timestamp){.hub = hub,
		.version = 9,
		.signed_unix_ms = NOW_MS - 1000,
		.expires_unix_ms = NOW_MS + DAY_MS,
		.root_version = 1};
	kw_role_client_init(&w->client, &hub, &w->fingerprint);
	kit_golden_begin(&w->text);
	fprintf(w->text.file, "reader hub-a");
	kit_golden_hex(&w->text, KW_VIEW_OF(w->fingerprint.bytes));
	fprintf(w->text.file, "\nnow %lld\n", (long long)w->now_ms);
	for (int i = 0; i < 3; i++)
		kw_buf_clear(&w->kept[i]);
}

/* Root, timestamp and snapshot of the beginning are taken; the directory is signed and in w->bytes. */
static void begin_with_all(struct world *w)
{
	begin(w);
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	make_snapshot(w, SNAPSHOT);
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	make_snapshot(w, SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
}

/* Snapshot and timestamp one version up, as they now say; the timestamp is taken, the snapshot is in w->bytes. */
static void next_snapshot(struct world *w)
{
	w->snapshot.version++;
	w->timestamp.version++;
	make_snapshot(w, SNAPSHOT);
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	make_snapshot(w, SNAPSHOT);
}

/* A directory with this in its payload changed by hand, signed and listed in the next snapshot, which is taken. */
static void list_changed(struct world *w, size_t at, uint8_t byte)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_directory_pack(&w->directory, &payload), KW_OK);
	assert_true(at < payload.size && payload.data[at] != byte);
	payload.data[at] = byte;
	w->snapshot.directories[0].version = w->directory.version;
	assert_int_equal(kw_role_digest(kw_buf_view(&payload), &w->snapshot.directories[0].digest), KW_OK);
	next_snapshot(w);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	sign(w, KW_ROLE_REGISTRAR, kw_buf_view(&payload), REGISTRAR);
	kw_buf_fini(&payload);
}

static size_t place_of(const struct world *w, struct kw_view what)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 1 << 20);
	assert_int_equal(kw_directory_pack(&w->directory, &payload), KW_OK);
	const uint8_t *found = memmem(payload.data, payload.size, what.data, what.size);
	assert_non_null(found);
	size_t at = (size_t)(found - payload.data);
	kw_buf_fini(&payload);
	return at;
}

/* --- The files. */

static void test_roots(void **state)
{
	static const int without_code[] = {ROOT_B, ROOT_C};
	static const int next[] = {ROOT_B, ROOT_C, ROOT_D};
	static const int only_new[] = {ROOT_C, ROOT_D};
	static const int only_old[] = {ROOT_A, ROOT_D};
	struct world *w = *state;
	begin(w);
	make_directory(w, REGISTRAR);
	make_snapshot(w, SNAPSHOT);
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_ORDER);
	make_root(w, without_code, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_FINGERPRINT);
	make_root(w, ROOTS, 1);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_THRESHOLD);
	w->root.tls_root_digest.bytes[5] ^= 1;
	make_root(w, ROOTS, 3);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_FINGERPRINT);
	w->root.tls_root_digest = w->fingerprint;
	w->root.version = 2;
	make_root(w, ROOTS, 3);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_SKIPPED);
	w->root.version = 1;
	make_root(w, ROOTS, 3); /* one signature more than needed: changed, it counts for nothing */
	flip(w, KW_ROLE_ROOT);
	make_root(w, ROOTS, 2);
	flip(w, KW_ROLE_ROOT);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	w->root.expires_unix_ms++;
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_FORKED);
	w->root.version = 3;
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_SKIPPED);
	w->root.version = 2;
	give(&w->root.root, w, next, 3);
	w->root.root.threshold = 2;
	make_root(w, only_old, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_THRESHOLD);
	make_root(w, only_new, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_THRESHOLD);
	make_root(w, next, 3);
	flip(w, KW_ROLE_ROOT);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	restart(w);
	w->root.version = 1;
	make_root(w, next, 3);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_ROLLBACK);
	kit_golden_end(&w->text, "roles/roots.txt");
}

static void test_timestamps(void **state)
{
	struct world *w = *state;
	begin(w);
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	make_snapshot(w, SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_ORDER);
	make_timestamp(w, SNAPSHOT);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_THRESHOLD);
	make_timestamp_as(w, KW_ROLE_SNAPSHOT, TIMESTAMP); /* the right key under another role's name */
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_THRESHOLD);
	make_timestamp(w, TIMESTAMP);
	flip(w, KW_ROLE_TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	restart(w);
	struct kw_timestamp good = w->timestamp;
#define REFUSED(change, rule) \
	w->timestamp = good; \
	w->timestamp.version++; \
	w->timestamp.change; \
	make_timestamp(w, TIMESTAMP); \
	tell(w, KW_ROLE_TIMESTAMP, rule)
	REFUSED(hub = name("hub-b"), KW_ROLE_RULE_PREFIX);
	REFUSED(version = 8, KW_ROLE_RULE_ROLLBACK);
	REFUSED(snapshot_version = 6, KW_ROLE_RULE_ROLLBACK);
	REFUSED(version = 9; w->timestamp.signed_unix_ms += 1, KW_ROLE_RULE_FORKED);
	REFUSED(snapshot_digest.bytes[0] ^= 1, KW_ROLE_RULE_FORKED);
	REFUSED(root_version = 2, KW_ROLE_RULE_ORDER);
	REFUSED(expires_unix_ms = NOW_MS, KW_ROLE_RULE_FROZEN);
	REFUSED(expires_unix_ms = NOW_MS + 1, KW_ROLE_RULE_NONE);
#undef REFUSED
	w->now_ms = w->root.expires_unix_ms; /* an expired root vouches for no key */
	fprintf(w->text.file, "now %lld\n", (long long)w->now_ms);
	w->timestamp.version++;
	w->timestamp.expires_unix_ms = w->now_ms + DAY_MS;
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_FROZEN);
	kit_golden_end(&w->text, "roles/timestamps.txt");
}

static void test_snapshots(void **state)
{
	struct world *w = *state;
	begin_with_all(w);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_NONE);
	make_snapshot(w, TIMESTAMP);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_THRESHOLD);
	w->snapshot.expires_unix_ms++;
	make_snapshot(w, SNAPSHOT); /* signed, but not the one of the timestamp */
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_MIXED);
	next_snapshot(w);
	flip(w, KW_ROLE_SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	restart(w);
	save(w);
	const struct kw_snapshot good = w->snapshot;
	const struct kw_timestamp good_timestamp = w->timestamp;
#define NEXT(change, rule) \
	w->snapshot = good; \
	w->timestamp = good_timestamp; \
	w->snapshot.change; \
	next_snapshot(w); \
	tell(w, KW_ROLE_SNAPSHOT, rule); \
	back(w)
	NEXT(hub = name("hub-b"), KW_ROLE_RULE_PREFIX);
	NEXT(directories[0].version = 4, KW_ROLE_RULE_ROLLBACK);
	NEXT(directories[1].version = 2, KW_ROLE_RULE_ROLLBACK);
	NEXT(directories[1].digest.bytes[0] ^= 1, KW_ROLE_RULE_FORKED);
	NEXT(count = 1, KW_ROLE_RULE_ROLLBACK);
	NEXT(expires_unix_ms = NOW_MS, KW_ROLE_RULE_FROZEN);
	NEXT(expires_unix_ms = NOW_MS + 1, KW_ROLE_RULE_NONE);
#undef NEXT
	w->snapshot = good;
	w->timestamp = good_timestamp;
	w->timestamp.version++; /* names another version than the snapshot has */
	w->timestamp.snapshot_version++;
	w->snapshot.expires_unix_ms++;
	make_snapshot(w, SNAPSHOT);
	w->timestamp.snapshot_version = good.version + 1;
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	make_snapshot(w, SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_MIXED);
	kit_golden_end(&w->text, "roles/snapshots.txt");
}

/* A directory that is refused although its digest is right: by what is in it. */
static void refuse_listed(struct world *w, enum kw_role_rule rule)
{
	make_directory(w, REGISTRAR);
	next_snapshot(w);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, rule);
}

static void test_directories(void **state)
{
	struct world *w = *state;
	begin_with_all(w);
	flip(w, KW_ROLE_REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_NONE);
	tell_for(w, KW_ROLE_REGISTRAR, "hub-b", KW_ROLE_RULE_THRESHOLD); /* a hub speaks for itself */
	tell_for(w, KW_ROLE_REGISTRAR, "hub-c", KW_ROLE_RULE_ORDER);     /* in the root, not in the snapshot */
	tell_for(w, KW_ROLE_REGISTRAR, "hub-z", KW_ROLE_RULE_HUB);
	make_directory(w, SNAPSHOT);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_THRESHOLD);
	w->directory.signed_unix_ms++;
	make_directory(w, REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_MIXED);
	w->directory.version = 6;
	w->directory.hub = name("hub-b"); /* lists itself as another hub */
	refuse_listed(w, KW_ROLE_RULE_PREFIX);
	w->directory.hub = name("hub-a");
	w->directory.version = 7;
	w->directory.expires_unix_ms = w->timestamp.signed_unix_ms;
	refuse_listed(w, KW_ROLE_RULE_FROZEN);
	w->directory.expires_unix_ms = NOW_MS + 90 * DAY_MS;
	w->directory.version = 8;
	make_directory(w, REGISTRAR);
	w->snapshot.directories[0].version = 9;
	next_snapshot(w);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_MIXED);
	const struct kw_view amal = kw_view_str("amal");
	const struct kw_view key = KW_VIEW_OF(w->entries[0].sealing_keys[0].key_id);
	static const uint8_t suites[] = {0x1a, 0x02, 0x01, 0x02};
	w->directory.version = 10;
	list_changed(w, place_of(w, amal), 'z'); /* not by name */
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_FORM);
	w->directory.version = 11;
	list_changed(w, place_of(w, amal), 'A');
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_FORM);
	w->directory.version = 12;
	list_changed(w, place_of(w, key), (uint8_t)(key.data[0] ^ 1));
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_FORM);
	w->directory.version = 13;
	list_changed(w, place_of(w, KW_VIEW_OF(suites)) + 2, 0);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_FORM);
	w->directory.version = 14;
	refuse_listed(w, KW_ROLE_RULE_NONE);
	kit_golden_end(&w->text, "roles/directories.txt");
}

/* What a delta makes of the directory that was accepted last. */
static const char *judge_delta(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_buf made;
	kw_buf_init(&made, 1 << 20);
	enum kw_err err = kw_role_delta_apply(bytes, w->taken, &made);
	const char *word = err == KW_OK ? rule_word(take(w, KW_ROLE_REGISTRAR, kw_buf_view(&made), "hub-a"))
		: err == KW_EVERSION        ? "bad_version"
									: "form";
	kw_buf_fini(&made);
	return word;
}

static void tell_delta(struct world *w, struct kw_view delta, const char *word)
{
	const char *got = judge_delta(w, delta);
	assert_string_equal(got, word);
	fprintf(w->text.file, "delta %s hub-a", word);
	kit_golden_hex(&w->text, delta);
	fputc('\n', w->text.file);
}

static void test_deltas(void **state)
{
	struct world *w = *state;
	struct kw_role_signed role;
	struct kw_buf delta;
	begin_with_all(w);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_NONE);
	fill_entry(&w->entries[0], "amal", 0x77);    /* changed */
	fill_entry(&w->entries[2], "tadamon", 0x44); /* new, and rayan is gone */
	w->directory.version = 6;
	w->directory.signed_unix_ms++;
	make_directory(w, REGISTRAR);
	next_snapshot(w);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	assert_int_equal(kw_role_parse(kw_buf_view(&w->bytes), &role), KW_OK);
	const struct kw_name names[] = {name("tadamon"), name("rayan"), name("amal")};
	kw_buf_init(&delta, 1 << 20);
	struct kw_role_delta from = {
		.directory = &w->directory, .role = &role, .from_version = 4, .names = names, .count = 3};
	assert_int_equal(kw_role_delta_add(&delta, &from), KW_OK);
	tell_delta(w, kw_buf_view(&delta), "bad_version");
	from.from_version = 5;
	from.count = 2; /* a change is left out */
	kw_buf_clear(&delta);
	assert_int_equal(kw_role_delta_add(&delta, &from), KW_OK);
	tell_delta(w, kw_buf_view(&delta), "threshold");
	from.count = 3;
	kw_buf_clear(&delta);
	assert_int_equal(kw_role_delta_add(&delta, &from), KW_OK);
	fputs("flips delta", w->text.file);
	kit_golden_hex(&w->text, kw_buf_view(&delta));
	fputs(" 1", w->text.file);
	kit_golden_flips(&w->text, kw_buf_view(&delta), 1, judge_delta, w);
	fputc('\n', w->text.file);
	tell_delta(w, kw_buf_view(&delta), "ok");
	assert_int_equal(w->taken->version, 6);
	assert_int_equal(w->taken->count, 3);
	kw_buf_fini(&delta);
	kit_golden_end(&w->text, "roles/deltas.txt");
}

/* New keys for the hub: what the old ones signed is forgotten, so that the new ones can begin with lower numbers. */
static void test_rotation(void **state)
{
	struct world *w = *state;
	begin_with_all(w);
	w->root.version = 2;
	one(&w->root.hubs[1].timestamp, w, TIMESTAMP_2); /* another hub's: nothing is forgotten */
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	w->timestamp.version = 1;
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_ROLLBACK);
	w->root.version = 3;
	one(&w->root.hubs[0].timestamp, w, TIMESTAMP_2);
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	make_directory(w, REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_ORDER);
	make_timestamp(w, TIMESTAMP);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_THRESHOLD);
	make_timestamp(w, TIMESTAMP_2);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	make_snapshot(w, SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_NONE);
	restart(w);
	make_directory(w, REGISTRAR);
	tell(w, KW_ROLE_REGISTRAR, KW_ROLE_RULE_NONE);
	/* Half an update and a restart: the directory does not go back all the same. */
	w->directory.version = 4;
	make_directory(w, REGISTRAR);
	w->timestamp.version++;
	w->snapshot.version++;
	make_snapshot(w, SNAPSHOT);
	make_timestamp(w, TIMESTAMP_2);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_NONE);
	restart(w);
	make_snapshot(w, SNAPSHOT);
	tell(w, KW_ROLE_SNAPSHOT, KW_ROLE_RULE_ROLLBACK);
	/* The root lets go of our hub. */
	w->root.version = 4;
	w->root.hubs[0] = w->root.hubs[1];
	w->root.hubs[1] = w->root.hubs[2];
	w->root.hub_count = 2;
	make_root(w, ROOTS, 2);
	tell(w, KW_ROLE_ROOT, KW_ROLE_RULE_NONE);
	make_timestamp(w, TIMESTAMP_2);
	tell(w, KW_ROLE_TIMESTAMP, KW_ROLE_RULE_HUB);
	kit_golden_end(&w->text, "roles/rotation.txt");
}

/* One frame, and what the inbox says of it: "more", kind and bytes of what is whole, or the error. */
static void tell_part(struct world *w, struct kw_role_inbox *inbox, const struct kw_role_part *part, enum kw_err wanted)
{
	bool whole = false;
	struct kw_frame frame;
	struct kw_role_part got;
	size_t used;
	kw_buf_clear(&w->bytes);
	assert_int_equal(kw_role_part_add(&w->bytes, part), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&w->bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(kw_role_part_parse(frame.body, &got), KW_OK);
	assert_int_equal(kw_role_inbox_take(inbox, &got, &whole), wanted);
	fputs("part ", w->text.file);
	if (whole) {
		fprintf(w->text.file, "%d:", (int)inbox->kind);
		for (size_t i = 0; i < inbox->bytes.size; i++)
			fprintf(w->text.file, "%02x", inbox->bytes.data[i]);
	} else {
		fputs(wanted == KW_OK ? "more" : kw_err_name(wanted), w->text.file);
	}
	kit_golden_hex(&w->text, kw_buf_view(&w->bytes));
	fputc('\n', w->text.file);
}

static void test_parts(void **state)
{
	struct world *w = *state;
	struct kw_role_inbox inbox;
	static const struct {
		uint32_t kind, total, offset;
		const char *bytes;
		enum kw_err wanted;
	} PARTS[] = {
		{1, 3, 0, "abc", KW_OK}, /* whole at once */
		{4, 6, 0, "abc", KW_OK},
		{4, 6, 3, "de", KW_OK},
		{4, 6, 5, "f", KW_OK}, /* whole */
		{4, 6, 0, "abc", KW_OK},
		{4, 6, 2, "cd", KW_EPROTO},  /* repeats */
		{4, 6, 3, "def", KW_EPROTO}, /* what was under way is gone */
		{5, 6, 0, "abc", KW_OK},
		{5, 6, 4, "ef", KW_EPROTO}, /* leaves out */
		{5, 6, 0, "abc", KW_OK},
		{5, 7, 3, "def", KW_EPROTO}, /* another size */
		{2, 6, 0, "abc", KW_OK},
		{3, 6, 3, "def", KW_EPROTO}, /* another kind */
		{2, 6, 0, "abc", KW_OK},
		{2, 6, 0, "ghi", KW_OK}, /* begins anew */
		{2, 6, 3, "jkl", KW_OK},
	};
	kit_golden_begin(&w->text);
	kw_role_inbox_init(&inbox);
	for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++)
		tell_part(w, &inbox,
			&(struct kw_role_part){.kind = (enum kw_role_kind)PARTS[i].kind,
				.offset = PARTS[i].offset,
				.total = PARTS[i].total,
				.bytes = kw_view_str(PARTS[i].bytes)},
			PARTS[i].wanted);
	kw_role_inbox_fini(&inbox);
	kit_golden_end(&w->text, "parts.txt");
}

/* One line of a story that was made elsewhere: the reader says of it what the line says. */
static void replay(void *user, char **words, int count)
{
	static const enum kw_role kinds[] = {KW_ROLE_ROOT, KW_ROLE_TIMESTAMP, KW_ROLE_SNAPSHOT, KW_ROLE_REGISTRAR};
	struct world *w = user;
	struct kw_buf bytes;
	if (strcmp(words[0], "reader") == 0) {
		struct kw_name hub = name(words[1]);
		struct kw_digest root;
		assert_int_equal(kw_unhex(root.bytes, sizeof(root.bytes), words[2]), KW_OK);
		kw_role_client_init(&w->client, &hub, &root);
		return;
	}
	if (strcmp(words[0], "now") == 0) {
		w->now_ms = strtoll(words[1], NULL, 10);
		return;
	}
	assert_int_equal(count, 4);
	kit_golden_bytes(words[3], &bytes);
	const char *got = NULL;
	if (strcmp(words[0], "delta") == 0)
		got = judge_delta(w, kw_buf_view(&bytes));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(words[0], kind_word(kinds[i])) == 0)
			got = rule_word(take(w, kinds[i], kw_buf_view(&bytes), words[2]));
	assert_non_null(got);
	if (strcmp(got, words[1]) != 0)
		print_error("%s of %zu bytes is %s, not %s\n", words[0], bytes.size, got, words[1]);
	assert_string_equal(got, words[1]);
	kw_buf_fini(&bytes);
	w->told++;
}

/* Made by tests/decoder/forge_signed.py: signed by the right keys, and not in the form of the schema. */
static void test_what_is_signed_in_a_wrong_form_is_refused(void **state)
{
	struct world *w = *state;
	kit_golden_each("forged_roles.txt", NULL, replay, w);
	assert_int_equal(w->told, 119);
}

static void replay_part(void *user, char **words, int count)
{
	struct world *w = user;
	struct kw_buf bytes;
	struct kw_frame frame;
	struct kw_role_part part;
	struct kw_role_inbox inbox;
	size_t used;
	bool whole = false;
	assert_int_equal(count, 2);
	kit_golden_bytes(words[1], &bytes);
	kw_role_inbox_init(&inbox);
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	enum kw_err err = kw_role_part_parse(frame.body, &part);
	if (err == KW_OK)
		err = kw_role_inbox_take(&inbox, &part, &whole);
	if (err != KW_OK)
		assert_string_equal(words[0], kw_err_name(err));
	else
		assert_int_equal(strchr(words[0], ':') != NULL, whole);
	kw_role_inbox_fini(&inbox);
	kw_buf_fini(&bytes);
	w->told++;
}

static void test_parts_past_their_limits_are_refused(void **state)
{
	struct world *w = *state;
	kit_golden_each("forged_parts.txt", "part", replay_part, w);
	assert_int_equal(w->told, 17);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	make_keys(w);
	kw_buf_init(&w->bytes, 1 << 20);
	for (int i = 0; i < 3; i++)
		kw_buf_init(&w->kept[i], 1 << 20);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 3; i++)
		kw_buf_fini(&w->kept[i]);
	kw_buf_fini(&w->bytes);
	kw_directory_free(w->taken);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_roots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timestamps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deltas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_signed_in_a_wrong_form_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts_past_their_limits_are_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
