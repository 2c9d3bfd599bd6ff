/* tests/golden/audit.txt: a log of a hub with its leaves, roots, checkpoints and proofs, and what one who follows it says of
 * each by which rule; made anew and compared. tests/decoder goes through the same file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/audit.h"
#include "tests/kit/golden.h"

#define LEAVES 40u
#define NOW_MS INT64_C(1780000000000)
#define FILE_NAME "audit.txt"

struct log {
	struct kw_tree tree;
	struct kw_digest nodes[KW_TREE_LEVELS_MAX][LEAVES];
	struct kw_digest leaves[LEAVES];
	uint8_t salts[LEAVES][KW_AUDIT_SALT_SIZE];
	struct kw_digest digests[LEAVES];
};

struct world {
	struct kw_ed25519 keys[4]; /* three of the log, one of somebody else */
	struct kw_role_keys role;
	struct log log;
	struct log other; /* the same hub's, for other eyes, from leaf 5 on */
	struct kw_audit_client client;
	struct kit_golden text;
	struct kw_buf signed_role;
	struct kw_buf proof;
	struct kw_digest digest; /* of the inclusion that is flipped */
	int told;                /* lines of a file that was made elsewhere */
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

/* Leaf i has a salt of bytes i and a T of bytes 0x80 + i, as in PROTOCOL.md; from `fork` on it is another one. */
static void grow(struct log *log, uint32_t fork)
{
	struct kw_tree_sink sink = {.put = put, .user = log};
	for (uint32_t n = 0; n < LEAVES; n++) {
		memset(log->salts[n], (int)n, KW_AUDIT_SALT_SIZE);
		memset(log->digests[n].bytes, (int)(0x80 + n), KW_DIGEST_SIZE);
		if (n >= fork)
			log->digests[n].bytes[0] ^= 0xff;
		assert_int_equal(kw_audit_leaf(log->salts[n], &log->digests[n], &log->leaves[n]), KW_OK);
		assert_int_equal(kw_tree_append(&log->tree, &log->leaves[n], &sink), KW_OK);
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

/* By the keys first..last, into w->signed_role. */
static void sign_payload(struct world *w, enum kw_role kind, struct kw_view payload, int first, int last)
{
	struct kw_role_signed role = {.payload = payload};
	for (int i = first; i <= last; i++)
		assert_int_equal(kw_role_sign(&role, kind, &w->keys[i]), KW_OK);
	kw_buf_clear(&w->signed_role);
	assert_int_equal(kw_role_add(&w->signed_role, &role), KW_OK);
}

static void sign(struct world *w, enum kw_role kind, const struct kw_checkpoint *checkpoint, int first, int last)
{
	struct kw_buf payload;
	kw_buf_init(&payload, 4096);
	assert_int_equal(kw_checkpoint_add(&payload, checkpoint), KW_OK);
	sign_payload(w, kind, kw_buf_view(&payload), first, last);
	kw_buf_fini(&payload);
}

/* From 0: none. */
static void prove_growth(struct world *w, struct log *log, uint64_t from, uint64_t to)
{
	struct kw_tree_source source = {.get = get, .user = log};
	struct kw_tree_proof proof;
	kw_buf_clear(&w->proof);
	if (from == 0)
		return;
	assert_int_equal(kw_tree_prove_consistency(&source, from, to, &proof), KW_OK);
	const struct kw_consistency made = {.size_old = from, .path = KW_VIEW(proof.hashes, proof.count * KW_DIGEST_SIZE)};
	assert_int_equal(kw_consistency_add(&w->proof, &made), KW_OK);
}

static const char *word_of(enum kw_audit_rule rule)
{
	return rule == KW_AUDIT_RULE_NONE ? "ok" : kw_audit_rule_name(rule);
}

static const char *take(struct world *w, struct kw_view signed_role, struct kw_view proof)
{
	enum kw_audit_rule rule;
	enum kw_err err = kw_audit_client_take(&w->client, &w->role, signed_role, proof, &rule);
	assert_true((err == KW_OK) == (rule == KW_AUDIT_RULE_NONE));
	return word_of(rule);
}

static void tell(struct world *w, enum kw_audit_rule rule)
{
	const char *got = take(w, kw_buf_view(&w->signed_role), kw_buf_view(&w->proof));
	if (strcmp(got, word_of(rule)) != 0)
		print_error("%s instead of %s\n", got, word_of(rule));
	assert_string_equal(got, word_of(rule));
	fprintf(w->text.file, "checkpoint %s", got);
	kit_golden_hex(&w->text, kw_buf_view(&w->signed_role));
	kit_golden_hex(&w->text, kw_buf_view(&w->proof));
	fputc('\n', w->text.file);
}

/* The checkpoint at `size` of a log with its proof from `from`. */
static void tell_size(struct world *w, struct log *log, uint64_t from, uint64_t size, enum kw_audit_rule rule)
{
	struct kw_checkpoint checkpoint = checkpoint_of(log, size);
	sign(w, KW_ROLE_LOG, &checkpoint, 0, 1);
	prove_growth(w, log, from, size);
	tell(w, rule);
}

static const char *flip_checkpoint(void *user, struct kw_view bytes)
{
	struct world *w = user;
	const struct kw_audit_client before = w->client;
	const char *word = take(w, bytes, kw_buf_view(&w->proof));
	w->client = before;
	return word;
}

static const char *flip_growth(void *user, struct kw_view bytes)
{
	struct world *w = user;
	const struct kw_audit_client before = w->client;
	const char *word = take(w, kw_buf_view(&w->signed_role), bytes);
	w->client = before;
	return word;
}

/* Of the inclusion proof against the checkpoint that was believed last. */
static const char *flip_inclusion(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_inclusion proof;
	enum kw_err err = kw_inclusion_read(bytes, &proof);
	if (err == KW_OK)
		err = kw_audit_verify(&w->client.last, &w->digest, &proof);
	return err == KW_OK ? "ok" : "held";
}

static void flips(struct world *w, const char *word, struct kw_view bytes, kit_golden_verdict *verdict)
{
	fprintf(w->text.file, "flips %s", word);
	kit_golden_hex(&w->text, bytes);
	fputs(" 1", w->text.file);
	kit_golden_flips(&w->text, bytes, 1, verdict, w);
	fputc('\n', w->text.file);
}

/* Leaf `index` in the log as the client believes it. */
static void tell_inclusion(struct world *w, uint64_t index, bool flip)
{
	struct kw_tree_source source = {.get = get, .user = &w->log};
	struct kw_tree_proof path;
	assert_int_equal(kw_tree_prove_inclusion(&source, index, w->client.last.size, &path), KW_OK);
	const struct kw_inclusion made = {
		.index = index, .salt = w->log.salts[index], .path = KW_VIEW(path.hashes, path.count * KW_DIGEST_SIZE)};
	kw_buf_clear(&w->proof);
	assert_int_equal(kw_inclusion_add(&w->proof, &made), KW_OK);
	w->digest = w->log.digests[index];
	assert_string_equal(flip_inclusion(w, kw_buf_view(&w->proof)), "ok");
	fputs("inclusion ok", w->text.file);
	kit_golden_hex(&w->text, KW_VIEW_OF(w->digest.bytes));
	kit_golden_hex(&w->text, kw_buf_view(&w->proof));
	fputc('\n', w->text.file);
	if (flip)
		flips(w, "inclusion", kw_buf_view(&w->proof), flip_inclusion);
	w->digest.bytes[31] ^= 1; /* of another envelope */
	assert_string_equal(flip_inclusion(w, kw_buf_view(&w->proof)), "held");
	fputs("inclusion held", w->text.file);
	kit_golden_hex(&w->text, KW_VIEW_OF(w->digest.bytes));
	kit_golden_hex(&w->text, kw_buf_view(&w->proof));
	fputc('\n', w->text.file);
}

static void write_log(struct world *w)
{
	fputs("reader hub-a 2", w->text.file);
	for (int i = 0; i < 3; i++)
		kit_golden_hex(&w->text, KW_VIEW_OF(w->role.keys[i]));
	fputc('\n', w->text.file);
	for (uint32_t i = 0; i < LEAVES; i++) {
		fputs("leaf", w->text.file);
		kit_golden_hex(&w->text, KW_VIEW_OF(w->log.salts[i]));
		kit_golden_hex(&w->text, KW_VIEW_OF(w->log.digests[i].bytes));
		kit_golden_hex(&w->text, KW_VIEW_OF(w->log.leaves[i].bytes));
		struct kw_checkpoint checkpoint = checkpoint_of(&w->log, i + 1);
		kit_golden_hex(&w->text, KW_VIEW_OF(checkpoint.root.bytes));
		fputc('\n', w->text.file);
	}
}

static void tell_growth(struct world *w)
{
	static const uint64_t SIZES[] = {2, 3, 4, 7, 8, 9, 16, 23, 32, 33, 39};
	uint64_t before = 1;
	tell_size(w, &w->log, 0, 1, KW_AUDIT_RULE_NONE);
	tell_inclusion(w, 0, true);
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
		struct kw_checkpoint checkpoint = checkpoint_of(&w->log, SIZES[i]);
		sign(w, KW_ROLE_LOG, &checkpoint, 0, 1);
		prove_growth(w, &w->log, before, SIZES[i]);
		if (SIZES[i] == 9 || SIZES[i] == 23) {
			flips(w, "checkpoint", kw_buf_view(&w->signed_role), flip_checkpoint);
			flips(w, "consistency", kw_buf_view(&w->proof), flip_growth);
		}
		tell(w, KW_AUDIT_RULE_NONE);
		tell_inclusion(w, SIZES[i] / 2, SIZES[i] == 23);
		tell_inclusion(w, SIZES[i] - 1, false);
		before = SIZES[i];
	}
}

/* After 39 leaves. */
static void tell_bad(struct world *w)
{
	struct kw_checkpoint next = checkpoint_of(&w->log, 40);
	tell_size(w, &w->log, 0, 39, KW_AUDIT_RULE_NONE); /* the same again */
	tell_size(w, &w->log, 0, 23, KW_AUDIT_RULE_ROLLBACK);
	tell_size(w, &w->other, 0, 39, KW_AUDIT_RULE_FORKED);
	tell_size(w, &w->other, 39, 40, KW_AUDIT_RULE_FORKED);
	tell_size(w, &w->log, 0, 40, KW_AUDIT_RULE_PROOF);
	tell_size(w, &w->log, 23, 40, KW_AUDIT_RULE_PROOF);
	prove_growth(w, &w->log, 39, 40);
	sign(w, KW_ROLE_LOG, &next, 0, 0);
	tell(w, KW_AUDIT_RULE_SIGNATURE);
	sign(w, KW_ROLE_LOG, &next, 2, 3); /* one of the log's keys and a stranger's */
	tell(w, KW_AUDIT_RULE_SIGNATURE);
	sign(w, KW_ROLE_WITNESS, &next, 0, 1);
	tell(w, KW_AUDIT_RULE_SIGNATURE);
	assert_int_equal(kw_name_from(kw_view_str("hub-b"), &next.hub), KW_OK);
	sign(w, KW_ROLE_LOG, &next, 0, 1);
	tell(w, KW_AUDIT_RULE_HUB);
	sign_payload(w, KW_ROLE_LOG, kw_view_str("no checkpoint"), 0, 1);
	tell(w, KW_AUDIT_RULE_FORM);
	tell_size(w, &w->log, 39, 40, KW_AUDIT_RULE_NONE);
}

/* Statements of a witness that has the same keys: the role's name is signed. */
static void tell_statement(struct world *w, enum kw_role kind, int last, const char *wanted)
{
	struct kw_checkpoint checkpoint = checkpoint_of(&w->log, 40);
	struct kw_buf payload, statement;
	struct kw_role_signed role;
	struct kw_witness read;
	struct kw_checkpoint seen;
	uint32_t good;
	kw_buf_init(&payload, 4096);
	kw_buf_init(&statement, 4096);
	assert_int_equal(kw_checkpoint_add(&payload, &checkpoint), KW_OK);
	struct kw_witness made = {.at_unix_ms = NOW_MS, .checkpoint = kw_buf_view(&payload)};
	assert_int_equal(kw_name_from(kw_view_str("hub-w"), &made.witness), KW_OK);
	assert_int_equal(kw_witness_add(&statement, &made), KW_OK);
	sign_payload(w, kind, kw_buf_view(&statement), 0, last);
	assert_int_equal(kw_role_parse(kw_buf_view(&w->signed_role), &role), KW_OK);
	const bool signed_right = kw_role_check(&role, KW_ROLE_WITNESS, &w->role, &good) == KW_OK;
	assert_int_equal(signed_right, strcmp(wanted, "ok") == 0);
	assert_int_equal(kw_witness_read(role.payload, &read), KW_OK);
	assert_int_equal(kw_checkpoint_read(read.checkpoint, &seen), KW_OK);
	fprintf(w->text.file, "statement %s", wanted);
	kit_golden_hex(&w->text, kw_buf_view(&w->signed_role));
	fputc('\n', w->text.file);
	kw_buf_fini(&payload);
	kw_buf_fini(&statement);
}

static struct world *begin(void)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->role.threshold = 2;
	for (int i = 0; i < 4; i++) {
		uint8_t seed[KW_KEY_SIZE];
		memset(seed, 0x60 + i, sizeof(seed));
		assert_int_equal(kw_ed25519_from_seed(seed, &w->keys[i]), KW_OK);
		if (i < 3)
			assert_int_equal(kw_role_keys_put(&w->role, w->keys[i].public_key), KW_OK);
	}
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &w->client.last.hub), KW_OK);
	return w;
}

