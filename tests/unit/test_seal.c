/* proto/wire/seal.h and open.h: what is sealed opens, for its recipient only, and says what it said. What an attacker
 * may do to an envelope is in test_seal_attack.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/sealing.h"

static uint8_t content[KW_SEAL_SIZE_MAX + 1];

static void fill_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 131 + (i >> 8));
}

static void check_label(const struct kit_sealing *kit, size_t index, struct kw_view envelope)
{
	struct kw_envelope_label label;
	const struct kw_seal_request *request = &kit->request;
	assert_int_equal(kw_envelope_peek(envelope, &label), KW_OK);
	assert_int_equal(label.suite, request->suite);
	assert_int_equal(label.msg_class, request->msg_class);
	assert_int_equal(label.expiry_hour, request->expiry_hour);
	assert_int_equal(label.hops_max, request->hops_max);
	assert_int_equal(label.size_bucket, kw_pad_bucket(request->content.size));
	assert_true(kw_view_equal(label.home_hub, kw_view_str(request->home_hub.text)));
	assert_true(kw_view_equal(label.agency, kw_view_str(request->recipients[index].agency.text)));
	assert_true(kw_view_equal(label.hub, kw_view_str(request->recipients[index].hub.text)));
}

static void check_opened(const struct kit_sealing *kit, const struct kw_sealed *sealed, const struct kw_opened *opened)
{
	const struct kw_seal_request *request = &kit->request;
	assert_true(kw_view_equal(kw_buf_view(&opened->content), request->content));
	assert_memory_equal(&opened->digest, &sealed->digest, sizeof(sealed->digest));
	assert_true(kw_id_equal(&opened->envelope_id, &sealed->envelope_id));
	assert_int_equal(opened->suite, request->suite);
	assert_int_equal(opened->msg_class, request->msg_class);
	assert_int_equal(opened->expiry_hour, request->expiry_hour);
	assert_int_equal(opened->hops_max, request->hops_max);
	assert_int_equal(opened->size_bucket, sealed->size_bucket);
	assert_true(kw_name_equal(&opened->home_hub, &request->home_hub));
	assert_true(kw_name_equal(&opened->claims.sender, &request->claims.sender));
	assert_true(kw_name_equal(&opened->claims.sender_hub, &request->claims.sender_hub));
	assert_memory_equal(&opened->claims.key_id, &request->claims.key_id, sizeof(opened->claims.key_id));
	assert_int_equal(opened->claims.sent_unix_ms, request->claims.sent_unix_ms);
	assert_int_equal(opened->claims.content_type, request->claims.content_type);
	assert_true(kw_id_equal(&opened->claims.thread_id, &request->claims.thread_id));
	assert_int_equal(opened->claims.thread_sequence, request->claims.thread_sequence);
}

/* Seals, checks every envelope, opens each as its recipient and tries each as another. */
static void check_round_trip(struct kit_sealing *kit)
{
	struct kw_sealed sealed;
	assert_int_equal(kw_seal(&kit->request, &sealed), KW_OK);
	assert_int_equal(sealed.envelopes_count, kit->request.recipients_count);
	for (size_t i = 0; i < sealed.envelopes_count; i++) {
		struct kw_view envelope = kw_buf_view(&sealed.envelopes[i]);
		struct kw_open_request request = kit_sealing_open(kit, i, envelope);
		struct kw_opened opened;
		struct kw_digest digest;
		enum kw_open_reason reason;
		check_label(kit, i, envelope);
		assert_int_equal(kw_envelope_digest(envelope, &digest), KW_OK);
		assert_memory_equal(&digest, &sealed.digest, sizeof(digest));
		assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
		assert_int_equal(reason, KW_OPEN_OK);
		check_opened(kit, &sealed, &opened);
		kw_opened_fini(&opened);
		request = kit_sealing_open(kit, (i + 1) % KW_RECIPIENTS_MAX, envelope);
		assert_int_equal(kw_open(&request, &opened, &reason), KW_EOPEN);
		assert_int_equal(reason, KW_OPEN_NOT_FOR_US);
	}
	kw_sealed_fini(&sealed);
}

static void test_seal_opens_for_each_recipient(void **state)
{
	(void)state;
	struct kit_sealing kit;
	for (int suite = KW_SUITE_AES; suite <= KW_SUITE_CHACHA; suite++)
		for (size_t count = 1; count <= KW_RECIPIENTS_MAX; count++) {
			kit_sealing_init(&kit, (enum kw_suite)suite, count, KW_VIEW(content, 700));
			check_round_trip(&kit);
			kit.request.random = NULL; /* the product's own randomness */
			check_round_trip(&kit);
		}
}

