#include "proto/wire/evidence.h"

#include <string.h>

#include "proto/wire/pbscan.h"
#include "proto/wire/seal.h"

/* Evidence files as bytes. */

enum kw_err kw_envelope_proof_of(const struct kw_sealed *sealed, size_t recipient, struct kw_buf *out)
{
	struct kw_envelope envelope;
	struct kw_digest body;
	if (recipient >= sealed->envelopes_count || sealed->claims_size == 0)
		return KW_EFIELD;
	enum kw_err err = kw_envelope_parse(kw_buf_view(&sealed->envelopes[recipient]), &envelope);
	if (err == KW_OK)
		err = kw_sha256(&envelope.body, 1, &body);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, envelope.header);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW(envelope.commit, KW_DIGEST_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, envelope.slot);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, envelope.path.index);
	for (uint32_t i = 0; err == KW_OK && i < envelope.path.depth; i++)
		err = kw_pb_add_bytes(out, 5, KW_VIEW(envelope.path.hashes[i], KW_DIGEST_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 6, KW_VIEW_OF(body.bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 7, KW_VIEW(sealed->claims, sealed->claims_size));
	return err != KW_OK ? err : kw_pb_add_bytes(out, 8, KW_VIEW_OF(sealed->signature));
}

enum kw_err kw_envelope_proof_read(struct kw_view bytes, struct kw_envelope_proof *out)
{
	struct kw_envelope_proof proof = {0};
	struct kw_merkle_path *path = &proof.envelope.path;
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view header = kw_pb_need_bytes(&pb, 1, 1, KW_ENVELOPE_PROOF_SIZE_MAX);
	proof.envelope.commit = kw_pb_need_bytes(&pb, 2, KW_DIGEST_SIZE, KW_DIGEST_SIZE).data;
	struct kw_view slot = kw_pb_need_bytes(&pb, 3, 1, KW_ENVELOPE_PROOF_SIZE_MAX);
	path->index = (uint32_t)kw_pb_may_uint(&pb, 4, KW_RECIPIENTS_MAX - 1);
	while (path->depth < KW_MERKLE_SMALL_DEPTH_MAX && kw_pb_is_next(&pb, 5))
		path->hashes[path->depth++] = kw_pb_need_bytes(&pb, 5, KW_DIGEST_SIZE, KW_DIGEST_SIZE).data;
	struct kw_view body = kw_pb_need_bytes(&pb, 6, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	proof.claims = kw_pb_need_bytes(&pb, 7, 1, KW_AUTH_SIZE_MAX);
	proof.signature = kw_pb_need_bytes(&pb, 8, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK && path->index >> path->depth != 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = kw_envelope_parse_clear(header, slot, &proof.envelope);
	if (err != KW_OK)
		return err;
	memcpy(proof.body_digest.bytes, body.data, KW_DIGEST_SIZE);
	*out = proof;
	return KW_OK;
}

enum kw_err kw_held_proof_add(struct kw_buf *out, struct kw_view checkpoint, struct kw_view inclusion)
{
	if (checkpoint.size == 0 || inclusion.size == 0)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, checkpoint);
	return err != KW_OK ? err : kw_pb_add_bytes(out, 2, inclusion);
}

enum kw_err kw_held_proof_read(struct kw_view bytes, struct kw_view *checkpoint, struct kw_view *inclusion)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view first = kw_pb_need_bytes(&pb, 1, 1, KW_ROLE_SIZE_MAX);
	struct kw_view second = kw_pb_need_bytes(&pb, 2, 1, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	*checkpoint = first;
	*inclusion = second;
	return KW_OK;
}

static enum kw_err roles_add(struct kw_buf *out, const struct kw_evidence_roles *roles)
{
	enum kw_err err = KW_OK;
	if (roles->roots_count < 1 || roles->roots_count > KW_ROLE_ROOTS_MAX || roles->directories_count < 1 ||
		roles->directories_count > KW_EVIDENCE_DIRECTORIES_MAX || roles->timestamp.size == 0 || roles->snapshot.size == 0)
		return KW_EFIELD;
	for (uint32_t i = 0; err == KW_OK && i < roles->roots_count; i++)
		err = roles->roots[i].size > 0 ? kw_pb_add_bytes(out, 1, roles->roots[i]) : KW_EFIELD;
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, roles->timestamp);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, roles->snapshot);
	for (uint32_t i = 0; err == KW_OK && i < roles->directories_count; i++)
		err = roles->directories[i].size > 0 ? kw_pb_add_bytes(out, 4, roles->directories[i]) : KW_EFIELD;
	return err;
}

static enum kw_err roles_read(struct kw_view bytes, struct kw_evidence_roles *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	while (out->roots_count < KW_ROLE_ROOTS_MAX && kw_pb_is_next(&pb, 1))
		out->roots[out->roots_count++] = kw_pb_need_bytes(&pb, 1, 1, KW_ROLE_SIZE_MAX);
	out->timestamp = kw_pb_need_bytes(&pb, 2, 1, KW_ROLE_SIZE_MAX);
	out->snapshot = kw_pb_need_bytes(&pb, 3, 1, KW_ROLE_SIZE_MAX);
	while (out->directories_count < KW_EVIDENCE_DIRECTORIES_MAX && kw_pb_is_next(&pb, 4))
		out->directories[out->directories_count++] = kw_pb_need_bytes(&pb, 4, 1, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	return err == KW_OK && (out->roots_count == 0 || out->directories_count == 0) ? KW_EFIELD : err;
}

enum kw_err kw_evidence_add(struct kw_buf *out, const struct kw_evidence_parts *parts)
{
	struct kw_buf roles;
	if (parts->receipts_count > KW_EVIDENCE_RECEIPTS_MAX || parts->envelope.size == 0)
		return KW_EFIELD;
	kw_buf_init(&roles, KW_EVIDENCE_SIZE_MAX);
	enum kw_err err = roles_add(&roles, &parts->roles);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, KW_EVIDENCE_VERSION);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, parts->envelope);
	for (uint32_t i = 0; err == KW_OK && i < parts->receipts_count; i++)
		err = parts->receipts[i].size > 0 ? kw_pb_add_bytes(out, 3, parts->receipts[i]) : KW_EFIELD;
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, kw_buf_view(&roles));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, parts->held);
	kw_buf_fini(&roles);
	return err;
}

enum kw_err kw_evidence_read(struct kw_view bytes, struct kw_evidence_parts *out)
{
	struct kw_evidence_parts parts = {0};
	if (bytes.size > KW_EVIDENCE_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_pb pb = kw_pb_from(bytes);
	uint64_t version = kw_pb_need_uint(&pb, 1, UINT32_MAX);
	if (pb.err != KW_OK)
		return pb.err;
	if (version != KW_EVIDENCE_VERSION)
		return KW_EVERSION;
	parts.envelope = kw_pb_need_bytes(&pb, 2, 1, KW_ENVELOPE_PROOF_SIZE_MAX);
	while (parts.receipts_count < KW_EVIDENCE_RECEIPTS_MAX && kw_pb_is_next(&pb, 3))
		parts.receipts[parts.receipts_count++] = kw_pb_need_bytes(&pb, 3, 1, KW_RECEIPT_PROOF_SIZE_MAX);
	struct kw_view roles = kw_pb_need_bytes(&pb, 4, 1, KW_EVIDENCE_SIZE_MAX);
	if (kw_pb_is_next(&pb, 5))
		parts.held = kw_pb_need_bytes(&pb, 5, 1, KW_EVIDENCE_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = roles_read(roles, &parts.roles);
	if (err == KW_OK)
		*out = parts;
	return err;
}
