/* proto/wire/pbscan.h: one encoding per value, and nothing reaches protobuf-c that could hurt it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <protobuf-c/protobuf-c.h>

#include "kinward/v1/envelope.pb-c.h"
#include "proto/wire/envelope.h"
#include "proto/wire/pbscan.h"

#define BYTES(text) KW_VIEW(text, sizeof(text) - 1)

/* Reads every field; the error at the end. */
static enum kw_err read_all(struct kw_view bytes, struct kw_pb_field *last)
{
	struct kw_pb pb = kw_pb_from(bytes);
	while (kw_pb_next(&pb, last))
		continue;
	return kw_pb_end(&pb);
}

static void test_next_reads_each_type(void **state)
{
	(void)state;
	struct kw_pb_field field;
	struct kw_pb pb = kw_pb_from(BYTES("\x08\x96\x01" "\x11\1\2\3\4\5\6\7\x88" "\x1a\3abc" "\x25\1\2\3\x84" "\x22\0"));
	assert_true(kw_pb_next(&pb, &field));
	assert_int_equal(field.number, 1);
	assert_int_equal(field.type, KW_PB_VARINT);
	assert_int_equal(field.value, 150);
	assert_true(kw_pb_next(&pb, &field));
	assert_int_equal(field.type, KW_PB_FIXED64);
	assert_true(field.value == UINT64_C(0x8807060504030201));
	assert_true(kw_pb_next(&pb, &field));
	assert_true(kw_view_equal(field.bytes, kw_view_str("abc")));
	assert_true(kw_pb_next(&pb, &field));
	assert_int_equal(field.type, KW_PB_FIXED32);
	assert_true(field.value == 0x84030201);
	assert_true(kw_pb_next(&pb, &field));
	assert_int_equal(field.bytes.size, 0);
	assert_false(kw_pb_next(&pb, &field));
	assert_int_equal(kw_pb_end(&pb), KW_OK);
}

static void test_next_reads_largest_values(void **state)
{
	(void)state;
	struct kw_pb_field field;
	assert_int_equal(read_all(BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &field), KW_OK);
	assert_true(field.value == UINT64_MAX);
	assert_int_equal(read_all(BYTES("\xf8\xff\xff\xff\x0f\x00"), &field), KW_OK);
	assert_int_equal(field.number, KW_PB_NUMBER_MAX);
	assert_int_equal(read_all(KW_VIEW(NULL, 0), &field), KW_OK);
}

static void test_next_refuses_what_is_not_strict(void **state)
{
	(void)state;
	static const struct kw_view BAD[] = {
		BYTES("\x80"),                                             /* tag cut short */
		BYTES("\x08"),                                             /* no value */
		BYTES("\x08\x80"),                                         /* value cut short */
		BYTES("\x08\x80\x00"),                                     /* 0 in two bytes */
		BYTES("\x08\x96\x81\x00"),                                 /* 150 in three */
		BYTES("\x88\x00\x01"),                                     /* tag in two */
		BYTES("\x1a\x83\x00" "abc"),                               /* length in two */
		BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
		BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01"), /* eleven bytes */
		BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		BYTES("\x00\x01"),                                         /* number 0 */
		BYTES("\x80\x80\x80\x80\x10\x01"),                         /* number 2^29 */
		BYTES("\x0b\x0c"),                                         /* a group */
		BYTES("\x0c"),                                             /* its end */
		BYTES("\x0e\x01"),                                         /* types 6 and 7 */
		BYTES("\x0f\x01"),
		BYTES("\x1a\x04" "abc"),                                   /* longer than what is there */
		BYTES("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "abc"),
		BYTES("\x11\1\2\3\4\5\6\7"),
		BYTES("\x25\1\2\3"),
	};
	struct kw_pb_field field;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		/* From the heap, at its exact size, so that a sanitizer sees a read past the end. */
		uint8_t *copy = malloc(BAD[i].size);
		assert_non_null(copy);
		memcpy(copy, BAD[i].data, BAD[i].size);
		assert_int_equal(read_all(KW_VIEW(copy, BAD[i].size), &field), KW_EFORMAT);
		free(copy);
	}
}

