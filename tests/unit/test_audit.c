/* Checkpoints and proofs of an audit log, and one who follows it: what it believes, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/wire/audit.h"
#include "proto/wire/merkle.h"

#define LEAVES 300u
#define NOW_MS INT64_C(1780000000000)

/* A log of a hub, with all its complete nodes kept. */
struct log {
	struct kw_tree tree;
	struct kw_digest nodes[KW_TREE_LEVELS_MAX][LEAVES];
	uint8_t salts[LEAVES][KW_AUDIT_SALT_SIZE];
	struct kw_digest digests[LEAVES];
};

struct world {
	struct kw_ed25519 key;
	struct kw_role_keys keys;
	struct log log;
	struct log other; /* the same hub's, for other eyes */
	struct kw_audit_client client;
};

static enum kw_err put(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct log *log = user;
	log->nodes[level][index] = *hash;
	return KW_OK;
}

static enum kw_err get(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct log *log = user;
	*out = log->nodes[level][index];
	return KW_OK;
}

static void grow(struct log *log, uint32_t to, uint8_t mark)
{
	struct kw_tree_sink sink = {.put = put, .user = log};
	while (log->tree.size < to) {
		uint32_t n = (uint32_t)log->tree.size;
		struct kw_digest leaf;
		kw_put_u32(log->salts[n], n);
		kw_put_u32(log->digests[n].bytes, n);
		log->digests[n].bytes[31] = mark;
		assert_int_equal(kw_audit_leaf(log->salts[n], &log->digests[n], &leaf), KW_OK);
		assert_int_equal(kw_tree_append(&log->tree, &leaf, &sink), KW_OK);
	}
}

static struct kw_checkpoint checkpoint_of(struct log *log, uint64_t size)
{
	struct kw_checkpoint out = {.size = size, .at_unix_ms = NOW_MS + (int64_t)size};
	struct kw_tree_source source = {.get = get, .user = log};
	struct kw_tree tree;
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &out.hub), KW_OK);
	assert_int_equal(kw_tree_load(&source, size, &tree), KW_OK);
	assert_int_equal(kw_tree_root(&tree, &out.root), KW_OK);
	return out;
}

static void sign(const struct kw_ed25519 *key, enum kw_role kind, const struct kw_checkpoint *checkpoint, struct kw_buf *out)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 4096);
	kw_buf_init(out, 4096);
	assert_int_equal(kw_checkpoint_add(&payload, checkpoint), KW_OK);
	struct kw_role_signed role = {.payload = kw_buf_view(&payload)};
	assert_int_equal(kw_role_sign(&role, kind, key), KW_OK);
	assert_int_equal(kw_role_add(out, &role), KW_OK);
	kw_buf_fini(&payload);
}

static void consistency(struct log *log, uint64_t from, uint64_t to, struct kw_buf *out)
{
	struct kw_tree_source source = {.get = get, .user = log};
	struct kw_tree_proof proof;
	assert_int_equal(kw_tree_prove_consistency(&source, from, to, &proof), KW_OK);
	kw_buf_init(out, 4096);
	assert_int_equal(kw_consistency_add(out, &(struct kw_consistency){.size_old = from,
		.path = KW_VIEW(proof.hashes, proof.count * KW_DIGEST_SIZE)}), KW_OK);
}

/* Gives the client the checkpoint at `size` of a log, with its proof from `from` (0: none). */
static enum kw_err take(struct world *w, struct log *log, uint64_t from, uint64_t size, enum kw_audit_rule *rule)
{
	struct kw_checkpoint checkpoint = checkpoint_of(log, size);
	struct kw_buf bytes, proof;
	sign(&w->key, KW_ROLE_LOG, &checkpoint, &bytes);
	kw_buf_init(&proof, 4096);
	if (from > 0)
		consistency(log, from, size, &proof);
	enum kw_err err = kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), kw_buf_view(&proof), rule);
	kw_buf_fini(&bytes);
	kw_buf_fini(&proof);
	return err;
}

static void accepted(struct world *w, struct log *log, uint64_t from, uint64_t size)
{
	enum kw_audit_rule rule;
	assert_int_equal(take(w, log, from, size, &rule), KW_OK);
	assert_int_equal(rule, KW_AUDIT_RULE_NONE);
	assert_int_equal(w->client.last.size, size);
}

static void refused(struct world *w, struct log *log, uint64_t from, uint64_t size, enum kw_audit_rule want)
{
	enum kw_audit_rule rule;
	struct kw_audit_client before = w->client;
	assert_int_not_equal(take(w, log, from, size, &rule), KW_OK);
	assert_int_equal(rule, want);
	assert_memory_equal(&before, &w->client, sizeof(before));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	assert_int_equal(kw_ed25519_generate(&w->key), KW_OK);
	w->keys.threshold = 1;
	assert_int_equal(kw_role_keys_put(&w->keys, w->key.public_key), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &w->client.last.hub), KW_OK);
	grow(&w->log, LEAVES, 0);
	grow(&w->other, 100, 0);
	grow(&w->other, LEAVES, 1);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void test_a_log_that_grows_is_followed(void **state)
{
	struct world *w = *state;
	static const uint64_t sizes[] = {1, 2, 3, 64, 65, 100, 128, 255, LEAVES};
	uint64_t last = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		accepted(w, &w->log, last, sizes[i]);
		accepted(w, &w->log, 0, sizes[i]); /* again */
		last = sizes[i];
	}
}

