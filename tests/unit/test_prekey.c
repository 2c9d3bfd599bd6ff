#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kinward/v1/frame.pb-c.h"
#include "kinward/v1/prekey.pb-c.h"
#include "proto/wire/crypt.h"
#include "proto/wire/frame.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/prekey.h"

/* Batches of dated prekeys: one encoding, limits, days and their edges, and each rule by which one is refused. */

#define DAY 20700u

struct set {
	struct kw_ed25519 identity;
	struct kw_ed25519 other;
	struct kw_prekeys batch;
	struct kw_buf bytes;
	struct kw_name agency;
	struct kw_name hub;
	struct kw_prekeys before;
	struct kw_prekeys_expect expect;
};

static struct kw_name name(const char *text)
{
	struct kw_name out = {.text = {0}};
	memcpy(out.text, text, strlen(text));
	return out;
}

static void fill(struct kw_prekeys *batch, uint32_t first_day, uint32_t count)
{
	*batch = (struct kw_prekeys){.agency = name("agency-b"), .hub = name("hub-0"), .first_day = first_day, .count = count};
	for (uint32_t i = 0; i < count && i < KW_PREKEYS_MAX; i++) {
		memset(batch->keys[i], 0x40, KW_KEY_SIZE);
		kw_put_u32(batch->keys[i], first_day + i);
	}
}

static void open_set(struct set *s)
{
	uint8_t seed[KW_KEY_SIZE] = {1};
	memset(s, 0, sizeof(*s));
	assert_int_equal(kw_ed25519_from_seed(seed, &s->identity), KW_OK);
	seed[0] = 2;
	assert_int_equal(kw_ed25519_from_seed(seed, &s->other), KW_OK);
	s->agency = name("agency-b");
	s->hub = name("hub-0");
	fill(&s->batch, DAY, 46);
	kw_buf_init(&s->bytes, 8192);
	s->expect =
		(struct kw_prekeys_expect){.agency = &s->agency, .hub = &s->hub, .identity_key = s->identity.public_key};
}

static void sign_by(struct set *s, const struct kw_ed25519 *identity)
{
	kw_buf_clear(&s->bytes);
	assert_int_equal(kw_prekeys_sign(&s->batch, identity, &s->bytes), KW_OK);
}

static void refused(struct set *s, enum kw_prekey_rule rule, enum kw_err err)
{
	struct kw_prekeys out = {.count = 77};
	enum kw_prekey_rule why;
	assert_int_equal(kw_prekeys_accept(&s->expect, kw_buf_view(&s->bytes), &out, &why), err);
	assert_int_equal(why, rule);
	assert_int_equal(out.count, 77); /* untouched */
}

static void accepted(struct set *s)
{
	struct kw_prekeys out;
	enum kw_prekey_rule why;
	assert_int_equal(kw_prekeys_accept(&s->expect, kw_buf_view(&s->bytes), &out, &why), KW_OK);
	assert_int_equal(why, KW_PREKEY_RULE_NONE);
	assert_int_equal(out.count, s->batch.count);
	assert_memory_equal(out.keys, s->batch.keys, (size_t)out.count * KW_KEY_SIZE);
}

static void test_a_batch_comes_back_as_it_was(void **state)
{
	(void)state;
	struct set s;
	struct kw_prekeys out;
	open_set(&s);
	sign_by(&s, &s.identity);
	assert_int_equal(kw_prekeys_read(kw_buf_view(&s.bytes), &out), KW_OK);
	assert_memory_equal(&out, &s.batch, sizeof(out));
	accepted(&s);
	kw_buf_fini(&s.bytes);
}

