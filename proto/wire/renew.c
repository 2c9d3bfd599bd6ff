#include "proto/wire/renew.h"

#include <string.h>

#include "proto/wire/frame_field.h"

#define LABEL "kw1 renew"
#define CHANGE_SIZE_MAX 256u /* encoded: key, two signatures, time, reason, and what stands before each */
#define SIGNED_SIZE_MAX (KW_RENEW_CSR_SIZE_MAX + CHANGE_SIZE_MAX + KW_HYBRID_PUBLIC_SIZE + 512u)

static enum kw_err add_sized(struct kw_buf *out, struct kw_view part)
{
	uint8_t size[2];
	kw_put_u16(size, (uint16_t)part.size); /* far below: each part is bounded */
	enum kw_err err = kw_buf_add(out, KW_VIEW_OF(size));
	return err != KW_OK ? err : kw_buf_add(out, part);
}

/* The change as it travels, without its tag. */
static enum kw_err add_change(struct kw_buf *out, const struct kw_identity_change *change)
{
	if (change->reason == 0)
		return KW_OK;
	enum kw_err err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(change->former_key));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, (uint64_t)change->unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, change->reason);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, KW_VIEW_OF(change->former_signature));
	return err != KW_OK ? err : kw_pb_add_bytes(out, 5, KW_VIEW_OF(change->signature));
}

static enum kw_err signed_bytes(const struct kw_renew *renew, const struct kw_renew_where *where, struct kw_view change,
	struct kw_buf *out)
{
	uint8_t time[8];
	kw_put_u64(time, (uint64_t)renew->unix_ms);
	enum kw_err err = kw_buf_add(out, kw_view_str(LABEL));
	if (err == KW_OK)
		err = add_sized(out, kw_view_str(where->hub->text));
	if (err == KW_OK)
		err = add_sized(out, kw_view_str(renew->agency.text));
	if (err == KW_OK)
		err = add_sized(out, KW_VIEW(where->exporter, KW_RENEW_EXPORTER_SIZE));
	if (err == KW_OK)
		err = kw_buf_add(out, KW_VIEW_OF(time));
	if (err == KW_OK)
		err = add_sized(out, renew->csr);
	if (err == KW_OK)
		err = add_sized(out, renew->sealing_key);
	if (err == KW_OK)
		err = add_sized(out, renew->identity_key);
	if (err == KW_OK)
		err = add_sized(out, change);
	return err != KW_OK || renew->hybrid_key.size == 0 ? err : add_sized(out, renew->hybrid_key);
}

static bool form_ok(const struct kw_renew *renew)
{
	return renew->csr.size >= 1 && renew->csr.size <= KW_RENEW_CSR_SIZE_MAX && renew->unix_ms > 0 &&
		(renew->sealing_key.size == 0 || renew->sealing_key.size == KW_KEY_SIZE) &&
		(renew->hybrid_key.size == 0 || renew->hybrid_key.size == KW_HYBRID_PUBLIC_SIZE) &&
		renew->identity_key.size == (renew->identity_change.reason == 0 ? 0 : KW_KEY_SIZE);
}

static enum kw_err add_body(struct kw_buf *out, const struct kw_renew *renew, struct kw_view change, struct kw_view signature)
{
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(renew->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, renew->csr);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, (uint64_t)renew->unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, renew->sealing_key);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, renew->identity_key);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 6, change);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 7, signature);
	return err != KW_OK || renew->hybrid_key.size == 0 ? err : kw_pb_add_bytes(out, 8, renew->hybrid_key);
}

enum kw_err kw_renew_add(struct kw_buf *out, const struct kw_renew *renew, const struct kw_renew_where *where,
	const struct kw_ed25519 *identity)
{
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_buf change;
	struct kw_buf said;
	size_t start;
	if (!form_ok(renew))
		return KW_EFIELD;
	kw_buf_init(&change, CHANGE_SIZE_MAX);
	kw_buf_init(&said, SIGNED_SIZE_MAX);
	enum kw_err err = add_change(&change, &renew->identity_change);
	if (err == KW_OK)
		err = signed_bytes(renew, where, kw_buf_view(&change), &said);
	if (err == KW_OK)
		err = kw_ed25519_sign(identity, kw_buf_view(&said), signature);
	if (err == KW_OK)
		err = kw_field_frame_begin(out, KW_FRAME_RENEW, &start);
	if (err == KW_OK)
		err = kw_field_frame_end(out, start, add_body(out, renew, kw_buf_view(&change), KW_VIEW_OF(signature)));
	kw_buf_fini(&change);
	kw_buf_fini(&said);
	return err;
}

