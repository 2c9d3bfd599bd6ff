/* The frames of blobs. Each has one check, used when it is read and when it is written. */

#include "proto/wire/frame_blob.h"

#include <string.h>

#include "proto/wire/frame_field.h"

#define BIT(number) (UINT32_C(1) << (number))
#define REF_NEEDED (BIT(1) | BIT(2))

static void read_digest(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_digest *out)
{
	if (field->bytes.size != KW_DIGEST_SIZE)
		kw_fields_fail(fields, KW_EFIELD);
	else
		memcpy(out->bytes, field->bytes.data, KW_DIGEST_SIZE);
}

/* Fields 1 and 2 of every frame of a blob; true when it was one of them. */
static bool read_ref(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_blob_ref *out)
{
	if (field->number == 1)
		read_digest(fields, field, &out->digest);
	else if (field->number == 2)
		kw_fields_fail(fields, kw_name_from(field->bytes, &out->agency));
	return field->number <= 2;
}

static enum kw_err read_end(const struct kw_fields *fields, uint32_t needed)
{
	enum kw_err err = kw_fields_end(fields);
	return err == KW_OK && (fields->seen & needed) != needed ? KW_EFIELD : err;
}

static struct kw_view name_view(const struct kw_name *name)
{
	return KW_VIEW(name->text, strnlen(name->text, sizeof(name->text)));
}

static enum kw_err begin(struct kw_buf *out, uint8_t type, const struct kw_blob_ref *ref, size_t *start)
{
	struct kw_name checked;
	struct kw_view agency = name_view(&ref->agency);
	*start = out->size;
	if (kw_name_from(agency, &checked) != KW_OK)
		return KW_EFIELD;
	enum kw_err err = kw_field_frame_begin(out, type, start);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(ref->digest.bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, agency);
	return err;
}

static enum kw_err offer_check(const struct kw_frame_blob_offer *offer)
{
	struct kw_name checked;
	if (offer->giver.text[0] != '\0' && kw_name_from(name_view(&offer->giver), &checked) != KW_OK)
		return KW_EFIELD;
	return kw_blob_size_ok(offer->size) && offer->expiry_hour != 0 ? KW_OK : KW_EFIELD;
}

enum kw_err kw_frame_blob_offer_parse(struct kw_view body, struct kw_frame_blob_offer *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_BYTES, [6] = KW_FIELD_VARINT, [7] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_blob_offer offer = {.size = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (read_ref(&fields, &field, &offer.ref))
			continue;
		if (field.number == 3)
			offer.size = (uint32_t)kw_fields_uint(&fields, &field, KW_BLOB_SIZE_MAX);
		else if (field.number == 4)
			kw_fields_fail(&fields, field.value == KW_BLOB_CHUNK_SIZE ? KW_OK : KW_EFIELD);
		else if (field.number == 5)
			read_digest(&fields, &field, &offer.commit);
		else if (field.number == 6)
			offer.expiry_hour = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
		else
			kw_fields_fail(&fields, kw_name_from(field.bytes, &offer.giver));
	}
	enum kw_err err = read_end(&fields, REF_NEEDED | BIT(4) | BIT(5));
	if (err == KW_OK)
		err = offer_check(&offer);
	if (err == KW_OK)
		*out = offer;
	return err;
}

enum kw_err kw_frame_blob_offer_add(struct kw_buf *out, const struct kw_frame_blob_offer *offer)
{
	size_t start;
	enum kw_err err = offer_check(offer);
	if (err != KW_OK)
		return err;
	err = begin(out, KW_FRAME_BLOB_OFFER, &offer->ref, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, offer->size);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, KW_BLOB_CHUNK_SIZE);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, KW_VIEW_OF(offer->commit.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 6, offer->expiry_hour);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 7, name_view(&offer->giver));
	return kw_field_frame_end(out, start, err);
}

static enum kw_err want_check(const struct kw_frame_blob_want *want)
{
	return want->size == 0 || want->size > UINT32_MAX - want->offset ? KW_EFIELD : KW_OK;
}