static void test_need_takes_fields_in_order_only(void **state)
{
	(void)state;
	struct kw_pb pb = kw_pb_from(BYTES("\x08\x05" "\x12\2ab" "\x80\x01\x07"));
	assert_int_equal(kw_pb_need_uint(&pb, 1, 5), 5);
	assert_int_equal(kw_pb_need_bytes(&pb, 2, 2, 2).size, 2);
	assert_int_equal(kw_pb_may_uint(&pb, 15, 9), 0);
	assert_true(kw_pb_is_next(&pb, 16));
	assert_int_equal(kw_pb_need_uint(&pb, 16, 9), 7);
	assert_int_equal(kw_pb_end(&pb), KW_OK);
	assert_int_equal(kw_pb_may_uint(&pb, 17, 9), 0);
	assert_int_equal(kw_pb_end(&pb), KW_OK);
	assert_int_equal(kw_pb_need_uint(&pb, 17, 9), 0); /* missing */
	assert_int_equal(kw_pb_end(&pb), KW_EFIELD);
}

#define NEEDS(bytes, call, expected) \
	do { \
		struct kw_pb pb = kw_pb_from(BYTES(bytes)); \
		(void)(call); \
		assert_int_equal(kw_pb_end(&pb), expected); \
	} while (0)

static void test_need_refuses_ranges_and_others(void **state)
{
	(void)state;
	NEEDS("\x08\x05", kw_pb_need_uint(&pb, 1, 5), KW_OK);
	NEEDS("\x08\x06", kw_pb_need_uint(&pb, 1, 5), KW_EFIELD);
	NEEDS("\x08\x00", kw_pb_need_uint(&pb, 1, 5), KW_EFIELD);
	NEEDS("\x08\x00", kw_pb_may_uint(&pb, 1, 5), KW_EFIELD);
	NEEDS("\x08\x05\x08\x05", kw_pb_need_uint(&pb, 1, 5), KW_EFIELD);
	NEEDS("\x10\x05", kw_pb_need_uint(&pb, 1, 5), KW_EFIELD);
	NEEDS("\x0d\1\2\3\4", kw_pb_need_uint(&pb, 1, UINT64_MAX), KW_EFIELD);
	NEEDS("\x88\x00\x05", kw_pb_need_uint(&pb, 1, 5), KW_EFORMAT);
	NEEDS("\x82\x01\1a", kw_pb_need_bytes(&pb, 16, 1, 5), KW_OK);
	/* A first byte that looks like the tag of field 16 is not yet that tag. */
	NEEDS("\x82\x02\1a", kw_pb_need_bytes(&pb, 16, 1, 5), KW_EFIELD);
	NEEDS("\x82\1a", kw_pb_need_bytes(&pb, 16, 1, 5), KW_EFORMAT);
	NEEDS("\x0a\2ab", kw_pb_need_bytes(&pb, 1, 2, 2), KW_OK);
	NEEDS("\x0a\2ab", kw_pb_need_bytes(&pb, 1, 3, 9), KW_EFIELD);
	NEEDS("\x0a\2ab", kw_pb_need_bytes(&pb, 1, 1, 1), KW_EFIELD);
	NEEDS("\x0a\0", kw_pb_need_bytes(&pb, 1, 1, 1), KW_EFIELD);
	NEEDS("\x0a\3ab", kw_pb_need_bytes(&pb, 1, 1, 9), KW_EFORMAT);
}

/* The writers against the encoder of protobuf-c, on the real schema. */
static void test_writers_agree_with_protobuf_c(void **state)
{
	(void)state;
	uint8_t id[KW_ID_SIZE] = {1, 2, 3};
	struct kw_envelope_label label = {.suite = KW_SUITE_CHACHA, .msg_class = KW_BULK, .expiry_hour = 498700,
		.size_bucket = 1024, .hops_max = 2, .home_hub = kw_view_str("hub-1")};
	memcpy(label.id.bytes, id, sizeof(id));
	struct kw_buf buf;
	kw_buf_init(&buf, 4096);
	assert_int_equal(kw_envelope_add_header(&buf, &label), KW_OK);
	Kinward__V1__Header header = KINWARD__V1__HEADER__INIT;
	char hub[] = "hub-1";
	header.version = 1;
	header.suite = 2;
	header.envelope_id = (ProtobufCBinaryData){sizeof(id), id};
	header.home_hub = hub;
	header.expiry_hour = 498700;
	header.class_ = KINWARD__V1__MESSAGE_CLASS__MESSAGE_CLASS_BULK;
	header.size_bucket = 1024;
	header.hops_max = 2;
	uint8_t packed[4096];
	assert_int_equal(kinward__v1__header__get_packed_size(&header), buf.size);
	kinward__v1__header__pack(&header, packed);
	assert_memory_equal(packed, buf.data, buf.size);

	struct kw_claims claims = {.key_id = {.size = 8}, .sent_unix_ms = INT64_C(1795000000123), .content_type = 300};
	assert_int_equal(kw_name_from(kw_view_str("sender"), &claims.sender), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("hub-1"), &claims.sender_hub), KW_OK);
	kw_buf_clear(&buf);
	assert_int_equal(kw_claims_add(&buf, &claims), KW_OK);
	Kinward__V1__Claims *read = kinward__v1__claims__unpack(NULL, buf.size, buf.data);
	assert_non_null(read);
	assert_string_equal(read->sender, "sender");
	assert_int_equal(read->sent_unix_ms, claims.sent_unix_ms);
	assert_int_equal(read->content_type, 300);
	assert_int_equal(read->thread_sequence, 0);
	assert_int_equal(kinward__v1__claims__pack(read, packed), buf.size);
	assert_memory_equal(packed, buf.data, buf.size);
	kinward__v1__claims__free_unpacked(read, NULL);
	kw_buf_fini(&buf);
}

