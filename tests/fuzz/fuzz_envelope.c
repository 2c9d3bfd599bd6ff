/* Bytes from the network as an envelope: what a hub does (peek, digest) and what a recipient does (open). The seeds are
 * whole envelopes of the kit, so that mutations reach past the structure; what lies inside an envelope is encrypted and
 * cannot be reached by mutation, so the inner readers get the same bytes on their own. */

#include <stddef.h>
#include <stdint.h>

#include "kinward/v1/envelope.pb-c.h"
#include "proto/base/check.h"
#include "proto/wire/pbscan.h"
#include "tests/kit/sealing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_hub(struct kw_view bytes)
{
	struct kw_envelope_label label;
	struct kw_digest digest;
	enum kw_err peeked = kw_envelope_peek(bytes, &label);
	enum kw_err digested = kw_envelope_digest(bytes, &digest);
	/* The two agree on what an envelope is, and each envelope has one encoding. */
	KW_ASSERT(peeked == digested);
	if (peeked != KW_OK)
		return;
	struct kw_envelope envelope;
	struct kw_buf again;
	KW_ASSERT(kw_envelope_parse(bytes, &envelope) == KW_OK);
	kw_buf_init(&again, KW_ENVELOPE_SIZE_MAX);
	KW_ASSERT(kw_envelope_add(&again, &envelope) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes));
	kw_buf_fini(&again);
	KW_ASSERT(kw_pb_prescan(bytes, &kinward__v1__envelope__descriptor, KW_PB_LIMITS) == KW_OK);
}

static void as_recipient(struct kit_sealing *kit, struct kw_view bytes)
{
	for (size_t i = 0; i < 2; i++) {
		struct kw_open_request request = kit_sealing_open(kit, i, bytes);
		struct kw_opened opened;
		enum kw_open_reason reason;
		enum kw_err err = kw_open(&request, &opened, &reason);
		KW_ASSERT((err == KW_OK) == (reason == KW_OPEN_OK));
		if (err == KW_OK)
			kw_opened_fini(&opened);
	}
}

static void as_insides(struct kw_view bytes)
{
	struct kw_auth_block block;
	struct kw_claims claims;
	size_t content_size;
	if (kw_pad_strip(bytes, &content_size) == KW_OK)
		KW_ASSERT(content_size < bytes.size);
	if (kw_auth_block_parse(bytes, &block) == KW_OK)
		KW_ASSERT(block.signature.size == KW_SIGNATURE_SIZE);
	if (kw_claims_parse(bytes, &claims) != KW_OK)
		return;
	struct kw_buf again;
	kw_buf_init(&again, KW_AUTH_SIZE_MAX);
	KW_ASSERT(kw_claims_add(&again, &claims) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes));
	kw_buf_fini(&again);
}

static void as_protobuf(struct kw_view bytes)
{
	if (kw_pb_prescan(bytes, &kinward__v1__envelope__descriptor, KW_PB_LIMITS) != KW_OK)
		return;
	Kinward__V1__Envelope *envelope = kinward__v1__envelope__unpack(NULL, bytes.size, bytes.data);
	KW_ASSERT(envelope != NULL);
	kinward__v1__envelope__free_unpacked(envelope, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kit_sealing kit;
	if (kit.request.recipients_count == 0)
		kit_sealing_init(&kit, KW_SUITE_AES, 1, KW_VIEW(NULL, 0));
	struct kw_view bytes = KW_VIEW(data, size);
	as_hub(bytes);
	as_recipient(&kit, bytes);
	as_insides(bytes);
	as_protobuf(bytes);
	return 0;
}