static void test_seal_opens_at_every_size_step(void **state)
{
	(void)state;
	static const size_t SIZES[] = {0, 1, 510, 511, 512, 1023, 1024, 2047, 2048, 4095, 4096, 16383, 16384, 16385, 32767,
		32768, 40000, KW_SEAL_SIZE_MAX};
	struct kit_sealing kit;
	for (int suite = KW_SUITE_AES; suite <= KW_SUITE_CHACHA; suite++)
		for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
			kit_sealing_init(&kit, (enum kw_suite)suite, 1, KW_VIEW(content, SIZES[i]));
			check_round_trip(&kit);
		}
}

/* Content that looks like padding must come back whole. */
static void test_seal_keeps_content_that_looks_like_padding(void **state)
{
	(void)state;
	static const uint8_t TAILS[][4] = {{0x80, 0, 0, 0}, {0, 0, 0, 0}, {0x80, 0x80, 0x80, 0x80}, {1, 0x80, 0, 0}};
	struct kit_sealing kit;
	for (size_t i = 0; i < 4; i++) {
		kit_sealing_init(&kit, KW_SUITE_AES, 1, KW_VIEW_OF(TAILS[i]));
		check_round_trip(&kit);
	}
}

static void test_seal_refuses_too_much_content(void **state)
{
	(void)state;
	struct kit_sealing kit;
	struct kw_sealed sealed;
	kit_sealing_init(&kit, KW_SUITE_AES, KW_RECIPIENTS_MAX, KW_VIEW(content, KW_SEAL_SIZE_MAX + 1));
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_ETOOBIG);
	kit.request.content.size--;
	/* The longest names and ids there are, in the largest group. */
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		memset(kit.recipients[i].agency.text, 'a', KW_NAME_SIZE_MAX);
		memset(kit.recipients[i].hub.text, 'h', KW_NAME_SIZE_MAX);
		kit.recipients[i].key_id.size = KW_KEY_ID_SIZE_MAX;
	}
	memset(kit.request.home_hub.text, 'h', KW_NAME_SIZE_MAX);
	memset(kit.request.claims.sender.text, 's', KW_NAME_SIZE_MAX);
	memset(kit.request.claims.sender_hub.text, 'h', KW_NAME_SIZE_MAX);
	kit.request.claims.key_id.size = KW_KEY_ID_SIZE_MAX;
	kit.request.claims.sent_unix_ms = INT64_MAX;
	kit.request.claims.content_type = UINT32_MAX;
	kit.request.claims.thread_sequence = UINT64_MAX;
	kit.request.expiry_hour = UINT32_MAX;
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	struct kw_view largest = kw_buf_view(&sealed.envelopes[KW_RECIPIENTS_MAX - 1]);
	struct kw_open_request request = kit_sealing_open(&kit, KW_RECIPIENTS_MAX - 1, largest);
	struct kw_opened opened;
	enum kw_open_reason reason;
	printf("largest envelope: %zu bytes\n", largest.size);
	assert_true(largest.size <= KW_ENVELOPE_SIZE_MAX);
	assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
	kw_opened_fini(&opened);
	kw_sealed_fini(&sealed);
}

static void test_seal_overhead_within_budget(void **state)
{
	(void)state;
	struct kit_sealing kit;
	struct kw_sealed sealed;
	kit_sealing_init(&kit, KW_SUITE_AES, 1, KW_VIEW(content, 900));
	assert_int_equal(kw_name_from(kw_view_str("tdh-kenya-01"), &kit.recipients[0].agency), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("hub-kenya1"), &kit.recipients[0].hub), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("irc-kenya-01"), &kit.request.claims.sender), KW_OK);
	kit.request.home_hub = kit.request.claims.sender_hub = kit.recipients[0].hub;
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	size_t overhead = sealed.envelopes[0].size - sealed.size_bucket;
	printf("overhead of one envelope: %zu bytes\n", overhead);
	assert_true(overhead <= 405);
	kw_sealed_fini(&sealed);
}

/* The sender's name may not show in any length a hub sees. */
static void test_seal_hides_length_of_sender(void **state)
{
	(void)state;
	struct kit_sealing kit;
	struct kw_sealed sealed;
	size_t sizes[2];
	for (size_t i = 0; i < 2; i++) {
		kit_sealing_init(&kit, KW_SUITE_AES, 1, KW_VIEW(content, 100));
		assert_int_equal(kw_name_from(kw_view_str(i ? "a-rather-long-agency" : "x"), &kit.request.claims.sender),
			KW_OK);
		assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
		sizes[i] = sealed.envelopes[0].size;
		kw_sealed_fini(&sealed);
	}
	assert_int_equal(sizes[0], sizes[1]);
}

