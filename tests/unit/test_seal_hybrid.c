/* Suite 0x11: sealing and opening where libcrypto has ML-KEM, and what is left where it has not. The envelope's limits with
 * the larger key, and suites changed on the way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/pbscan.h"
#include "tests/kit/scene.h"

static uint8_t content[KW_SEAL_SIZE_MAX];

static bool skipped(const char *what)
{
	if (kw_hybrid_able())
		return false;
	printf("%s: skipped: no ML-KEM\n", what);
	return true;
}

static void test_hybrid_opens_for_each_recipient(void **state)
{
	(void)state;
	static struct kit_sealing kit;
	if (skipped("round trips"))
		skip();
	for (size_t count = 1; count <= KW_RECIPIENTS_MAX; count++) {
		struct kw_sealed sealed;
		kit_sealing_init(&kit, KW_SUITE_HYBRID, count, KW_VIEW(content, 700));
		kit.request.random = count % 2 ? NULL : kit.request.random;
		assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
		for (size_t i = 0; i < count; i++) {
			struct kw_view envelope = kw_buf_view(&sealed.envelopes[i]);
			struct kw_open_request request = kit_sealing_open(&kit, i, envelope);
			struct kw_opened opened;
			enum kw_open_reason reason;
			assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
			assert_int_equal(opened.suite, KW_SUITE_HYBRID);
			assert_true(kw_view_equal(kw_buf_view(&opened.content), kit.request.content));
			assert_memory_equal(&opened.digest, &sealed.digest, sizeof(opened.digest));
			kw_opened_fini(&opened);
			/* Who has only keys of X25519 does not look for them. */
			request.find_hybrid = NULL;
			assert_int_equal(kw_open(&request, &opened, &reason), KW_EOPEN);
			assert_int_equal(reason, KW_OPEN_KEY_UNKNOWN);
		}
		kw_sealed_fini(&sealed);
	}
}

static void test_hybrid_refuses_every_flipped_bit(void **state)
{
	(void)state;
	static struct scene scene;
	int refused = 0;
	if (skipped("flipped bits"))
		skip();
	scene_init(&scene, KW_SUITE_HYBRID, 400);
	struct kw_buf *envelope = &scene.sealed.envelopes[1];
	/* Of the encapsulated key, whose bits all fail in the same way, one bit of each byte. */
	size_t from = (size_t)(scene.parts.enc - envelope->data);
	for (size_t bit = 0; bit < envelope->size * 8; bit++) {
		enum kw_open_reason reason;
		size_t at = bit / 8;
		if (at >= from && at < from + KW_HYBRID_ENC_SIZE && bit % 8 != at % 8)
			continue;
		envelope->data[at] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(scene_open_as(&scene, 1, kw_buf_view(envelope), &reason), KW_OK);
		assert_int_not_equal(reason, KW_OPEN_OK);
		assert_int_not_equal(reason, KW_OPEN_LOCAL);
		envelope->data[at] ^= (uint8_t)(1 << bit % 8);
		refused++;
	}
	printf("suite 17: %d bits flipped, all refused\n", refused);
	scene_fini(&scene);
}

/* The scene's header with another suite in it, in the scene's own parts. */
static void change_suite(struct scene *scene, enum kw_suite suite, struct kw_buf *header)
{
	struct kw_envelope_label label = scene->parts.label;
	label.suite = suite;
	kw_buf_clear(header);
	assert_int_equal(kw_envelope_add_header(header, &label), KW_OK);
	scene->parts.header = kw_buf_view(header);
}

/* A slot in the form of that suite, as much of the true one as there is place for. */
static void change_slot(struct scene *scene, enum kw_suite suite, struct kw_buf *slot)
{
	static uint8_t enc[KW_HYBRID_ENC_SIZE];
	struct kw_envelope parts = scene->parts;
	parts.label.suite = suite;
	memcpy(enc, parts.enc, KW_HPKE_ENC_SIZE);
	parts.enc = enc;
	kw_buf_clear(slot);
	assert_int_equal(kw_envelope_add_slot(slot, &parts), KW_OK);
	scene->parts.slot = kw_buf_view(slot);
}

static void check_changed_suite(enum kw_suite from, enum kw_suite to)
{
	static struct scene scene;
	struct kw_buf header;
	struct kw_buf slot;
	kw_buf_init(&header, 256);
	kw_buf_init(&slot, 2048);
	scene_init(&scene, from, 400);
	scene_parts_give(&scene, KW_OPEN_OK);
	bool same_size = kw_suite_enc_size(from) == kw_suite_enc_size(to);
	change_suite(&scene, to, &header);
	if (same_size) {
		scene_parts_give(&scene, KW_OPEN_SLOT);
	} else {
		/* The number alone does not fit the slot; with a slot that fits, the key sealed in it does not open. */
		enum kw_open_reason reason;
		assert_int_equal(scene_open_as(&scene, 1, scene_encode(&scene), &reason), KW_EFIELD);
		assert_int_equal(reason, KW_OPEN_STRUCTURE);
		change_slot(&scene, to, &slot);
		scene_parts_give(&scene, to == KW_SUITE_HYBRID && !kw_hybrid_able() ? KW_OPEN_SUITE : KW_OPEN_SLOT);
	}
	printf("suite %d changed to %d: refused\n", (int)from, (int)to);
	scene_fini(&scene);
	kw_buf_fini(&header);
	kw_buf_fini(&slot);
}

