/* proto/wire/hpke.h against every X25519 vector of RFC 9180 and of BoringSSL's file, in all four modes, and against the one of
 * MLKEM768-X25519 in that file, where libcrypto has ML-KEM. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/wire/hpke.h"

#define BYTES_MAX 1280u /* a public key of the hybrid KEM */

struct bytes {
	uint8_t data[BYTES_MAX];
	size_t size;
};

struct counts {
	int setups;
	int encryptions;
	int exports;
};

/* The hex string `name` of `object`; empty if there is none. */
static struct bytes bytes_of(const json_t *object, const char *name)
{
	struct bytes bytes = {.size = 0};
	const char *text = json_string_value(json_object_get(object, name));
	if (text == NULL)
		return bytes;
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

static struct kw_x25519 pair_of(const json_t *setup, const char *secret_name, const char *public_name)
{
	struct kw_x25519 pair = {{0}, {0}};
	struct bytes secret = bytes_of(setup, secret_name);
	struct bytes public_key = bytes_of(setup, public_name);
	if (secret.size == 0)
		return pair;
	assert_int_equal(secret.size, KW_KEY_SIZE);
	assert_int_equal(kw_x25519_from_secret(secret.data, &pair), KW_OK);
	assert_memory_equal(pair.public_key, public_key.data, KW_KEY_SIZE);
	return pair;
}

static void check_derive(const json_t *setup, const char *ikm_name, const struct kw_x25519 *expected)
{
	struct bytes ikm = bytes_of(setup, ikm_name);
	struct kw_x25519 derived;
	if (ikm.size == 0)
		return;
	assert_int_equal(kw_hpke_derive(view_of(&ikm), &derived), KW_OK);
	assert_memory_equal(derived.public_key, expected->public_key, KW_KEY_SIZE);
}

static void check_encryption(const json_t *row, struct kw_hpke *send, struct kw_hpke *recv)
{
	struct bytes aad = bytes_of(row, "aad");
	struct bytes plain = bytes_of(row, "pt");
	struct bytes sealed = bytes_of(row, "ct");
	uint8_t out[BYTES_MAX];
	const json_t *sequence = json_object_get(row, "sequence_number");
	if (sequence != NULL) {
		send->sequence = (uint64_t)json_integer_value(sequence);
		recv->sequence = send->sequence;
	}
	uint64_t before = send->sequence;
	assert_int_equal(sealed.size, plain.size + KW_AEAD_TAG_SIZE);
	assert_int_equal(kw_hpke_seal(send, view_of(&aad), view_of(&plain), out), KW_OK);
	assert_memory_equal(out, sealed.data, sealed.size);
	/* One changed bit is refused and does not advance; then the true one opens. */
	sealed.data[before % sealed.size] ^= 1;
	assert_int_equal(kw_hpke_open(recv, view_of(&aad), view_of(&sealed), out), KW_EOPEN);
	sealed.data[before % sealed.size] ^= 1;
	assert_int_equal(kw_hpke_open(recv, view_of(&aad), view_of(&sealed), out), KW_OK);
	assert_memory_equal(out, plain.data, plain.size);
	assert_int_equal(send->sequence, before + 1);
	assert_int_equal(recv->sequence, before + 1);
}

static void check_export(const json_t *row, const struct kw_hpke *send, const struct kw_hpke *recv)
{
	struct bytes context = bytes_of(row, "exporter_context");
	struct bytes expected = bytes_of(row, "exported_value");
	uint8_t out[BYTES_MAX];
	assert_int_equal(expected.size, number_of(row, "L"));
	assert_int_equal(kw_hpke_export(send, view_of(&context), out, expected.size), KW_OK);
	assert_memory_equal(out, expected.data, expected.size);
	memset(out, 0, sizeof(out));
	assert_int_equal(kw_hpke_export(recv, view_of(&context), out, expected.size), KW_OK);
	assert_memory_equal(out, expected.data, expected.size);
}

/* The values inside the key schedule, where the file has them. */
static void check_schedule(const json_t *setup, const struct kw_hpke *hpke)
{
	struct bytes key = bytes_of(setup, "key");
	struct bytes nonce = bytes_of(setup, "base_nonce");
	struct bytes exporter = bytes_of(setup, "exporter_secret");
	assert_memory_equal(hpke->key, key.data, key.size);
	assert_memory_equal(hpke->base_nonce, nonce.data, nonce.size);
	assert_memory_equal(hpke->exporter, exporter.data, exporter.size);
}

static void check_rows(const json_t *setup, struct kw_hpke *send, struct kw_hpke *recv, struct counts *counts)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(setup, "encryptions"), i, row) check_encryption(row, send, recv);
	counts->encryptions += (int)i;
	json_array_foreach(json_object_get(setup, "exports"), i, row) check_export(row, send, recv);
	counts->exports += (int)i;
	counts->setups++;
	kw_hpke_fini(send);
	kw_hpke_fini(recv);
}