#define REFUSED(change, expected) \
	do { \
		struct kit_sealing kit; \
		struct kw_sealed sealed; \
		kit_sealing_init(&kit, KW_SUITE_AES, 2, KW_VIEW(content, 10)); \
		change; \
		assert_int_equal(kw_seal(&kit.request, &sealed), expected); \
	} while (0)

static void test_seal_refuses_fields_out_of_range(void **state)
{
	(void)state;
	REFUSED(kit.request.suite = (enum kw_suite)0, KW_EVERSION);
	REFUSED(kit.request.suite = (enum kw_suite)3, KW_EVERSION);
	REFUSED(kit.request.suite = KW_SUITE_HYBRID, KW_EFIELD); /* the recipients have no such keys */
	REFUSED(kit.recipients[1].hybrid_key = content, KW_EFIELD);
	REFUSED(kit.request.recipients_count = 0, KW_EFIELD);
	REFUSED(kit.request.recipients_count = KW_RECIPIENTS_MAX + 1, KW_EFIELD);
	REFUSED(kit.request.msg_class = KW_CONTROL, KW_EFIELD);
	REFUSED(kit.request.msg_class = KW_MSG_CLASS_COUNT, KW_EFIELD);
	REFUSED(kit.request.expiry_hour = 0, KW_EFIELD);
	REFUSED(kit.request.hops_max = 0, KW_EFIELD);
	REFUSED(kit.request.hops_max = KW_HOPS_MAX + 1, KW_EFIELD);
	REFUSED(kit.request.home_hub.text[0] = '\0', KW_EFIELD);
	REFUSED(kit.request.claims.sent_unix_ms = 0, KW_EFIELD);
	REFUSED(kit.request.claims.sent_unix_ms = -1, KW_EFIELD);
	REFUSED(kit.request.claims.content_type = 0, KW_EFIELD);
	REFUSED(kit.request.claims.key_id.size = KW_KEY_ID_SIZE_MIN - 1, KW_EFIELD);
	REFUSED(kit.request.claims.sender.text[0] = 'A', KW_EFIELD);
	REFUSED(memset(kit.request.claims.sender_hub.text, 'a', KW_NAME_SIZE_MAX + 1), KW_EFIELD);
	REFUSED(kit.recipients[1].agency.text[0] = '-', KW_EFIELD);
	REFUSED(kit.recipients[1].hub.text[0] = '@', KW_EFIELD);
	REFUSED(kit.recipients[1].key_id.size = KW_KEY_ID_SIZE_MAX + 1, KW_EFIELD);
	REFUSED(memset(kit.recipients[1].public_key, 0, KW_KEY_SIZE), KW_EFIELD);
}

static enum kw_err fail_at(void *user, void *out, size_t size)
{
	int *left = user;
	memset(out, 1, size);
	return (*left)-- == 0 ? KW_ECRYPTO : KW_OK;
}

static void test_seal_ends_with_error_of_random(void **state)
{
	(void)state;
	struct kit_sealing kit;
	struct kw_sealed sealed;
	kit_sealing_init(&kit, KW_SUITE_AES, 3, KW_VIEW(content, 10));
	/* Id, DEK, three ephemeral keys, one leaf for nobody. */
	for (int at = 0; at <= 6; at++) {
		int left = at;
		struct kw_seal_random random = {.fill = fail_at, .user = &left};
		kit.request.random = &random;
		enum kw_err err = kw_seal(&kit.request, &sealed);
		assert_int_equal(err, at < 6 ? KW_ECRYPTO : KW_OK);
	}
	kw_sealed_fini(&sealed);
}

static void test_seal_is_fresh_each_time(void **state)
{
	(void)state;
	struct kit_sealing kit;
	struct kw_sealed sealed[2];
	struct kw_envelope parts[2];
	kit_sealing_init(&kit, KW_SUITE_AES, 3, KW_VIEW(content, 10));
	kit.request.random = NULL;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(kw_seal(&kit.request, &sealed[i]), KW_OK);
		assert_int_equal(kw_envelope_parse(kw_buf_view(&sealed[i].envelopes[2]), &parts[i]), KW_OK);
	}
	assert_false(kw_id_equal(&sealed[0].envelope_id, &sealed[1].envelope_id));
	assert_memory_not_equal(parts[0].commit, parts[1].commit, KW_DIGEST_SIZE);
	assert_memory_not_equal(parts[0].enc, parts[1].enc, KW_HPKE_ENC_SIZE);
	assert_memory_not_equal(parts[0].path.hashes[0], parts[1].path.hashes[0], KW_DIGEST_SIZE); /* nobody's leaf */
	assert_memory_not_equal(parts[0].body.data, parts[1].body.data, 32);
	kw_sealed_fini(&sealed[0]);
	kw_sealed_fini(&sealed[1]);
}