/* A batch of three keys, by heart: whoever changes it changes the protocol. */
static void test_a_batch_matches_golden_bytes(void **state)
{
	(void)state;
	struct set s;
	char path[512], want[4096], got[4096];
	open_set(&s);
	fill(&s.batch, DAY, 3);
	sign_by(&s, &s.identity);
	kw_hex(got, kw_buf_view(&s.bytes));
	(void)snprintf(path, sizeof(path), "%s/prekeys.hex", KW_GOLDEN_DIR);
	FILE *file = fopen(path, getenv("KW_GOLDEN_UPDATE") ? "w+" : "r");
	assert_non_null(file);
	if (getenv("KW_GOLDEN_UPDATE")) {
		fprintf(file, "%s\n", got);
		rewind(file);
	}
	assert_non_null(fgets(want, sizeof(want), file));
	want[strcspn(want, "\n")] = '\0';
	fclose(file);
	assert_string_equal(got, want);
	kw_buf_fini(&s.bytes);
}

static void test_protobuf_c_reads_a_batch_and_writes_the_same(void **state)
{
	(void)state;
	struct set s;
	uint8_t theirs[KW_PREKEYS_SIZE_MAX];
	open_set(&s);
	sign_by(&s, &s.identity);
	Kinward__V1__SignedPrekeys *outer = kinward__v1__signed_prekeys__unpack(NULL, s.bytes.size, s.bytes.data);
	assert_non_null(outer);
	assert_int_equal(kinward__v1__signed_prekeys__pack(outer, theirs), s.bytes.size);
	assert_memory_equal(theirs, s.bytes.data, s.bytes.size);
	Kinward__V1__PrekeyBatch *batch = kinward__v1__prekey_batch__unpack(NULL, outer->batch.len, outer->batch.data);
	assert_non_null(batch);
	assert_string_equal(batch->agency, "agency-b");
	assert_int_equal(batch->first_day, DAY);
	assert_int_equal(batch->n_keys, 46);
	assert_memory_equal(batch->keys[45].data, s.batch.keys[45], KW_KEY_SIZE);
	kinward__v1__prekey_batch__free_unpacked(batch, NULL);
	kinward__v1__signed_prekeys__free_unpacked(outer, NULL);
	kw_buf_fini(&s.bytes);
}

static void test_a_batch_has_64_keys_and_no_more(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	fill(&s.batch, DAY, KW_PREKEYS_MAX);
	memset(s.agency.text, 'a', KW_NAME_SIZE_MAX);
	memset(s.hub.text, 'h', KW_NAME_SIZE_MAX);
	s.batch.agency = s.agency;
	s.batch.hub = s.hub;
	sign_by(&s, &s.identity);
	assert_true(s.bytes.size <= KW_PREKEYS_SIZE_MAX);
	accepted(&s);
	/* One more, written by hand: the writer refuses it. */
	struct kw_buf batch;
	struct kw_pb pb = kw_pb_from(kw_buf_view(&s.bytes));
	struct kw_view inner = kw_pb_need_bytes(&pb, 1, 1, 4096);
	uint8_t key[KW_KEY_SIZE] = {7};
	uint8_t signature[KW_SIGNATURE_SIZE];
	kw_buf_init(&batch, 8192);
	assert_int_equal(kw_buf_add(&batch, kw_view_str("kw1 prekeys")), KW_OK);
	assert_int_equal(kw_buf_add(&batch, inner), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&batch, 5, KW_VIEW_OF(key)), KW_OK);
	assert_int_equal(kw_ed25519_sign(&s.identity, kw_buf_view(&batch), signature), KW_OK);
	kw_buf_clear(&s.bytes);
	assert_int_equal(kw_pb_add_bytes(&s.bytes, 1, KW_VIEW(batch.data + 11, batch.size - 11)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&s.bytes, 2, KW_VIEW_OF(signature)), KW_OK);
	refused(&s, KW_PREKEY_RULE_FORM, KW_EFIELD);
	s.batch.count = KW_PREKEYS_MAX + 1;
	kw_buf_clear(&s.bytes);
	assert_int_equal(kw_prekeys_sign(&s.batch, &s.identity, &s.bytes), KW_EFIELD);
	s.batch.count = 0;
	assert_int_equal(kw_prekeys_sign(&s.batch, &s.identity, &s.bytes), KW_EFIELD);
	kw_buf_fini(&batch);
	kw_buf_fini(&s.bytes);
}

