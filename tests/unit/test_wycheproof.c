/* proto/wire/crypt.h and curve.h against Project Wycheproof's vectors, which hold the inputs that broke others. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/wire/crypt.h"
#include "proto/wire/curve.h"

#define OUT_MAX 66000u

struct counts {
	int accepted; /* valid cases that gave the expected result */
	int refused;  /* invalid cases that were refused */
	int skipped;  /* parameters that Kinward does not have */
};

/* Runs one case and adds to the counts; fails the test on a wrong answer. */
typedef void run_case(const json_t *group, const json_t *test, struct counts *counts);

static struct kw_view hex_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	assert_non_null(text);
	size_t size = strlen(text) / 2;
	uint8_t *data = malloc(size + 1);
	assert_non_null(data);
	assert_int_equal(kw_unhex(data, size, text), KW_OK);
	return KW_VIEW(data, size);
}

static void hex_free(struct kw_view view)
{
	free((void *)(uintptr_t)view.data);
}

static bool is_valid(const json_t *test)
{
	const char *result = json_string_value(json_object_get(test, "result"));
	assert_non_null(result);
	return strcmp(result, "invalid") != 0;
}

static int number_of(const json_t *object, const char *name)
{
	return (int)json_integer_value(json_object_get(object, name));
}

static struct counts run_file(const char *name, run_case *run)
{
	char path[512];
	struct counts counts = {0, 0, 0};
	size_t i;
	size_t k;
	json_t *group;
	json_t *test;
	snprintf(path, sizeof(path), "%s/crypto/wycheproof/%s", KW_TEST_DATA_DIR, name);
	json_t *root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	json_array_foreach(json_object_get(root, "testGroups"), i, group)
		json_array_foreach(json_object_get(group, "tests"), k, test)
			run(group, test, &counts);
	int total = number_of(root, "numberOfTests");
	json_decref(root);
	printf("%s: %d of %d accepted, %d refused, %d skipped\n", name, counts.accepted, total, counts.refused,
		counts.skipped);
	assert_int_equal(counts.accepted + counts.refused + counts.skipped, total);
	return counts;
}

static void run_x25519(const json_t *group, const json_t *test, struct counts *counts)
{
	(void)group;
	static const uint8_t ZERO[KW_KEY_SIZE];
	struct kw_view secret = hex_of(test, "private");
	struct kw_view public_key = hex_of(test, "public");
	struct kw_view shared = hex_of(test, "shared");
	struct kw_x25519 key;
	uint8_t out[KW_KEY_SIZE] = {0xee};
	assert_int_equal(kw_x25519_from_secret(secret.data, &key), KW_OK);
	enum kw_err err = kw_x25519_shared(&key, public_key.data, out);
	if (memcmp(shared.data, ZERO, sizeof(ZERO)) == 0) {
		assert_int_equal(err, KW_EFIELD);
		assert_int_equal(out[0], 0xee);
		counts->refused++;
	} else {
		assert_int_equal(err, KW_OK);
		assert_memory_equal(out, shared.data, sizeof(out));
		counts->accepted++;
	}
	hex_free(secret);
	hex_free(public_key);
	hex_free(shared);
}

static void test_x25519(void **state)
{
	(void)state;
	struct counts counts = run_file("x25519_test.json", run_x25519);
	assert_int_equal(counts.accepted, 487);
	assert_int_equal(counts.refused, 31);
}

static void run_ed25519(const json_t *group, const json_t *test, struct counts *counts)
{
	struct kw_view public_key = hex_of(json_object_get(group, "publicKey"), "pk");
	struct kw_view message = hex_of(test, "msg");
	struct kw_view signature = hex_of(test, "sig");
	assert_int_equal(public_key.size, KW_KEY_SIZE);
	enum kw_err err = kw_ed25519_verify(public_key.data, message, signature);
	assert_int_equal(err, is_valid(test) ? KW_OK : KW_EAUTH);
	*(is_valid(test) ? &counts->accepted : &counts->refused) += 1;
	hex_free(public_key);
	hex_free(message);
	hex_free(signature);
}