static void test_a_fork_is_seen(void **state)
{
	struct world *w = *state;
	accepted(w, &w->log, 0, 120);
	refused(w, &w->other, 0, 120, KW_AUDIT_RULE_FORKED);
	refused(w, &w->other, 120, 200, KW_AUDIT_RULE_FORKED);
	accepted(w, &w->log, 120, 200);
}

/* Both logs are the same up to 100: from there on either could be the true one, and then it is fixed. */
static void test_before_it_forks_nobody_can_tell(void **state)
{
	struct world *w = *state;
	accepted(w, &w->log, 0, 100);
	accepted(w, &w->other, 100, 150);
	refused(w, &w->log, 150, 200, KW_AUDIT_RULE_FORKED);
}

static void test_a_shorter_log_is_refused(void **state)
{
	struct world *w = *state;
	accepted(w, &w->log, 0, 120);
	refused(w, &w->log, 0, 119, KW_AUDIT_RULE_ROLLBACK);
}

static void test_growth_without_its_proof_is_refused(void **state)
{
	struct world *w = *state;
	accepted(w, &w->log, 0, 120);
	refused(w, &w->log, 0, 200, KW_AUDIT_RULE_PROOF);
	refused(w, &w->log, 119, 200, KW_AUDIT_RULE_PROOF); /* from somewhere else */
}

static void test_only_the_log_keys_sign(void **state)
{
	struct world *w = *state;
	enum kw_audit_rule rule;
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 10);
	struct kw_ed25519 stranger;
	struct kw_buf bytes;
	assert_int_equal(kw_ed25519_generate(&stranger), KW_OK);
	sign(&stranger, KW_ROLE_LOG, &checkpoint, &bytes);
	assert_int_equal(kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), KW_VIEW(NULL, 0), &rule), KW_EAUTH);
	assert_int_equal(rule, KW_AUDIT_RULE_SIGNATURE);
	kw_buf_fini(&bytes);
	sign(&w->key, KW_ROLE_WITNESS, &checkpoint, &bytes); /* the right key, for something else */
	assert_int_equal(kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), KW_VIEW(NULL, 0), &rule), KW_EAUTH);
	assert_int_equal(rule, KW_AUDIT_RULE_SIGNATURE);
	kw_buf_fini(&bytes);
	assert_int_equal(kw_name_from(kw_view_str("hub-b"), &checkpoint.hub), KW_OK);
	sign(&w->key, KW_ROLE_LOG, &checkpoint, &bytes);
	assert_int_equal(kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), KW_VIEW(NULL, 0), &rule), KW_EAUTH);
	assert_int_equal(rule, KW_AUDIT_RULE_HUB);
	kw_buf_fini(&bytes);
	assert_int_equal(w->client.last.size, 0);
	assert_int_equal(kw_audit_client_take(&w->client, &w->keys, kw_view_str("x"), KW_VIEW(NULL, 0), &rule), KW_EFIELD);
	assert_int_equal(rule, KW_AUDIT_RULE_FORM);
}

static void test_an_envelope_is_in_the_log_or_not(void **state)
{
	struct world *w = *state;
	struct kw_tree_source source = {.get = get, .user = &w->log};
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 257);
	struct kw_tree_proof path;
	struct kw_buf bytes;
	struct kw_inclusion proof;
	for (uint32_t i = 0; i < 257; i++) {
		assert_int_equal(kw_tree_prove_inclusion(&source, i, 257, &path), KW_OK);
		kw_buf_init(&bytes, 4096);
		assert_int_equal(kw_inclusion_add(&bytes, &(struct kw_inclusion){.index = i, .salt = w->log.salts[i],
			.path = KW_VIEW(path.hashes, path.count * KW_DIGEST_SIZE)}), KW_OK);
		assert_int_equal(kw_inclusion_read(kw_buf_view(&bytes), &proof), KW_OK);
		assert_int_equal(kw_audit_verify(&checkpoint, &w->log.digests[i], &proof), KW_OK);
		assert_int_equal(kw_audit_verify(&checkpoint, &w->log.digests[i + 1], &proof), KW_EAUTH);
		proof.index ^= 1;
		assert_int_not_equal(kw_audit_verify(&checkpoint, &w->log.digests[i], &proof), KW_OK);
		proof.index ^= 1;
		proof.salt = w->log.salts[i + 1]; /* without its salt a leaf proves nothing */
		assert_int_equal(kw_audit_verify(&checkpoint, &w->log.digests[i], &proof), KW_EAUTH);
		kw_buf_fini(&bytes);
	}
}

