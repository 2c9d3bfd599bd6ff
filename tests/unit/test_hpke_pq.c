/* proto/wire/mlkem.h, hybrid.h and the hybrid KEM of hpke.h, against the vectors of hpke-pq and Wycheproof. ML-KEM is in
 * libcrypto from 3.5 on; with an older one each of these says so and what it still can check. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/wire/hpke.h"
#include "proto/wire/mlkem.h"

#define BYTES_MAX 2048u

struct bytes {
	uint8_t data[BYTES_MAX];
	size_t size;
};

static struct bytes bytes_of(const json_t *object, const char *name)
{
	struct bytes bytes = {.size = 0};
	const char *text = json_string_value(json_object_get(object, name));
	assert_non_null(text);
	bytes.size = strlen(text) / 2;
	assert_true(bytes.size <= BYTES_MAX);
	assert_int_equal(kw_unhex(bytes.data, bytes.size, text), KW_OK);
	return bytes;
}

static struct kw_view view_of(const struct bytes *bytes)
{
	return KW_VIEW(bytes->data, bytes->size);
}

static int number_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	assert_true(json_is_integer(value));
	return (int)json_integer_value(value);
}

/* True, after a line for whoever reads the log, when libcrypto has no ML-KEM. */
static bool skipped(const char *what)
{
	if (kw_mlkem_able())
		return false;
	printf("%s: skipped: no ML-KEM\n", what);
	return true;
}

struct counts {
	int setups;
	int kems;
	int encryptions;
	int exports;
	int other;
};

static void check_hybrid_kem(const json_t *setup)
{
	struct bytes seed = bytes_of(setup, "skRm");
	struct bytes public_key = bytes_of(setup, "pkRm");
	struct bytes random = bytes_of(setup, "ikmE");
	struct bytes enc = bytes_of(setup, "enc");
	struct bytes expected = bytes_of(setup, "shared_secret");
	struct kw_hybrid key;
	uint8_t enc_out[KW_HYBRID_ENC_SIZE];
	uint8_t shared[KW_HYBRID_SHARED_SIZE];
	assert_int_equal(kw_hybrid_from_seed(seed.data, &key), KW_OK);
	assert_int_equal(public_key.size, KW_HYBRID_PUBLIC_SIZE);
	assert_memory_equal(key.public_key, public_key.data, public_key.size);
	assert_int_equal(kw_hybrid_encap(public_key.data, random.data, enc_out, shared), KW_OK);
	assert_int_equal(enc.size, KW_HYBRID_ENC_SIZE);
	assert_memory_equal(enc_out, enc.data, enc.size);
	assert_memory_equal(shared, expected.data, sizeof(shared));
	memset(shared, 0, sizeof(shared));
	assert_int_equal(kw_hybrid_decap(&key, enc.data, shared), KW_OK);
	assert_memory_equal(shared, expected.data, sizeof(shared));
	/* One bit of either half changes the secret: neither is ignored. */
	for (size_t at = 7; at < KW_HYBRID_ENC_SIZE; at += KW_MLKEM_ENC_SIZE - 3) {
		enc.data[at] ^= 4;
		assert_int_equal(kw_hybrid_decap(&key, enc.data, shared), KW_OK);
		assert_memory_not_equal(shared, expected.data, sizeof(shared));
		enc.data[at] ^= 4;
	}
}

static void check_mlkem_kem(const json_t *setup)
{
	struct bytes seed = bytes_of(setup, "skRm");
	struct bytes public_key = bytes_of(setup, "pkRm");
	struct bytes random = bytes_of(setup, "ikmE");
	struct bytes enc = bytes_of(setup, "enc");
	struct bytes expected = bytes_of(setup, "shared_secret");
	uint8_t out[KW_MLKEM_PUBLIC_SIZE];
	uint8_t shared[KW_MLKEM_SHARED_SIZE];
	assert_int_equal(kw_mlkem_public(view_of(&seed), out), KW_OK);
	assert_memory_equal(out, public_key.data, sizeof(out));
	assert_int_equal(kw_mlkem_encap(view_of(&public_key), random.data, out, shared), KW_OK);
	assert_memory_equal(out, enc.data, KW_MLKEM_ENC_SIZE);
	assert_memory_equal(shared, expected.data, sizeof(shared));
	assert_int_equal(kw_mlkem_decap(view_of(&seed), view_of(&enc), shared), KW_OK);
	assert_memory_equal(shared, expected.data, sizeof(shared));
}