static void test_writers_leave_out_zero(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, 16);
	assert_int_equal(kw_pb_add_uint(&buf, 1, 0), KW_OK);
	assert_int_equal(kw_pb_add_fixed64(&buf, 1, 0), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&buf, 1, KW_VIEW(NULL, 0)), KW_OK);
	assert_int_equal(buf.size, 0);
	assert_int_equal(kw_pb_add_fixed64(&buf, 2, UINT64_C(0x8807060504030201)), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&buf), BYTES("\x11\1\2\3\4\5\6\7\x88")));
	assert_int_equal(kw_pb_add_bytes(&buf, 1, BYTES("123456")), KW_ETOOBIG);
	kw_buf_fini(&buf);
}

/* A recursive message, which our schema never has: Node { Node child = 1; string text = 2; repeated uint32 list = 3;
 * repeated Node kids = 4; fixed32 word = 5; repeated fixed64 words = 6; bytes raw = 7 }. */
extern const ProtobufCMessageDescriptor node;
#define FIELD(field_name, field_id, field_label, field_type, field_descriptor) \
	{.name = field_name, .id = field_id, .label = PROTOBUF_C_LABEL_##field_label, \
		.type = PROTOBUF_C_TYPE_##field_type, .descriptor = field_descriptor}
static const ProtobufCFieldDescriptor FIELDS[] = {
	FIELD("child", 1, NONE, MESSAGE, &node),
	FIELD("text", 2, NONE, STRING, NULL),
	FIELD("list", 3, REPEATED, UINT32, NULL),
	FIELD("kids", 4, REPEATED, MESSAGE, &node),
	FIELD("word", 5, NONE, FIXED32, NULL),
	FIELD("words", 6, REPEATED, FIXED64, NULL),
	FIELD("raw", 7, NONE, BYTES, NULL),
};
static const ProtobufCIntRange RANGES[] = {{1, 0}, {0, 7}};
const ProtobufCMessageDescriptor node = {.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .name = "Node", .n_fields = 7,
	.fields = FIELDS, .n_field_ranges = 1, .field_ranges = RANGES};

static enum kw_err scan(struct kw_view bytes)
{
	return kw_pb_prescan(bytes, &node, KW_PB_LIMITS);
}

/* `levels` nodes, each within the one before, by field `number`. */
static void nest(struct kw_buf *buf, unsigned levels, uint32_t number)
{
	struct kw_buf inner;
	kw_buf_clear(buf);
	kw_buf_init(&inner, 4096);
	for (unsigned i = 1; i < levels; i++) {
		kw_buf_clear(&inner);
		assert_int_equal(kw_buf_add(&inner, kw_buf_view(buf)), KW_OK);
		kw_buf_clear(buf);
		assert_int_equal(kw_pb_add_head(buf, number, inner.size), KW_OK);
		assert_int_equal(kw_buf_add(buf, kw_buf_view(&inner)), KW_OK);
	}
	kw_buf_fini(&inner);
}

static void test_prescan_limits_depth(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, 4096);
	for (uint32_t number = 1; number <= 4; number += 3) {
		nest(&buf, KW_PB_DEPTH_MAX, number);
		assert_int_equal(scan(kw_buf_view(&buf)), KW_OK);
		nest(&buf, KW_PB_DEPTH_MAX + 1, number);
		assert_int_equal(scan(kw_buf_view(&buf)), KW_ETOOBIG);
		nest(&buf, 500, number);
		assert_int_equal(scan(kw_buf_view(&buf)), KW_ETOOBIG);
	}
	nest(&buf, 500, 7); /* bytes are not looked into */
	assert_int_equal(scan(kw_buf_view(&buf)), KW_OK);
	nest(&buf, 500, 9); /* unknown fields neither */
	assert_int_equal(scan(kw_buf_view(&buf)), KW_OK);
	struct kw_pb_limits flat = {.depth_max = 1, .fields_max = 9};
	nest(&buf, 1, 1);
	assert_int_equal(kw_pb_prescan(kw_buf_view(&buf), &node, flat), KW_OK);
	nest(&buf, 2, 1);
	assert_int_equal(kw_pb_prescan(kw_buf_view(&buf), &node, flat), KW_ETOOBIG);
	kw_buf_fini(&buf);
}