static void test_a_batch_has_2560_bytes_and_no_more(void **state)
{
	(void)state;
	struct set s;
	uint8_t filler[KW_PREKEYS_SIZE_MAX + 1] = {0};
	open_set(&s);
	assert_int_equal(kw_buf_add(&s.bytes, KW_VIEW(filler, KW_PREKEYS_SIZE_MAX)), KW_OK);
	refused(&s, KW_PREKEY_RULE_FORM, KW_EFIELD);
	assert_int_equal(kw_buf_add(&s.bytes, KW_VIEW(filler, 1)), KW_OK);
	refused(&s, KW_PREKEY_RULE_FORM, KW_ETOOBIG);
	kw_buf_fini(&s.bytes);
}

static void test_a_batch_ends_on_day_100000_and_not_later(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	fill(&s.batch, KW_PREKEY_DAY_MAX - 1, 2);
	sign_by(&s, &s.identity);
	accepted(&s);
	fill(&s.batch, KW_PREKEY_DAY_MAX, 2);
	assert_int_equal(kw_prekeys_sign(&s.batch, &s.identity, &s.bytes), KW_EFIELD);
	fill(&s.batch, 0, 2);
	assert_int_equal(kw_prekeys_sign(&s.batch, &s.identity, &s.bytes), KW_EFIELD);
	assert_int_equal(kw_prekey_day((int64_t)KW_PREKEY_DAY_MAX * KW_PREKEY_DAY_MS), KW_PREKEY_DAY_MAX);
	assert_int_equal(kw_prekey_day(((int64_t)KW_PREKEY_DAY_MAX + 1) * KW_PREKEY_DAY_MS), KW_PREKEY_DAY_MAX);
	assert_int_equal(kw_prekey_day(-1), 0);
	kw_buf_fini(&s.bytes);
}

static void test_a_key_is_good_for_its_day_alone(void **state)
{
	(void)state;
	struct kw_prekeys batch;
	fill(&batch, DAY, 46);
	assert_int_equal(kw_prekeys_last_day(&batch), DAY + 45);
	for (uint32_t i = 0; i < 46; i++)
		assert_ptr_equal(kw_prekeys_key(&batch, DAY + i), batch.keys[i]);
	/* A clock behind by a day takes the first; the last is never used when its day is over. */
	assert_ptr_equal(kw_prekeys_key(&batch, DAY - KW_PREKEY_SLACK_DAYS), batch.keys[0]);
	assert_null(kw_prekeys_key(&batch, DAY - KW_PREKEY_SLACK_DAYS - 1));
	assert_null(kw_prekeys_key(&batch, DAY + 46));
	/* The day turns with its first millisecond. */
	assert_int_equal(kw_prekey_day(DAY * KW_PREKEY_DAY_MS), DAY);
	assert_int_equal(kw_prekey_day(DAY * KW_PREKEY_DAY_MS - 1), DAY - 1);
}

static void test_no_day_shares_its_key(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	memcpy(s.batch.keys[45], s.batch.keys[3], KW_KEY_SIZE);
	assert_int_equal(kw_prekeys_sign(&s.batch, &s.identity, &s.bytes), KW_EFIELD);
	kw_buf_fini(&s.bytes);
}

