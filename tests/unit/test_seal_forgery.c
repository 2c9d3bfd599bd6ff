/* Forgeries by somebody who knows the message key, as every recipient does, or who is the sender; and the order of checks
 * inside opening. Attacks from outside are in test_seal_attack.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/pbscan.h"
#include "proto/wire/suite.h"
#include "tests/kit/scene.h"

/* Chunks of the body. T covers the whole body, so the AEAD's own order is tested below it. */
static void test_body_refuses_moved_chunks(void **state)
{
	(void)state;
	static uint8_t padded[KW_BODY_SIZE_MAX];
	static uint8_t sealed[KW_BODY_SIZE_MAX + KW_CHUNKS_MAX * KW_AEAD_TAG_SIZE];
	static uint8_t moved[sizeof(sealed)];
	const size_t chunk = KW_CHUNK_SIZE + KW_AEAD_TAG_SIZE;
	for (int suite = KW_SUITE_AES; suite <= KW_SUITE_CHACHA; suite++) {
		struct scene scene;
		scene_init(&scene, (enum kw_suite)suite, 10);
		assert_int_equal(kw_body_seal(&scene.keys, KW_VIEW_OF(padded), sealed), KW_OK);
		assert_int_equal(kw_body_open(&scene.keys, KW_VIEW_OF(sealed), sizeof(padded), padded), KW_OK);
		/* Every order of three chunks, with repeats: 27, of which one is right. */
		int opened = 0;
		for (size_t order = 0; order < 27; order++) {
			memcpy(moved, sealed + order % 3 * chunk, chunk);
			memcpy(moved + chunk, sealed + order / 3 % 3 * chunk, chunk);
			memcpy(moved + 2 * chunk, sealed + order / 9 * chunk, chunk);
			opened += kw_body_open(&scene.keys, KW_VIEW_OF(moved), sizeof(padded), padded) == KW_OK;
		}
		assert_int_equal(opened, 1);
		/* Cut after one or two chunks: the last one kept does not carry the last flag. */
		for (size_t kept = 1; kept <= 2; kept++)
			assert_int_equal(kw_body_open(&scene.keys, KW_VIEW(sealed, kept * chunk), kept * KW_CHUNK_SIZE, padded),
				KW_EOPEN);
		/* Extended: a whole body of two chunks and one chunk more. */
		assert_int_equal(kw_body_seal(&scene.keys, KW_VIEW(padded, 2 * KW_CHUNK_SIZE), moved), KW_OK);
		assert_int_equal(kw_body_open(&scene.keys, KW_VIEW(moved, 2 * chunk), 2 * KW_CHUNK_SIZE, padded), KW_OK);
		memcpy(moved + 2 * chunk, sealed + 2 * chunk, chunk);
		assert_int_equal(kw_body_open(&scene.keys, KW_VIEW_OF(moved), sizeof(padded), padded), KW_EOPEN);
		scene_fini(&scene);
	}
}

/* Signs (or keeps `signature`) and seals an AuthBlock over the parts as they are: what anybody with the DEK can do. */
static void reseal_auth(struct scene *scene, struct kw_view claims, const struct kw_ed25519 *signer, uint8_t *signature)
{
	struct kw_digest digest;
	struct kw_signed signed_bytes;
	struct kw_buf block;
	kw_buf_init(&block, KW_AUTH_SIZE_MAX);
	assert_int_equal(kw_envelope_digest_of(&scene->parts, &scene->keys.header_hash, &digest), KW_OK);
	kw_signed_from(&digest, claims, &signed_bytes);
	if (signer != NULL)
		assert_int_equal(kw_ed25519_sign(signer, KW_VIEW(signed_bytes.bytes, signed_bytes.size), signature), KW_OK);
	struct kw_auth_block parts = {claims, KW_VIEW(signature, KW_SIGNATURE_SIZE)};
	assert_int_equal(kw_auth_block_add(&block, &parts), KW_OK);
	assert_int_equal(kw_pad_add(&block, kw_pad_auth_size(block.size)), KW_OK);
	assert_int_equal(kw_auth_seal(&scene->keys, &digest, kw_buf_view(&block), scene->auth), KW_OK);
	scene->parts.auth = KW_VIEW(scene->auth, block.size + KW_AEAD_TAG_SIZE);
	kw_buf_fini(&block);
}

