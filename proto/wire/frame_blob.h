#ifndef KW_WIRE_FRAME_BLOB_H
#define KW_WIRE_FRAME_BLOB_H

#include "proto/wire/blob.h"
#include "proto/wire/frame.h"

/* The frames of blobs (frame.proto has their meaning). Written and read without allocation, as in frame.h. */

#define KW_FRAME_BLOB_OFFER 0x80
#define KW_FRAME_BLOB_WANT 0x81
#define KW_FRAME_BLOB_CHUNK 0x82
#define KW_FRAME_BLOB_DONE 0x83

static inline bool kw_frame_is_blob(uint8_t type)
{
	return type >= KW_FRAME_BLOB_OFFER && type <= KW_FRAME_BLOB_DONE;
}

/* Which blob on a hop. */
struct kw_blob_ref {
	struct kw_digest digest;
	struct kw_name agency; /* that it is for */
};

struct kw_frame_blob_offer {
	struct kw_blob_ref ref;
	uint32_t size;
	struct kw_digest commit;
	uint32_t expiry_hour; /* not 0 */
	struct kw_name giver; /* from a hub; zeroed from the owner */
};

/* KW_EFIELD also for a size that is none of a padded blob, and for another chunk size than ours. */
KW_MUST_USE enum kw_err kw_frame_blob_offer_parse(struct kw_view body, struct kw_frame_blob_offer *out);
KW_MUST_USE enum kw_err kw_frame_blob_offer_add(struct kw_buf *out, const struct kw_frame_blob_offer *offer);

struct kw_frame_blob_want {
	struct kw_blob_ref ref;
	uint32_t offset;
	uint32_t size; /* not 0; offset + size fits uint32 */
};

KW_MUST_USE enum kw_err kw_frame_blob_want_parse(struct kw_view body, struct kw_frame_blob_want *out);
KW_MUST_USE enum kw_err kw_frame_blob_want_add(struct kw_buf *out, const struct kw_frame_blob_want *want);

struct kw_frame_blob_chunk {
	struct kw_blob_ref ref;
	uint32_t offset;
	struct kw_view bytes; /* 1..what is left of the chunk from offset on */
	struct kw_view path;  /* whole hashes; only with the first byte of a chunk */
};

KW_MUST_USE enum kw_err kw_frame_blob_chunk_parse(struct kw_view body, struct kw_frame_blob_chunk *out);
KW_MUST_USE enum kw_err kw_frame_blob_chunk_add(struct kw_buf *out, const struct kw_frame_blob_chunk *chunk);

struct kw_frame_blob_done {
	struct kw_blob_ref ref;
	enum kw_err code;
	bool delivered; /* with KW_OK only */
	uint32_t retry_after_ms;
};

KW_MUST_USE enum kw_err kw_frame_blob_done_parse(struct kw_view body, struct kw_frame_blob_done *out);
KW_MUST_USE enum kw_err kw_frame_blob_done_add(struct kw_buf *out, const struct kw_frame_blob_done *done);

#endif