static void test_a_swapped_batch_is_refused(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	s.batch.agency = name("agency-c");
	sign_by(&s, &s.identity);
	refused(&s, KW_PREKEY_RULE_AGENCY, KW_EAUTH); /* another agency's, well signed */
	s.batch.agency = s.agency;
	s.batch.hub = name("hub-1");
	sign_by(&s, &s.identity);
	refused(&s, KW_PREKEY_RULE_AGENCY, KW_EAUTH);
	s.batch.hub = s.hub;
	sign_by(&s, &s.other);
	refused(&s, KW_PREKEY_RULE_KEY, KW_EAUTH); /* of another identity key, which says so */
	/* Of another identity key, under the right one's id. */
	sign_by(&s, &s.identity);
	struct kw_pb pb = kw_pb_from(kw_buf_view(&s.bytes));
	struct kw_view batch = kw_pb_need_bytes(&pb, 1, 1, 4096);
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_buf text, forged;
	kw_buf_init(&text, 8192);
	kw_buf_init(&forged, 8192);
	assert_int_equal(kw_buf_add(&text, kw_view_str("kw1 prekeys")), KW_OK);
	assert_int_equal(kw_buf_add(&text, batch), KW_OK);
	assert_int_equal(kw_ed25519_sign(&s.other, kw_buf_view(&text), signature), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&forged, 1, batch), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&forged, 2, KW_VIEW_OF(signature)), KW_OK);
	struct kw_buf right = s.bytes;
	s.bytes = forged;
	refused(&s, KW_PREKEY_RULE_SIGNATURE, KW_EAUTH);
	s.bytes = right;
	accepted(&s);
	kw_buf_fini(&text);
	kw_buf_fini(&forged);
	kw_buf_fini(&s.bytes);
}

static void test_an_older_batch_is_refused(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	sign_by(&s, &s.identity);
	s.before = s.batch;
	s.expect.before = &s.before;
	accepted(&s); /* the same */
	s.batch.keys[3][9] ^= 1;
	sign_by(&s, &s.identity);
	accepted(&s); /* of the same days: lost keys were made anew */
	fill(&s.batch, DAY + 1, 45);
	sign_by(&s, &s.identity);
	accepted(&s);
	fill(&s.batch, DAY - 1, 47);
	sign_by(&s, &s.identity);
	refused(&s, KW_PREKEY_RULE_ROLLBACK, KW_EVERSION); /* begins earlier */
	fill(&s.batch, DAY, 45);
	sign_by(&s, &s.identity);
	refused(&s, KW_PREKEY_RULE_ROLLBACK, KW_EVERSION); /* ends earlier */
	/* Under a new identity key the order begins anew. */
	s.before.identity_key_id[0] ^= 1;
	accepted(&s);
	kw_buf_fini(&s.bytes);
}

static void test_every_changed_byte_is_refused(void **state)
{
	(void)state;
	struct set s;
	open_set(&s);
	fill(&s.batch, DAY, 3);
	sign_by(&s, &s.identity);
	for (size_t i = 0; i < s.bytes.size; i++) {
		struct kw_prekeys out;
		enum kw_prekey_rule rule;
		s.bytes.data[i] ^= 0x10;
		assert_int_not_equal(kw_prekeys_accept(&s.expect, kw_buf_view(&s.bytes), &out, &rule), KW_OK);
		assert_int_not_equal(rule, KW_PREKEY_RULE_NONE);
		s.bytes.data[i] ^= 0x10;
	}
	for (size_t size = 0; size < s.bytes.size; size++) {
		struct kw_prekeys out;
		assert_int_not_equal(kw_prekeys_read(KW_VIEW(s.bytes.data, size), &out), KW_OK);
	}
	/* One encoding: nothing behind it, nothing unknown. */
	assert_int_equal(kw_pb_add_uint(&s.bytes, 3, 1), KW_OK);
	refused(&s, KW_PREKEY_RULE_FORM, KW_EFIELD);
	kw_buf_fini(&s.bytes);
}

static void test_each_rule_has_a_name_and_a_sentence(void **state)
{
	(void)state;
	for (int i = 1; i < KW_PREKEY_RULE_COUNT; i++) {
		assert_true(strlen(kw_prekey_rule_name((enum kw_prekey_rule)i)) > 2);
		assert_true(strlen(kw_prekey_rule_text((enum kw_prekey_rule)i)) > 20);
		for (int k = 1; k < i; k++)
			assert_string_not_equal(
				kw_prekey_rule_name((enum kw_prekey_rule)i), kw_prekey_rule_name((enum kw_prekey_rule)k));
	}
}