static void test_a_log_is_frozen(void **state)
{
	struct world *w = begin();
	(void)state;
	grow(&w->log, LEAVES);
	grow(&w->other, 5);
	kw_buf_init(&w->signed_role, 8192);
	kw_buf_init(&w->proof, 8192);
	kit_golden_begin(&w->text);
	write_log(w);
	tell_growth(w);
	tell_bad(w);
	tell_statement(w, KW_ROLE_WITNESS, 1, "ok");
	tell_statement(w, KW_ROLE_WITNESS, 0, "signature");
	tell_statement(w, KW_ROLE_LOG, 1, "signature");
	kit_golden_end(&w->text, FILE_NAME);
	kw_buf_fini(&w->signed_role);
	kw_buf_fini(&w->proof);
	free(w);
}

static void replay(void *user, char **words, int count)
{
	struct world *w = user;
	struct kw_buf first, second;
	if (strcmp(words[0], "reader") == 0)
		return; /* the keys of begin() */
	assert_int_equal(count, 4);
	kit_golden_bytes(words[2], &first);
	kit_golden_bytes(words[3], &second);
	const char *got = NULL;
	if (strcmp(words[0], "checkpoint") == 0) {
		got = take(w, kw_buf_view(&first), kw_buf_view(&second));
	} else {
		assert_int_equal(first.size, sizeof(w->digest.bytes));
		memcpy(w->digest.bytes, first.data, first.size);
		got = flip_inclusion(w, kw_buf_view(&second));
	}
	if (strcmp(got, words[1]) != 0)
		print_error("%s %s...: %s instead of %s\n", words[0], words[2], got, words[1]);
	assert_string_equal(got, words[1]);
	kw_buf_fini(&first);
	kw_buf_fini(&second);
	w->told++;
}

/* Made by tests/decoder/forge_signed.py: signed by the log's keys, or proofs of a wrong shape. */
static void test_what_is_signed_in_a_wrong_form_is_refused(void **state)
{
	struct world *w = begin();
	(void)state;
	kit_golden_each("forged_audit.txt", NULL, replay, w);
	assert_int_equal(w->told, 23);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_log_is_frozen),
		cmocka_unit_test(test_what_is_signed_in_a_wrong_form_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
