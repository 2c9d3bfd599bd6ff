#include "tests/kit/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint8_t content[KW_SEAL_SIZE_MAX];

void scene_init(struct scene *scene, enum kw_suite suite, size_t content_size)
{
	uint8_t dek[KW_DEK_SIZE];
	struct kw_digest header_hash;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 131 + (i >> 8));
	kit_sealing_init(&scene->kit, suite, 3, KW_VIEW(content, content_size));
	kit_sealing_dek(&scene->kit, dek);
	assert_int_equal(kw_seal(&scene->kit.request, &scene->sealed), KW_OK);
	scene->index = 1;
	assert_int_equal(kw_envelope_parse(kw_buf_view(&scene->sealed.envelopes[1]), &scene->parts), KW_OK);
	assert_int_equal(kw_sha256(&scene->parts.header, 1, &header_hash), KW_OK);
	assert_int_equal(kw_suite_keys(suite, &header_hash, dek, &scene->keys), KW_OK);
	kw_buf_init(&scene->forged, KW_ENVELOPE_SIZE_MAX);
}

void scene_fini(struct scene *scene)
{
	kw_buf_fini(&scene->forged);
	kw_sealed_fini(&scene->sealed);
}

enum kw_err scene_open_as(struct scene *scene, size_t index, struct kw_view envelope, enum kw_open_reason *reason)
{
	struct kw_open_request request = kit_sealing_open(&scene->kit, index, envelope);
	struct kw_opened opened;
	enum kw_err err = kw_open(&request, &opened, reason);
	if (err == KW_OK)
		kw_opened_fini(&opened);
	return err;
}

struct kw_view scene_encode(struct scene *scene)
{
	kw_buf_clear(&scene->forged);
	assert_int_equal(kw_envelope_add(&scene->forged, &scene->parts), KW_OK);
	return kw_buf_view(&scene->forged);
}

void scene_parts_give(struct scene *scene, enum kw_open_reason expected)
{
	enum kw_open_reason reason;
	enum kw_err err = scene_open_as(scene, scene->index, scene_encode(scene), &reason);
	assert_int_equal(reason, expected);
	assert_int_equal(err, expected == KW_OPEN_OK ? KW_OK : KW_EOPEN);
}
