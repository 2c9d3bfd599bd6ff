/* The frames of the audit log: round trips, golden bytes, limits, and nothing that is taken for something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinward/v1/frame.pb-c.h"
#include "proto/wire/frame_audit.h"
#include "proto/wire/pbscan.h"

#define BUF_MAX 8192u

static const uint8_t BYTES[KW_AUDIT_PROOF_SIZE_MAX + 1] = {1, 2, 3};

static struct kw_frame_checkpoint sample_checkpoint(void)
{
	return (struct kw_frame_checkpoint){
		.checkpoint = KW_VIEW(BYTES, 5), .consistency = KW_VIEW(BYTES, 3), .log_key = KW_VIEW(BYTES, KW_KEY_SIZE)};
}

static struct kw_frame_prove sample_prove(void)
{
	struct kw_frame_prove prove = {.size_old = 0};
	memset(prove.digest.bytes, 0xd1, sizeof(prove.digest.bytes));
	return prove;
}

static struct kw_frame_prove sample_prove_size(void)
{
	return (struct kw_frame_prove){.size_old = KW_TREE_SIZE_MAX};
}

static struct kw_frame_proof sample_proof(void)
{
	return (struct kw_frame_proof){.of = sample_prove(), .checkpoint = KW_VIEW(BYTES, 5), .proof = KW_VIEW(BYTES, 7)};
}

static struct kw_frame_proof sample_proof_size(void)
{
	return (struct kw_frame_proof){.of = sample_prove_size(), .checkpoint = KW_VIEW(BYTES, 5), .proof = KW_VIEW(BYTES, 7)};
}

static struct kw_frame_proof sample_proof_none(void)
{
	return (struct kw_frame_proof){.of = sample_prove(), .code = KW_ENOTFOUND};
}

static struct kw_frame_prove sample_prove_below(void)
{
	struct kw_frame_prove prove = sample_prove();
	prove.below = 65536;
	return prove;
}

static struct kw_frame_proof sample_proof_below(void)
{
	return (struct kw_frame_proof){.of = sample_prove(), .code = KW_ENOTFOUND, .below = KW_TREE_SIZE_MAX};
}

struct kind {
	const char *name;
	enum kw_err (*make)(struct kw_buf *out);
	enum kw_err (*turn)(struct kw_view body, struct kw_buf *out);
	const ProtobufCMessageDescriptor *descriptor;
};

#define KIND(what, frame, type) \
	static enum kw_err make_##what(struct kw_buf *out) \
	{ \
		type value = sample_##what(); \
		return kw_frame_##frame##_add(out, &value); \
	} \
	static enum kw_err turn_##what(struct kw_view body, struct kw_buf *out) \
	{ \
		type value; \
		enum kw_err err = kw_frame_##frame##_parse(body, &value); \
		if (err == KW_OK) \
			assert_int_equal(kw_frame_##frame##_add(out, &value), KW_OK); \
		return err; \
	}

KIND(checkpoint, checkpoint, struct kw_frame_checkpoint)
KIND(prove, prove, struct kw_frame_prove)
KIND(prove_size, prove, struct kw_frame_prove)
KIND(proof, proof, struct kw_frame_proof)
KIND(proof_size, proof, struct kw_frame_proof)
KIND(proof_none, proof, struct kw_frame_proof)
KIND(prove_below, prove, struct kw_frame_prove)
KIND(proof_below, proof, struct kw_frame_proof)

#define ROW(what, type) {#what, make_##what, turn_##what, &kinward__v1__##type##__descriptor}
static const struct kind KINDS[] = {ROW(checkpoint, log_checkpoint), ROW(prove, log_prove), ROW(prove_size, log_prove),
	ROW(proof, log_proof), ROW(proof_size, log_proof), ROW(proof_none, log_proof),
	ROW(prove_below, log_prove), ROW(proof_below, log_proof)};
#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

static struct kw_view body_of(const struct kw_buf *buf)
{
	return KW_VIEW(buf->data + KW_FRAME_HEAD_SIZE, buf->size - KW_FRAME_HEAD_SIZE);
}

/* A heap copy of exactly this size, so that a sanitizer sees a read past the end. */
static enum kw_err turn_copy(const struct kind *kind, struct kw_view body, struct kw_buf *out)
{
	uint8_t *copy = malloc(body.size > 0 ? body.size : 1);
	if (body.size > 0)
		memcpy(copy, body.data, body.size);
	kw_buf_clear(out);
	enum kw_err err = kind->turn(KW_VIEW(copy, body.size), out);
	free(copy);
	return err;
}

