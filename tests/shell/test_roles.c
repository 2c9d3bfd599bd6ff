/* A hub's folder of signed roles: signing, what a stop in between leaves, rotation, and a folder of an older version. In each
 * case a client that has followed from the beginning says whether an agent would take it. */
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

#include "proto/link/file.h"
#include "proto/link/roles.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/role_delta.h"
#include "proto/wire/spki.h"
#include "tests/kit/site.h"

struct world {
	struct kit_site site;
	struct kw_digest fingerprint;
	struct kw_roles *roles;
	struct kw_role_client *client; /* an agent's */
	struct kw_directory *directory; /* that it has */
	int64_t now;
};

static void load(struct world *w)
{
	const char *file;
	kw_roles_free(w->roles);
	w->roles = NULL;
	assert_int_equal(kw_roles_load(w->site.dir, &w->site.hub, &w->fingerprint, &w->roles, &file), KW_OK);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	kit_site_init(&w->site, 3);
	w->now = (int64_t)time(NULL) * 1000 + 1000;
	assert_int_equal(kw_spki_digest(w->site.root.certificate, &w->fingerprint), KW_OK);
	w->client = calloc(1, sizeof(*w->client));
	kw_role_client_init(w->client, &w->site.hub, &w->fingerprint);
	load(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	kw_roles_free(w->roles);
	kw_directory_free(w->directory);
	free(w->client);
	kit_site_fini(&w->site);
	free(w);
	return 0;
}

/* What an agent does with what the hub has now. */
static enum kw_err follow(struct world *w, enum kw_role_rule *rule)
{
	struct kw_directory *next = NULL;
	enum kw_err err = KW_OK;
	for (uint64_t i = w->client->root.version; err == KW_OK && i < w->roles->roots_count; i++)
		err = kw_role_client_root(w->client, kw_buf_view(&w->roles->roots[i]), rule);
	if (err == KW_OK)
		err = kw_role_client_timestamp(w->client, kw_buf_view(&w->roles->signed_timestamp), w->now, rule);
	if (err == KW_OK)
		err = kw_role_client_snapshot(w->client, kw_buf_view(&w->roles->signed_snapshot), w->now, rule);
	if (err == KW_OK)
		err = kw_role_client_directory(w->client, &w->site.hub, kw_buf_view(&w->roles->signed_directory), &next, rule);
	if (err == KW_OK) {
		kw_directory_free(w->directory);
		w->directory = next;
	}
	return err;
}

static void follows(struct world *w)
{
	enum kw_role_rule rule = KW_ROLE_RULE_NONE;
	assert_int_equal(follow(w, &rule), KW_OK);
	assert_int_equal(w->directory->version, w->roles->directory->version);
}

/* One more agency, as enrolment does. */
static enum kw_err extend(struct world *w, const char *name)
{
	struct kw_directory next = *w->roles->directory;
	next.entries = calloc(next.count + 1, sizeof(*next.entries));
	memcpy(next.entries, w->roles->directory->entries, next.count * sizeof(*next.entries));
	next.entries[next.count] = next.entries[0];
	assert_int_equal(kw_name_from(kw_view_str(name), &next.entries[next.count].agency), KW_OK);
	next.count++;
	enum kw_err err = kw_roles_publish(w->roles, &next, w->now);
	free(next.entries);
	return err;
}

static void copy(const struct world *w, const char *from, const char *to)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_file_read(kit_site_path(&w->site, from), KW_FILE_PUBLIC, &bytes), KW_OK);
	assert_int_equal(kw_file_write_atomic(kit_site_path(&w->site, to), kw_buf_view(&bytes), 0644), KW_OK);
	kw_buf_fini(&bytes);
}

static void test_a_timestamp_each_hour_and_the_rest_when_it_is_time(void **state)
{
	struct world *w = *state;
	follows(w);
	uint64_t first = w->roles->timestamp_version;
	for (int hour = 0; hour < 24 * 200; hour += 20) {
		w->now += 20 * KW_ROLES_HOUR_MS;
		assert_int_equal(kw_roles_publish(w->roles, NULL, w->now), KW_OK);
		follows(w); /* nothing expires in between */
	}
	assert_int_equal(w->roles->timestamp_version, first + 240);
	assert_true(w->roles->directory->version > 3 && w->roles->directory->version < 7); /* each 45 days */
	assert_true(w->roles->snapshot_version > 40 && w->roles->snapshot_version < 70);   /* each 3.5 days */
	assert_true(w->roles->fits);
}