static void check_encryption(const json_t *row, struct kw_hpke *send, struct kw_hpke *recv)
{
	struct bytes aad = bytes_of(row, "aad");
	struct bytes plain = bytes_of(row, "pt");
	struct bytes sealed = bytes_of(row, "ct");
	uint8_t out[BYTES_MAX];
	assert_int_equal(kw_hpke_seal(send, view_of(&aad), view_of(&plain), out), KW_OK);
	assert_int_equal(sealed.size, plain.size + KW_AEAD_TAG_SIZE);
	assert_memory_equal(out, sealed.data, sealed.size);
	assert_int_equal(kw_hpke_open(recv, view_of(&aad), view_of(&sealed), out), KW_OK);
	assert_memory_equal(out, plain.data, plain.size);
}

static void check_export(const json_t *row, const struct kw_hpke *hpke)
{
	struct bytes context = bytes_of(row, "exporter_context");
	struct bytes expected = bytes_of(row, "exported_value");
	uint8_t out[BYTES_MAX];
	assert_int_equal(expected.size, number_of(row, "L"));
	assert_int_equal(kw_hpke_export(hpke, view_of(&context), out, expected.size), KW_OK);
	assert_memory_equal(out, expected.data, expected.size);
}

static void check_setup(const json_t *setup, struct counts *counts)
{
	struct bytes info = bytes_of(setup, "info");
	struct bytes seed = bytes_of(setup, "skRm");
	struct bytes random = bytes_of(setup, "ikmE");
	struct bytes enc_expected = bytes_of(setup, "enc");
	struct bytes key_expected = bytes_of(setup, "key");
	struct bytes nonce_expected = bytes_of(setup, "base_nonce");
	struct kw_hybrid key;
	struct kw_hpke send;
	struct kw_hpke recv;
	uint8_t enc[KW_HYBRID_ENC_SIZE];
	assert_int_equal(kw_hybrid_from_seed(seed.data, &key), KW_OK);
	struct kw_hpke_suite suite = {.mode = (enum kw_hpke_mode)number_of(setup, "mode"), .kem = KW_HPKE_HYBRID,
		.aead = (uint16_t)number_of(setup, "aead_id"), .info = view_of(&info)};
	struct kw_hpke_send send_setup = {.suite = suite, .recipient = key.public_key, .random = random.data};
	struct kw_hpke_recv recv_setup = {.suite = suite, .hybrid = &key};
	assert_int_equal(kw_hpke_send(&send_setup, enc, &send), KW_OK);
	assert_memory_equal(enc, enc_expected.data, sizeof(enc));
	assert_int_equal(kw_hpke_recv(&recv_setup, enc, &recv), KW_OK);
	assert_memory_equal(send.key, key_expected.data, key_expected.size);
	assert_memory_equal(recv.base_nonce, nonce_expected.data, nonce_expected.size);
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(setup, "encryptions"), i, row)
		check_encryption(row, &send, &recv);
	counts->encryptions += (int)i;
	json_array_foreach(json_object_get(setup, "exports"), i, row) {
		check_export(row, &send);
		check_export(row, &recv);
	}
	counts->exports += (int)i;
	counts->setups++;
	kw_hpke_fini(&send);
	kw_hpke_fini(&recv);
}