static void test_frames_round_trip_also_through_protobuf_c(void **state)
{
	(void)state;
	for (size_t k = 0; k < KIND_COUNT; k++) {
		struct kw_buf first, second;
		uint8_t theirs[BUF_MAX];
		kw_buf_init(&first, BUF_MAX);
		kw_buf_init(&second, BUF_MAX);
		assert_int_equal(KINDS[k].make(&first), KW_OK);
		assert_int_equal(turn_copy(&KINDS[k], body_of(&first), &second), KW_OK);
		assert_true(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second)));
		ProtobufCMessage *message =
			protobuf_c_message_unpack(KINDS[k].descriptor, NULL, body_of(&first).size, body_of(&first).data);
		assert_non_null(message);
		size_t size = protobuf_c_message_pack(message, theirs);
		assert_true(kw_view_equal(KW_VIEW(theirs, size), body_of(&first)));
		protobuf_c_message_free_unpacked(message, NULL);
		kw_buf_fini(&first);
		kw_buf_fini(&second);
	}
}

static void test_frames_match_golden_bytes(void **state)
{
	(void)state;
	for (size_t k = 0; k < KIND_COUNT; k++) {
		char path[512], want[4096], got[4096];
		struct kw_buf buf;
		kw_buf_init(&buf, BUF_MAX);
		assert_int_equal(KINDS[k].make(&buf), KW_OK);
		kw_hex(got, kw_buf_view(&buf));
		(void)snprintf(path, sizeof(path), "%s/frames/audit_%s.hex", KW_GOLDEN_DIR, KINDS[k].name);
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
		kw_buf_fini(&buf);
	}
}

static void test_every_truncation_and_mutation_is_refused_or_stable(void **state)
{
	(void)state;
	for (size_t k = 0; k < KIND_COUNT; k++) {
		struct kw_buf first, again, once_more;
		kw_buf_init(&first, BUF_MAX);
		kw_buf_init(&again, BUF_MAX);
		kw_buf_init(&once_more, BUF_MAX);
		assert_int_equal(KINDS[k].make(&first), KW_OK);
		struct kw_view body = body_of(&first);
		for (size_t size = 0; size < body.size; size++)
			(void)turn_copy(&KINDS[k], KW_VIEW(body.data, size), &again);
		for (size_t at = 0; at < body.size * 8; at++) {
			uint8_t copy[BUF_MAX];
			memcpy(copy, body.data, body.size);
			copy[at / 8] ^= (uint8_t)(1u << at % 8);
			if (turn_copy(&KINDS[k], KW_VIEW(copy, body.size), &again) != KW_OK)
				continue;
			assert_int_equal(turn_copy(&KINDS[k], body_of(&again), &once_more), KW_OK);
			assert_true(kw_view_equal(kw_buf_view(&again), kw_buf_view(&once_more)));
		}
		kw_buf_fini(&first);
		kw_buf_fini(&again);
		kw_buf_fini(&once_more);
	}
}

/* What the writer takes, the reader takes, and at the next byte both refuse it. */
static void assert_checkpoint(const struct kw_frame_checkpoint *frame, enum kw_err want)
{
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	assert_int_equal(kw_frame_checkpoint_add(&buf, frame), want);
	if (want != KW_OK) { /* by hand, past the writer's check */
		assert_int_equal(kw_pb_add_bytes(&buf, 1, frame->checkpoint), KW_OK);
		assert_int_equal(kw_pb_add_bytes(&buf, 2, frame->consistency), KW_OK);
		assert_int_equal(kw_pb_add_bytes(&buf, 3, frame->log_key), KW_OK);
	}
	struct kw_frame_checkpoint out;
	assert_int_equal(kw_frame_checkpoint_parse(want == KW_OK ? body_of(&buf) : kw_buf_view(&buf), &out), want);
	kw_buf_fini(&buf);
}

