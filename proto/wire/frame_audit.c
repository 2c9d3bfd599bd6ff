/* The frames of the audit log. Each has one check, used when it is read and when it is written. */

#include "proto/wire/frame_audit.h"

#include <string.h>

#include "proto/wire/frame_field.h"

#define BIT(number) (UINT32_C(1) << (number))

static bool fits(struct kw_view bytes, size_t size_min, size_t size_max)
{
	return bytes.size >= size_min && bytes.size <= size_max;
}

static enum kw_err checkpoint_check(const struct kw_frame_checkpoint *frame)
{
	bool key_ok = frame->log_key.size == 0 || frame->log_key.size == KW_KEY_SIZE;
	return fits(frame->checkpoint, 1, KW_AUDIT_SIGNED_SIZE_MAX) && fits(frame->consistency, 0, KW_AUDIT_PROOF_SIZE_MAX) && key_ok
			   ? KW_OK
			   : KW_EFIELD;
}

enum kw_err kw_frame_checkpoint_parse(struct kw_view body, struct kw_frame_checkpoint *out)
{
	static const struct kw_field_rules RULES = {
		.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES, [3] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_checkpoint frame = {.checkpoint = KW_VIEW(NULL, 0)};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		struct kw_view *const places[] = {&frame.checkpoint, &frame.consistency, &frame.log_key};
		*places[field.number - 1] = field.bytes;
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = checkpoint_check(&frame);
	if (err == KW_OK)
		*out = frame;
	return err;
}

enum kw_err kw_frame_checkpoint_add(struct kw_buf *out, const struct kw_frame_checkpoint *frame)
{
	size_t start;
	enum kw_err err = checkpoint_check(frame);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_CHECKPOINT, &start);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, frame->checkpoint);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, frame->consistency);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, frame->log_key);
	return kw_field_frame_end(out, start, err);
}

/* Fields 1 and 2 of both; true when it was one of them. */
static bool read_prove(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_frame_prove *out)
{
	if (field->number == 2)
		out->size_old = kw_fields_uint(fields, field, KW_TREE_SIZE_MAX);
	else if (field->number == 1 && field->bytes.size != KW_DIGEST_SIZE)
		kw_fields_fail(fields, KW_EFIELD);
	else if (field->number == 1)
		memcpy(out->digest.bytes, field->bytes.data, KW_DIGEST_SIZE);
	return field->number <= 2;
}

/* One of the two, and not an old size that is 0. */
static enum kw_err prove_end(const struct kw_fields *fields, const struct kw_frame_prove *prove)
{
	enum kw_err err = kw_fields_end(fields);
	bool digest = (fields->seen & BIT(1)) != 0, size = (fields->seen & BIT(2)) != 0;
	if (err == KW_OK && (digest == size || (size && prove->size_old == 0)))
		err = KW_EFIELD;
	return err;
}

static enum kw_err add_prove(struct kw_buf *out, const struct kw_frame_prove *prove)
{
	if (prove->size_old > KW_TREE_SIZE_MAX || prove->below > KW_TREE_SIZE_MAX || (prove->size_old != 0 && prove->below != 0))
		return KW_EFIELD;
	return prove->size_old != 0 ? kw_pb_add_uint(out, 2, prove->size_old)
								: kw_pb_add_bytes(out, 1, KW_VIEW_OF(prove->digest.bytes));
}

enum kw_err kw_frame_prove_parse(struct kw_view body, struct kw_frame_prove *out)
{
	static const struct kw_field_rules RULES = {
		.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT, [3] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_prove prove = {.size_old = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field))
		if (!read_prove(&fields, &field, &prove))
			prove.below = kw_fields_uint(&fields, &field, KW_TREE_SIZE_MAX);
	enum kw_err err = prove_end(&fields, &prove);
	if (err == KW_OK && prove.size_old != 0 && (fields.seen & BIT(3)) != 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = prove;
	return err;
}

enum kw_err kw_frame_prove_add(struct kw_buf *out, const struct kw_frame_prove *prove)
{
	size_t start;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_PROVE, &start);
	if (err == KW_OK)
		err = add_prove(out, prove);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, prove->below);
	return kw_field_frame_end(out, start, err);
}

static enum kw_err proof_check(const struct kw_frame_proof *frame)
{
	bool goes_on = frame->code == KW_ENOTFOUND && frame->of.size_old == 0;
	if (frame->of.below != 0 || frame->below > (goes_on ? KW_TREE_SIZE_MAX : 0))
		return KW_EFIELD;
	if (frame->code != KW_OK)
		return frame->checkpoint.size == 0 && frame->proof.size == 0 && frame->code < KW_ERR_COUNT ? KW_OK : KW_EFIELD;
	return fits(frame->checkpoint, 1, KW_AUDIT_SIGNED_SIZE_MAX) && fits(frame->proof, 1, KW_AUDIT_PROOF_SIZE_MAX) ? KW_OK
																												 : KW_EFIELD;
}

enum kw_err kw_frame_proof_parse(struct kw_view body, struct kw_frame_proof *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT, [3] = KW_FIELD_BYTES,
		[4] = KW_FIELD_BYTES, [5] = KW_FIELD_BYTES, [6] = KW_FIELD_BYTES, [7] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_proof frame = {.code = KW_OK};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (read_prove(&fields, &field, &frame.of))
			continue;
		if (field.number == 3)
			frame.checkpoint = field.bytes;
		else if (field.number == 6)
			frame.code = kw_fields_reason(&fields, &field);
		else if (field.number == 7)
			frame.below = kw_fields_uint(&fields, &field, KW_TREE_SIZE_MAX);
		else
			frame.proof = field.bytes;
	}
	enum kw_err err = prove_end(&fields, &frame.of);
	uint32_t wrong = frame.of.size_old != 0 ? BIT(4) : BIT(5); /* the proof of the other thing */
	if (err == KW_OK && (fields.seen & wrong) != 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = proof_check(&frame);
	if (err == KW_OK)
		*out = frame;
	return err;
}

enum kw_err kw_frame_proof_add(struct kw_buf *out, const struct kw_frame_proof *frame)
{
	size_t start;
	enum kw_err err = proof_check(frame);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_PROOF, &start);
	if (err == KW_OK)
		err = add_prove(out, &frame->of);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, frame->checkpoint);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, frame->of.size_old != 0 ? 5 : 4, frame->proof);
	if (err == KW_OK && frame->code != KW_OK)
		err = kw_pb_add_bytes(out, 6, kw_view_str(kw_err_name(frame->code)));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 7, frame->below);
	return kw_field_frame_end(out, start, err);
}
