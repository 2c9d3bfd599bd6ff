/* tests/golden/receipts.txt: batches of receipts as they are in a message, and the proof of one in each; made anew and
 * compared, taken by the agent, and refused with one bit changed. tests/decoder reads the same file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/batch.h"
#include "proto/wire/message.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/receipt.h"
#include "tests/kit/golden.h"

#define NOW_MS INT64_C(1795000000000)
#define FILE_NAME "receipts.txt"

struct world {
	struct kw_ed25519 key;
	struct kw_ed25519 other;
	struct kit_golden text;
	struct kw_receipt receipts[KW_RECEIPTS_MAX];
	struct kw_receipt_batch batch;
	uint8_t signature[KW_SIGNATURE_SIZE];
	int lines;
};

static void key_from(uint8_t n, struct kw_ed25519 *out)
{
	uint8_t seed[KW_KEY_SIZE];
	memset(seed, n, sizeof(seed));
	assert_int_equal(kw_ed25519_from_seed(seed, out), KW_OK);
}

/* Every level, and a failure in its turn. */
static void make(struct world *w, uint32_t count)
{
	memset(&w->batch, 0, sizeof(w->batch));
	for (uint32_t i = 0; i < count; i++) {
		struct kw_receipt *one = &w->receipts[i];
		*one = (struct kw_receipt){.level = (enum kw_receipt_level)(1 + i % 4), .at_unix_ms = NOW_MS + i};
		memset(one->digest.bytes, (int)i + 1, KW_DIGEST_SIZE);
		memset(one->envelope_id.bytes, (int)i + 2, KW_ID_SIZE);
		if (one->level == KW_RECEIPT_FAILED)
			memcpy(one->failure, "illegal_state", sizeof("illegal_state"));
		assert_int_equal(kw_receipt_batch_add(&w->batch, one), KW_OK);
	}
	assert_int_equal(kw_receipt_batch_sign(&w->batch, &w->key, w->signature), KW_OK);
}

/* An encoded Receipt of these; signature NULL: none. */
static void encode(const struct kw_receipt *receipts, uint32_t count, const uint8_t *signature, struct kw_buf *out)
{
	kw_buf_init(out, 1 << 20);
	for (uint32_t i = 0; i < count; i++) {
		struct kw_buf entry;
		kw_buf_init(&entry, KW_RECEIPT_ENTRY_SIZE_MAX);
		assert_int_equal(kw_receipt_add(&entry, &receipts[i]), KW_OK);
		assert_int_equal(kw_pb_add_bytes(out, 1, kw_buf_view(&entry)), KW_OK);
		kw_buf_fini(&entry);
	}
	if (signature != NULL)
		assert_int_equal(kw_pb_add_bytes(out, 2, KW_VIEW(signature, KW_SIGNATURE_SIZE)), KW_OK);
}

/* What the sender's agent says of it. */
static const char *take_receipt(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_arena arena;
	ProtobufCMessage *message = NULL;
	struct kw_fault fault;
	kw_arena_init(&arena, 1u << 20);
	const struct kw_unpack what = {&kinward__v1__receipt__descriptor, KW_CONTENT_SIZE_MAX};
	enum kw_err err = kw_message_unpack(bytes, what, &arena, &message, &fault);
	if (err == KW_OK)
		err = kw_message_validate(message, "", &fault);
	const char *word = "form";
	if (err == KW_OK) {
		struct spool_op op = {0};
		kw_buf_init(&op.proof, 1 << 20);
		const Kinward__V1__Receipt *receipt = (const Kinward__V1__Receipt *)message;
		err = batch_take(receipt, w->key.public_key, &op);
		assert_true(err == KW_OK || err == KW_EAUTH);
		word = err == KW_EAUTH ? "auth" : receipt->signature.len == 0 ? "unsigned" : "ok";
		free(op.u.receive.receipts);
		kw_buf_fini(&op.proof);
	}
	kw_arena_fini(&arena);
	return word;
}

static const char *take_proof(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_receipt_proof proof;
	if (kw_receipt_proof_read(bytes, &proof) != KW_OK)
		return "form";
	return kw_receipt_proof_verify(&proof, w->key.public_key) == KW_OK ? "ok" : "receipt";
}

static void tell(
	struct world *w, const char *word, kit_golden_verdict *verdict, struct kw_view bytes, const char *wanted)
{
	assert_string_equal(verdict(w, bytes), wanted);
	fprintf(w->text.file, "%s %s", word, wanted);
	kit_golden_hex(&w->text, bytes);
	fputc('\n', w->text.file);
}

static void flip(struct world *w, const char *word, kit_golden_verdict *verdict, struct kw_view bytes, size_t step)
{
	fprintf(w->text.file, "flips %s", word);
	kit_golden_hex(&w->text, bytes);
	fprintf(w->text.file, " %zu", step);
	kit_golden_flips(&w->text, bytes, step, verdict, w);
	fputc('\n', w->text.file);
}