static void test_hpke_matches_hpke_pq(void **state)
{
	(void)state;
	struct counts counts = {0};
	size_t i;
	json_t *setup;
	json_t *setups = json_load_file(KW_TEST_DATA_DIR "/crypto/hpke-pq-test-vectors.json", 0, NULL);
	assert_non_null(setups);
	assert_int_equal(json_array_size(setups), 13);
	if (skipped("hpke-pq-test-vectors.json")) {
		json_decref(setups);
		skip();
	}
	json_array_foreach(setups, i, setup) {
		int kem = number_of(setup, "kem_id");
		if (kem == KW_HPKE_HYBRID)
			check_hybrid_kem(setup);
		if (kem == 0x41)
			check_mlkem_kem(setup);
		if (kem == KW_HPKE_HYBRID && number_of(setup, "kdf_id") == 1)
			check_setup(setup, &counts);
		counts.kems += kem == KW_HPKE_HYBRID || kem == 0x41;
		counts.other += kem != KW_HPKE_HYBRID && kem != 0x41;
	}
	json_decref(setups);
	printf("hpke-pq-test-vectors.json: %d setups whole (%d encryptions, %d exports), %d as KEM, %d of other KEMs\n",
		counts.setups, counts.encryptions, counts.exports, counts.kems, counts.other);
	assert_int_equal(counts.setups, 1);
	assert_int_equal(counts.encryptions, 10);
	assert_int_equal(counts.exports, 5);
	assert_int_equal(counts.kems, 3);
	assert_int_equal(counts.other, 10);
}

static void run_mlkem(const json_t *test, struct counts *counts)
{
	struct bytes seed = bytes_of(test, "seed");
	struct bytes enc = bytes_of(test, "c");
	struct bytes expected = bytes_of(test, "K");
	uint8_t public_key[KW_MLKEM_PUBLIC_SIZE];
	uint8_t shared[KW_MLKEM_SHARED_SIZE];
	bool valid = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
	enum kw_err err = kw_mlkem_decap(view_of(&seed), view_of(&enc), shared);
	assert_int_equal(err, valid ? KW_OK : KW_EFIELD);
	if (json_object_get(test, "ek") != NULL) {
		struct bytes ek = bytes_of(test, "ek");
		assert_int_equal(kw_mlkem_public(view_of(&seed), public_key), KW_OK);
		assert_int_equal(ek.size, sizeof(public_key));
		assert_memory_equal(public_key, ek.data, ek.size);
	}
	if (valid)
		assert_memory_equal(shared, expected.data, sizeof(shared));
	*(valid ? &counts->kems : &counts->other) += 1;
}

static void test_mlkem_matches_wycheproof(void **state)
{
	(void)state;
	struct counts counts = {0};
	size_t i;
	size_t k;
	json_t *group;
	json_t *test;
	json_t *root = json_load_file(KW_TEST_DATA_DIR "/crypto/wycheproof/mlkem_768_test.json", 0, NULL);
	assert_non_null(root);
	int total = number_of(root, "numberOfTests");
	if (skipped("mlkem_768_test.json")) {
		json_decref(root);
		skip();
	}
	json_array_foreach(json_object_get(root, "testGroups"), i, group)
		json_array_foreach(json_object_get(group, "tests"), k, test)
			run_mlkem(test, &counts);
	json_decref(root);
	printf("mlkem_768_test.json: %d of %d accepted, %d refused, 0 skipped\n", counts.kems, total, counts.other);
	assert_int_equal(counts.kems, 153);
	assert_int_equal(counts.other, 40);
}