static void check_setup(const json_t *setup, struct counts *counts)
{
	struct kw_x25519 recipient = pair_of(setup, "skRm", "pkRm");
	struct kw_x25519 ephemeral = pair_of(setup, "skEm", "pkEm");
	struct kw_x25519 sender = pair_of(setup, "skSm", "pkSm");
	struct bytes info = bytes_of(setup, "info");
	struct bytes psk = bytes_of(setup, "psk");
	struct bytes psk_id = bytes_of(setup, "psk_id");
	check_derive(setup, "ikmR", &recipient);
	check_derive(setup, "ikmE", &ephemeral);
	check_derive(setup, "ikmS", &sender);
	struct kw_hpke_suite suite = {
		.mode = (enum kw_hpke_mode)number_of(setup, "mode"),
		.aead = (uint16_t)number_of(setup, "aead_id"),
		.info = view_of(&info),
		.psk = view_of(&psk),
		.psk_id = view_of(&psk_id),
	};
	bool auth = suite.mode == KW_HPKE_AUTH || suite.mode == KW_HPKE_AUTH_PSK;
	struct kw_hpke_send send_setup = {
		.suite = suite, .recipient = recipient.public_key, .sender = auth ? &sender : NULL, .ephemeral = &ephemeral};
	struct kw_hpke_recv recv_setup = {
		.suite = suite, .recipient = &recipient, .sender = auth ? sender.public_key : NULL};
	struct kw_hpke send;
	struct kw_hpke recv;
	uint8_t enc[KW_HPKE_ENC_SIZE];
	assert_int_equal(kw_hpke_send(&send_setup, enc, &send), KW_OK);
	assert_memory_equal(enc, ephemeral.public_key, sizeof(enc));
	assert_int_equal(kw_hpke_recv(&recv_setup, enc, &recv), KW_OK);
	check_schedule(setup, &send);
	check_schedule(setup, &recv);
	check_rows(setup, &send, &recv, counts);
}

/* In this file skRm is the seed, and skEm the randomness of encapsulation. */
static void check_hybrid(const char *name, const json_t *setup, struct counts *counts)
{
	struct bytes seed = bytes_of(setup, "skRm");
	struct bytes public_key = bytes_of(setup, "pkRm");
	struct bytes random = bytes_of(setup, "skEm");
	struct bytes expected = bytes_of(setup, "pkEm");
	struct bytes info = bytes_of(setup, "info");
	struct kw_hpke_suite suite = {.mode = KW_HPKE_BASE,
		.kem = KW_HPKE_HYBRID,
		.aead = (uint16_t)number_of(setup, "aead_id"),
		.info = view_of(&info)};
	struct kw_hybrid key;
	struct kw_hpke send;
	struct kw_hpke recv;
	uint8_t enc[KW_HYBRID_ENC_SIZE];
	assert_int_equal(number_of(setup, "mode"), KW_HPKE_BASE);
	if (!kw_hybrid_able()) {
		printf("%s: %zu verdicts skipped: no ML-KEM\n", name,
			json_array_size(json_object_get(setup, "encryptions")) +
				json_array_size(json_object_get(setup, "exports")));
		return;
	}
	assert_int_equal(seed.size, KW_HYBRID_SEED_SIZE);
	assert_int_equal(random.size, KW_HYBRID_RANDOM_SIZE);
	assert_int_equal(kw_hybrid_from_seed(seed.data, &key), KW_OK);
	assert_int_equal(public_key.size, sizeof(key.public_key));
	assert_memory_equal(key.public_key, public_key.data, public_key.size);
	struct kw_hpke_send send_setup = {.suite = suite, .recipient = key.public_key, .random = random.data};
	struct kw_hpke_recv recv_setup = {.suite = suite, .hybrid = &key};
	assert_int_equal(kw_hpke_send(&send_setup, enc, &send), KW_OK);
	assert_int_equal(expected.size, sizeof(enc));
	assert_memory_equal(enc, expected.data, sizeof(enc));
	assert_int_equal(kw_hpke_recv(&recv_setup, enc, &recv), KW_OK);
	check_rows(setup, &send, &recv, counts);
}