static void tell_receipt(
	struct world *w, const struct kw_receipt *receipts, uint32_t count, const uint8_t *signature, const char *wanted)
{
	struct kw_buf bytes;
	encode(receipts, count, signature, &bytes);
	tell(w, "receipt", take_receipt, kw_buf_view(&bytes), wanted);
	kw_buf_fini(&bytes);
}

static void tell_proof(struct world *w, uint32_t index, bool flips)
{
	struct kw_receipt_proof proof;
	struct kw_buf bytes;
	assert_int_equal(kw_receipt_batch_prove(&w->batch, index, &w->receipts[index], w->signature, &proof), KW_OK);
	kw_buf_init(&bytes, KW_RECEIPT_PROOF_SIZE_MAX);
	assert_int_equal(kw_receipt_proof_add(&bytes, &proof), KW_OK);
	tell(w, "proof", take_proof, kw_buf_view(&bytes), "ok");
	if (flips)
		flip(w, "proof", take_proof, kw_buf_view(&bytes), 1);
	kw_buf_fini(&bytes);
}

/* What no honest agent writes. */
static void tell_bad(struct world *w)
{
	struct kw_receipt changed[5];
	uint8_t signature[KW_SIGNATURE_SIZE];
	make(w, 5);
	tell_receipt(w, w->receipts, 5, NULL, "unsigned");
	tell_receipt(w, w->receipts, 4, w->signature, "auth"); /* one left out */
	memcpy(changed, w->receipts, sizeof(changed));
	changed[0] = w->receipts[1];
	changed[1] = w->receipts[0];
	tell_receipt(w, changed, 5, w->signature, "auth");
	memcpy(changed, w->receipts, sizeof(changed));
	changed[2].at_unix_ms++;
	tell_receipt(w, changed, 5, w->signature, "auth");
	changed[2].at_unix_ms--;
	changed[4].digest.bytes[0] ^= 1;
	tell_receipt(w, changed, 5, w->signature, "auth");
	assert_int_equal(kw_receipt_batch_sign(&w->batch, &w->other, signature), KW_OK);
	tell_receipt(w, w->receipts, 5, signature, "auth");
	/* A proof of one batch in another's name: the count is signed with the root. */
	struct kw_receipt_proof proof;
	struct kw_buf bytes;
	assert_int_equal(kw_receipt_batch_prove(&w->batch, 4, &w->receipts[4], w->signature, &proof), KW_OK);
	proof.count = 6;
	kw_buf_init(&bytes, KW_RECEIPT_PROOF_SIZE_MAX);
	assert_int_equal(kw_receipt_proof_add(&bytes, &proof), KW_OK);
	tell(w, "proof", take_proof, kw_buf_view(&bytes), "receipt");
	proof.count = 5;
	proof.path_count++;
	kw_buf_clear(&bytes);
	assert_int_equal(kw_receipt_proof_add(&bytes, &proof), KW_OK);
	tell(w, "proof", take_proof, kw_buf_view(&bytes), "receipt");
	kw_buf_fini(&bytes);
}

static void read_line(void *user, char **words, int count)
{
	struct world *w = user;
	struct kw_buf bytes;
	assert_int_equal(count, 2);
	kit_golden_bytes(words[1], &bytes);
	assert_string_equal(take_receipt(w, kw_buf_view(&bytes)), words[0]);
	kw_buf_fini(&bytes);
	w->lines++;
}

static void test_receipts_are_frozen(void **state)
{
	static const uint32_t COUNTS[] = {1, 2, 3, 4, 5, 64, 100, 127, 128};
	struct world *w = calloc(1, sizeof(*w));
	(void)state;
	assert_non_null(w);
	key_from(0x71, &w->key);
	key_from(0x72, &w->other);
	kit_golden_begin(&w->text);
	fputs("identity", w->text.file);
	kit_golden_hex(&w->text, KW_VIEW_OF(w->key.public_key));
	fputc('\n', w->text.file);
	for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
		struct kw_buf bytes;
		make(w, COUNTS[i]);
		tell_receipt(w, w->receipts, COUNTS[i], w->signature, "ok");
		encode(w->receipts, COUNTS[i], w->signature, &bytes);
		if (COUNTS[i] <= 5)
			flip(w, "receipt", take_receipt, kw_buf_view(&bytes), 1);
		kw_buf_fini(&bytes);
		tell_proof(w, COUNTS[i] / 2, COUNTS[i] < 64 || COUNTS[i] == 100);
		tell_proof(w, COUNTS[i] - 1, COUNTS[i] == 100);
	}
	tell_bad(w);
	kit_golden_end(&w->text, FILE_NAME);
	kit_golden_each(FILE_NAME, "receipt", read_line, w);
	assert_int_equal(w->lines, 9 + 6);
	/* Made by tests/decoder/forge_signed.py: signed, and no receipts. */
	kit_golden_each("forged_receipts.txt", "receipt", read_line, w);
	assert_int_equal(w->lines, 9 + 6 + 16);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipts_are_frozen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