/* `count` fields `number`, each an empty node or the varint 1, then the scan's verdict. */
static enum kw_err scan_many(uint32_t number, unsigned count)
{
	struct kw_buf buf;
	kw_buf_init(&buf, 65536);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(number == 4 ? kw_pb_add_head(&buf, 4, 0) : kw_pb_add_uint(&buf, number, 1), KW_OK);
	enum kw_err err = scan(kw_buf_view(&buf));
	kw_buf_fini(&buf);
	return err;
}

static void test_prescan_limits_fields(void **state)
{
	(void)state;
	static const uint32_t NUMBERS[] = {3, 4, 100}; /* scalars, messages, unknown ones */
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(scan_many(NUMBERS[i], KW_PB_FIELDS_MAX), KW_OK);
		assert_int_equal(scan_many(NUMBERS[i], KW_PB_FIELDS_MAX + 1), KW_ETOOBIG);
	}
}

static void test_prescan_counts_packed_elements(void **state)
{
	(void)state;
	uint8_t bytes[3 + 8 * KW_PB_FIELDS_MAX];
	for (size_t count = KW_PB_FIELDS_MAX - 1; count <= KW_PB_FIELDS_MAX; count++) {
		struct kw_buf buf;
		enum kw_err expected = count == KW_PB_FIELDS_MAX ? KW_ETOOBIG : KW_OK; /* the field itself counts too */
		kw_buf_init(&buf, 65536);
		memset(bytes, 1, sizeof(bytes));
		assert_int_equal(kw_pb_add_bytes(&buf, 3, KW_VIEW(bytes, count)), KW_OK);
		assert_int_equal(scan(kw_buf_view(&buf)), expected);
		kw_buf_clear(&buf);
		assert_int_equal(kw_pb_add_bytes(&buf, 6, KW_VIEW(bytes, 8 * count)), KW_OK);
		assert_int_equal(scan(kw_buf_view(&buf)), expected);
		kw_buf_fini(&buf);
	}
	/* Two packed fields that each fit, but not together. */
	struct kw_buf two;
	kw_buf_init(&two, 65536);
	memset(bytes, 1, sizeof(bytes));
	assert_int_equal(kw_pb_add_bytes(&two, 3, KW_VIEW(bytes, KW_PB_FIELDS_MAX / 2)), KW_OK);
	assert_int_equal(scan(kw_buf_view(&two)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&two, 3, KW_VIEW(bytes, KW_PB_FIELDS_MAX / 2)), KW_OK);
	assert_int_equal(scan(kw_buf_view(&two)), KW_ETOOBIG);
	kw_buf_fini(&two);
	assert_int_equal(scan(BYTES("\x1a\2\x80\x01")), KW_OK);
	assert_int_equal(scan(BYTES("\x1a\1\x80")), KW_EFORMAT);      /* element cut short */
	assert_int_equal(scan(BYTES("\x1a\2\x80\x00")), KW_EFORMAT);  /* not shortest */
	assert_int_equal(scan(BYTES("\x32\4\1\2\3\4")), KW_EFORMAT);  /* half an element */
	assert_int_equal(scan(BYTES("\x1a\0")), KW_OK);
}