static void test_a_want_comes_back_and_has_golden_bytes(void **state)
{
	(void)state;
	const struct kw_prekeys_want want = {.agency = name("agency-b"), .through_day = DAY};
	struct kw_prekeys_want out;
	struct kw_frame frame;
	struct kw_buf bytes;
	char hex[256];
	size_t used;
	kw_buf_init(&bytes, 256);
	assert_int_equal(kw_prekeys_want_add(&bytes, &want), KW_OK);
	kw_hex(hex, kw_buf_view(&bytes));
	assert_string_equal(hex, "00000e880a086167656e63792d6210dca101");
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(frame.type, KINWARD__V1__FRAME_TYPE__FRAME_TYPE_PREKEYS_WANT);
	assert_int_equal(KW_FRAME_PREKEYS, KINWARD__V1__FRAME_TYPE__FRAME_TYPE_PREKEYS);
	assert_int_equal(kw_prekeys_want_parse(frame.body, &out), KW_OK);
	assert_memory_equal(&out, &want, sizeof(out));
	kw_buf_clear(&bytes);
	assert_int_equal(kw_prekeys_want_parse(KW_VIEW(NULL, 0), &out), KW_EFIELD); /* of nobody */
	assert_int_equal(kw_pb_add_bytes(&bytes, 1, kw_view_str("agency-b")), KW_OK);
	assert_int_equal(kw_prekeys_want_parse(kw_buf_view(&bytes), &out), KW_OK);
	assert_int_equal(out.through_day, 0);
	assert_int_equal(kw_pb_add_uint(&bytes, 2, KW_PREKEY_DAY_MAX + 1), KW_OK);
	assert_int_equal(kw_prekeys_want_parse(kw_buf_view(&bytes), &out), KW_EFIELD);
	kw_buf_fini(&bytes);
}

static void test_a_gone_key_is_said_in_unopened(void **state)
{
	(void)state;
	struct kw_frame_unopened unopened = {.msg_class = KW_NORMAL, .sequence = 5, .envelope_id = {{9}}, .key_gone = true};
	struct kw_frame_unopened out;
	struct kw_frame frame;
	struct kw_buf bytes;
	size_t used;
	kw_buf_init(&bytes, 256);
	assert_int_equal(kw_frame_unopened_add(&bytes, &unopened), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(kw_frame_unopened_parse(frame.body, &out), KW_OK);
	assert_true(out.key_gone);
	assert_string_equal(kw_err_name(KW_EKEYGONE), "key_gone");
	assert_int_equal(kw_err_from_name("key_gone"), KW_EKEYGONE);
	assert_int_equal(kw_err_class(KW_EKEYGONE), KW_CLASS_REJECT);
	kw_buf_fini(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_comes_back_as_it_was),
		cmocka_unit_test(test_a_batch_matches_golden_bytes),
		cmocka_unit_test(test_protobuf_c_reads_a_batch_and_writes_the_same),
		cmocka_unit_test(test_a_batch_has_64_keys_and_no_more),
		cmocka_unit_test(test_a_batch_has_2560_bytes_and_no_more),
		cmocka_unit_test(test_a_batch_ends_on_day_100000_and_not_later),
		cmocka_unit_test(test_a_key_is_good_for_its_day_alone),
		cmocka_unit_test(test_no_day_shares_its_key),
		cmocka_unit_test(test_a_swapped_batch_is_refused),
		cmocka_unit_test(test_an_older_batch_is_refused),
		cmocka_unit_test(test_every_changed_byte_is_refused),
		cmocka_unit_test(test_each_rule_has_a_name_and_a_sentence),
		cmocka_unit_test(test_a_want_comes_back_and_has_golden_bytes),
		cmocka_unit_test(test_a_gone_key_is_said_in_unopened),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
