/* Batches of receipts: one signature, and a way to it for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"
#include "proto/wire/receipt.h"
#include "tests/kit/evidence.h"

#define NOW_MS INT64_C(1795000000000)

static struct kw_ed25519 key_of(uint8_t n)
{
	struct kw_ed25519 key;
	uint8_t seed[KW_KEY_SIZE];
	memset(seed, n, sizeof(seed));
	assert_int_equal(kw_ed25519_from_seed(seed, &key), KW_OK);
	return key;
}

static struct kw_receipt receipt_of(uint32_t n)
{
	struct kw_receipt receipt = {.level = KW_RECEIPT_OPENED, .at_unix_ms = NOW_MS + n};
	memset(receipt.digest.bytes, (int)n + 1, KW_DIGEST_SIZE);
	memset(receipt.envelope_id.bytes, (int)n + 2, KW_ID_SIZE);
	return receipt;
}

static void fill(struct kw_receipt_batch *batch, uint32_t count)
{
	memset(batch, 0, sizeof(*batch));
	for (uint32_t i = 0; i < count; i++) {
		struct kw_receipt receipt = receipt_of(i);
		assert_int_equal(kw_receipt_batch_add(batch, &receipt), KW_OK);
	}
}

/* The definition of RFC 9162 §2.1.1, word by word. */
static struct kw_digest naive(uint32_t from, uint32_t count)
{
	struct kw_digest out;
	if (count == 1) {
		struct kw_buf entry;
		struct kw_receipt receipt = receipt_of(from);
		kw_buf_init(&entry, KW_RECEIPT_ENTRY_SIZE_MAX);
		assert_int_equal(kw_receipt_add(&entry, &receipt), KW_OK);
		assert_int_equal(kw_merkle_leaf(kw_buf_view(&entry), &out), KW_OK);
		kw_buf_fini(&entry);
		return out;
	}
	uint32_t k = 1;
	while (k * 2 < count)
		k *= 2;
	struct kw_digest left = naive(from, k);
	struct kw_digest right = naive(from + k, count - k);
	assert_int_equal(kw_merkle_node(&left, &right, &out), KW_OK);
	return out;
}

static void test_entry_has_one_encoding(void **state)
{
	struct kw_receipt in = receipt_of(3);
	struct kw_receipt out;
	struct kw_buf bytes;
	(void)state;
	kw_buf_init(&bytes, KW_RECEIPT_ENTRY_SIZE_MAX);
	in.level = KW_RECEIPT_FAILED;
	snprintf(in.failure, sizeof(in.failure), "illegal_state");
	assert_int_equal(kw_receipt_add(&bytes, &in), KW_OK);
	assert_int_equal(kw_receipt_read(kw_buf_view(&bytes), &out), KW_OK);
	assert_true(kit_evidence_receipt_same(&in, &out));
	uint8_t more[] = {0x30, 0x01}; /* field 6 */
	assert_int_equal(kw_buf_add(&bytes, KW_VIEW_OF(more)), KW_OK);
	assert_int_equal(kw_receipt_read(kw_buf_view(&bytes), &out), KW_EFIELD);
	kw_buf_clear(&bytes);
	in.level = KW_RECEIPT_OPENED; /* and a failure */
	assert_int_equal(kw_receipt_add(&bytes, &in), KW_EFIELD);
	in.level = KW_RECEIPT_FAILED;
	in.failure[0] = 'X';
	assert_int_equal(kw_receipt_add(&bytes, &in), KW_EFIELD);
	in = receipt_of(1);
	in.at_unix_ms = 0;
	assert_int_equal(kw_receipt_add(&bytes, &in), KW_EFIELD);
	kw_buf_fini(&bytes);
}