static struct counts check_all(const char *name, const json_t *setups)
{
	struct counts counts = {0, 0, 0};
	size_t i;
	json_t *setup;
	json_array_foreach(setups, i, setup)
	{
		int kem = number_of(setup, "kem_id");
		if (kem == KW_HPKE_X25519 && number_of(setup, "kdf_id") == 1)
			check_setup(setup, &counts);
		if (kem == KW_HPKE_HYBRID && number_of(setup, "kdf_id") == 1)
			check_hybrid(name, setup, &counts);
	}
	printf("%s: %d of %d setups (the others have KEMs or hashes that Kinward does not), %d encryptions, %d exports\n",
		name, counts.setups, (int)i, counts.encryptions, counts.exports);
	return counts;
}

static void test_hpke_matches_rfc9180(void **state)
{
	(void)state;
	json_t *setups = json_load_file(KW_TEST_DATA_DIR "/crypto/rfc9180-appendix-a.json", 0, NULL);
	assert_non_null(setups);
	struct counts counts = check_all("rfc9180-appendix-a.json", setups);
	json_decref(setups);
	assert_int_equal(counts.setups, 12);
	assert_int_equal(counts.encryptions, 48);
	assert_int_equal(counts.exports, 36);
}

/* One "name = value" line into the newest row; setups, encryptions and exports nest as in the JSON file. */
static void add_line(json_t *setup, json_t **row, char *line)
{
	static const char *const NUMBERS[] = {"mode", "kem_id", "kdf_id", "aead_id", "L"};
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '#') {
		json_t *rows = json_object_get(setup, line[3] == 'n' ? "encryptions" : "exports");
		*row = json_object();
		assert_int_equal(json_array_append_new(rows, *row), 0);
		return;
	}
	char *equals = strstr(line, " =");
	assert_non_null(equals);
	*equals = '\0';
	const char *value = equals[2] == ' ' ? equals + 3 : equals + 2;
	bool number = false;
	for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++)
		number = number || strcmp(line, NUMBERS[i]) == 0;
	json_object_set_new(*row, line, number ? json_integer(strtol(value, NULL, 10)) : json_string(value));
}

static json_t *load_text(const char *path)
{
	char line[4096];
	json_t *setups = json_array();
	json_t *setup = NULL;
	json_t *row = NULL;
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '\n') {
			setup = NULL;
			continue;
		}
		if (setup == NULL) {
			setup = json_pack("{s:[], s:[]}", "encryptions", "exports");
			row = setup;
			json_array_append_new(setups, setup);
		}
		add_line(setup, &row, line);
	}
	fclose(file);
	return setups;
}

static void test_hpke_matches_boringssl(void **state)
{
	(void)state;
	json_t *setups = load_text(KW_TEST_DATA_DIR "/crypto/rfc9180-boringssl-hpke_test_vectors.txt");
	struct counts counts = check_all("rfc9180-boringssl-hpke_test_vectors.txt", setups);
	json_decref(setups);
	assert_int_equal(counts.setups, kw_hybrid_able() ? 7 : 6);
	assert_int_equal(counts.encryptions, kw_hybrid_able() ? 1542 + 17 : 1542);
	assert_int_equal(counts.exports, kw_hybrid_able() ? 18 + 3 : 18);
}

static void test_hpke_refuses_low_order_keys(void **state)
{
	(void)state;
	static const uint8_t LOW[][KW_KEY_SIZE] = {
		{0},
		{1},
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
			0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	};
	struct kw_x25519 recipient;
	uint8_t out[KW_HPKE_ENC_SIZE + 48];
	assert_int_equal(kw_x25519_generate(&recipient), KW_OK);
	for (size_t i = 0; i < 3; i++) {
		struct kw_hpke_suite suite = {.mode = KW_HPKE_BASE, .aead = KW_AEAD_AES_256_GCM};
		struct kw_hpke_send send = {.suite = suite, .recipient = LOW[i]};
		struct kw_hpke_recv recv = {.suite = suite, .recipient = &recipient};
		assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW(out, 32), out), KW_EFIELD);
		assert_int_equal(kw_hpke_open_once(&recv, LOW[i], KW_VIEW(out, 48), out), KW_EOPEN);
	}
}