static void test_ed25519(void **state)
{
	(void)state;
	struct counts counts = run_file("ed25519_test.json", run_ed25519);
	assert_int_equal(counts.accepted, 88);
	assert_int_equal(counts.refused, 63);
}

static void run_hkdf(const json_t *group, const json_t *test, struct counts *counts)
{
	(void)group;
	static uint8_t out[OUT_MAX];
	struct kw_view ikm = hex_of(test, "ikm");
	struct kw_view salt = hex_of(test, "salt");
	struct kw_view info = hex_of(test, "info");
	struct kw_view okm = hex_of(test, "okm");
	struct kw_digest key;
	size_t size = (size_t)number_of(test, "size");
	assert_true(size <= sizeof(out));
	assert_int_equal(kw_hkdf_extract(salt, &ikm, 1, &key), KW_OK);
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(key.bytes), .parts = &info, .parts_count = 1};
	enum kw_err err = kw_hkdf_expand(&hkdf, out, size);
	assert_int_equal(err, is_valid(test) ? KW_OK : KW_ETOOBIG);
	if (is_valid(test))
		assert_memory_equal(out, okm.data, size);
	*(is_valid(test) ? &counts->accepted : &counts->refused) += 1;
	hex_free(ikm);
	hex_free(salt);
	hex_free(info);
	hex_free(okm);
}

static void test_hkdf(void **state)
{
	(void)state;
	struct counts counts = run_file("hkdf_sha256_test.json", run_hkdf);
	assert_int_equal(counts.accepted, 83);
	assert_int_equal(counts.refused, 3);
}

static void run_hmac(const json_t *group, const json_t *test, struct counts *counts)
{
	struct kw_view key = hex_of(test, "key");
	struct kw_view message = hex_of(test, "msg");
	struct kw_view tag = hex_of(test, "tag");
	struct kw_digest digest;
	assert_int_equal(tag.size, number_of(group, "tagSize") / 8);
	/* In two parts: joining them must not change the result. */
	struct kw_view parts[] = {KW_VIEW(message.data, message.size / 2),
		KW_VIEW(message.data + message.size / 2, message.size - message.size / 2)};
	assert_int_equal(kw_hmac_sha256(key, parts, 2, &digest), KW_OK);
	assert_int_equal(kw_equal_secret(digest.bytes, tag.data, tag.size), is_valid(test));
	*(is_valid(test) ? &counts->accepted : &counts->refused) += 1;
	hex_free(key);
	hex_free(message);
	hex_free(tag);
}

static void test_hmac(void **state)
{
	(void)state;
	struct counts counts = run_file("hmac_sha256_test.json", run_hmac);
	assert_int_equal(counts.accepted, 66);
	assert_int_equal(counts.refused, 108);
}

static void check_aead(enum kw_aead_id id, const json_t *test, struct counts *counts)
{
	static uint8_t sealed[OUT_MAX];
	static uint8_t out[OUT_MAX];
	struct kw_view key = hex_of(test, "key");
	struct kw_view nonce = hex_of(test, "iv");
	struct kw_view aad = hex_of(test, "aad");
	struct kw_view plain = hex_of(test, "msg");
	struct kw_view cipher = hex_of(test, "ct");
	struct kw_view tag = hex_of(test, "tag");
	struct kw_aead aead = {.id = id, .key = key.data, .nonce = nonce.data};
	assert_int_equal(key.size, kw_aead_key_size(id));
	memcpy(sealed, cipher.data, cipher.size);
	memcpy(sealed + cipher.size, tag.data, tag.size);
	enum kw_err err = kw_aead_open(&aead, aad, KW_VIEW(sealed, cipher.size + tag.size), out);
	assert_int_equal(err, is_valid(test) ? KW_OK : KW_EOPEN);
	if (is_valid(test)) {
		assert_memory_equal(out, plain.data, plain.size);
		/* In place, as the header allows. */
		memcpy(out, plain.data, plain.size);
		assert_int_equal(kw_aead_seal(&aead, aad, KW_VIEW(out, plain.size), out), KW_OK);
		assert_memory_equal(out, sealed, cipher.size + tag.size);
		assert_int_equal(kw_aead_open(&aead, aad, KW_VIEW(sealed, tag.size - 1), out), KW_EOPEN);
	} else {
		for (size_t i = 0; i < cipher.size; i++)
			assert_int_equal(out[i], 0); /* wiped */
	}
	*(is_valid(test) ? &counts->accepted : &counts->refused) += 1;
	hex_free(key);
	hex_free(nonce);
	hex_free(aad);
	hex_free(plain);
	hex_free(cipher);
	hex_free(tag);
}