static void test_hybrid_refuses_keys_that_are_none(void **state)
{
	(void)state;
	struct kw_hybrid key;
	struct kw_hybrid other;
	uint8_t random[KW_HYBRID_RANDOM_SIZE] = {1};
	uint8_t enc[KW_HYBRID_ENC_SIZE];
	uint8_t shared[KW_HYBRID_SHARED_SIZE];
	if (skipped("hybrid keys"))
		skip();
	assert_int_equal(kw_hybrid_generate(&key), KW_OK);
	assert_int_equal(kw_hybrid_generate(&other), KW_OK);
	assert_memory_not_equal(key.public_key, other.public_key, sizeof(key.public_key));
	assert_int_equal(kw_hybrid_encap(key.public_key, random, enc, shared), KW_OK);
	/* FIPS 203 §7.2: a coefficient of 4095 is over the modulus. */
	memset(other.public_key, 0xff, 3);
	assert_int_equal(kw_hybrid_encap(other.public_key, random, enc, shared), KW_EFIELD);
	other = key;
	memset(other.public_key + KW_MLKEM_PUBLIC_SIZE, 0, KW_KEY_SIZE);
	assert_int_equal(kw_hybrid_encap(other.public_key, random, enc, shared), KW_EFIELD);
	memset(enc + KW_MLKEM_ENC_SIZE, 0, KW_KEY_SIZE);
	assert_int_equal(kw_hybrid_decap(&key, enc, shared), KW_EFIELD);
}

/* It authenticates nobody, whether or not there is a sender with a good key. */
static void test_hybrid_has_no_auth_mode(void **state)
{
	(void)state;
	static struct kw_hybrid key;
	struct kw_x25519 sender;
	struct kw_hpke hpke;
	uint8_t enc[KW_HYBRID_ENC_SIZE] = {0};
	struct kw_hpke_suite suite = {.mode = KW_HPKE_AUTH, .kem = KW_HPKE_HYBRID, .aead = KW_AEAD_AES_256_GCM};
	if (kw_hybrid_able())
		assert_int_equal(kw_hybrid_generate(&key), KW_OK);
	assert_int_equal(kw_x25519_generate(&sender), KW_OK);
	struct kw_hpke_send send = {.suite = suite, .recipient = key.public_key, .sender = &sender};
	struct kw_hpke_recv recv = {.suite = suite, .hybrid = &key, .sender = sender.public_key};
	assert_int_equal(kw_hpke_send(&send, enc, &hpke), KW_EFIELD);
	assert_int_equal(kw_hpke_recv(&recv, enc, &hpke), KW_EFIELD);
}

/* What an old libcrypto does: it says so, and nothing is half done. */
static void test_hybrid_says_when_libcrypto_lacks_it(void **state)
{
	(void)state;
	struct kw_hybrid key = {.seed = {7}};
	uint8_t bytes[KW_HYBRID_ENC_SIZE + 64] = {0};
	struct kw_hpke_suite suite = {.mode = KW_HPKE_BASE, .kem = KW_HPKE_HYBRID, .aead = KW_AEAD_AES_256_GCM};
	struct kw_hpke_send send = {.suite = suite, .recipient = key.public_key};
	struct kw_hpke_recv recv = {.suite = suite, .hybrid = &key};
	if (kw_hybrid_able()) {
		assert_int_equal(kw_hybrid_from_seed(key.seed, &key), KW_OK);
		assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW(bytes, 32), bytes), KW_OK);
		assert_int_equal(kw_hpke_open_once(&recv, bytes, KW_VIEW(bytes + KW_HYBRID_ENC_SIZE, 48), bytes), KW_OK);
		/* The mode is checked before the key, so a key of the other kind is never touched. */
		recv.hybrid = NULL;
		assert_int_equal(kw_hpke_open_once(&recv, bytes, KW_VIEW(bytes, 48), bytes), KW_EFIELD);
		return;
	}
	assert_int_equal(kw_hybrid_generate(&key), KW_EVERSION);
	assert_int_equal(kw_hybrid_from_seed(key.seed, &key), KW_EVERSION);
	assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW(bytes, 32), bytes), KW_EVERSION);
	assert_int_equal(kw_hpke_open_once(&recv, bytes, KW_VIEW(bytes, 48), bytes), KW_EVERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hpke_matches_hpke_pq),
		cmocka_unit_test(test_mlkem_matches_wycheproof),
		cmocka_unit_test(test_hybrid_refuses_keys_that_are_none),
		cmocka_unit_test(test_hybrid_has_no_auth_mode),
		cmocka_unit_test(test_hybrid_says_when_libcrypto_lacks_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
