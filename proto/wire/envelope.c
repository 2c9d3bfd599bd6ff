#include "proto/wire/envelope.h"

#include <string.h>

#include "proto/wire/pbscan.h"
#include "proto/wire/suite.h"

_Static_assert(KW_BODY_SIZE_MAX + KW_CHUNKS_MAX * KW_AEAD_TAG_SIZE + KW_HPKE_ENC_SIZE_MAX + 1024 < KW_ENVELOPE_SIZE_MAX,
	"the largest envelope fits");

bool kw_suite_known(uint32_t suite)
{
	return suite == KW_SUITE_AES || suite == KW_SUITE_CHACHA || suite == KW_SUITE_HYBRID;
}

size_t kw_suite_enc_size(enum kw_suite suite)
{
	return suite == KW_SUITE_HYBRID ? KW_HYBRID_ENC_SIZE : KW_HPKE_ENC_SIZE;
}

enum kw_err kw_key_id_from(struct kw_view bytes, struct kw_key_id *out)
{
	if (bytes.size < KW_KEY_ID_SIZE_MIN || bytes.size > KW_KEY_ID_SIZE_MAX)
		return KW_EFIELD;
	struct kw_key_id id = {.size = (uint8_t)bytes.size};
	memcpy(id.bytes, bytes.data, bytes.size);
	*out = id;
	return KW_OK;
}

struct kw_view kw_key_id_view(const struct kw_key_id *id)
{
	return KW_VIEW(id->bytes, id->size);
}

/* The rule of kw_name_from without its copy: a hub reads three names per message. */
static bool name_ok(struct kw_view text)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];
		bool letter_or_digit = (uint8_t)(c - 'a') < 26 || (uint8_t)(c - '0') < 10;
		if (!letter_or_digit && (c != '-' || i == 0 || i == text.size - 1))
			return false;
	}
	return text.size >= 1 && text.size <= KW_NAME_SIZE_MAX;
}

static struct kw_view need_name(struct kw_pb *pb, uint32_t number)
{
	struct kw_view name = kw_pb_need_bytes(pb, number, 1, KW_NAME_SIZE_MAX);
	if (pb->err == KW_OK && !name_ok(name))
		pb->err = KW_EFIELD;
	return name;
}