/* Every place of every size: it is the RFC's tree, its proofs verify, and a proof is good for its place alone. */
static void test_every_receipt_of_every_batch_can_be_shown(void **state)
{
	struct kw_receipt_batch *batch = malloc(sizeof(*batch));
	struct kw_ed25519 key = key_of(1);
	uint8_t signature[KW_SIGNATURE_SIZE];
	uint32_t shown = 0;
	(void)state;
	for (uint32_t count = 1; count <= KW_RECEIPTS_MAX; count += count < 20 ? 1 : 27) {
		struct kw_digest root;
		struct kw_digest want = naive(0, count);
		fill(batch, count);
		assert_int_equal(kw_tree_root(&batch->tree, &root), KW_OK);
		assert_memory_equal(&root, &want, sizeof(root));
		assert_int_equal(kw_receipt_batch_sign(batch, &key, signature), KW_OK);
		assert_int_equal(kw_receipt_batch_verify(batch, key.public_key, KW_VIEW_OF(signature)), KW_OK);
		for (uint32_t i = 0; i < count; i++, shown++) {
			struct kw_receipt_proof proof;
			struct kw_receipt receipt = receipt_of(i);
			assert_int_equal(kw_receipt_batch_prove(batch, i, &receipt, signature, &proof), KW_OK);
			assert_int_equal(kw_receipt_proof_verify(&proof, key.public_key), KW_OK);
			struct kw_receipt_proof other = proof;
			other.index = (i + 1) % count;
			if (count > 1)
				assert_int_not_equal(kw_receipt_proof_verify(&other, key.public_key), KW_OK);
			other = proof;
			other.count++;
			assert_int_not_equal(kw_receipt_proof_verify(&other, key.public_key), KW_OK);
			other = proof;
			other.receipt.level = KW_RECEIPT_DECIDED;
			assert_int_equal(kw_receipt_proof_verify(&other, key.public_key), KW_EAUTH);
		}
	}
	print_message("%u receipts shown\n", shown);
	free(batch);
}

static void test_another_key_or_batch_is_refused(void **state)
{
	struct kw_receipt_batch *batch = malloc(sizeof(*batch));
	struct kw_ed25519 key = key_of(1);
	struct kw_ed25519 other = key_of(2);
	struct kw_receipt receipt = receipt_of(6);
	struct kw_receipt_proof proof;
	uint8_t signature[KW_SIGNATURE_SIZE];
	(void)state;
	memset(batch, 0, sizeof(*batch));
	assert_int_equal(kw_receipt_batch_sign(batch, &key, signature), KW_EFIELD);
	fill(batch, 7);
	assert_int_equal(kw_receipt_batch_sign(batch, &key, signature), KW_OK);
	assert_int_equal(kw_receipt_batch_verify(batch, other.public_key, KW_VIEW_OF(signature)), KW_EAUTH);
	assert_int_equal(kw_receipt_batch_verify(batch, key.public_key, KW_VIEW(signature, 63)), KW_EAUTH);
	assert_int_equal(kw_receipt_batch_prove(batch, 7, &receipt, signature, &proof), KW_EFIELD);
	assert_int_equal(kw_receipt_batch_prove(batch, 5, &receipt, signature, &proof), KW_EFIELD);
	fill(batch, 6);
	assert_int_equal(kw_receipt_batch_verify(batch, key.public_key, KW_VIEW_OF(signature)), KW_EAUTH);
	fill(batch, KW_RECEIPTS_MAX);
	assert_int_equal(kw_receipt_batch_add(batch, &receipt), KW_EFULL);
	free(batch);
}

/* No byte of a kept proof can be changed. */
static void test_no_byte_of_a_proof_can_be_changed(void **state)
{
	struct kw_receipt_batch *batch = malloc(sizeof(*batch));
	struct kw_ed25519 key = key_of(1);
	struct kw_receipt receipt = receipt_of(70);
	struct kw_receipt_proof proof;
	struct kw_buf bytes;
	uint8_t signature[KW_SIGNATURE_SIZE];
	(void)state;
	fill(batch, 101);
	kw_buf_init(&bytes, KW_RECEIPT_PROOF_SIZE_MAX);
	assert_int_equal(kw_receipt_batch_sign(batch, &key, signature), KW_OK);
	assert_int_equal(kw_receipt_batch_prove(batch, 70, &receipt, signature, &proof), KW_OK);
	assert_int_equal(kw_receipt_proof_add(&bytes, &proof), KW_OK);
	assert_int_equal(kw_receipt_proof_read(kw_buf_view(&bytes), &proof), KW_OK);
	assert_int_equal(kw_receipt_proof_verify(&proof, key.public_key), KW_OK);
	for (size_t i = 0; i < bytes.size * 8; i++) {
		bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (kw_receipt_proof_read(kw_buf_view(&bytes), &proof) == KW_OK)
			assert_int_not_equal(kw_receipt_proof_verify(&proof, key.public_key), KW_OK);
		bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	print_message("%zu bytes, every bit flipped\n", bytes.size);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(kw_receipt_proof_read(KW_VIEW(bytes.data, size), &proof), KW_OK);
	kw_buf_fini(&bytes);
	free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_has_one_encoding),
		cmocka_unit_test(test_every_receipt_of_every_batch_can_be_shown),
		cmocka_unit_test(test_another_key_or_batch_is_refused),
		cmocka_unit_test(test_no_byte_of_a_proof_can_be_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