static void test_prescan_refuses_other_types_and_repeats(void **state)
{
	(void)state;
	assert_int_equal(scan(BYTES("\x2d\1\2\3\4")), KW_OK);
	assert_int_equal(scan(BYTES("\x28\1")), KW_EFORMAT);               /* varint for fixed32 */
	assert_int_equal(scan(BYTES("\x08\1")), KW_EFORMAT);               /* varint for a message */
	assert_int_equal(scan(BYTES("\x1d\1\2\3\4")), KW_EFORMAT);         /* fixed32 for varints */
	assert_int_equal(scan(BYTES("\x0a\0")), KW_OK);
	assert_int_equal(scan(BYTES("\x0a\0\x0a\0")), KW_EFORMAT);         /* singular message twice */
	assert_int_equal(scan(BYTES("\x12\1a\x12\1b")), KW_EFORMAT);       /* singular string twice */
	assert_int_equal(scan(BYTES("\x22\0\x22\0")), KW_OK);              /* repeated message twice */
	assert_int_equal(scan(BYTES("\x22\3\x12\1a\x22\3\x12\1a")), KW_OK); /* once in each of two */
	assert_int_equal(scan(BYTES("\x22\2\x28\1")), KW_EFORMAT);         /* nested fault */
	assert_int_equal(scan(BYTES("\x22\3\x12\2a")), KW_EFORMAT);        /* nested cut */
	assert_int_equal(scan(BYTES("\x4b\x4c")), KW_EFORMAT);             /* unknown group */
}

static void test_prescan_refuses_strings_that_are_not_utf8(void **state)
{
	(void)state;
	static const struct kw_view GOOD[] = {BYTES("a\x7f"), BYTES("\xc2\x80\xdf\xbf"), BYTES("\xe0\xa0\x80\xed\x9f\xbf"),
		BYTES("\xee\x80\x80\xef\xbf\xbf"), BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), BYTES("\xd8\xb9\xd9\x85\xd8\xb1")};
	static const struct kw_view BAD[] = {BYTES("a\0b"), BYTES("\0"), BYTES("\x80"), BYTES("\xc0\x80"), BYTES("\xc1\xbf"),
		BYTES("\xc2"), BYTES("\xc2\x41"), BYTES("\xe0\x9f\xbf"), BYTES("\xed\xa0\x80"), BYTES("\xe1\x80"),
		BYTES("\xf0\x8f\xbf\xbf"), BYTES("\xf4\x90\x80\x80"), BYTES("\xf5\x80\x80\x80"), BYTES("\xff"),
		BYTES("\xf1\x80\x80")};
	struct kw_buf buf;
	kw_buf_init(&buf, 64);
	for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
		kw_buf_clear(&buf);
		assert_int_equal(kw_pb_add_bytes(&buf, 2, GOOD[i]), KW_OK);
		assert_int_equal(scan(kw_buf_view(&buf)), KW_OK);
	}
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		kw_buf_clear(&buf);
		assert_int_equal(kw_pb_add_bytes(&buf, 2, BAD[i]), KW_OK);
		assert_int_equal(scan(kw_buf_view(&buf)), KW_EFORMAT);
		kw_buf_clear(&buf);
		assert_int_equal(kw_pb_add_bytes(&buf, 7, BAD[i]), KW_OK); /* bytes may hold anything */
		assert_int_equal(scan(kw_buf_view(&buf)), KW_OK);
	}
	kw_buf_fini(&buf);
}

/* What the scan passes, protobuf-c reads: on a million small random messages of the real schema. */
static void test_prescan_passes_only_what_unpacks(void **state)
{
	(void)state;
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
	int passed = 0;
	for (int round = 0; round < 1000000; round++) {
		uint8_t bytes[8];
		for (size_t i = 0; i < sizeof(bytes); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			bytes[i] = (uint8_t)(random >> 32) & (round % 2 ? 0x3f : 0xff);
		}
		struct kw_view view = KW_VIEW(bytes, random % (sizeof(bytes) + 1));
		if (kw_pb_prescan(view, &kinward__v1__claims__descriptor, KW_PB_LIMITS) != KW_OK)
			continue;
		Kinward__V1__Claims *claims = kinward__v1__claims__unpack(NULL, view.size, view.data);
		assert_non_null(claims);
		kinward__v1__claims__free_unpacked(claims, NULL);
		passed++;
	}
	assert_true(passed > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_reads_each_type),
		cmocka_unit_test(test_next_reads_largest_values),
		cmocka_unit_test(test_next_refuses_what_is_not_strict),
		cmocka_unit_test(test_need_takes_fields_in_order_only),
		cmocka_unit_test(test_need_refuses_ranges_and_others),
		cmocka_unit_test(test_writers_agree_with_protobuf_c),
		cmocka_unit_test(test_writers_leave_out_zero),
		cmocka_unit_test(test_prescan_limits_depth),
		cmocka_unit_test(test_prescan_limits_fields),
		cmocka_unit_test(test_prescan_counts_packed_elements),
		cmocka_unit_test(test_prescan_refuses_other_types_and_repeats),
		cmocka_unit_test(test_prescan_refuses_strings_that_are_not_utf8),
		cmocka_unit_test(test_prescan_passes_only_what_unpacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