static void test_what_changed_is_known_and_makes_the_new_directory(void **state)
{
	struct world *w = *state;
	struct kw_role_signed role;
	struct kw_name *names = NULL;
	size_t count;
	struct kw_buf delta;
	struct kw_buf whole;
	kw_buf_init(&delta, KW_ROLE_SIZE_MAX);
	kw_buf_init(&whole, KW_ROLE_SIZE_MAX);
	follows(w);
	assert_int_equal(extend(w, "zeta"), KW_OK);
	assert_int_equal(extend(w, "alpha"), KW_OK);
	load(w); /* it is on disk */
	assert_int_equal(kw_roles_changes(w->roles, 1, &names, &count), KW_OK);
	assert_int_equal(count, 2);
	assert_int_equal(kw_role_parse(kw_buf_view(&w->roles->signed_directory), &role), KW_OK);
	const struct kw_role_delta what = {
		.directory = w->roles->directory, .role = &role, .from_version = 1, .names = names, .count = count};
	assert_int_equal(kw_role_delta_add(&delta, &what), KW_OK);
	assert_int_equal(kw_role_delta_apply(kw_buf_view(&delta), w->directory, &whole), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&whole), kw_buf_view(&w->roles->signed_directory)));
	free(names);
	/* Without the list, and before it begins: the whole. */
	assert_int_equal(unlink(kit_site_path(&w->site, "changes.txt")), 0);
	load(w);
	assert_int_equal(kw_roles_changes(w->roles, 1, &names, &count), KW_ENOTFOUND);
	assert_int_equal(kw_roles_changes(w->roles, 3, &names, &count), KW_OK);
	assert_int_equal(count, 0);
	free(names);
	assert_int_equal(kw_roles_changes(w->roles, 4, &names, &count), KW_ENOTFOUND); /* ahead of us */
	kw_buf_fini(&delta);
	kw_buf_fini(&whole);
}

/* A stop after the first file, and after the second. */
static void test_a_stop_between_the_files_is_mended(void **state)
{
	struct world *w = *state;
	for (int files = 1; files <= 2; files++) {
		follows(w);
		copy(w, "timestamp.bin", "timestamp.old");
		copy(w, "snapshot.bin", "snapshot.old");
		assert_int_equal(extend(w, files == 1 ? "one" : "two"), KW_OK);
		copy(w, "timestamp.old", "timestamp.bin");
		if (files == 1)
			copy(w, "snapshot.old", "snapshot.bin");
		assert_true(kw_roles_is_old(w->roles));
		load(w);
		assert_false(w->roles->fits);
		assert_int_equal(kw_roles_publish(w->roles, NULL, ++w->now), KW_OK);
		assert_true(w->roles->fits);
		follows(w);
		assert_int_equal(w->directory->count, 3 + (size_t)files);
	}
}

static void test_a_foreign_key_signs_nothing(void **state)
{
	struct world *w = *state;
	EVP_PKEY *key;
	uint64_t version = w->roles->timestamp_version;
	assert_int_equal(kw_pki_key_new(&key), KW_OK);
	assert_int_equal(kw_pki_key_save(kit_site_path(&w->site, "registrar.key"), key), KW_OK);
	EVP_PKEY_free(key);
	assert_int_equal(extend(w, "one"), KW_EAUTH);
	load(w);
	assert_int_equal(w->roles->timestamp_version, version);
	follows(w);
	assert_int_equal(unlink(kit_site_path(&w->site, "registrar.key")), 0);
	assert_int_equal(kw_roles_publish(w->roles, NULL, w->now), KW_EAUTH);
}