static void test_each_flipped_bit_of_a_checkpoint_is_refused(void **state)
{
	struct world *w = *state;
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 10);
	struct kw_buf bytes;
	enum kw_audit_rule rule;
	sign(&w->key, KW_ROLE_LOG, &checkpoint, &bytes);
	for (size_t i = 0; i < bytes.size * 8; i++) {
		bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_not_equal(kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), KW_VIEW(NULL, 0), &rule), KW_OK);
		bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	assert_int_equal(kw_audit_client_take(&w->client, &w->keys, kw_buf_view(&bytes), KW_VIEW(NULL, 0), &rule), KW_OK);
	kw_buf_fini(&bytes);
}

static void test_forms_and_limits(void **state)
{
	struct world *w = *state;
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 10);
	struct kw_checkpoint got;
	struct kw_buf bytes;
	struct kw_inclusion proof;
	static uint8_t path[KW_AUDIT_PATH_SIZE_MAX + KW_DIGEST_SIZE];
	kw_buf_init(&bytes, 8192);
	checkpoint.size = KW_TREE_SIZE_MAX;
	assert_int_equal(kw_checkpoint_add(&bytes, &checkpoint), KW_OK);
	assert_int_equal(kw_checkpoint_read(kw_buf_view(&bytes), &got), KW_OK);
	assert_memory_equal(&got, &checkpoint, sizeof(got));
	kw_buf_clear(&bytes);
	checkpoint.size = KW_TREE_SIZE_MAX + 1;
	assert_int_equal(kw_checkpoint_add(&bytes, &checkpoint), KW_EFIELD);
	checkpoint.size = 0;
	assert_int_equal(kw_checkpoint_add(&bytes, &checkpoint), KW_EFIELD);
	struct kw_inclusion longest = {.salt = w->log.salts[0], .path = KW_VIEW(path, KW_AUDIT_PATH_SIZE_MAX)};
	assert_int_equal(kw_inclusion_add(&bytes, &longest), KW_OK);
	assert_int_equal(kw_inclusion_read(kw_buf_view(&bytes), &proof), KW_OK);
	assert_int_equal(proof.path.size, KW_AUDIT_PATH_SIZE_MAX);
	kw_buf_clear(&bytes);
	longest.path.size += KW_DIGEST_SIZE;
	assert_int_equal(kw_inclusion_add(&bytes, &longest), KW_EFIELD);
	longest.path.size = KW_DIGEST_SIZE + 1;
	assert_int_equal(kw_inclusion_add(&bytes, &longest), KW_EFIELD);
	assert_int_equal(kw_consistency_add(&bytes, &(struct kw_consistency){.size_old = 0}), KW_EFIELD);
	kw_buf_fini(&bytes);
}

static void test_a_witness_says_what_it_has_seen(void **state)
{
	struct world *w = *state;
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 10);
	struct kw_checkpoint seen;
	struct kw_witness got;
	struct kw_buf payload, bytes;
	kw_buf_init(&payload, 4096);
	kw_buf_init(&bytes, 4096);
	assert_int_equal(kw_checkpoint_add(&payload, &checkpoint), KW_OK);
	struct kw_witness statement = {.at_unix_ms = NOW_MS, .checkpoint = kw_buf_view(&payload)};
	assert_int_equal(kw_witness_add(&bytes, &statement), KW_EFIELD);
	assert_int_equal(kw_name_from(kw_view_str("hub-b"), &statement.witness), KW_OK);
	assert_int_equal(kw_witness_add(&bytes, &statement), KW_OK);
	assert_int_equal(kw_witness_read(kw_buf_view(&bytes), &got), KW_OK);
	assert_string_equal(got.witness.text, "hub-b");
	assert_int_equal(got.at_unix_ms, NOW_MS);
	assert_int_equal(kw_checkpoint_read(got.checkpoint, &seen), KW_OK);
	assert_memory_equal(&seen, &checkpoint, sizeof(seen));
	kw_buf_fini(&payload);
	kw_buf_fini(&bytes);
}

static void test_each_rule_has_a_name_and_says_what_to_do(void **state)
{
	(void)state;
	for (int i = 0; i < KW_AUDIT_RULE_COUNT; i++) {
		assert_string_not_equal(kw_audit_rule_name((enum kw_audit_rule)i), "unknown");
		assert_true(strlen(kw_audit_rule_text((enum kw_audit_rule)i)) > 10);
	}
	assert_string_equal(kw_audit_rule_name(KW_AUDIT_RULE_COUNT), "unknown");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_log_that_grows_is_followed),
		T(test_a_fork_is_seen),
		T(test_before_it_forks_nobody_can_tell),
		T(test_a_shorter_log_is_refused),
		T(test_growth_without_its_proof_is_refused),
		T(test_only_the_log_keys_sign),
		T(test_an_envelope_is_in_the_log_or_not),
		T(test_each_flipped_bit_of_a_checkpoint_is_refused),
		T(test_forms_and_limits),
		T(test_a_witness_says_what_it_has_seen),
		T(test_each_rule_has_a_name_and_says_what_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
