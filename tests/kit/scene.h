#ifndef KW_TEST_KIT_SCENE_H
#define KW_TEST_KIT_SCENE_H

#include "proto/wire/suite.h"
#include "tests/kit/sealing.h"

/* A message sealed to three recipients, and one of its envelopes taken apart with the keys its recipient has: a test
 * changes the parts, encodes them again and tries to open the result. Failures are cmocka's. */

struct scene {
	struct kit_sealing kit;
	struct kw_sealed sealed;
	size_t index; /* the recipient who opens; 1 at first */
	struct kw_envelope parts; /* of envelope 1 at first */
	struct kw_suite_keys keys;
	struct kw_buf forged;
	uint8_t auth[KW_AUTH_SIZE_MAX + KW_AEAD_TAG_SIZE];
};

void scene_init(struct scene *scene, enum kw_suite suite, size_t content_size);
void scene_fini(struct scene *scene);

/* Tries to open `envelope` as the recipient of this index; frees what opens. */
enum kw_err scene_open_as(struct scene *scene, size_t index, struct kw_view envelope, enum kw_open_reason *reason);

/* Encodes the parts as they now are; valid until the next call. */
struct kw_view scene_encode(struct scene *scene);

/* Asserts that the parts as they now are give this reason, and KW_EOPEN or KW_OK outward. */
void scene_parts_give(struct scene *scene, enum kw_open_reason expected);

#endif
