/* Claims and AuthBlock as bytes, declared in envelope.h. */

#include <string.h>

#include "proto/wire/envelope.h"
#include "proto/wire/pbscan.h"

enum kw_err kw_claims_add(struct kw_buf *buf, const struct kw_claims *claims)
{
	enum kw_err err = kw_pb_add_bytes(buf, 1, kw_view_str(claims->sender.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 2, kw_view_str(claims->sender_hub.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 3, kw_key_id_view(&claims->key_id));
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 4, (uint64_t)claims->sent_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 5, claims->content_type);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 6, KW_VIEW_OF(claims->thread_id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(buf, 7, claims->thread_sequence);
	return err;
}

enum kw_err kw_claims_parse(struct kw_view bytes, struct kw_claims *out)
{
	struct kw_claims claims = {0};
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view sender = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	struct kw_view sender_hub = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
	struct kw_view key_id = kw_pb_need_bytes(&pb, 3, KW_KEY_ID_SIZE_MIN, KW_KEY_ID_SIZE_MAX);
	claims.sent_unix_ms = (int64_t)kw_pb_need_uint(&pb, 4, INT64_MAX);
	claims.content_type = (uint32_t)kw_pb_need_uint(&pb, 5, UINT32_MAX);
	struct kw_view thread_id = kw_pb_need_bytes(&pb, 6, KW_ID_SIZE, KW_ID_SIZE);
	claims.thread_sequence = kw_pb_may_uint(&pb, 7, UINT64_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(sender, &claims.sender);
	if (err == KW_OK)
		err = kw_name_from(sender_hub, &claims.sender_hub);
	if (err == KW_OK)
		err = kw_key_id_from(key_id, &claims.key_id);
	if (err != KW_OK)
		return err;
	memcpy(claims.thread_id.bytes, thread_id.data, KW_ID_SIZE);
	*out = claims;
	return KW_OK;
}

enum kw_err kw_auth_block_add(struct kw_buf *buf, const struct kw_auth_block *block)
{
	enum kw_err err = kw_pb_add_bytes(buf, 1, block->claims);
	if (err == KW_OK)
		err = kw_pb_add_bytes(buf, 2, block->signature);
	return err;
}

enum kw_err kw_auth_block_parse(struct kw_view bytes, struct kw_auth_block *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_auth_block block;
	block.claims = kw_pb_need_bytes(&pb, 1, 1, KW_AUTH_SIZE_MAX);
	block.signature = kw_pb_need_bytes(&pb, 2, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		*out = block;
	return err;
}