static enum kw_err header_parse(struct kw_view bytes, struct kw_envelope_label *label)
{
	struct kw_pb pb = kw_pb_from(bytes);
	uint64_t version = kw_pb_need_uint(&pb, 1, UINT32_MAX);
	uint64_t suite = kw_pb_need_uint(&pb, 2, UINT32_MAX);
	if (pb.err != KW_OK)
		return pb.err;
	/* Before the rest, whose rules a later version may change. */
	if (version != KW_ENVELOPE_VERSION || !kw_suite_known((uint32_t)suite))
		return KW_EVERSION;
	label->suite = (enum kw_suite)suite;
	struct kw_view id = kw_pb_need_bytes(&pb, 3, KW_ID_SIZE, KW_ID_SIZE);
	label->home_hub = need_name(&pb, 4);
	label->expiry_hour = (uint32_t)kw_pb_need_uint(&pb, 5, UINT32_MAX);
	label->msg_class = (enum kw_msg_class)kw_pb_need_uint(&pb, 6, KW_BULK);
	label->size_bucket = (uint32_t)kw_pb_need_uint(&pb, 7, KW_BODY_SIZE_MAX);
	label->hops_max = (uint32_t)kw_pb_need_uint(&pb, 8, KW_HOPS_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	memcpy(label->id.bytes, id.data, KW_ID_SIZE);
	return kw_pad_is_bucket(label->size_bucket) ? KW_OK : KW_EFIELD;
}

static enum kw_err slot_parse(struct kw_view bytes, struct kw_envelope *envelope)
{
	struct kw_pb pb = kw_pb_from(bytes);
	envelope->label.agency = need_name(&pb, 1);
	envelope->label.hub = need_name(&pb, 2);
	envelope->key_id = kw_pb_need_bytes(&pb, 3, KW_KEY_ID_SIZE_MIN, KW_KEY_ID_SIZE_MAX);
	size_t enc_size = kw_suite_enc_size(envelope->label.suite); /* the header is read by now */
	envelope->enc = kw_pb_need_bytes(&pb, 4, enc_size, enc_size).data;
	envelope->sealed_key = kw_pb_need_bytes(&pb, 5, KW_SEALED_KEY_SIZE, KW_SEALED_KEY_SIZE);
	return kw_pb_end(&pb);
}

static bool auth_size_ok(size_t size)
{
	return size >= KW_AUTH_SIZE_MIN + KW_AEAD_TAG_SIZE && size <= KW_AUTH_SIZE_MAX + KW_AEAD_TAG_SIZE &&
		(size - KW_AEAD_TAG_SIZE) % KW_AUTH_SIZE_STEP == 0;
}

enum kw_err kw_envelope_parse(struct kw_view bytes, struct kw_envelope *out)
{
	if (bytes.size > KW_ENVELOPE_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_envelope envelope = {0};
	struct kw_pb pb = kw_pb_from(bytes);
	envelope.header = kw_pb_need_bytes(&pb, 1, 1, KW_ENVELOPE_SIZE_MAX);
	if (pb.err != KW_OK)
		return pb.err;
	enum kw_err err = header_parse(envelope.header, &envelope.label);
	if (err != KW_OK)
		return err;
	envelope.commit = kw_pb_need_bytes(&pb, 2, KW_DIGEST_SIZE, KW_DIGEST_SIZE).data;
	envelope.slot = kw_pb_need_bytes(&pb, 3, 1, KW_ENVELOPE_SIZE_MAX);
	envelope.path.index = (uint32_t)kw_pb_may_uint(&pb, 4, KW_RECIPIENTS_MAX - 1);
	while (envelope.path.depth < KW_MERKLE_SMALL_DEPTH_MAX && kw_pb_is_next(&pb, 5))
		envelope.path.hashes[envelope.path.depth++] =
			kw_pb_need_bytes(&pb, 5, KW_DIGEST_SIZE, KW_DIGEST_SIZE).data;
	envelope.body = kw_pb_need_bytes(&pb, 6, 1, KW_ENVELOPE_SIZE_MAX);
	envelope.auth = kw_pb_need_bytes(&pb, 7, 1, KW_ENVELOPE_SIZE_MAX);
	err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	if (envelope.path.index >> envelope.path.depth != 0 || !auth_size_ok(envelope.auth.size) ||
		envelope.body.size != kw_body_sealed_size(envelope.label.size_bucket))
		return KW_EFIELD;
	err = slot_parse(envelope.slot, &envelope);
	if (err == KW_OK)
		*out = envelope;
	return err;
}

enum kw_err kw_envelope_parse_clear(struct kw_view header, struct kw_view slot, struct kw_envelope *out)
{
	struct kw_envelope envelope = *out;
	enum kw_err err = header_parse(header, &envelope.label);
	if (err == KW_OK)
		err = slot_parse(slot, &envelope);
	if (err != KW_OK)
		return err;
	envelope.header = header;
	envelope.slot = slot;
	*out = envelope;
	return KW_OK;
}

enum kw_err kw_envelope_peek(struct kw_view bytes, struct kw_envelope_label *out)
{
	struct kw_envelope envelope;
	enum kw_err err = kw_envelope_parse(bytes, &envelope);
	if (err == KW_OK)
		*out = envelope.label;
	return err;
}

enum kw_err kw_envelope_digest_of(const struct kw_envelope *envelope, const struct kw_digest *header_hash,
	struct kw_digest *out)
{
	struct kw_digest body;
	enum kw_err err = kw_sha256(&envelope->body, 1, &body);
	return err != KW_OK ? err : kw_envelope_digest_join(envelope, header_hash, &body, out);
}

enum kw_err kw_envelope_digest_join(const struct kw_envelope *envelope, const struct kw_digest *header_hash,
	const struct kw_digest *body_hash, struct kw_digest *out)
{
	struct kw_digest slots;
	enum kw_err err = kw_merkle_leaf(envelope->slot, &slots);
	if (err == KW_OK)
		err = kw_merkle_small_root(&slots, &envelope->path, &slots);
	if (err != KW_OK)
		return err;
	/* Every part but the label has a fixed size, so joining them is unambiguous. */
	struct kw_view parts[] = {kw_view_str("kw1 T"), KW_VIEW_OF(header_hash->bytes),
		KW_VIEW(envelope->commit, KW_DIGEST_SIZE), KW_VIEW_OF(slots.bytes), KW_VIEW_OF(body_hash->bytes)};
	return kw_sha256(parts, 5, out);
}

enum kw_err kw_envelope_digest(struct kw_view bytes, struct kw_digest *out)
{
	struct kw_envelope envelope;
	struct kw_digest header_hash;
	enum kw_err err = kw_envelope_parse(bytes, &envelope);
	if (err == KW_OK)
		err = kw_sha256(&envelope.header, 1, &header_hash);
	if (err == KW_OK)
		err = kw_envelope_digest_of(&envelope, &header_hash, out);
	return err;
}

enum kw_err kw_envelope_add_header(struct kw_buf *buf, const struct kw_envelope_label *label)
{
	enum kw_err err = kw_pb_add_uint(buf, 1, KW_ENVELOPE_VERSION);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 2, label->suite);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 3, KW_VIEW_OF(label->id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 4, label->home_hub);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 5, label->expiry_hour);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 6, label->msg_class);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 7, label->size_bucket);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 8, label->hops_max);
	return err;
}

enum kw_err kw_envelope_add_slot(struct kw_buf *buf, const struct kw_envelope *envelope)
{
	enum kw_err err = kw_pb_add_bytes(buf, 1, envelope->label.agency);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 2, envelope->label.hub);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 3, envelope->key_id);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 4, KW_VIEW(envelope->enc, kw_suite_enc_size(envelope->label.suite)));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 5, envelope->sealed_key);
	return err;
}

enum kw_err kw_envelope_add(struct kw_buf *buf, const struct kw_envelope *envelope)
{
	enum kw_err err = kw_pb_add_bytes(buf, 1, envelope->header);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 2, KW_VIEW(envelope->commit, KW_DIGEST_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 3, envelope->slot);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 4, envelope->path.index);
	for (uint32_t i = 0; i < envelope->path.depth && err == KW_OK; i++)
		err = kw_pb_add_bytes(buf, 5, KW_VIEW(envelope->path.hashes[i], KW_DIGEST_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 6, envelope->body);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 7, envelope->auth);
	return err;
}
