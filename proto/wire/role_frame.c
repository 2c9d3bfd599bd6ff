#include "proto/wire/role_frame.h"

#include "proto/wire/frame_field.h"

uint32_t kw_role_total_max(enum kw_role_kind kind)
{
	switch (kind) {
	case KW_ROLE_KIND_ROOT:
		return 256u << 10; /* 64 hubs, each with eight keys in four roles */
	case KW_ROLE_KIND_TIMESTAMP:
		return 8u << 10;
	case KW_ROLE_KIND_SNAPSHOT:
		return 32u << 10;
	case KW_ROLE_KIND_DIRECTORY:
	case KW_ROLE_KIND_DELTA:
		return KW_ROLE_SIZE_MAX;
	}
	return 0;
}

static enum kw_err check(const struct kw_role_part *part)
{
	if (part->total == 0 || part->total > kw_role_total_max(part->kind) || part->bytes.size == 0 ||
		part->offset >= part->total || part->bytes.size > part->total - part->offset)
		return KW_EFIELD;
	return KW_OK;
}

enum kw_err kw_role_part_parse(struct kw_view body, struct kw_role_part *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_role_part part = {.offset = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			part.kind = (enum kw_role_kind)kw_fields_uint(&fields, &field, KW_ROLE_KIND_DELTA);
			break;
		case 2:
			part.offset = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		case 3:
			part.total = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		default:
			part.bytes = field.bytes;
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = check(&part);
	if (err == KW_OK)
		*out = part;
	return err;
}

enum kw_err kw_role_part_add(struct kw_buf *out, const struct kw_role_part *part)
{
	size_t start;
	enum kw_err err = check(part);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_ROLE_PART, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, part->kind);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, part->offset);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, part->total);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, part->bytes);
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_roles_want_parse(struct kw_view body, struct kw_roles_have *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_roles_have have = {.root = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		uint64_t *const places[] = {&have.root, &have.timestamp, &have.snapshot, &have.directory};
		*places[field.number - 1] = field.value;
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		*out = have;
	return err;
}

enum kw_err kw_roles_want_add(struct kw_buf *out, const struct kw_roles_have *have)
{
	size_t start;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_ROLES_WANT, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, have->root);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, have->timestamp);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, have->snapshot);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, have->directory);
	return kw_field_frame_end(out, start, err);
}

void kw_role_inbox_init(struct kw_role_inbox *inbox)
{
	*inbox = (struct kw_role_inbox){.total = 0};
	kw_buf_init(&inbox->bytes, KW_ROLE_SIZE_MAX);
}

void kw_role_inbox_fini(struct kw_role_inbox *inbox)
{
	kw_buf_fini(&inbox->bytes);
}

static void drop(struct kw_role_inbox *inbox)
{
	kw_buf_fini(&inbox->bytes);
	kw_role_inbox_init(inbox);
}

enum kw_err kw_role_inbox_take(struct kw_role_inbox *inbox, const struct kw_role_part *part, bool *whole)
{
	*whole = false;
	if (part->offset == 0) {
		drop(inbox);
		inbox->kind = part->kind;
		inbox->total = part->total;
	}
	if (inbox->kind != part->kind || inbox->total != part->total || inbox->bytes.size != part->offset) {
		drop(inbox);
		return KW_EPROTO;
	}
	enum kw_err err = kw_buf_add(&inbox->bytes, part->bytes);
	if (err != KW_OK)
		drop(inbox);
	else
		*whole = inbox->bytes.size == inbox->total;
	return err;
}
