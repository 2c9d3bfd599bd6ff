/* Batches of dated prekeys and questions for them, from a hub that nobody vouches for: what is read is signed again and read as the
 * same, and none is accepted that its agency has not signed. */

#include <stdint.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/frame.h"
#include "proto/wire/prekey.h"

static void one_batch(struct kw_view bytes)
{
	static const uint8_t SEED[KW_KEY_SIZE] = {7}; /* of nobody in the corpus */
	struct kw_ed25519 identity;
	struct kw_prekeys first, second;
	enum kw_prekey_rule rule;
	struct kw_buf again;
	if (kw_prekeys_read(bytes, &first) != KW_OK)
		return;
	KW_ASSERT(first.count >= 1 && first.count <= KW_PREKEYS_MAX && kw_prekeys_last_day(&first) <= KW_PREKEY_DAY_MAX);
	KW_ASSERT(kw_prekeys_key(&first, first.first_day) == first.keys[0]);
	KW_ASSERT(kw_prekeys_key(&first, kw_prekeys_last_day(&first) + 1) == NULL);
	KW_ASSERT(kw_ed25519_from_seed(SEED, &identity) == KW_OK);
	struct kw_prekeys_expect expect = {.agency = &first.agency, .hub = &first.hub, .identity_key = identity.public_key};
	KW_ASSERT(kw_prekeys_accept(&expect, bytes, &second, &rule) != KW_OK);
	kw_buf_init(&again, 2 * KW_PREKEYS_SIZE_MAX);
	KW_ASSERT(kw_prekeys_sign(&first, &identity, &again) == KW_OK);
	KW_ASSERT(kw_prekeys_accept(&expect, kw_buf_view(&again), &second, &rule) == KW_OK);
	KW_ASSERT(memcmp(&first, &second, sizeof(first)) == 0);
	kw_buf_fini(&again);
}

static void one_want(struct kw_view bytes)
{
	struct kw_prekeys_want first, second;
	struct kw_buf again;
	if (kw_prekeys_want_parse(bytes, &first) != KW_OK)
		return;
	kw_buf_init(&again, KW_FRAME_SIZE_MAX);
	KW_ASSERT(kw_prekeys_want_add(&again, &first) == KW_OK);
	KW_ASSERT(kw_prekeys_want_parse(KW_VIEW(again.data + KW_FRAME_HEAD_SIZE, again.size - KW_FRAME_HEAD_SIZE), &second) == KW_OK);
	KW_ASSERT(memcmp(&first, &second, sizeof(first)) == 0);
	kw_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	one_batch(KW_VIEW(data, size));
	one_want(KW_VIEW(data, size));
	return 0;
}