static enum kw_err parse_change(struct kw_view bytes, struct kw_identity_change *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view former = kw_pb_need_bytes(&pb, 1, KW_KEY_SIZE, KW_KEY_SIZE);
	out->unix_ms = (int64_t)kw_pb_need_uint(&pb, 2, INT64_MAX);
	out->reason = (uint8_t)kw_pb_need_uint(&pb, 3, KW_IDENTITY_REASON_COUNT - 1);
	struct kw_view former_signature = kw_pb_need_bytes(&pb, 4, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	struct kw_view signature = kw_pb_need_bytes(&pb, 5, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	memcpy(out->former_key, former.data, KW_KEY_SIZE);
	memcpy(out->former_signature, former_signature.data, KW_SIGNATURE_SIZE);
	memcpy(out->signature, signature.data, KW_SIGNATURE_SIZE);
	return KW_OK;
}

enum kw_err kw_renew_parse(struct kw_view body, struct kw_renew *out)
{
	struct kw_pb pb = kw_pb_from(body);
	struct kw_renew renew = {.unix_ms = 0};
	struct kw_view change = {0};
	struct kw_view agency = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	renew.csr = kw_pb_need_bytes(&pb, 2, 1, KW_RENEW_CSR_SIZE_MAX);
	renew.unix_ms = (int64_t)kw_pb_need_uint(&pb, 3, INT64_MAX);
	if (kw_pb_is_next(&pb, 4))
		renew.sealing_key = kw_pb_need_bytes(&pb, 4, KW_KEY_SIZE, KW_KEY_SIZE);
	if (kw_pb_is_next(&pb, 5)) {
		renew.identity_key = kw_pb_need_bytes(&pb, 5, KW_KEY_SIZE, KW_KEY_SIZE);
		change = kw_pb_need_bytes(&pb, 6, 1, CHANGE_SIZE_MAX);
	}
	renew.signature = kw_pb_need_bytes(&pb, 7, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	if (kw_pb_is_next(&pb, 8))
		renew.hybrid_key = kw_pb_need_bytes(&pb, 8, KW_HYBRID_PUBLIC_SIZE, KW_HYBRID_PUBLIC_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(agency, &renew.agency);
	if (err == KW_OK && change.size > 0)
		err = parse_change(change, &renew.identity_change);
	if (err == KW_OK)
		*out = renew;
	return err;
}

enum kw_err kw_renew_verify(const struct kw_renew *renew, const struct kw_renew_where *where, const uint8_t *identity_key)
{
	struct kw_buf change;
	struct kw_buf said;
	kw_buf_init(&change, CHANGE_SIZE_MAX);
	kw_buf_init(&said, SIGNED_SIZE_MAX);
	enum kw_err err = add_change(&change, &renew->identity_change);
	if (err == KW_OK)
		err = signed_bytes(renew, where, kw_buf_view(&change), &said);
	if (err == KW_OK)
		err = kw_ed25519_verify(identity_key, kw_buf_view(&said), renew->signature);
	if (err == KW_OK && renew->identity_key.size > 0) {
		const struct kw_identity_who who = {.agency = &renew->agency, .hub = where->hub};
		err = memcmp(renew->identity_change.former_key, identity_key, KW_KEY_SIZE) != 0 ? KW_EAUTH
			: kw_identity_verify(&who, renew->identity_key.data, &renew->identity_change);
	}
	kw_buf_fini(&change);
	kw_buf_fini(&said);
	return err;
}

enum kw_err kw_renewed_add(struct kw_buf *out, const struct kw_renewed *renewed)
{
	size_t start;
	if (renewed->certificates_count > KW_RENEW_CERTIFICATES_MAX ||
		(renewed->certificates_count == 0) != (renewed->problem != KW_OK))
		return KW_EFIELD;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_RENEWED, &start);
	if (err != KW_OK)
		return err;
	for (size_t i = 0; err == KW_OK && i < renewed->certificates_count; i++)
		err = renewed->certificates[i].size > KW_RENEW_CERTIFICATE_SIZE_MAX ? KW_ETOOBIG
			: kw_pb_add_bytes(out, 1, renewed->certificates[i]);
	if (err == KW_OK && renewed->problem != KW_OK)
		err = kw_pb_add_bytes(out, 2, kw_view_str(kw_err_name(renewed->problem)));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, (uint64_t)renewed->clock_unix_ms);
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_renewed_parse(struct kw_view body, struct kw_renewed *out)
{
	static const struct kw_field_rules RULES = {
		.kinds = {[1] = KW_FIELD_BYTES_REPEATED, [2] = KW_FIELD_BYTES, [3] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_renewed renewed = {.problem = KW_OK};
	struct kw_pb_field field;
	char name[32];
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1 && (renewed.certificates_count == KW_RENEW_CERTIFICATES_MAX || field.bytes.size == 0 ||
			field.bytes.size > KW_RENEW_CERTIFICATE_SIZE_MAX)) {
			kw_fields_fail(&fields, KW_EFIELD);
		} else if (field.number == 1) {
			renewed.certificates[renewed.certificates_count++] = field.bytes;
		} else if (field.number == 3) {
			renewed.clock_unix_ms = (int64_t)kw_fields_uint(&fields, &field, INT64_MAX);
		} else {
			size_t size = field.bytes.size < sizeof(name) - 1 ? field.bytes.size : sizeof(name) - 1;
			if (size > 0) /* an empty view may hold NULL */
				memcpy(name, field.bytes.data, size);
			name[size] = '\0';
			renewed.problem = kw_err_from_name(name);
			if (renewed.problem == KW_ERR_COUNT || renewed.problem == KW_OK)
				renewed.problem = KW_EPROTO; /* of a later version */
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && (renewed.certificates_count == 0) != (renewed.problem != KW_OK))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = renewed;
	return err;
}