/* The true signature, taken out of the envelope by somebody who knows the DEK. */
static void take_signature(struct scene *scene, uint8_t *signature)
{
	uint8_t block[KW_AUTH_SIZE_MAX];
	size_t size;
	struct kw_auth_block parts;
	assert_int_equal(kw_auth_open(&scene->keys, &scene->sealed.digest, scene->parts.auth, block), KW_OK);
	assert_int_equal(kw_pad_strip(KW_VIEW(block, scene->parts.auth.size - KW_AEAD_TAG_SIZE), &size), KW_OK);
	assert_int_equal(kw_auth_block_parse(KW_VIEW(block, size), &parts), KW_OK);
	memcpy(signature, parts.signature.data, KW_SIGNATURE_SIZE);
}

/* A recipient knows the DEK. It must not be able to give another recipient of the same message other claims or another
 * body under the sender's name. */
static void test_open_refuses_forgeries_by_a_recipient(void **state)
{
	(void)state;
	struct scene scene;
	struct kw_buf claims;
	uint8_t signature[KW_SIGNATURE_SIZE];
	scene_init(&scene, KW_SUITE_AES, 400);
	kw_buf_init(&claims, KW_AUTH_SIZE_MAX);
	take_signature(&scene, signature);
	struct kw_claims changed = scene.kit.request.claims;
	assert_int_equal(kw_claims_add(&claims, &changed), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), NULL, signature);
	scene_parts_give(&scene, KW_OPEN_OK); /* the same claims: the control */
	changed.thread_sequence++;
	kw_buf_clear(&claims);
	assert_int_equal(kw_claims_add(&claims, &changed), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), NULL, signature);
	scene_parts_give(&scene, KW_OPEN_SIGNATURE);
	/* Signed by the forger under the sender's name, then under a name we do not know. */
	struct kw_ed25519 forger;
	uint8_t forged_signature[KW_SIGNATURE_SIZE];
	assert_int_equal(kw_ed25519_generate(&forger), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), &forger, forged_signature);
	scene_parts_give(&scene, KW_OPEN_SIGNATURE);
	assert_int_equal(kw_name_from(kw_view_str("nobody"), &changed.sender), KW_OK);
	kw_buf_clear(&claims);
	assert_int_equal(kw_claims_add(&claims, &changed), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), &forger, forged_signature);
	scene_parts_give(&scene, KW_OPEN_SENDER_UNKNOWN);
	/* Another body under the true claims and signature. */
	uint8_t body[512 + KW_AEAD_TAG_SIZE];
	uint8_t padded[512] = {'x', 0x80};
	assert_int_equal(kw_body_seal(&scene.keys, KW_VIEW_OF(padded), body), KW_OK);
	scene.parts.body = KW_VIEW_OF(body);
	kw_buf_clear(&claims);
	assert_int_equal(kw_claims_add(&claims, &scene.kit.request.claims), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), NULL, signature);
	scene_parts_give(&scene, KW_OPEN_SIGNATURE);
	kw_buf_fini(&claims);
	scene_fini(&scene);
}

/* A sender that breaks the format inside what it seals and signs itself. */
static void test_open_refuses_malformed_insides(void **state)
{
	(void)state;
	struct scene scene;
	struct kw_buf claims;
	uint8_t signature[KW_SIGNATURE_SIZE];
	uint8_t padded[512] = {'x'};
	uint8_t body[512 + KW_AEAD_TAG_SIZE];
	scene_init(&scene, KW_SUITE_CHACHA, 400);
	kw_buf_init(&claims, KW_AUTH_SIZE_MAX);
	assert_int_equal(kw_claims_add(&claims, &scene.kit.request.claims), KW_OK);
	scene.parts.body = KW_VIEW_OF(body);
	static const uint8_t LAST[] = {0x80, 0x01, 0x00};
	for (size_t i = 0; i < 3; i++) {
		padded[511] = LAST[i]; /* an end mark, another byte, no mark at all */
		padded[0] = 0;
		assert_int_equal(kw_body_seal(&scene.keys, KW_VIEW_OF(padded), body), KW_OK);
		reseal_auth(&scene, kw_buf_view(&claims), &scene.kit.identity, signature);
		scene_parts_give(&scene, i == 0 ? KW_OPEN_OK : KW_OPEN_PADDING);
	}
	/* A body that T and the signature cover, but that does not decrypt. */
	body[100] ^= 1;
	reseal_auth(&scene, kw_buf_view(&claims), &scene.kit.identity, signature);
	scene_parts_give(&scene, KW_OPEN_BODY);
	/* Claims with an unknown field, with one missing, and none. */
	assert_int_equal(kw_pb_add_uint(&claims, 8, 1), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), &scene.kit.identity, signature);
	scene_parts_give(&scene, KW_OPEN_CLAIMS);
	kw_buf_clear(&claims);
	struct kw_claims missing = scene.kit.request.claims;
	missing.content_type = 0;
	assert_int_equal(kw_claims_add(&claims, &missing), KW_OK);
	reseal_auth(&scene, kw_buf_view(&claims), &scene.kit.identity, signature);
	scene_parts_give(&scene, KW_OPEN_CLAIMS);
	reseal_auth(&scene, KW_VIEW(NULL, 0), &scene.kit.identity, signature);
	scene_parts_give(&scene, KW_OPEN_CLAIMS);
	kw_buf_fini(&claims);
	scene_fini(&scene);
}