static void rotate(struct world *w, enum kw_roles_which which, uint8_t keys, uint8_t threshold)
{
	char folder[300];
	(void)snprintf(folder, sizeof(folder), "%s", kit_site_path(&w->site, KW_ROLES_ROOT_FOLDER));
	struct kw_roles_rotation rotation = {.which = which, .root_keys = folder, .new_keys = keys, .new_threshold = threshold,
		.now_unix_ms = ++w->now, .dry_run = true};
	uint32_t roots = w->roles->roots_count;
	assert_int_equal(kw_roles_rotate(w->roles, &rotation), KW_OK);
	load(w);
	assert_int_equal(w->roles->roots_count, roots); /* a dry run writes nothing */
	rotation.dry_run = false;
	assert_int_equal(kw_roles_rotate(w->roles, &rotation), KW_OK);
	assert_int_equal(w->roles->roots_count, roots + 1);
	assert_true(w->roles->fits);
}

static void test_every_key_can_be_replaced_and_agents_follow(void **state)
{
	struct world *w = *state;
	struct kw_hub_role before = w->roles->client->root.hubs[0];
	follows(w);
	for (int which = 0; which < KW_ROLES_WHICH_COUNT; which++) {
		rotate(w, (enum kw_roles_which)which, 3, 2);
		follows(w);
	}
	const struct kw_hub_role *after = &w->client->root.hubs[0];
	assert_memory_not_equal(&before.registrar, &after->registrar, sizeof(before.registrar));
	assert_memory_not_equal(&before.snapshot, &after->snapshot, sizeof(before.snapshot));
	assert_memory_not_equal(&before.timestamp, &after->timestamp, sizeof(before.timestamp));
	assert_memory_not_equal(&before.log, &after->log, sizeof(before.log));
	assert_int_equal(w->client->root.root.count, 3);
	assert_int_equal(w->client->root.root.threshold, 2);
	/* Who comes new begins at the fingerprint and gets there too; also with the new root keys. */
	kw_role_client_init(w->client, &w->site.hub, &w->fingerprint);
	follows(w);
	rotate(w, KW_ROLES_TIMESTAMP, 1, 1);
	follows(w);
	assert_int_equal(extend(w, "later"), KW_OK);
	follows(w);
}

static void test_too_few_root_keys_replace_nothing(void **state)
{
	struct world *w = *state;
	char folder[300];
	(void)snprintf(folder, sizeof(folder), "%s", kit_site_path(&w->site, "few"));
	assert_int_equal(mkdir(folder, 0700), 0);
	struct kw_roles_rotation rotation = {
		.which = KW_ROLES_REGISTRAR, .root_keys = folder, .new_keys = 1, .new_threshold = 1, .now_unix_ms = w->now};
	assert_int_equal(kw_roles_rotate(w->roles, &rotation), KW_EAUTH);
	assert_int_equal(rotation.found, 0);
	/* The same key in two files is one key. */
	EVP_PKEY *key;
	assert_int_equal(kw_pki_key_load(kit_site_path(&w->site, KW_ROLES_ROOT_FOLDER "/2.key"), &key), KW_OK);
	assert_int_equal(kw_pki_key_save(kit_site_path(&w->site, "few/a.key"), key), KW_OK);
	assert_int_equal(kw_pki_key_save(kit_site_path(&w->site, "few/b.key"), key), KW_OK);
	EVP_PKEY_free(key);
	assert_int_equal(kw_roles_rotate(w->roles, &rotation), KW_EAUTH);
	assert_int_equal(rotation.found, 1);
	w->roles->client->root.version = KW_ROLE_ROOTS_MAX;
	assert_int_equal(kw_roles_rotate(w->roles, &rotation), KW_EFULL);
	load(w);
	assert_int_equal(w->roles->roots_count, 1);
	follows(w);
}

/* The root with the new key is there, and the key not at its place yet. */
static void test_a_rotation_that_was_cut_short_goes_on(void **state)
{
	struct world *w = *state;
	follows(w);
	copy(w, "directory.bin", "directory.old");
	rotate(w, KW_ROLES_REGISTRAR, 1, 1);
	copy(w, "directory.old", "directory.bin");
	char fresh[300];
	(void)snprintf(fresh, sizeof(fresh), "%s", kit_site_path(&w->site, "registrar.key.new"));
	assert_int_equal(rename(kit_site_path(&w->site, "registrar.key"), fresh), 0);
	load(w);
	assert_false(w->roles->fits);
	assert_int_equal(kw_roles_publish(w->roles, NULL, ++w->now), KW_OK);
	assert_int_not_equal(access(fresh, F_OK), 0);
	follows(w);
}

