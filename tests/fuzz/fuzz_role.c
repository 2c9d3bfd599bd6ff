/* Signed roles, pieces of them, and deltas, from a hub that nobody vouches for: each parser reads any bytes, and what has one
 * encoding only is written again as it was. */

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/role_delta.h"
#include "proto/wire/role_frame.h"

#define SAME(what, type) \
	static void same_##what(struct kw_view bytes) \
	{ \
		type *value = calloc(1, sizeof(*value)); \
		struct kw_buf again; \
		kw_buf_init(&again, 2 * KW_FRAME_SIZE_MAX); \
		if (value != NULL && kw_##what##_read(bytes, value) == KW_OK) { \
			KW_ASSERT(kw_##what##_add(&again, value) == KW_OK); \
			KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes)); \
		} \
		kw_buf_fini(&again); \
		free(value); \
	}

SAME(root, struct kw_root)
SAME(snapshot, struct kw_snapshot)
SAME(timestamp, struct kw_timestamp)

static void same_role(struct kw_view bytes)
{
	struct kw_role_signed role;
	struct kw_buf again;
	if (kw_role_parse(bytes, &role) != KW_OK)
		return;
	kw_buf_init(&again, 2 * KW_FRAME_SIZE_MAX);
	KW_ASSERT(kw_role_add(&again, &role) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes));
	kw_buf_fini(&again);
}

/* What can be read can be packed, and reads as the same. */
static void stable_directory(struct kw_view bytes)
{
	struct kw_directory *first = NULL;
	struct kw_directory *second = NULL;
	struct kw_buf packed;
	if (kw_directory_read(bytes, &first) != KW_OK)
		return;
	kw_buf_init(&packed, KW_DIRECTORY_SIZE_MAX);
	KW_ASSERT(kw_directory_pack(first, &packed) == KW_OK);
	KW_ASSERT(kw_directory_read(kw_buf_view(&packed), &second) == KW_OK);
	KW_ASSERT(second->count == first->count && second->version == first->version);
	kw_directory_free(first);
	kw_directory_free(second);
	kw_buf_fini(&packed);
}

static void any_delta(struct kw_view bytes)
{
	struct kw_directory_entry entries[2] = {{.agency = {.text = "agency-a"}, .sealing_keys_count = 1},
		{.agency = {.text = "agency-b"}, .sealing_keys_count = 1}};
	struct kw_directory have = {.hub = {.text = "hub-a"}, .version = 1, .expires_unix_ms = 1, .entries = entries, .count = 2};
	struct kw_buf made;
	for (int i = 0; i < 2; i++) {
		entries[i].sealing_keys[0].suites[0] = 1;
		entries[i].sealing_keys[0].suites_count = 1;
	}
	kw_buf_init(&made, KW_ROLE_SIZE_MAX);
	if (kw_role_delta_apply(bytes, &have, &made) == KW_OK)
		same_role(kw_buf_view(&made));
	kw_buf_fini(&made);
}

/* A stream of pieces; the first that does not fit drops what was under way. */
static void any_parts(struct kw_view bytes)
{
	struct kw_role_inbox inbox;
	struct kw_frame frame;
	struct kw_role_part part;
	struct kw_roles_have have;
	size_t used;
	bool whole;
	kw_role_inbox_init(&inbox);
	while (kw_frame_next(bytes, KW_FRAME_SIZE_MAX, &frame, &used) == KW_OK && used > 0) {
		if (kw_role_part_parse(frame.body, &part) == KW_OK && kw_role_inbox_take(&inbox, &part, &whole) == KW_OK)
			KW_ASSERT(inbox.bytes.size <= inbox.total && whole == (inbox.bytes.size == inbox.total));
		(void)kw_roles_want_parse(frame.body, &have); /* any answer is right */
		bytes = KW_VIEW(bytes.data + used, bytes.size - used);
	}
	kw_role_inbox_fini(&inbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kw_view bytes = KW_VIEW(data, size);
	same_role(bytes);
	same_root(bytes);
	same_snapshot(bytes);
	same_timestamp(bytes);
	stable_directory(bytes);
	any_delta(bytes);
	any_parts(bytes);
	return 0;
}