static void test_pad_buckets_are_few_and_close(void **state)
{
	(void)state;
	uint32_t last = 0;
	int buckets = 0;
	for (size_t size = 0; size <= KW_SEAL_SIZE_MAX; size++) {
		uint32_t bucket = kw_pad_bucket(size);
		assert_true(bucket >= last && bucket > size && bucket <= KW_BODY_SIZE_MAX);
		assert_true(kw_pad_is_bucket(bucket));
		if (size >= 4096)
			assert_true((bucket - size) * 100 <= size * 12);
		if (bucket != last) {
			assert_true(last == 0 || size == last); /* the step before is used to its last byte */
			buckets++;
		}
		last = bucket;
	}
	printf("buckets: %d, the last %u\n", buckets, last);
	assert_int_equal(last, KW_BODY_SIZE_MAX);
	for (uint32_t size = 0; size <= KW_BODY_SIZE_MAX + 1; size++)
		buckets -= kw_pad_is_bucket(size);
	assert_int_equal(buckets, 0);
	assert_false(kw_pad_is_bucket(UINT32_MAX));
}

static void test_pad_strip_refuses_what_is_not_padding(void **state)
{
	(void)state;
	size_t size = 77;
	assert_int_equal(kw_pad_strip(KW_VIEW("", 0), &size), KW_EFORMAT);
	assert_int_equal(kw_pad_strip(KW_VIEW("\0\0\0", 3), &size), KW_EFORMAT);
	assert_int_equal(kw_pad_strip(KW_VIEW("ab\x81\0", 4), &size), KW_EFORMAT);
	assert_int_equal(kw_pad_strip(KW_VIEW("\x80\0\0\1", 4), &size), KW_EFORMAT);
	assert_int_equal(size, 77);
	assert_int_equal(kw_pad_strip(KW_VIEW("ab\x80\0", 4), &size), KW_OK);
	assert_int_equal(size, 2);
}

static void test_merkle_paths_lead_to_one_root(void **state)
{
	(void)state;
	for (uint32_t depth = 0; depth <= KW_MERKLE_SMALL_DEPTH_MAX; depth++) {
		struct kw_merkle_small tree = {.depth = depth};
		struct kw_digest root;
		for (uint32_t i = 0; i < 1u << depth; i++)
			assert_int_equal(kw_merkle_leaf(KW_VIEW(&i, sizeof(i)), &tree.levels[0][i]), KW_OK);
		assert_int_equal(kw_merkle_small_build(&tree), KW_OK);
		for (uint32_t i = 0; i < 1u << depth; i++) {
			struct kw_merkle_path path = kw_merkle_small_path(&tree, i);
			assert_int_equal(kw_merkle_small_root(&tree.levels[0][i], &path, &root), KW_OK);
			assert_memory_equal(&root, &tree.levels[depth][0], sizeof(root));
			path.index ^= depth > 0;
			assert_int_equal(kw_merkle_small_root(&tree.levels[0][i], &path, &root), KW_OK);
			assert_int_equal(memcmp(&root, &tree.levels[depth][0], sizeof(root)) == 0, depth == 0);
		}
	}
	/* RFC 9162's empty-data leaf, as every log of the kind publishes it. */
	struct kw_digest leaf;
	uint8_t expected[KW_DIGEST_SIZE];
	assert_int_equal(kw_unhex(expected, 32, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"), KW_OK);
	assert_int_equal(kw_merkle_leaf(KW_VIEW(NULL, 0), &leaf), KW_OK);
	assert_memory_equal(leaf.bytes, expected, sizeof(expected));
	assert_int_equal(kw_merkle_small_depth(1), 0);
	assert_int_equal(kw_merkle_small_depth(3), 2);
	assert_int_equal(kw_merkle_small_depth(8), 3);
}

int main(void)
{
	fill_content();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_opens_for_each_recipient),
		cmocka_unit_test(test_seal_opens_at_every_size_step),
		cmocka_unit_test(test_seal_keeps_content_that_looks_like_padding),
		cmocka_unit_test(test_seal_refuses_too_much_content),
		cmocka_unit_test(test_seal_overhead_within_budget),
		cmocka_unit_test(test_seal_hides_length_of_sender),
		cmocka_unit_test(test_seal_refuses_fields_out_of_range),
		cmocka_unit_test(test_seal_ends_with_error_of_random),
		cmocka_unit_test(test_seal_is_fresh_each_time),
		cmocka_unit_test(test_pad_buckets_are_few_and_close),
		cmocka_unit_test(test_pad_strip_refuses_what_is_not_padding),
		cmocka_unit_test(test_merkle_paths_lead_to_one_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