enum kw_err kw_frame_blob_want_parse(struct kw_view body, struct kw_frame_blob_want *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_blob_want want = {.size = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (read_ref(&fields, &field, &want.ref))
			continue;
		if (field.number == 3)
			want.offset = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
		else
			want.size = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
	}
	enum kw_err err = read_end(&fields, REF_NEEDED);
	if (err == KW_OK)
		err = want_check(&want);
	if (err == KW_OK)
		*out = want;
	return err;
}

enum kw_err kw_frame_blob_want_add(struct kw_buf *out, const struct kw_frame_blob_want *want)
{
	size_t start;
	enum kw_err err = want_check(want);
	if (err != KW_OK)
		return err;
	err = begin(out, KW_FRAME_BLOB_WANT, &want->ref, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, want->offset);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, want->size);
	return kw_field_frame_end(out, start, err);
}

static enum kw_err chunk_check(const struct kw_frame_blob_chunk *chunk)
{
	uint32_t within = chunk->offset % KW_BLOB_SEALED_CHUNK_SIZE;
	if (chunk->bytes.size == 0 || chunk->bytes.size > KW_BLOB_SEALED_CHUNK_SIZE - within)
		return KW_EFIELD;
	if (chunk->path.size % KW_DIGEST_SIZE != 0 || chunk->path.size > KW_BLOB_PATH_SIZE_MAX)
		return KW_EFIELD;
	return within != 0 && chunk->path.size != 0 ? KW_EFIELD : KW_OK;
}

enum kw_err kw_frame_blob_chunk_parse(struct kw_view body, struct kw_frame_blob_chunk *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_BYTES, [5] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_blob_chunk chunk = {.offset = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (read_ref(&fields, &field, &chunk.ref))
			continue;
		if (field.number == 3)
			chunk.offset = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
		else if (field.number == 4)
			chunk.bytes = field.bytes;
		else
			chunk.path = field.bytes;
	}
	enum kw_err err = read_end(&fields, REF_NEEDED);
	if (err == KW_OK)
		err = chunk_check(&chunk);
	if (err == KW_OK)
		*out = chunk;
	return err;
}

enum kw_err kw_frame_blob_chunk_add(struct kw_buf *out, const struct kw_frame_blob_chunk *chunk)
{
	size_t start;
	enum kw_err err = chunk_check(chunk);
	if (err != KW_OK)
		return err;
	err = begin(out, KW_FRAME_BLOB_CHUNK, &chunk->ref, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, chunk->offset);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, chunk->bytes);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, chunk->path);
	return kw_field_frame_end(out, start, err);
}

static enum kw_err done_check(const struct kw_frame_blob_done *done)
{
	if ((unsigned)done->code >= KW_ERR_COUNT)
		return KW_EFIELD;
	return done->code == KW_OK ? (done->retry_after_ms == 0 ? KW_OK : KW_EFIELD) : (done->delivered ? KW_EFIELD : KW_OK);
}

enum kw_err kw_frame_blob_done_parse(struct kw_view body, struct kw_frame_blob_done *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES,
		[3] = KW_FIELD_BYTES, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_blob_done done = {.code = KW_OK};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (read_ref(&fields, &field, &done.ref))
			continue;
		if (field.number == 3)
			done.code = kw_fields_reason(&fields, &field);
		else if (field.number == 4)
			done.delivered = kw_fields_uint(&fields, &field, 1) == 1;
		else
			done.retry_after_ms = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
	}
	enum kw_err err = read_end(&fields, REF_NEEDED);
	if (err == KW_OK)
		err = done_check(&done);
	if (err == KW_OK)
		*out = done;
	return err;
}

enum kw_err kw_frame_blob_done_add(struct kw_buf *out, const struct kw_frame_blob_done *done)
{
	size_t start;
	enum kw_err err = done_check(done);
	if (err != KW_OK)
		return err;
	err = begin(out, KW_FRAME_BLOB_DONE, &done->ref, &start);
	if (err == KW_OK && done->code != KW_OK)
		err = kw_pb_add_bytes(out, 3, kw_view_str(kw_err_name(done->code)));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, done->delivered);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 5, done->retry_after_ms);
	return kw_field_frame_end(out, start, err);
}