static void test_checkpoint_takes_the_largest_and_no_more(void **state)
{
	(void)state;
	struct kw_frame_checkpoint frame = sample_checkpoint();
	frame.checkpoint.size = KW_AUDIT_SIGNED_SIZE_MAX;
	frame.consistency.size = KW_AUDIT_PROOF_SIZE_MAX;
	assert_checkpoint(&frame, KW_OK);
	frame.checkpoint.size++;
	assert_checkpoint(&frame, KW_EFIELD);
	frame = sample_checkpoint();
	frame.consistency.size = KW_AUDIT_PROOF_SIZE_MAX + 1;
	assert_checkpoint(&frame, KW_EFIELD);
	frame = sample_checkpoint();
	frame.checkpoint.size = 0;
	assert_checkpoint(&frame, KW_EFIELD);
	frame = sample_checkpoint();
	frame.consistency.size = 0;
	frame.log_key.size = 0;
	assert_checkpoint(&frame, KW_OK);
	frame.log_key.size = KW_KEY_SIZE + 1;
	assert_checkpoint(&frame, KW_EFIELD);
	frame.log_key.size = KW_KEY_SIZE - 1;
	assert_checkpoint(&frame, KW_EFIELD);
}

static void assert_prove_bytes(const uint8_t *bytes, size_t size, enum kw_err want)
{
	struct kw_frame_prove out;
	assert_int_equal(kw_frame_prove_parse(KW_VIEW(bytes, size), &out), want);
}

static void test_prove_asks_for_one_thing(void **state)
{
	(void)state;
	static const uint8_t BOTH[] = {0x10, 5};
	struct kw_buf buf;
	struct kw_frame_prove prove = sample_prove_size();
	assert_prove_bytes(BOTH, 0, KW_EFIELD);
	assert_prove_bytes(BOTH, 2, KW_OK);
	assert_prove_bytes((const uint8_t[]){0x10, 0}, 2, KW_EFIELD);
	kw_buf_init(&buf, BUF_MAX);
	assert_int_equal(kw_pb_add_bytes(&buf, 1, KW_VIEW(BYTES, KW_DIGEST_SIZE)), KW_OK);
	assert_prove_bytes(buf.data, buf.size, KW_OK);
	assert_int_equal(kw_buf_add(&buf, KW_VIEW_OF(BOTH)), KW_OK);
	assert_prove_bytes(buf.data, buf.size, KW_EFIELD);
	kw_buf_clear(&buf);
	assert_int_equal(kw_pb_add_bytes(&buf, 1, KW_VIEW(BYTES, KW_DIGEST_SIZE + 1)), KW_OK);
	assert_prove_bytes(buf.data, buf.size, KW_EFIELD);
	kw_buf_clear(&buf);
	assert_int_equal(kw_pb_add_uint(&buf, 2, KW_TREE_SIZE_MAX), KW_OK);
	assert_prove_bytes(buf.data, buf.size, KW_OK);
	kw_buf_clear(&buf);
	assert_int_equal(kw_pb_add_uint(&buf, 2, KW_TREE_SIZE_MAX + 1), KW_OK);
	assert_prove_bytes(buf.data, buf.size, KW_EFIELD);
	prove.size_old++;
	assert_int_equal(kw_frame_prove_add(&buf, &prove), KW_EFIELD);
	kw_buf_fini(&buf);
}

static enum kw_err parse_proof(uint32_t size_old, uint32_t proof_field, size_t proof_size, const char *code)
{
	struct kw_buf buf;
	struct kw_frame_proof out;
	kw_buf_init(&buf, BUF_MAX);
	assert_int_equal(size_old != 0 ? kw_pb_add_uint(&buf, 2, size_old) : kw_pb_add_bytes(&buf, 1, KW_VIEW(BYTES, 32)), KW_OK);
	if (proof_size > 0) {
		assert_int_equal(kw_pb_add_bytes(&buf, 3, KW_VIEW(BYTES, 9)), KW_OK);
		assert_int_equal(kw_pb_add_bytes(&buf, proof_field, KW_VIEW(BYTES, proof_size)), KW_OK);
	}
	assert_int_equal(kw_pb_add_bytes(&buf, 6, kw_view_str(code)), KW_OK);
	enum kw_err err = kw_frame_proof_parse(kw_buf_view(&buf), &out);
	kw_buf_fini(&buf);
	return err;
}