static void test_a_changed_suite_is_refused(void **state)
{
	(void)state;
	check_changed_suite(KW_SUITE_AES, KW_SUITE_CHACHA);
	check_changed_suite(KW_SUITE_CHACHA, KW_SUITE_AES);
	check_changed_suite(KW_SUITE_AES, KW_SUITE_HYBRID);
	if (skipped("downgrades of suite 17"))
		return;
	check_changed_suite(KW_SUITE_HYBRID, KW_SUITE_AES);
	check_changed_suite(KW_SUITE_HYBRID, KW_SUITE_CHACHA);
}

static void longest(struct kit_sealing *kit)
{
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		memset(kit->recipients[i].agency.text, 'a', KW_NAME_SIZE_MAX);
		memset(kit->recipients[i].hub.text, 'h', KW_NAME_SIZE_MAX);
		kit->recipients[i].key_id.size = KW_KEY_ID_SIZE_MAX;
	}
	memset(kit->request.home_hub.text, 'h', KW_NAME_SIZE_MAX);
	memset(kit->request.claims.sender.text, 's', KW_NAME_SIZE_MAX);
	memset(kit->request.claims.sender_hub.text, 'h', KW_NAME_SIZE_MAX);
	kit->request.claims.key_id.size = KW_KEY_ID_SIZE_MAX;
	kit->request.claims.sent_unix_ms = INT64_MAX;
	kit->request.claims.content_type = UINT32_MAX;
	kit->request.claims.thread_sequence = UINT64_MAX;
	kit->request.expiry_hour = UINT32_MAX;
}

static void test_hybrid_envelope_fits_with_the_most_of_everything(void **state)
{
	(void)state;
	static struct kit_sealing kit;
	struct kw_sealed sealed;
	struct kw_envelope_label label;
	kit_sealing_init(&kit, KW_SUITE_HYBRID, KW_RECIPIENTS_MAX, KW_VIEW(content, KW_SEAL_SIZE_MAX + 1));
	longest(&kit);
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_ETOOBIG);
	kit.request.content.size--;
	if (skipped("largest envelope")) {
		assert_int_equal(kw_seal(&kit.request, &sealed), KW_EVERSION);
		return;
	}
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	struct kw_view largest = kw_buf_view(&sealed.envelopes[KW_RECIPIENTS_MAX - 1]);
	printf("largest envelope of suite 17: %zu bytes\n", largest.size);
	assert_true(largest.size <= KW_ENVELOPE_SIZE_MAX);
	assert_int_equal(kw_envelope_peek(largest, &label), KW_OK);
	kw_sealed_fini(&sealed);
}

/* An envelope of the form, by hand, so that its limits are tested without ML-KEM too. */
static enum kw_err peek_with_enc_of(size_t enc_size)
{
	static const uint8_t bytes[KW_BODY_SIZE_MAX];
	struct kw_buf header;
	struct kw_buf slot;
	struct kw_buf all;
	struct kw_envelope_label label = {.suite = KW_SUITE_HYBRID, .msg_class = KW_NORMAL, .expiry_hour = 1,
		.size_bucket = 512, .hops_max = 1, .home_hub = kw_view_str("hub-a")};
	kw_buf_init(&header, 256);
	kw_buf_init(&slot, 4096);
	kw_buf_init(&all, KW_ENVELOPE_SIZE_MAX);
	assert_int_equal(kw_envelope_add_header(&header, &label), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&slot, 1, kw_view_str("agency-a")), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&slot, 2, kw_view_str("hub-a")), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&slot, 3, KW_VIEW(bytes, KW_KEY_ID_SIZE_MIN)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&slot, 4, KW_VIEW(bytes, enc_size)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&slot, 5, KW_VIEW(bytes, KW_SEALED_KEY_SIZE)), KW_OK);
	struct kw_envelope parts = {.label = label, .header = kw_buf_view(&header), .commit = bytes,
		.slot = kw_buf_view(&slot), .body = KW_VIEW(bytes, 512 + KW_AEAD_TAG_SIZE),
		.auth = KW_VIEW(bytes, KW_AUTH_SIZE_MIN + KW_AEAD_TAG_SIZE)};
	assert_int_equal(kw_envelope_add(&all, &parts), KW_OK);
	enum kw_err err = kw_envelope_peek(kw_buf_view(&all), &label);
	kw_buf_fini(&header);
	kw_buf_fini(&slot);
	kw_buf_fini(&all);
	return err;
}

/* A hub passes suite 0x11 on whether or not its own libcrypto has ML-KEM. */
static void test_hub_reads_an_encapsulated_key_of_one_size_only(void **state)
{
	(void)state;
	assert_int_equal(peek_with_enc_of(KW_HYBRID_ENC_SIZE), KW_OK);
	assert_int_equal(peek_with_enc_of(KW_HYBRID_ENC_SIZE + 1), KW_EFIELD);
	assert_int_equal(peek_with_enc_of(KW_HYBRID_ENC_SIZE - 1), KW_EFIELD);
	assert_int_equal(peek_with_enc_of(KW_HPKE_ENC_SIZE), KW_EFIELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hybrid_opens_for_each_recipient),
		cmocka_unit_test(test_hybrid_refuses_every_flipped_bit),
		cmocka_unit_test(test_a_changed_suite_is_refused),
		cmocka_unit_test(test_hybrid_envelope_fits_with_the_most_of_everything),
		cmocka_unit_test(test_hub_reads_an_encapsulated_key_of_one_size_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