static void test_hpke_refuses_mode_that_does_not_fit(void **state)
{
	(void)state;
	struct kw_x25519 key;
	struct kw_hpke hpke;
	uint8_t enc[KW_HPKE_ENC_SIZE];
	struct kw_view psk = kw_view_str("0123456789abcdef0123456789abcdef");
	struct kw_view shorter = KW_VIEW(psk.data, 31);
	assert_int_equal(kw_x25519_generate(&key), KW_OK);
	struct kw_hpke_suite bad[] = {
		{.mode = KW_HPKE_BASE, .aead = 2, .psk = psk},
		{.mode = KW_HPKE_BASE, .aead = 2, .psk_id = psk},
		{.mode = KW_HPKE_PSK, .aead = 2},
		{.mode = KW_HPKE_PSK, .aead = 2, .psk = psk},
		{.mode = KW_HPKE_PSK, .aead = 2, .psk_id = psk},
		{.mode = KW_HPKE_PSK, .aead = 2, .psk = shorter, .psk_id = psk},
		{.mode = KW_HPKE_AUTH, .aead = 2},
		{.mode = (enum kw_hpke_mode)4, .aead = 2},
		{.mode = KW_HPKE_BASE, .aead = 0},
		{.mode = KW_HPKE_BASE, .aead = 4},
		{.mode = KW_HPKE_BASE, .aead = 2, .kem = (enum kw_hpke_kem)0x21},
		{.mode = KW_HPKE_AUTH, .aead = 2, .kem = KW_HPKE_HYBRID},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kw_hpke_send send = {.suite = bad[i], .recipient = key.public_key};
		struct kw_hpke_recv recv = {.suite = bad[i], .recipient = &key};
		assert_int_equal(kw_hpke_send(&send, enc, &hpke), KW_EFIELD);
		assert_int_equal(kw_hpke_recv(&recv, key.public_key, &hpke), KW_EFIELD);
	}
	struct kw_hpke_suite base = {.mode = KW_HPKE_BASE, .aead = 2};
	struct kw_hpke_send send = {.suite = base, .recipient = key.public_key, .sender = &key};
	assert_int_equal(kw_hpke_send(&send, enc, &hpke), KW_EFIELD);
	struct kw_hpke_suite fits = {.mode = KW_HPKE_PSK, .aead = 2, .psk = psk, .psk_id = psk};
	send = (struct kw_hpke_send){.suite = fits, .recipient = key.public_key};
	assert_int_equal(kw_hpke_send(&send, enc, &hpke), KW_OK);
	assert_int_equal(kw_hpke_export(&hpke, KW_VIEW(NULL, 0), enc, KW_HPKE_EXPORT_SIZE_MAX + 1), KW_ETOOBIG);
}

static void test_hpke_fresh_ephemerals_differ(void **state)
{
	(void)state;
	struct kw_x25519 recipient;
	uint8_t first[KW_HPKE_ENC_SIZE + 48];
	uint8_t second[KW_HPKE_ENC_SIZE + 48];
	static const uint8_t PLAIN[32] = {7};
	uint8_t out[32];
	assert_int_equal(kw_x25519_generate(&recipient), KW_OK);
	struct kw_hpke_suite suite = {.mode = KW_HPKE_BASE, .aead = KW_AEAD_CHACHA20_POLY1305};
	struct kw_hpke_send send = {.suite = suite, .recipient = recipient.public_key};
	struct kw_hpke_recv recv = {.suite = suite, .recipient = &recipient};
	assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW_OF(PLAIN), first), KW_OK);
	assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW_OF(PLAIN), second), KW_OK);
	assert_memory_not_equal(first, second, KW_HPKE_ENC_SIZE);
	assert_memory_not_equal(first + KW_HPKE_ENC_SIZE, second + KW_HPKE_ENC_SIZE, 48);
	struct kw_view sealed = KW_VIEW(first + KW_HPKE_ENC_SIZE, 48);
	assert_int_equal(kw_hpke_open_once(&recv, first, sealed, out), KW_OK);
	assert_memory_equal(out, PLAIN, sizeof(PLAIN));
	assert_int_equal(kw_hpke_open_once(&recv, second, sealed, out), KW_EOPEN);
	recv.suite.info = kw_view_str("x");
	assert_int_equal(kw_hpke_open_once(&recv, first, sealed, out), KW_EOPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hpke_matches_rfc9180),
		cmocka_unit_test(test_hpke_matches_boringssl),
		cmocka_unit_test(test_hpke_refuses_low_order_keys),
		cmocka_unit_test(test_hpke_refuses_mode_that_does_not_fit),
		cmocka_unit_test(test_hpke_fresh_ephemerals_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
