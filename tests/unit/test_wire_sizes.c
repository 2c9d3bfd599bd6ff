/* Sizes on the wire, printed and held. Those of handshakes are in shell/test_link.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "tests/kit/sealing.h"

#define ONE_MAX 420u
#define THREE_MAX 700u
#define RECEIPT_MAX 120u
#define RECEIPTS_MAX 128u /* of one message */

static uint8_t content[KW_SEAL_SIZE_MAX];

/* Names as they are in use, not as short as they could be. */
static void init(struct kit_sealing *kit, enum kw_suite suite, size_t recipients, size_t content_size)
{
	static const char *const AGENCIES[] = {"tdh-kenya-01", "irc-kenya-02", "unhcr-ke-003"};
	kit_sealing_init(kit, suite, recipients, KW_VIEW(content, content_size));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(kw_name_from(kw_view_str(AGENCIES[i]), &kit->recipients[i].agency), KW_OK);
		assert_int_equal(kw_name_from(kw_view_str("hub-kenya1"), &kit->recipients[i].hub), KW_OK);
	}
	assert_int_equal(kw_name_from(kw_view_str("drc-kenya-01"), &kit->request.claims.sender), KW_OK);
	kit->request.home_hub = kit->request.claims.sender_hub = kit->recipients[0].hub;
}

/* The largest envelope of one message, less the padded message in it. */
static size_t overhead(enum kw_suite suite, size_t recipients)
{
	static struct kit_sealing kit;
	struct kw_sealed sealed;
	size_t largest = 0;
	size_t total = 0;
	init(&kit, suite, recipients, 900);
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	for (size_t i = 0; i < sealed.envelopes_count; i++) {
		size_t size = sealed.envelopes[i].size - sealed.size_bucket;
		largest = size > largest ? size : largest;
		total += size;
	}
	printf("envelope overhead, suite %d, %zu recipient(s): %zu bytes in each envelope, %zu in all %zu\n", (int)suite,
		recipients, largest, total, sealed.envelopes_count);
	kw_sealed_fini(&sealed);
	return largest;
}

static void test_envelope_overhead_is_within_budget(void **state)
{
	(void)state;
	for (int suite = KW_SUITE_AES; suite <= KW_SUITE_CHACHA; suite++) {
		assert_true(overhead((enum kw_suite)suite, 1) < ONE_MAX);
		assert_true(overhead((enum kw_suite)suite, 3) < THREE_MAX);
	}
	/* The budget is for X25519; the hybrid suite adds the rest of its encapsulated key, which nothing can make smaller. */
	if (!kw_hybrid_able()) {
		printf("envelope overhead, suite 17: skipped: no ML-KEM\n");
		return;
	}
	size_t extra = KW_HYBRID_ENC_SIZE - KW_HPKE_ENC_SIZE + 2; /* two lengths take a byte more */
	assert_true(overhead(KW_SUITE_HYBRID, 1) < ONE_MAX + extra);
	assert_true(overhead(KW_SUITE_HYBRID, 3) < THREE_MAX + extra);
}

/* What a Receipt of so many entries takes: encoded, and sealed. */
struct receipt_sizes {
	size_t encoded;
	size_t sealed;
};

static struct receipt_sizes sizes_of(size_t count)
{
	static Kinward__V1__ReceiptEntry entries[RECEIPTS_MAX];
	static Kinward__V1__ReceiptEntry *list[RECEIPTS_MAX];
	static uint8_t digest[KW_DIGEST_SIZE] = {1};
	static uint8_t id[KW_ID_SIZE] = {2};
	static uint8_t signature[KW_SIGNATURE_SIZE] = {3};
	static struct kit_sealing kit;
	Kinward__V1__Receipt receipt = KINWARD__V1__RECEIPT__INIT;
	Kinward__V1__Content message = KINWARD__V1__CONTENT__INIT;
	struct kw_sealed sealed;
	struct kw_buf packed;
	struct kw_fault fault;
	for (size_t i = 0; i < count; i++) {
		kinward__v1__receipt_entry__init(&entries[i]);
		entries[i].digest = (ProtobufCBinaryData){sizeof(digest), digest};
		entries[i].envelope_id = (ProtobufCBinaryData){sizeof(id), id};
		entries[i].level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_DECIDED;
		entries[i].at_unix_ms = INT64_C(1795000000123);
		list[i] = &entries[i];
	}
	receipt.n_entries = count;
	receipt.entries = list;
	receipt.signature = (ProtobufCBinaryData){sizeof(signature), signature};
	message.message_id = (ProtobufCBinaryData){sizeof(id), id};
	message.created_unix_ms = INT64_C(1795000000123);
	message.body_case = KINWARD__V1__CONTENT__BODY_RECEIPT;
	message.receipt = &receipt;
	kw_buf_init(&packed, KW_CONTENT_SIZE_MAX);
	assert_int_equal(kw_content_pack(&message, &packed, &fault), KW_OK);
	init(&kit, KW_SUITE_AES, 1, 0);
	kit.request.content = kw_buf_view(&packed);
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	struct receipt_sizes sizes = {packed.size, sealed.envelopes[0].size};
	printf("%zu receipt(s): %zu bytes encoded, %zu sealed, %zu for each\n", count, sizes.encoded, sizes.sealed,
		sizes.sealed / count);
	kw_sealed_fini(&sealed);
	kw_buf_fini(&packed);
	return sizes;
}

/* A receipt's cost on the wire is its share of the envelope that it travels in, signature, padding and all. A batch is what
 * makes it small. Alone it takes the smallest envelope there is, and just past a padded size it takes half as much again: the
 * agent cuts there (agent_receipt.c), so that 32 go as 31 and 1. */
static void test_receipt_in_a_batch_is_within_budget(void **state)
{
	(void)state;
	struct receipt_sizes one = sizes_of(1);
	struct receipt_sizes two = sizes_of(2);
	printf("one more receipt: %zu bytes\n", two.encoded - one.encoded);
	assert_true(two.encoded - one.encoded < RECEIPT_MAX);
	assert_true(one.sealed <= 512 + ONE_MAX);
	(void)sizes_of(7);
	assert_true(sizes_of(12).sealed < 12 * RECEIPT_MAX);
	assert_true(sizes_of(31).sealed + one.sealed < 32 * RECEIPT_MAX);
	assert_true(sizes_of(64).sealed < 64 * RECEIPT_MAX);
	assert_true(sizes_of(RECEIPTS_MAX).sealed < RECEIPTS_MAX * RECEIPT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope_overhead_is_within_budget),
		cmocka_unit_test(test_receipt_in_a_batch_is_within_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
