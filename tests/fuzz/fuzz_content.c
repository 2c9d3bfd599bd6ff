/* Sealed plaintext as a hostile sender would write it: what unpacks must validate, pack, and unpack to the same. */

#include "kinward/v1/content.pb-c.h"
#include "proto/base/check.h"
#include "proto/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kw_arena arena, again;
	struct kw_buf first, second;
	struct kw_fault fault = {.code = KW_OK};
	Kinward__V1__Content *content;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	kw_arena_init(&again, KW_CONTENT_ARENA_MAX);
	kw_buf_init(&first, KW_CONTENT_SIZE_MAX);
	kw_buf_init(&second, KW_CONTENT_SIZE_MAX);
	enum kw_err err = kw_content_unpack(KW_VIEW(data, size), &arena, &content, &fault);
	if (err != KW_OK) {
		KW_ASSERT(fault.code == err && fault.rule[0] != '\0' && !arena.refused);
		goto out;
	}
	err = kw_content_pack(content, &first, &fault);
	/* A repeated code that came unpacked grows by a byte, so a full message may pass the limit. */
	if (err == KW_ETOOBIG)
		goto out;
	KW_ASSERT(err == KW_OK);
	KW_ASSERT(kw_content_unpack(kw_buf_view(&first), &again, &content, &fault) == KW_OK);
	KW_ASSERT(kw_content_pack(content, &second, &fault) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second)));
out:
	kw_buf_fini(&first);
	kw_buf_fini(&second);
	kw_arena_fini(&arena);
	kw_arena_fini(&again);
	return 0;
}
