/* A stream of frames, each body read by every parser; what parses must write, and write the same again. */

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/frame.h"
#include "proto/wire/frame_audit.h"
#include "proto/wire/frame_blob.h"

/* Writes what was parsed twice over: once now, once after parsing what was written. */
#define STABLE(what, type, head_size) \
	static void stable_##what(struct kw_view body) \
	{ \
		type value; \
		struct kw_buf first, second; \
		if (kw_frame_##what##_parse(body, &value) != KW_OK) \
			return; \
		kw_buf_init(&first, 2 * KW_FRAME_SIZE_MAX); \
		kw_buf_init(&second, 2 * KW_FRAME_SIZE_MAX); \
		KW_ASSERT(kw_frame_##what##_add(&first, &value) == KW_OK); \
		struct kw_view again = KW_VIEW(first.data + (head_size), first.size - (head_size)); \
		KW_ASSERT(kw_frame_##what##_parse(again, &value) == KW_OK); \
		KW_ASSERT(kw_frame_##what##_add(&second, &value) == KW_OK); \
		KW_ASSERT(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second))); \
		kw_buf_fini(&first); \
		kw_buf_fini(&second); \
	}

STABLE(message, struct kw_frame_message, KW_FRAME_HEAD_SIZE)
STABLE(ack, struct kw_frame_ack, KW_FRAME_HEAD_SIZE)
STABLE(hello, struct kw_frame_hello, KW_FRAME_HEAD_SIZE)
STABLE(welcome, struct kw_frame_hello, KW_FRAME_HEAD_SIZE)
STABLE(notice, struct kw_frame_notice, 0)
STABLE(error, struct kw_frame_error, KW_FRAME_HEAD_SIZE)
STABLE(unopened, struct kw_frame_unopened, KW_FRAME_HEAD_SIZE)
STABLE(recall, struct kw_frame_recall, KW_FRAME_HEAD_SIZE)
STABLE(reminder, struct kw_frame_reminder, 0)

/* Each track that parses must write, and read as the same. */
static void stable_tracks(struct kw_view body)
{
	struct kw_frame_message message;
	struct kw_frame_track first[KW_FRAME_TRACKS_MAX], second[KW_FRAME_TRACKS_MAX];
	uint32_t first_count, second_count;
	struct kw_buf out;
	if (kw_frame_message_parse(body, &message) != KW_OK ||
		kw_frame_tracks_parse(message.tracks, first, &first_count) != KW_OK)
		return;
	kw_buf_init(&out, KW_FRAME_SIZE_MAX);
	for (uint32_t i = 0; i < first_count; i++)
		KW_ASSERT(kw_frame_track_add(&out, &first[i]) == KW_OK);
	KW_ASSERT(kw_frame_tracks_parse(kw_buf_view(&out), second, &second_count) == KW_OK);
	KW_ASSERT(second_count == first_count && memcmp(first, second, first_count * sizeof(*first)) == 0);
	kw_buf_fini(&out);
}
STABLE(blob_offer, struct kw_frame_blob_offer, KW_FRAME_HEAD_SIZE)
STABLE(blob_want, struct kw_frame_blob_want, KW_FRAME_HEAD_SIZE)
STABLE(blob_chunk, struct kw_frame_blob_chunk, KW_FRAME_HEAD_SIZE)
STABLE(blob_done, struct kw_frame_blob_done, KW_FRAME_HEAD_SIZE)
STABLE(checkpoint, struct kw_frame_checkpoint, KW_FRAME_HEAD_SIZE)
STABLE(prove, struct kw_frame_prove, KW_FRAME_HEAD_SIZE)
STABLE(proof, struct kw_frame_proof, KW_FRAME_HEAD_SIZE)

static void every_parser(struct kw_view body)
{
	uint64_t nonce;
	uint32_t delay;
	stable_message(body);
	stable_ack(body);
	stable_hello(body);
	stable_welcome(body);
	stable_notice(body);
	stable_error(body);
	stable_unopened(body);
	stable_recall(body);
	stable_reminder(body);
	stable_tracks(body);
	stable_blob_offer(body);
	stable_blob_want(body);
	stable_blob_chunk(body);
	stable_blob_done(body);
	stable_checkpoint(body);
	stable_prove(body);
	stable_proof(body);
	(void)kw_frame_ping_parse(body, &nonce);     /* any answer is right, as long as it is one */
	(void)kw_frame_goaway_parse(body, &delay);   /* as above */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kw_view rest = KW_VIEW(data, size);
	struct kw_frame frame;
	size_t used;
	while (kw_frame_next(rest, KW_FRAME_SIZE_MAX, &frame, &used) == KW_OK && used > 0) {
		KW_ASSERT(used <= rest.size && frame.body.size == used - KW_FRAME_HEAD_SIZE);
		every_parser(frame.body);
		rest = KW_VIEW(rest.data + used, rest.size - used);
	}
	return 0;
}