/* A slot that opens to one key while the commitment is to another. */
static void test_open_refuses_a_key_that_is_not_committed(void **state)
{
	(void)state;
	struct scene scene;
	struct kw_slot_info info;
	struct kw_buf slot;
	uint8_t sealed[KW_HPKE_ENC_SIZE + KW_SEALED_KEY_SIZE];
	static const uint8_t OTHER_DEK[KW_DEK_SIZE] = {1, 2, 3};
	scene_init(&scene, KW_SUITE_AES, 400);
	kw_slot_info(&scene.parts, &scene.keys.header_hash, &info);
	struct kw_hpke_send send = {
		.suite = {.mode = KW_HPKE_BASE, .aead = KW_AEAD_AES_256_GCM, .info = KW_VIEW(info.bytes, info.size)},
		.recipient = scene.kit.recipients[1].public_key,
	};
	assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW_OF(OTHER_DEK), sealed), KW_OK);
	kw_buf_init(&slot, 512);
	scene.parts.enc = sealed;
	scene.parts.sealed_key = KW_VIEW(sealed + KW_HPKE_ENC_SIZE, KW_SEALED_KEY_SIZE);
	assert_int_equal(kw_envelope_add_slot(&slot, &scene.parts), KW_OK);
	scene.parts.slot = kw_buf_view(&slot);
	scene_parts_give(&scene, KW_OPEN_COMMIT);
	kw_buf_fini(&slot);
	scene_fini(&scene);
}

static enum kw_err lookup_error;

static enum kw_err broken_secret(void *user, struct kw_view key_id, struct kw_x25519 *out)
{
	(void)user;
	(void)key_id;
	(void)out;
	return lookup_error;
}

static enum kw_err broken_identity(void *user, const struct kw_open_sender *sender, uint8_t *out)
{
	(void)user;
	(void)sender;
	(void)out;
	return lookup_error;
}

/* Our own trouble is not the envelope's fault and must be seen as it is. */
static void test_open_passes_lookup_errors(void **state)
{
	(void)state;
	struct scene scene;
	struct kw_opened opened;
	enum kw_open_reason reason;
	scene_init(&scene, KW_SUITE_AES, 400);
	static const enum kw_err ERRORS[] = {KW_EIO, KW_ENOMEM, KW_ECORRUPT, KW_EFIELD, KW_ENOTFOUND};
	for (size_t i = 0; i < 5; i++) {
		lookup_error = ERRORS[i];
		struct kw_open_request request = kit_sealing_open(&scene.kit, 1, kw_buf_view(&scene.sealed.envelopes[1]));
		request.find_secret = broken_secret;
		enum kw_err expected = lookup_error == KW_ENOTFOUND ? KW_EOPEN : lookup_error;
		assert_int_equal(kw_open(&request, &opened, &reason), expected);
		assert_int_equal(reason, expected == KW_EOPEN ? KW_OPEN_KEY_UNKNOWN : KW_OPEN_LOCAL);
		request = kit_sealing_open(&scene.kit, 1, kw_buf_view(&scene.sealed.envelopes[1]));
		request.find_identity = broken_identity;
		assert_int_equal(kw_open(&request, &opened, &reason), expected);
		assert_int_equal(reason, expected == KW_EOPEN ? KW_OPEN_SENDER_UNKNOWN : KW_OPEN_LOCAL);
	}
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_refuses_moved_chunks),
		cmocka_unit_test(test_open_refuses_forgeries_by_a_recipient),
		cmocka_unit_test(test_open_refuses_malformed_insides),
		cmocka_unit_test(test_open_refuses_a_key_that_is_not_committed),
		cmocka_unit_test(test_open_passes_lookup_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