static void test_proof_is_of_what_was_asked_or_says_why_not(void **state)
{
	(void)state;
	assert_int_equal(parse_proof(0, 4, 40, ""), KW_OK);
	assert_int_equal(parse_proof(9, 5, 40, ""), KW_OK);
	assert_int_equal(parse_proof(0, 5, 40, ""), KW_EFIELD); /* the proof of the other thing */
	assert_int_equal(parse_proof(9, 4, 40, ""), KW_EFIELD);
	assert_int_equal(parse_proof(0, 4, KW_AUDIT_PROOF_SIZE_MAX, ""), KW_OK);
	assert_int_equal(parse_proof(0, 4, KW_AUDIT_PROOF_SIZE_MAX + 1, ""), KW_EFIELD);
	assert_int_equal(parse_proof(0, 4, 0, ""), KW_EFIELD);
	assert_int_equal(parse_proof(0, 4, 0, kw_err_name(KW_ENOTFOUND)), KW_OK);
	assert_int_equal(parse_proof(0, 4, 40, kw_err_name(KW_ENOTFOUND)), KW_EFIELD);
	assert_int_equal(parse_proof(0, 4, 0, "no_such_code"), KW_EFIELD);
}

static enum kw_err parse_below(bool digest, uint64_t below)
{
	struct kw_frame_prove out;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	assert_int_equal(digest ? kw_pb_add_bytes(&buf, 1, KW_VIEW(BYTES, 32)) : kw_pb_add_uint(&buf, 2, 9), KW_OK);
	assert_int_equal(kw_pb_add_uint(&buf, 3, below), KW_OK);
	enum kw_err err = kw_frame_prove_parse(kw_buf_view(&buf), &out);
	if (err == KW_OK)
		assert_int_equal(out.below, below);
	kw_buf_fini(&buf);
	return err;
}

static void test_a_search_goes_on_from_a_leaf_and_for_a_digest_only(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	assert_int_equal(parse_below(true, KW_TREE_SIZE_MAX), KW_OK);
	assert_int_equal(parse_below(true, KW_TREE_SIZE_MAX + 1), KW_EFIELD);
	assert_int_equal(parse_below(false, 7), KW_EFIELD);
	struct kw_frame_prove prove = {.size_old = 9, .below = 7};
	assert_int_equal(kw_frame_prove_add(&buf, &prove), KW_EFIELD);
	prove = (struct kw_frame_prove){.below = KW_TREE_SIZE_MAX + 1};
	assert_int_equal(kw_frame_prove_add(&buf, &prove), KW_EFIELD);
	struct kw_frame_proof proof = sample_proof_below();
	proof.below++;
	assert_int_equal(kw_frame_proof_add(&buf, &proof), KW_EFIELD);
	proof = sample_proof_below();
	proof.code = KW_EBUSY;
	assert_int_equal(kw_frame_proof_add(&buf, &proof), KW_EFIELD);
	proof = sample_proof();
	proof.below = 7;
	assert_int_equal(kw_frame_proof_add(&buf, &proof), KW_EFIELD);
	proof = sample_proof_size();
	proof = (struct kw_frame_proof){.of = proof.of, .code = KW_ENOTFOUND, .below = 7};
	assert_int_equal(kw_frame_proof_add(&buf, &proof), KW_EFIELD);
	kw_buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_round_trip_also_through_protobuf_c),
		cmocka_unit_test(test_frames_match_golden_bytes),
		cmocka_unit_test(test_every_truncation_and_mutation_is_refused_or_stable),
		cmocka_unit_test(test_checkpoint_takes_the_largest_and_no_more),
		cmocka_unit_test(test_prove_asks_for_one_thing),
		cmocka_unit_test(test_proof_is_of_what_was_asked_or_says_why_not),
		cmocka_unit_test(test_a_search_goes_on_from_a_leaf_and_for_a_digest_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