static void test_one_signs_at_a_time(void **state)
{
	struct world *w = *state;
	int first;
	int second;
	assert_int_equal(kw_roles_lock(w->site.dir, 0, &first), KW_OK);
	assert_int_equal(kw_roles_lock(w->site.dir, 30, &second), KW_EBUSY);
	kw_roles_unlock(first);
	assert_int_equal(kw_roles_lock(w->site.dir, 0, &second), KW_OK);
	kw_roles_unlock(second);
}

/* As the version before wrote it: the issuing authority's one signature. */
static void write_old_form(const struct world *w, EVP_PKEY *signer)
{
	struct kw_buf payload;
	struct kw_buf message;
	struct kw_buf bytes;
	uint8_t signature[KW_SIGNATURE_SIZE];
	size_t size = sizeof(signature);
	kw_buf_init(&payload, 65536);
	kw_buf_init(&message, 65536);
	kw_buf_init(&bytes, 65536);
	assert_int_equal(kw_directory_pack(w->roles->directory, &payload), KW_OK);
	payload.size -= 7; /* its end, the last field, did not exist: a tag and six bytes, as of all times of this century */
	assert_int_equal(payload.data[payload.size], 0x28);
	assert_int_equal(kw_buf_add(&message, kw_view_str("kw1 directory")), KW_OK);
	assert_int_equal(kw_buf_add(&message, kw_buf_view(&payload)), KW_OK);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, signer), 1);
	assert_int_equal(EVP_DigestSign(context, signature, &size, message.data, message.size), 1);
	EVP_MD_CTX_free(context);
	assert_int_equal(kw_pb_add_bytes(&bytes, 1, kw_buf_view(&payload)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&bytes, 2, kw_view_str("certificate")), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&bytes, 3, KW_VIEW_OF(signature)), KW_OK);
	assert_int_equal(kw_file_write_atomic(kit_site_path(&w->site, "directory.bin"), kw_buf_view(&bytes), 0644), KW_OK);
	(void)unlink(kit_site_path(&w->site, "roots/1.bin"));
	(void)unlink(kit_site_path(&w->site, "timestamp.bin"));
	(void)unlink(kit_site_path(&w->site, "snapshot.bin"));
	kw_buf_fini(&payload);
	kw_buf_fini(&message);
	kw_buf_fini(&bytes);
}

static void test_a_folder_of_an_older_version_keeps_its_agencies(void **state)
{
	struct world *w = *state;
	uint8_t issuer[KW_KEY_SIZE];
	size_t size = sizeof(issuer);
	const char *file;
	struct kw_roles *none = NULL;
	const struct kw_roles_plan plan = {.folder = w->site.dir, .hub = w->site.hub, .root_key = w->site.root.key, .root_keys = 1,
		.root_threshold = 1, .now_unix_ms = w->now};
	assert_int_equal(EVP_PKEY_get_raw_public_key(w->site.issuing.key, issuer, &size), 1);
	assert_int_equal(kw_roles_upgrade(&plan, issuer), KW_EEXIST);
	write_old_form(w, w->site.root.key); /* not signed by the issuing authority */
	assert_int_equal(kw_roles_upgrade(&plan, issuer), KW_EAUTH);
	write_old_form(w, w->site.issuing.key);
	assert_int_equal(kw_roles_load(w->site.dir, &w->site.hub, &w->fingerprint, &none, &file), KW_ENOTFOUND);
	assert_string_equal(file, "roots/1.bin");
	assert_int_equal(kw_roles_upgrade(&plan, issuer), KW_OK);
	load(w);
	follows(w);
	assert_int_equal(w->directory->count, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_timestamp_each_hour_and_the_rest_when_it_is_time),
		CASE(test_what_changed_is_known_and_makes_the_new_directory),
		CASE(test_a_stop_between_the_files_is_mended),
		CASE(test_a_foreign_key_signs_nothing),
		CASE(test_every_key_can_be_replaced_and_agents_follow),
		CASE(test_too_few_root_keys_replace_nothing),
		CASE(test_a_rotation_that_was_cut_short_goes_on),
		CASE(test_one_signs_at_a_time),
		CASE(test_a_folder_of_an_older_version_keeps_its_agencies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