static void run_gcm(const json_t *group, const json_t *test, struct counts *counts)
{
	int key_bits = number_of(group, "keySize");
	if (number_of(group, "ivSize") != 96 || key_bits == 192)
		counts->skipped++;
	else
		check_aead(key_bits == 128 ? KW_AEAD_AES_128_GCM : KW_AEAD_AES_256_GCM, test, counts);
}

static void test_aes_gcm(void **state)
{
	(void)state;
	struct counts counts = run_file("aes_gcm_test.json", run_gcm);
	assert_int_equal(counts.accepted, 79);
	assert_int_equal(counts.refused, 54);
}

static void run_chacha(const json_t *group, const json_t *test, struct counts *counts)
{
	if (number_of(group, "ivSize") != 96)
		counts->skipped++;
	else
		check_aead(KW_AEAD_CHACHA20_POLY1305, test, counts);
}

static void test_chacha20_poly1305(void **state)
{
	(void)state;
	struct counts counts = run_file("chacha20_poly1305_test.json", run_chacha);
	assert_int_equal(counts.accepted, 256);
	assert_int_equal(counts.refused, 60);
}

/* RFC 8032 §7.1, test 2: Wycheproof has no signing vectors. */
static void test_ed25519_signs_as_rfc8032(void **state)
{
	(void)state;
	uint8_t seed[KW_KEY_SIZE];
	uint8_t public_key[KW_KEY_SIZE];
	uint8_t expected[KW_SIGNATURE_SIZE];
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_ed25519 key;
	assert_int_equal(kw_unhex(seed, 32, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), KW_OK);
	assert_int_equal(kw_unhex(public_key, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
		KW_OK);
	assert_int_equal(kw_unhex(expected, 64,
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"), KW_OK);
	assert_int_equal(kw_ed25519_from_seed(seed, &key), KW_OK);
	assert_memory_equal(key.public_key, public_key, sizeof(public_key));
	assert_int_equal(kw_ed25519_sign(&key, KW_VIEW("\x72", 1), signature), KW_OK);
	assert_memory_equal(signature, expected, sizeof(expected));
	assert_int_equal(kw_ed25519_verify(key.public_key, KW_VIEW("\x72", 1), KW_VIEW_OF(signature)), KW_OK);
	assert_int_equal(kw_ed25519_verify(key.public_key, KW_VIEW("\x73", 1), KW_VIEW_OF(signature)), KW_EAUTH);
}

/* RFC 7914 §12, the third vector (N = 16384, r = 8, p = 1). */
static void test_scrypt_as_rfc7914(void **state)
{
	(void)state;
	uint8_t expected[64];
	uint8_t out[64];
	assert_int_equal(kw_unhex(expected, 64,
		"7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
		"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"), KW_OK);
	struct kw_scrypt scrypt = {kw_view_str("pleaseletmein"), kw_view_str("SodiumChloride"), 14, 8, 1};
	assert_int_equal(kw_scrypt(&scrypt, out, sizeof(out)), KW_OK);
	assert_memory_equal(out, expected, sizeof(out));
	scrypt.cost_log2 = 23;
	assert_int_equal(kw_scrypt(&scrypt, out, sizeof(out)), KW_EFIELD);
	scrypt.cost_log2 = 0;
	assert_int_equal(kw_scrypt(&scrypt, out, sizeof(out)), KW_EFIELD);
	scrypt = (struct kw_scrypt){kw_view_str("x"), kw_view_str("y"), 1, 33, 1};
	assert_int_equal(kw_scrypt(&scrypt, out, sizeof(out)), KW_EFIELD);
	scrypt.r = 1;
	assert_int_equal(kw_scrypt(&scrypt, out, 0), KW_ETOOBIG);
}

/* FIPS 180-4's "abc", whole and in parts. */
static void test_sha256_joins_parts(void **state)
{
	(void)state;
	struct kw_digest digest;
	uint8_t expected[KW_DIGEST_SIZE];
	struct kw_view whole = kw_view_str("abc");
	struct kw_view parts[] = {kw_view_str("a"), KW_VIEW(NULL, 0), kw_view_str("bc")};
	assert_int_equal(kw_unhex(expected, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), KW_OK);
	assert_int_equal(kw_sha256(&whole, 1, &digest), KW_OK);
	assert_memory_equal(digest.bytes, expected, sizeof(expected));
	assert_int_equal(kw_sha256(parts, 3, &digest), KW_OK);
	assert_memory_equal(digest.bytes, expected, sizeof(expected));
}

/* One signature and one agreement with keys of the thread's own; gives the number of wrong results. */
static uintptr_t use_keys(const uint8_t *seed)
{
	struct kw_ed25519 signing;
	struct kw_x25519 own;
	struct kw_x25519 peer;
	uint8_t signature[KW_SIGNATURE_SIZE];
	uint8_t a[KW_KEY_SIZE];
	uint8_t b[KW_KEY_SIZE];
	uintptr_t wrong = 0;
	wrong += kw_ed25519_from_seed(seed, &signing) != KW_OK;
	wrong += kw_ed25519_sign(&signing, KW_VIEW(seed, KW_KEY_SIZE), signature) != KW_OK;
	wrong += kw_ed25519_verify(signing.public_key, KW_VIEW(seed, KW_KEY_SIZE), KW_VIEW_OF(signature)) != KW_OK;
	wrong += kw_x25519_from_secret(seed, &own) != KW_OK;
	wrong += kw_x25519_generate(&peer) != KW_OK;
	wrong += kw_x25519_shared(&own, peer.public_key, a) != KW_OK;
	wrong += kw_x25519_shared(&peer, own.public_key, b) != KW_OK;
	return wrong + (memcmp(a, b, sizeof(a)) != 0);
}

/* Seals and opens under keys of its own; gives the number of wrong results. */
static void *work(void *data)
{
	uint8_t key[KW_AEAD_KEY_SIZE_MAX] = {*(const uint8_t *)data};
	uint8_t nonce[KW_AEAD_NONCE_SIZE] = {0};
	uint8_t bytes[100 + KW_AEAD_TAG_SIZE] = {0};
	uintptr_t wrong = 0;
	for (int round = 0; round < 2000; round++) {
		struct kw_aead aead = {round % 2 ? KW_AEAD_AES_256_GCM : KW_AEAD_CHACHA20_POLY1305, key, nonce};
		struct kw_digest before;
		struct kw_digest after;
		struct kw_view plain = KW_VIEW(bytes, 100);
		kw_put_u32(nonce, (uint32_t)round);
		wrong += kw_sha256(&plain, 1, &before) != KW_OK;
		wrong += kw_aead_seal(&aead, KW_VIEW(NULL, 0), plain, bytes) != KW_OK;
		wrong += kw_aead_open(&aead, KW_VIEW(NULL, 0), KW_VIEW_OF(bytes), bytes) != KW_OK;
		wrong += kw_sha256(&plain, 1, &after) != KW_OK;
		wrong += memcmp(&before, &after, sizeof(before)) != 0;
		memcpy(bytes, after.bytes, sizeof(after.bytes));
		wrong += round % 100 == 0 ? use_keys(key) : 0;
	}
	return (void *)wrong;
}

/* The kept contexts belong to a thread and go with it: a sanitizer sees it if not. */
static void test_crypt_works_in_threads(void **state)
{
	(void)state;
	static const uint8_t SEEDS[4] = {1, 2, 3, 4};
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)&SEEDS[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		void *wrong;
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x25519),
		cmocka_unit_test(test_ed25519),
		cmocka_unit_test(test_hkdf),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_aes_gcm),
		cmocka_unit_test(test_chacha20_poly1305),
		cmocka_unit_test(test_ed25519_signs_as_rfc8032),
		cmocka_unit_test(test_scrypt_as_rfc7914),
		cmocka_unit_test(test_sha256_joins_parts),
		cmocka_unit_test(test_crypt_works_in_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
